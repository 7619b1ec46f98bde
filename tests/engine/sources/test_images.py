"""Images of every kind, alone and in folders."""

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.errors import SourceError
from engine.pixels import as_bgr
from engine.sources import open_source


def test_a_folder_of_images_is_read_in_natural_order_and_sizes_may_differ(tmp_path):
    for number, size in ((10, (5, 7)), (2, (1, 1)), (1, (48, 64))):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), np.full((*size, 3), number, np.uint8))
    assert [f.bgr.shape[:2] for f in open_source(str(tmp_path))] == [(48, 64), (1, 1), (5, 7)]


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("no image")
    with pytest.raises(SourceError, match=r"holds no images; expected \.jpg, \.jpeg"):
        open_source(str(tmp_path))


def test_leavings_of_other_systems_are_left_out_with_one_word(tmp_path, caplog):
    cv2.imwrite(str(tmp_path / "p1.jpg"), np.zeros((6, 8, 3), np.uint8))
    (tmp_path / "._p1.jpg").write_bytes(bytes(4096))
    (tmp_path / "._p2.jpg").write_bytes(bytes(4096))
    (tmp_path / ".DS_Store").write_bytes(bytes(64))
    assert [frame.index for frame in open_source(str(tmp_path))] == [0]
    (said,) = [record.getMessage() for record in caplog.records]
    assert "2 of 3 images are left out; the first is" in said
    assert "._p1.jpg" in said


def test_a_folder_gives_every_kind_of_image_and_names_those_it_cannot_read(tmp_path, caplog):
    for number, (suffix, kind) in enumerate({"jfif": "JPEG", "gif": "GIF", "avif": "AVIF", "webp": "WEBP"}.items()):
        Image.new("RGB", (20 + number, 10)).save(tmp_path / f"{number}.{suffix}", format=kind)
    (tmp_path / "9.jxl").write_bytes(b"\xff\x0a" + bytes(50))
    assert [frame.bgr.shape[1] for frame in open_source(str(tmp_path))] == [20, 21, 22, 23]
    assert "9.jxl: it is a JPEG XL image" in caplog.text


def test_a_damaged_picture_in_the_middle_leaves_its_index_and_time_free(tmp_path, caplog):
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.zeros((60, 80, 3), np.uint8))
    (tmp_path / "2.jpg").write_bytes((tmp_path / "1.jpg").read_bytes()[:300])
    frames = list(open_source(str(tmp_path), fps=10))
    assert [(frame.index, frame.position) for frame in frames] == [(0, 0.0), (1, 0.1), (3, 0.3)]
    assert "1 of 4 images are left out" in caplog.text


def test_a_file_that_only_looks_like_an_image_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(SourceError, match="cannot read the image"):
        open_source(str(tmp_path / "a.png"))


@pytest.mark.parametrize(("content", "message"), [(b"", "it is empty; copy"), (b"none\n", "it is text")])
def test_what_is_no_image_is_told_apart(tmp_path, content, message):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(SourceError, match=rf"cannot read the image .*a.jpg: {message}.*xpected an image \(\.jpg"):
        open_source(str(tmp_path / "a.jpg"))


def test_a_looped_image_comes_for_ever_and_is_read_once(tmp_path):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((6, 8, 3), 77, np.uint8))
    source = open_source(str(photo), fps=50, loop=True)
    photo.unlink()
    frames = [frame for frame, _ in zip(source, range(100), strict=False)]
    assert [f.index for f in frames] == list(range(100))
    assert np.allclose([f.position for f in frames], np.arange(100) / 50)
    assert all((f.bgr == 77).all() for f in frames)
    assert (source.live, source.frames) == (False, None)


def test_a_photo_taken_upright_stands_upright(tmp_path):
    _, plain = cv2.imencode(".jpg", np.zeros((6, 8, 3), np.uint8))
    orientation = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"  # turn right
    exif = b"Exif\0\0" + orientation
    jpeg = plain.tobytes()[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain.tobytes()[2:]
    (tmp_path / "a.jpg").write_bytes(jpeg)
    (frame,) = open_source(str(tmp_path / "a.jpg"))
    assert frame.bgr.shape == (8, 6, 3)


def test_any_name_can_be_sorted(tmp_path):
    for name in ("2.png", "²3.png", "1²2.png"):
        assert cv2.imwrite(str(tmp_path / name), np.zeros((2, 2, 3), np.uint8))
    assert [f.index for f in open_source(str(tmp_path))] == [0, 1, 2]


@pytest.mark.parametrize(
    "image",
    [
        np.full((6, 8), 77, np.uint8),
        np.full((6, 8), 77 * 257, np.uint16),
        np.dstack([np.full((6, 8, 3), 77, np.uint8), np.full((6, 8), 255, np.uint8)]),
        np.full((6, 8, 3), 77 * 257, np.uint16),
    ],
)
def test_grey_16_bit_and_rgba_images_become_bgr(tmp_path, image):
    cv2.imwrite(str(tmp_path / "a.png"), image)
    (frame,) = open_source(str(tmp_path / "a.png"))
    assert frame.bgr.dtype == np.uint8
    assert (frame.bgr == 77).all()
    assert frame.bgr.shape == (6, 8, 3)


def test_bgr_is_passed_on_as_it_is():
    image = np.zeros((4, 6, 3), np.uint8)[:, ::2]
    assert np.shares_memory(as_bgr(image), image)
