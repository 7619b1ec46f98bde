"""The poster that tells whether a room can be read: it is where it is plain, it is not where there is nothing."""

import cv2
import numpy as np
import pytest

from benchmarks.harness import marker

CAMERA = (480, 640)


def wall(seed=0):
    """A room with shadows and noise, uint8 (480, 640, 3)."""
    noise = np.random.default_rng(seed)
    light = cv2.GaussianBlur(noise.normal(0, 900, CAMERA), (0, 0), 20)[:, :, None]
    return np.clip(128 + light + noise.normal(0, 4, (*CAMERA, 3)), 0, 255).astype(np.uint8)


def hung(height, text=marker.TEXT, seed=0):
    """A room with a poster, the poster, its corners."""
    poster = marker.poster(height, text)
    corners = marker.upright(70.4, 31.7, height)
    return marker.hang(wall(seed), poster, corners), poster, corners


def words(count):
    noise = np.random.default_rng(1)
    return ["".join(noise.choice(list(marker.ALPHABET), marker.LETTERS, replace=False)) for _ in range(count)]


@pytest.mark.parametrize("height", [80, 120, 161, 240, 400])
def test_a_plain_poster_is_read(height):
    assert marker.readable(*hung(height))


@pytest.mark.parametrize("text", words(5))
def test_whatever_is_written_is_read_letter_by_letter(text):
    picture, _, corners = hung(160, text)
    assert marker.right_letters(marker._rectify(picture, corners), text) == marker.LETTERS


def test_a_poster_that_hangs_aslant_is_read():
    poster = marker.poster(240)
    corners = np.float32([(60, 50), (240, 80), (230, 300), (50, 310)])
    assert marker.readable(marker.hang(wall(), poster, corners), poster, corners)


def test_four_hundredths_of_the_contrast_are_enough():
    picture, poster, corners = hung(160)
    faint = np.rint(100 + picture * 0.04).astype(np.uint8)
    assert marker.readable(faint, poster, corners)


def test_each_of_code_and_text_is_enough():
    picture, poster, corners = hung(240)
    code, text = picture.copy(), picture.copy()
    line = round(31.7 + 240 * marker.LINE_TOP / marker.HEIGHT)
    code[line:], text[:line] = 128, 128
    assert marker.readable(code, poster, corners)
    assert marker.readable(text, poster, corners)


@pytest.mark.parametrize("share", [0.01, 0.02, 0.03])
def test_a_light_blur_is_undone(share):
    picture, poster, corners = hung(240)
    assert marker.readable(cv2.GaussianBlur(picture, (0, 0), share * 240), poster, corners)


@pytest.mark.parametrize("text", words(8))
@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_after_a_heavy_blur_nothing_is_read(share, text):
    picture, poster, corners = hung(160, text)
    assert not marker.readable(cv2.GaussianBlur(picture, (0, 0), share * 160), poster, corners)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_on_an_even_wall_nothing_is_read(level):
    _, poster, corners = hung(160)
    assert not marker.readable(np.full((*CAMERA, 3), level, np.uint8), poster, corners)


def test_no_false_alarm_in_80_crops_of_noise_of_every_grain():
    for seed, text in enumerate(words(80)):
        noise = np.random.default_rng(seed).normal(128, 60, (200, 180, 1))
        grain = (0, 1, 3, 9)[seed % 4]
        blurred = cv2.GaussianBlur(noise, (0, 0), grain)[:, :, None] if grain else noise
        picture = np.clip(128 + (blurred - blurred.mean()) * 50 / blurred.std(), 0, 255).astype(np.uint8)
        poster = marker.poster(160, text)
        assert not marker.readable(picture, poster, marker.upright(15, 15, 160)), seed


def test_another_posters_text_is_not_taken_for_this_one():
    picture, _, corners = hung(240, "BROWNFIG")
    assert not marker.readable(picture, marker.poster(240, "HOSPITAL"), corners)


def test_a_poster_too_small_to_be_read_at_all_is_refused():
    picture, _, corners = hung(160)
    with pytest.raises(ValueError, match="20 px height cannot be read; expected about 80 or more"):
        marker.readable(picture, marker.poster(20), corners)


@pytest.mark.parametrize("text", ["", "hospital", "SEVENTH", "LETTERED", "AB DEFGH"])
def test_a_text_of_repeated_or_other_letters_is_refused(text):
    with pytest.raises(ValueError, match="expected 8 different letters from A to Z, as 'HOSPITAL'"):
        marker.poster(160, text)
