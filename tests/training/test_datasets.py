"""Layouts of published data sets, written as their documentation says, and what is wrong with them."""

import base64
import json
import zlib

import cv2
import numpy as np
import pytest

from engine.errors import UsageError
from engine.sources.synthetic import SyntheticPerson
from tests.clips import figure_clip
from training.datasets import Sample, fused, load_dataset, split

FIGURE = SyntheticPerson(width=64, height=48, seed=5)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def write_pairs(root, frames=3):
    for i in range(frames):
        write(root / "images" / f"{i}.png", FIGURE.picture(10 * i))
        write(root / "masks" / f"{i}.png", FIGURE.mask(10 * i))
    return root


def supervisely(root, objects, name="a.png"):
    """One picture with its annotation, as docs.supervisely.com describes them."""
    write(root / "ds1" / "img" / name, FIGURE.picture(0))
    annotation = root / "ds1" / "ann" / f"{name}.json"
    annotation.parent.mkdir(parents=True, exist_ok=True)
    annotation.write_text(json.dumps({"size": {"height": 48, "width": 64}, "objects": objects}))
    return root


def bitmap(person, origin):
    ok, png = cv2.imencode(".png", person)
    assert ok
    data = base64.b64encode(zlib.compress(png.tobytes())).decode()
    return {"classTitle": "person_bmp", "bitmap": {"data": data, "origin": origin}}


def polygon(exterior, interior=()):
    points = {"exterior": exterior, "interior": list(interior)}
    return {"classTitle": "person_poly", "bitmap": None, "points": points}


def test_images_and_masks_are_paired_by_name(tmp_path):
    samples = load_dataset(write_pairs(tmp_path))
    assert len(samples) == 3
    assert np.array_equal(samples[1].bgr, FIGURE.picture(10))
    assert np.array_equal(samples[1].mask, FIGURE.mask(10))


def test_a_mask_that_is_missing_is_named(tmp_path):
    (write_pairs(tmp_path) / "masks" / "1.png").unlink()
    with pytest.raises(UsageError, match=r"1\.png has no mask; expected .*masks/1\.png"):
        load_dataset(tmp_path)


def test_a_mask_of_another_size_is_refused(tmp_path):
    write(write_pairs(tmp_path) / "masks" / "1.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(UsageError, match="is 64x48 and its mask 9x9"):
        load_dataset(tmp_path)


def test_davis_has_a_group_for_each_sequence(tmp_path):
    for sequence in ("dance", "parkour"):
        for i in range(2):
            write(tmp_path / "JPEGImages" / "480p" / sequence / f"{i:05d}.jpg", FIGURE.picture(i))
            write(tmp_path / "Annotations" / "480p" / sequence / f"{i:05d}.png", FIGURE.mask(i) // 255)  # any label > 0
    samples = load_dataset(tmp_path)
    assert [s.group for s in samples] == ["davis dance"] * 2 + ["davis parkour"] * 2
    assert np.array_equal(samples[1].mask, FIGURE.mask(1))


def test_davis_without_an_annotation_says_where_it_is_expected(tmp_path):
    write(tmp_path / "JPEGImages" / "480p" / "dance" / "00000.jpg", FIGURE.picture(0))
    with pytest.raises(UsageError, match=r"expected .*Annotations/480p/dance/00000\.png"):
        load_dataset(tmp_path)


def test_supervisely_bitmaps_and_polygons_are_drawn_together(tmp_path):
    square, ring = [[10, 10], [30, 10], [30, 30], [10, 30]], [[15, 15], [25, 15], [25, 25], [15, 25]]
    objects = [bitmap(np.full((5, 6), 255, np.uint8), [40, 20]), polygon(square, [ring])]
    (sample,) = load_dataset(supervisely(tmp_path, objects))
    assert (sample.mask[20:25, 40:46] == 255).all()
    assert sample.mask[12, 12] == 255
    assert sample.mask[20, 20] == 0  # the hole
    assert set(np.unique(sample.mask)) == {0, 255}


def test_a_hole_in_one_person_does_not_cut_the_one_behind(tmp_path):
    whole, hole = [[5, 5], [40, 5], [40, 40], [5, 40]], [[10, 10], [20, 10], [20, 20], [10, 20]]
    (sample,) = load_dataset(supervisely(tmp_path, [polygon(whole), polygon(whole, [hole])]))
    assert sample.mask[15, 15] == 255


def test_supervisely_things_that_are_no_person_are_left_out(tmp_path):
    table = polygon([[0, 0], [63, 0], [63, 47]]) | {"classTitle": "table"}
    (sample,) = load_dataset(supervisely(tmp_path, [table]))
    assert not sample.mask.any()


@pytest.mark.parametrize(
    "thing", [{"classTitle": "person"}, {"classTitle": "person", "bitmap": {"data": "!", "origin": [0, 0]}}]
)
def test_an_annotation_of_another_format_is_named(tmp_path, thing):
    with pytest.raises(UsageError, match=r"cannot use .*a\.png\.json.*expected Supervisely's format"):
        load_dataset(supervisely(tmp_path, [thing]))


def test_videos_are_labelled_by_a_teacher_and_are_a_group_each(tmp_path):
    figure_clip(tmp_path / "a.mp4", frames=13)
    figure_clip(tmp_path / "b.mp4", frames=7, seed=3)
    samples = load_dataset(tmp_path, teacher=lambda bgr: np.full((6, 8), 0.5, np.float32))
    assert [s.group for s in samples] == ["video a.mp4"] * 3 + ["video b.mp4"] * 2
    assert (samples[0].mask == 128).all()


def test_videos_without_a_teacher_ask_for_one(tmp_path):
    figure_clip(tmp_path / "a.mp4", frames=2)
    with pytest.raises(UsageError, match="say who labels them with --teacher rvm"):
        load_dataset(tmp_path)


def test_a_folder_of_no_layout_lists_those_that_are_known(tmp_path):
    with pytest.raises(UsageError, match="is no data set; expected images/ and masks/, DAVIS 2016"):
        load_dataset(tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        load_dataset(tmp_path / "absent")


def test_a_split_never_divides_a_group_and_is_the_same_every_time():
    samples = [Sample(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), f"g{i % 40}") for i in range(400)]
    train, back = split(samples, 0.2)
    assert {s.group for s in train}.isdisjoint({s.group for s in back})
    assert len(train) + len(back) == 400
    assert 20 < len(back) < 160
    assert [s.group for s in split(samples[::-1], 0.2)[1]] == [s.group for s in back[::-1]]


def test_the_same_picture_again_is_one_group(tmp_path):
    """A copy, smaller and brighter, must not be validated on."""
    bgr = FIGURE.picture(0)
    other = cv2.convertScaleAbs(cv2.resize(bgr, (32, 24), interpolation=cv2.INTER_AREA), alpha=1.05)
    write(tmp_path / "images" / "a.png", bgr)
    write(tmp_path / "masks" / "a.png", FIGURE.mask(0))
    write(tmp_path / "images" / "b.png", other)
    write(tmp_path / "masks" / "b.png", np.zeros((24, 32), np.uint8))
    samples = load_dataset(tmp_path)
    assert len({s.group for s in samples}) == 2  # a bit differs
    for share in np.linspace(0, 1, 20):
        assert 0 in [len(part) for part in split(samples, share)]


def test_a_teacher_draws_the_edges_and_the_mask_says_who_is_meant():
    mask = np.zeros((100, 100), np.uint8)
    mask[20:80, 20:80] = 255
    matte = cv2.GaussianBlur(mask, (0, 0), 1.5)
    matte[:10, :10] = 255  # something else that the teacher takes for a person
    both = fused(mask, matte)
    assert both[:10, :10].max() == 0
    assert np.array_equal(both[22:78, 18:22], matte[22:78, 18:22])
    assert np.array_equal(fused(mask, np.roll(matte, 40, 1)), mask)  # another person


def test_masks_are_refined_where_a_teacher_is_at_hand(tmp_path):
    root = write_pairs(tmp_path)
    plain = load_dataset(root)
    refined = load_dataset(root, lambda bgr: np.zeros(bgr.shape[:2], np.float32))  # it sees nobody: masks stay
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(plain, refined, strict=True))
