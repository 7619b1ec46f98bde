"""Backgrounds of every kind, at sizes down to one pixel; videos are written by the test that plays them."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.harness import marker
from engine.backgrounds import COLOURS, open_background
from engine.backgrounds.blur import FLOOR
from engine.backgrounds.looping_video import LiveVideo
from engine.backgrounds.picture import cover
from engine.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
SIZES = [(1, 1), (5, 7), (48, 64), (61, 37)]
RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)


def frame_of(size, colour=(90, 90, 90)):
    bgr = np.empty((*size, 3), np.uint8)
    bgr[:] = colour
    return bgr


def write_video(path, levels, fps=10, size=(48, 64)):
    """A clip whose frame i is grey of `levels[i]`; exactly so in an .avi."""
    codec = {".gif": "gif", ".avi": "ffv1", ".webm": "libvpx-vp9"}.get(path.suffix, "libx264")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = size
        stream.pix_fmt = {"gif": "gray", "ffv1": "bgr0"}.get(codec, "yuv420p")
        for i, level in enumerate(levels):
            frame = av.VideoFrame.from_ndarray(frame_of(size, (level,) * 3), format="bgr24")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def level_of(picture):
    return int(picture[0, 0, 1])


@pytest.fixture
def sources(tmp_path):
    """One spec of each kind."""
    cv2.imwrite(str(tmp_path / "room.png"), frame_of((30, 50), GREEN))
    video = write_video(tmp_path / "sea.mp4", [50, 100, 150])
    return {"none": "none", "blur": "blur", "colour": "#102030", "image": str(tmp_path / "room.png"), "video": video}


KINDS = ["none", "blur", "colour", "image", "video"]

# --- every kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lossless", [True, False])
def test_a_background_follows_the_size_of_the_frame(kind, lossless, sources):
    background = open_background(sources[kind], lossless=lossless)
    for size in [*SIZES, SIZES[0]]:
        for alpha in (None, np.full((6, 8), 0.5, np.float32)):
            picture = background.picture(frame_of(size), alpha, 0.0)
            assert (picture.shape, picture.dtype) == ((*size, 3), np.uint8)
            assert picture.flags.c_contiguous
    background.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_call_for_the_same_size_reuses_the_buffer(kind, sources):
    background = open_background(sources[kind], lossless=True)
    first, second = (background.picture(frame_of((48, 64)), None, position) for position in (0.0, 0.1))
    assert first is second
    background.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lossless", [True, False])
def test_closing_twice_is_fine_and_only_none_is_transparent(kind, lossless, sources):
    background = open_background(sources[kind], lossless=lossless)
    assert background.transparent == (kind == "none")
    background.picture(frame_of((5, 7)), None, 0.0)
    background.close()
    background.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_frame_is_not_written_to(kind, sources):
    bgr = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    before = bgr.copy()
    background = open_background(sources[kind])
    background.picture(bgr, np.zeros((8, 8), np.float32), 0.0)
    background.close()
    assert np.array_equal(bgr, before)


def test_importing_the_backgrounds_loads_neither_opencv_nor_ffmpeg():
    code = "import sys, engine.backgrounds; sys.exit(bool({'cv2', 'av'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


@pytest.mark.parametrize("spec", ["beach", "", "Blur", "beach.txt", "nothing"])
def test_an_unknown_background_is_refused_and_the_possible_ones_are_named(spec):
    with pytest.raises(UsageError, match=r"unknown background .*none, blur, blur:STRENGTH, a colour .*\.png.*\.gif"):
        open_background(spec)


# --- colours


@pytest.mark.parametrize(
    ("spec", "bgr"), [("#102030", (0x30, 0x20, 0x10)), ("#F80", (0, 0x88, 0xFF)), ("white", (255,) * 3)]
)
def test_a_colour_is_that_colour(spec, bgr):
    assert (open_background(spec).picture(frame_of((5, 7)), None, 0.0) == bgr).all()


@pytest.mark.parametrize("name", COLOURS)
def test_every_named_colour_opens(name):
    assert open_background(name).picture(frame_of((1, 1)), None, 0.0).shape == (1, 1, 3)


@pytest.mark.parametrize("spec", ["#", "#12", "#12345", "#gggggg", "#11223344"])
def test_a_colour_that_is_none_is_refused(spec):
    with pytest.raises(UsageError, match=r"is no colour; write #rrggbb or #rgb"):
        open_background(spec)


def test_none_is_black():
    assert not open_background("none").picture(frame_of((5, 7)), None, 0.0).any()


# --- images


@pytest.mark.parametrize(
    "image",
    [
        np.full((20, 30), 128, np.uint8),
        np.full((20, 30), 128 * 257, np.uint16),
        np.dstack([np.full((20, 30, 3), 128, np.uint8), np.full((20, 30), 255, np.uint8)]),
        np.full((20, 30, 3), 128 * 257, np.uint16),
    ],
    ids=["grey", "grey 16 bit", "alpha", "16 bit"],
)
def test_an_image_of_any_kind_becomes_bgr(image, tmp_path):
    cv2.imwrite(str(tmp_path / "room.png"), image)
    assert (open_background(str(tmp_path / "room.png")).picture(frame_of((48, 64)), None, 0.0) == 128).all()


def test_an_image_fills_the_frame_with_its_centre_undistorted():
    image = np.concatenate([frame_of((40, 30), RED), frame_of((40, 40), GREEN), frame_of((40, 30), BLUE)], axis=1)
    assert (cover(image, (80, 80)) == GREEN).all()


@settings(max_examples=60, deadline=None)
@given(*[st.integers(1, 40)] * 4)
def test_an_image_of_any_size_fills_a_frame_of_any_size(h, w, H, W):  # noqa: N803 (the field's letters)
    filled = cover(frame_of((h, w), (1, 2, 3)), (H, W))
    assert filled.shape == (H, W, 3)
    assert (filled == (1, 2, 3)).all()


def test_an_image_that_is_missing_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"room\.png: No such file or directory; expected an image"):
        open_background(str(tmp_path / "room.png"))


@pytest.mark.parametrize(("content", "wrong"), [(b"", "it is empty"), (b"not an image", "it is text")])
def test_an_image_that_is_none_is_refused_with_the_formats(content, wrong, tmp_path):
    (tmp_path / "room.png").write_bytes(content)
    with pytest.raises(UsageError, match=rf"room\.png: {wrong}.*xpected an image \(\.jpg"):
        open_background(str(tmp_path / "room.png"))


# --- blur


def red_figure_in_a_grey_room():
    alpha = np.zeros((240, 320), np.float32)
    cv2.ellipse(alpha, (160, 150), (50, 90), 0, 0, 360, 1.0, -1)
    bgr = frame_of((240, 320), (128, 128, 128))
    bgr[alpha > 0] = (20, 20, 240)
    return bgr, alpha


def red_cast(background, alpha):
    """The strongest surplus of red over blue that is seen beside the figure."""
    seen = background[alpha == 0].astype(int)
    return (seen[:, 2] - seen[:, 0]).max()


@pytest.mark.parametrize("strength", ["0.4", "0.6", "1"])
def test_a_blurred_room_has_no_halo_of_the_person(strength):
    bgr, alpha = red_figure_in_a_grey_room()
    assert red_cast(open_background(f"blur:{strength}").picture(bgr, alpha, 0.0), alpha) <= 3


def test_a_plain_blur_does_have_a_halo_so_that_the_test_above_can_fail():
    bgr, alpha = red_figure_in_a_grey_room()
    assert red_cast(cv2.GaussianBlur(bgr, (0, 0), 12), alpha) > 60


def test_a_mask_two_pixels_too_narrow_leaves_no_halo():
    bgr, alpha = red_figure_in_a_grey_room()
    narrow = cv2.erode(alpha, np.ones((5, 5), np.uint8))
    assert red_cast(open_background("blur").picture(bgr, narrow, 0.0), alpha) <= 12


def test_a_mask_at_the_students_resolution_leaves_no_halo():
    bgr, alpha = red_figure_in_a_grey_room()
    student = cv2.resize(alpha, (80, 60), interpolation=cv2.INTER_AREA)
    assert red_cast(open_background("blur").picture(bgr, student, 0.0), alpha) <= 3


def test_thin_parts_of_the_person_leave_no_halo():
    alpha = np.zeros((240, 320), np.float32)
    alpha[:, 100:300:40] = alpha[:, 101:300:40] = alpha[:, 102:300:40] = 1  # a hand: five fingers of three pixels
    bgr = frame_of((240, 320), (128, 128, 128))
    bgr[alpha > 0] = (20, 20, 240)
    assert red_cast(open_background("blur").picture(bgr, alpha, 0.0), alpha) <= 3


def test_blur_keeps_the_colour_of_an_even_room():
    blurred = open_background("blur").picture(frame_of((61, 37), (10, 100, 201)), np.zeros((8, 8), np.float32), 0.0)
    assert np.abs(blurred.astype(int) - (10, 100, 201)).max() <= 1


def stripes():
    bgr = np.zeros((240, 320, 3), np.uint8)
    bgr[:, ::16] = bgr[:, 1::16] = bgr[:, 2::16] = bgr[:, 3::16] = 255
    return bgr


def test_a_greater_strength_leaves_less_of_the_room():
    nobody = np.zeros((60, 80), np.float32)
    left = [float(open_background(f"blur:{s}").picture(stripes(), nobody, 0.0).std()) for s in (0.4, 0.6, 1)]
    assert left[0] > left[1] > left[2]


def test_without_a_mask_nothing_can_be_made_out():
    bgr, _ = red_figure_in_a_grey_room()
    blurred = open_background("blur:0.4").picture(bgr, None, 0.0).astype(int)
    assert np.abs(np.diff(blurred, axis=1)).max() <= 4  # no edge is left of a figure 220 levels off its room


@pytest.mark.parametrize("size", SIZES)
def test_where_only_the_person_is_seen_the_blur_is_black_not_them(size):
    blurred = open_background("blur").picture(frame_of(size, RED), np.ones((8, 8), np.float32), 0.0)
    assert not blurred.any()


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SIZES), st.integers(0, 2**32 - 1), st.floats(0.01, 1))
def test_blur_never_leaves_the_range_of_the_frames_colours(size, seed, strength):
    noise = np.random.default_rng(seed)
    bgr = noise.integers(60, 70, (*size, 3), np.uint8)
    alpha = noise.random((7, 9), np.float32) * np.float32(0.2)  # the room is seen everywhere
    blurred = open_background(f"blur:{strength}").picture(bgr, alpha, 0.0)
    assert blurred.min() >= 59
    assert blurred.max() <= 70


@pytest.mark.parametrize("spec", ["blur:", "blur:0", "blur:1.5", "blur:-1", "blur:nan", "blur:soft"])
def test_a_strength_that_cannot_be_meant_is_refused(spec):
    with pytest.raises(UsageError, match="the strength must be above 0 and at most 1"):
        open_background(spec)


# --- what can be read in a blurred room

CAMERAS = [(320, 240), (640, 480), (1280, 720), (1920, 1080), (1080, 1920), (3840, 2160)]
NOBODY = np.zeros((60, 80), np.float32)


def room_with_a_poster(W, H, text=marker.TEXT):  # noqa: N803 (the field's letters)
    """The largest poster a room is granted, half as high as the frame is long, as far as it fits; its corners."""
    height = round(min(0.5 * max(W, H), 0.9 * H))
    poster, corners = marker.poster(height, text), marker.upright(0.2 * W, 0.04 * H, height)
    light = np.linspace(90, 180, W).astype(np.uint8)[None, :, None]
    return marker.hang(np.ascontiguousarray(np.broadcast_to(light, (H, W, 3))), poster, corners), poster, corners


def seen_of(room, alpha, background):
    """What an onlooker has: the person of the frame over the background."""
    alpha = cv2.resize(alpha, room.shape[1::-1])[:, :, None]
    return room * alpha + background * (1 - alpha)


@pytest.mark.parametrize("size", CAMERAS)
@pytest.mark.parametrize("strength", [0.01, FLOOR, 0.6])
def test_nothing_can_be_read_in_a_blurred_room_however_weak_a_blur_is_asked_for(strength, size):
    room, poster, corners = room_with_a_poster(*size)
    assert marker.readable(room, poster, corners)
    assert not marker.readable(open_background(f"blur:{strength}").picture(room, NOBODY, 0.0), poster, corners)


@pytest.mark.parametrize("text", ["HOSPITAL", "BROWNFIG", "QUICKMEN", "JUMPLAZY"])
def test_below_the_floor_it_could_be_read(text, monkeypatch):
    monkeypatch.setattr("engine.backgrounds.blur.FLOOR", 0.0)
    room, poster, corners = room_with_a_poster(640, 480, text)
    assert marker.readable(open_background(f"blur:{FLOOR * 0.6}").picture(room, NOBODY, 0.0), poster, corners)


@pytest.mark.parametrize("strength", [FLOOR, 0.6])
def test_without_a_mask_nothing_can_be_read(strength):
    room, poster, corners = room_with_a_poster(640, 480)
    assert not marker.readable(open_background(f"blur:{strength}").picture(room, None, 0.0), poster, corners)


def test_the_mean_of_fifty_frames_of_a_flickering_room_says_no_more():
    room, poster, corners = room_with_a_poster(320, 240)
    blur, noise = open_background(f"blur:{FLOOR}"), np.random.default_rng(0)
    plain, blurred = np.zeros(room.shape), np.zeros(room.shape)
    for _ in range(50):
        frame = room * noise.normal(1, 0.02) + noise.normal(0, 6, room.shape)
        frame = np.clip(frame, 0, 255).astype(np.uint8)
        plain += frame / 50
        blurred += blur.picture(frame, NOBODY, 0.0) / 50
    assert marker.readable(plain, poster, corners)
    assert not marker.readable(blurred, poster, corners)


def passing_person(step, size=(480, 640)):
    """A head and shoulders whose soft edge passes over the poster in 28 steps."""
    alpha = np.zeros(size, np.float32)
    x = 20 + 18 * step
    cv2.ellipse(alpha, (x, 160), (60, 80), 0, 0, 360, 1.0, -1)
    cv2.rectangle(alpha, (x - 130, 230), (x + 130, 480), 1.0, -1)
    return cv2.GaussianBlur(alpha, (0, 0), 2)


@pytest.mark.parametrize("strength", [FLOOR, 0.6])
def test_a_person_who_passes_uncovers_nothing_that_can_be_read(strength):
    room, poster, corners = room_with_a_poster(640, 480)
    blur = open_background(f"blur:{strength}")
    mean, weight = np.zeros(room.shape), np.full((480, 640, 1), 1e-6)  # of what was seen while they were elsewhere
    beside, distance = np.zeros(room.shape), np.full((480, 640), np.inf)  # of what was seen closest to their edge
    for step in range(28):
        alpha = passing_person(step)
        blurred = blur.picture(room, cv2.resize(alpha, (160, 120), interpolation=cv2.INTER_AREA), 0.0)
        assert step % 7 or not marker.readable(seen_of(np.full_like(room, 60), alpha, blurred), poster, corners)
        mean += (1 - alpha[:, :, None]) * blurred
        weight += 1 - alpha[:, :, None]
        away = cv2.distanceTransform((alpha < 0.02).astype(np.uint8), cv2.DIST_L2, 3)
        nearer = (alpha < 0.02) & (away < distance)
        beside[nearer], distance[nearer] = blurred[nearer], away[nearer]
    assert not marker.readable(mean / weight, poster, corners)
    assert not marker.readable(beside, poster, corners)


@pytest.mark.parametrize("gap", [4, 12, 24, 36])
def test_a_gap_in_the_person_shows_the_room_around_them_not_what_is_behind_it(gap):
    room = frame_of((480, 640))
    cv2.rectangle(room, (320 - gap // 2, 200), (320 + gap // 2, 280), RED, -1)  # seen through the gap
    person = np.zeros((480, 640), np.float32)
    person[100:, 220:420] = 1  # room enough around them
    person[200:280, 320 - gap // 2 : 320 + gap // 2 + 1] = 0
    blurred = open_background(f"blur:{FLOOR}").picture(room, person, 0.0)
    assert np.abs(blurred[240, 320].astype(int) - 90).max() <= 3


def test_the_frames_border_is_blurred_like_the_rest():
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 1), np.uint8)
    room = cv2.resize(noise, (640, 480), interpolation=cv2.INTER_NEAREST)[:, :, None].repeat(3, axis=2)
    blurred = open_background("blur").picture(room, NOBODY, 0.0)[:, :, 0].astype(float)
    steps = np.abs(np.diff(blurred, axis=0))
    assert steps[:, [0, -1]].mean() <= 1.8 * steps[:, 100:-100].mean()


def test_a_strength_below_the_floor_is_said_once(caplog):
    background = open_background("blur:0.05")
    for _ in range(3):
        background.picture(frame_of((48, 64)), None, 0.0)
    assert [record.getMessage() for record in caplog.records] == [
        "blur:0.05 is painted as blur:0.4: with less, writing in the room can be read"
    ]


@pytest.mark.parametrize("spec", ["blur", "blur:0.4", "blur:1"])
def test_of_other_strengths_nothing_is_said(spec, caplog):
    open_background(spec)
    assert not caplog.records


# --- videos

LEVELS = [20, 60, 100, 140, 180]  # at 10 frames per second: a run lasts 0.5 s


@pytest.fixture
def film(tmp_path):
    return write_video(tmp_path / "film.avi", LEVELS)


def shown_at(background, position, size=(48, 64)):
    return level_of(background.picture(frame_of(size), None, position))


@pytest.mark.parametrize(("position", "level"), [(0.0, 20), (0.05, 20), (0.12, 60), (0.45, 180), (-1.0, 20)])
def test_a_lossless_video_shows_the_frame_of_its_position(position, level, film):
    background = open_background(film, lossless=True)
    assert shown_at(background, position) == level
    background.close()


@pytest.mark.parametrize(("position", "level"), [(0.52, 20), (0.75, 100), (1.22, 100), (3600.31, 140)])
def test_a_lossless_video_begins_again_at_its_end(position, level, film):
    background = open_background(film, lossless=True)
    assert shown_at(background, position) == level
    background.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2000).map(lambda tick: tick / 1000 + 0.0005), min_size=1, max_size=12))
def test_a_lossless_video_is_a_function_of_the_position_alone(tmp_path_factory, positions):
    path = tmp_path_factory.getbasetemp() / "function.avi"
    if not path.exists():
        write_video(path, LEVELS)
    background = open_background(str(path), lossless=True)
    shown = [shown_at(background, position) for position in positions]
    background.close()
    assert shown == [LEVELS[int(position * 10) % 5] for position in positions]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov", ".avi", ".gif"])
@pytest.mark.parametrize("lossless", [True, False])
def test_every_kind_of_video_plays(suffix, lossless, tmp_path):
    background = open_background(write_video(tmp_path / f"film{suffix}", LEVELS), lossless=lossless)
    assert shown_at(background, 0.0) == pytest.approx(20, abs=4)
    background.close()


@pytest.mark.parametrize("lossless", [True, False])
def test_a_video_of_one_frame_stands(lossless, tmp_path):
    background = open_background(write_video(tmp_path / "one.avi", [77]), lossless=lossless)
    assert {shown_at(background, position) for position in (0.0, 0.5, 7.3)} == {77}
    background.close()


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("content", [None, b"", b"not a video"])
def test_a_video_that_cannot_be_read_is_refused_with_the_formats(content, lossless, tmp_path):
    path = tmp_path / "film.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot read the background .*film\.mp4: .*; use an image or one of \.mp4"):
        open_background(str(path), lossless=lossless)


@pytest.mark.parametrize("lossless", [True, False])
def test_a_file_with_sound_only_is_no_background(lossless, tmp_path):
    with av.open(str(tmp_path / "song.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
    with pytest.raises(UsageError, match=r"cannot read the background .*song\.mkv"):
        open_background(str(tmp_path / "song.mkv"), lossless=lossless)


def test_a_video_whose_end_is_missing_is_repeated_up_to_there(tmp_path):
    whole = Path(write_video(tmp_path / "whole.avi", LEVELS * 10))
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    background = open_background(str(cut), lossless=True)
    shown = [shown_at(background, i / 10 + 0.01) for i in range(100)]
    background.close()
    assert set(shown) == set(LEVELS)


def until(condition):
    """Ask again and again, as a live loop does, and give up after 10 s."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if condition():
            return True
    return False


def test_a_live_video_shows_the_newest_frame_that_is_due(film):
    background = open_background(film)
    shown_at(background, 0.0)
    for position, level in [(0.11, 60), (0.21, 100), (0.45, 180), (0.52, 20), (0.65, 60)]:
        assert until(lambda position=position, level=level: shown_at(background, position) == level)
    background.close()


def test_a_live_video_begins_with_the_first_picture_whatever_the_camera_counts_from(film):
    background = open_background(film)
    assert shown_at(background, 3600.0) == 20
    assert until(lambda: shown_at(background, 3600.11) == 60)
    background.close()


def test_a_live_video_does_not_run_ahead_of_its_position(film):
    background = open_background(film)
    assert until(lambda: shown_at(background, 0.05) or len(background._ready) == 4)
    assert shown_at(background, 0.05) == 20
    background.close()


def test_a_live_video_takes_the_frames_size(film):
    background = open_background(film)
    shown_at(background, 0.0)
    assert until(lambda: shown_at(background, 0.11) == 60)
    assert background.picture(frame_of((5, 7)), None, 0.12).shape == (5, 7, 3)
    assert until(lambda: shown_at(background, 0.25, (5, 7)) == 100)
    background.close()


class StuckVideo:
    """A video of which the first frame comes and the others do not, until `released`."""

    def __init__(self, video):
        self.video = video
        self.asked = threading.Event()
        self.released = threading.Event()

    def next(self):
        self.asked.set()
        self.released.wait(10)
        return self.video.next()

    def close(self):
        self.video.close()


@pytest.mark.parametrize(("seconds", "first_due"), [([0.0, 0.45], 0.4), ([0.0, 1.0, 2.0, 3.0], 0.6)])
def test_a_late_decoder_leaves_frames_out_but_never_all(seconds, first_due, film):
    background = LiveVideo(film)
    stuck = background._video = StuckVideo(background._video)
    for position in seconds:
        shown_at(background, position)
    stuck.released.set()
    assert until(lambda: background._ready)
    assert background._ready[0][0] == pytest.approx(first_due)
    background.close()


def test_a_live_picture_does_not_wait_for_a_stuck_decoder(film):
    background = LiveVideo(film)
    stuck = background._video = StuckVideo(background._video)
    assert shown_at(background, 0.0) == 20
    assert stuck.asked.wait(10)
    assert [shown_at(background, position) for position in (0.1, 0.2, 0.3)] == [20, 20, 20]
    stuck.released.set()
    background.close()


def test_closing_a_live_video_ends_its_thread(film):
    before = set(threading.enumerate())
    background = open_background(film)
    shown_at(background, 0.0)
    background.close()
    assert set(threading.enumerate()) == before


def test_a_live_video_that_vanishes_stands_still_and_says_so_once(film, caplog):
    background = open_background(film)
    Path(film).unlink()
    shown_at(background, 0.0)
    background._thread.join(10)
    assert [shown_at(background, position) for position in (0.45, 5.0)] == [140, 140]
    background.close()
    assert len(caplog.records) == 1
    assert "stands still from here on" in caplog.text
