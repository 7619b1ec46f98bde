"""Images in, images out: formats, alpha, names, folders, and what is in the way."""

import logging
import os

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.contracts import Picture
from engine.errors import SinkError, UsageError
from engine.media.stills import read_still
from engine.media.whole_file import write_whole
from engine.pixels import shrunk
from engine.sinks.image_files import FORMATS, WITH_ALPHA, ImageFiles, image_names
from tests.clips import figure_clip, read_clip
from tests.data.make_clip import CLIP

BGR = np.zeros((24, 32, 3), np.uint8)
BGR[:, 16:] = (10, 120, 240)
ALPHA = np.zeros((24, 32), np.uint8)
ALPHA[:, 8:16], ALPHA[:, 16:] = 100, 255


@pytest.fixture
def photo(tmp_path):
    """A person, as a file."""
    path = tmp_path / "photo.png"
    Image.fromarray(read_clip(CLIP)[0][..., ::-1]).save(path)
    return path


def opened(path):
    with Image.open(path) as image:
        image.load()
        return image


# -- the sink ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_holds_the_picture(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    ImageFiles([str(path)]).write(Picture(BGR, None, 0, 0.0))
    shown = np.asarray(opened(path).convert("RGB"))[..., ::-1]
    assert np.abs(shown.astype(int) - BGR)[:, 20:].max() <= 12
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", WITH_ALPHA)
def test_alpha_is_kept_and_what_it_hides_is_black(suffix, tmp_path):
    path, bgr = tmp_path / f"a{suffix}", BGR.copy()
    bgr[:, :8] = (200, 200, 200)
    ImageFiles([str(path)], transparent=True).write(Picture(bgr, ALPHA, 0, 0.0))
    kept = np.asarray(opened(path).convert("RGBA"))
    assert (kept[..., 3] == ALPHA).all()
    assert kept[:, :8, :3].max() == 0
    assert np.abs(kept[:, 20:, 2::-1].astype(int) - BGR[:, 20:]).max() <= 12


@pytest.mark.parametrize("suffix", sorted(set(FORMATS) - set(WITH_ALPHA)))
def test_a_format_without_alpha_names_those_that_have_it(suffix):
    with pytest.raises(UsageError, match=rf"\{suffix} cannot hold alpha; use one of \.png, \.webp"):
        ImageFiles([f"a{suffix}"], transparent=True)


def test_one_file_takes_one_picture(tmp_path):
    sink = ImageFiles([str(tmp_path / "a.png")])
    sink.write(Picture(BGR, None, 7, 0.0))
    with pytest.raises(SinkError, match="holds one picture"):
        sink.write(Picture(BGR, None, 8, 0.0))


def test_a_size_that_the_format_cannot_hold_is_named(tmp_path):
    with pytest.raises(SinkError, match="does not take 20000x2 pixels; use .png"):
        ImageFiles([str(tmp_path / "a.webp")]).write(Picture(np.zeros((2, 20000, 3), np.uint8), None, 0, 0.0))


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(SinkError, match="No such file"):
        ImageFiles([str(tmp_path / "gone" / "a.png")]).write(Picture(BGR, None, 0, 0.0))
    with pytest.raises(TypeError):
        write_whole(tmp_path / "a.png", "no bytes")
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


def test_names_in_a_folder_are_kept_where_they_can_be():
    inputs = ["a.jpg", "a.png", "b.heic", "c.avif", "c.jpg", "d.JPG"]
    assert image_names(inputs, transparent=False) == ["a.jpg", "a.png", "b.png", "c.png", "c.jpg", "d.JPG"]
    assert image_names(inputs, transparent=True) == [
        "a.jpg.png", "a.png", "b.png", "c.avif.png", "c.jpg.png", "d.png"
    ]  # fmt: skip


# -- jm-engine ---------------------------------------------------------------------------------------------------------


def test_a_photo_becomes_a_cut_out(photo, tmp_path, paint):
    assert paint("-i", photo, "-o", tmp_path / "out.png", "--background", "none") == (0, "")
    cut = np.asarray(opened(tmp_path / "out.png"))
    assert cut.shape == (*read_still(photo).shape[:2], 4)
    assert 0.1 < (cut[..., 3] > 127).mean() < 0.9
    assert cut[cut[..., 3] == 0].max() == 0


def test_a_photo_over_a_colour_with_its_matte(photo, tmp_path, paint):
    out, matte = tmp_path / "out.jpg", tmp_path / "matte.png"
    assert paint("-i", photo, "-o", out, "--background", "#00ff00", "--alpha", matte)[0] == 0
    alpha = np.asarray(opened(matte))
    assert alpha.ndim == 2
    assert np.abs(np.asarray(opened(out)).astype(int) - (0, 255, 0))[alpha == 0].mean() < 8


def test_a_photo_is_turned_as_its_exif_says_and_says_so_no_more(photo, tmp_path, paint):
    exif = Image.Exif()
    exif[0x0112] = 6
    opened(photo).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.jpg", exif=exif, quality=100)
    paint("-i", tmp_path / "lying.jpg", "-o", tmp_path / "out.png", "--background", "none")
    paint("-i", photo, "-o", tmp_path / "straight.png", "--background", "none")
    out, straight = (np.asarray(opened(tmp_path / name))[..., 3] for name in ("out.png", "straight.png"))
    assert opened(tmp_path / "out.png").getexif().get(0x0112, 1) == 1
    assert ((out > 127) != (straight > 127)).mean() < 0.02


def test_a_cut_out_keeps_the_colour_profile(photo, tmp_path, paint):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    opened(photo).save(tmp_path / "in.jpg", icc_profile=profile)
    paint("-i", tmp_path / "in.jpg", "-o", tmp_path / "out.png", "--background", "none")
    assert opened(tmp_path / "out.png").info["icc_profile"] == profile
    opened(photo).convert("L").save(tmp_path / "in.jpg", icc_profile=profile[:16] + b"GRAY" + profile[20:])
    paint("-i", tmp_path / "in.jpg", "-o", tmp_path / "grey.png", "--background", "none")
    assert "icc_profile" not in opened(tmp_path / "grey.png").info


def test_a_folder_of_images_becomes_a_folder_of_images(photo, tmp_path, paint, caplog):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    picture = opened(photo)
    picture.save(source / "1.jpg")
    picture.transpose(Image.Transpose.ROTATE_90).save(source / "2.png")
    (source / "3.jpg").write_bytes(b"\xff\xd8\xff" + bytes(500))  # damaged
    (source / "4.jpg").write_bytes(b"")
    (source / "._1.jpg").write_bytes(bytes(4096))
    (source / "Thumbs.db").write_bytes(bytes(64))
    picture.resize((99, 51)).save(source / "5.jpg")
    with caplog.at_level(logging.WARNING, "jit_masker"):
        assert paint("-i", source, "-o", f"{out}/", "--background", "#00ff00")[0] == 0
    assert sorted(os.listdir(out)) == ["1.jpg", "2.png", "5.jpg"]
    for name in os.listdir(out):
        assert opened(out / name).size == opened(source / name).size
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1, said
    assert "3 of 6 images are left out; the first is" in said[0]
    assert "3.jpg: this JPEG is damaged or cut short" in said[0]


def test_pictures_of_a_folder_do_not_see_each_other(photo, tmp_path, paint):
    """Nothing of one photograph is smoothed into the next."""
    (tmp_path / "in").mkdir()
    opened(photo).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "in" / "1.png")
    opened(photo).save(tmp_path / "in" / "2.png")
    paint("-i", tmp_path / "in", "-o", f"{tmp_path}/out/", "--background", "none")
    paint("-i", photo, "-o", tmp_path / "alone.png", "--background", "none")
    assert (tmp_path / "out" / "2.png").read_bytes() == (tmp_path / "alone.png").read_bytes()


def test_a_folder_in_which_nothing_can_be_read_is_refused_with_the_reason(tmp_path, paint):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"")
    (tmp_path / "in" / "b.jpg").write_bytes(b"text")
    code, err = paint("-i", tmp_path / "in", "-o", f"{tmp_path}/out/")
    assert code == 3
    assert "a.jpg: it is empty" in err
    assert "none of the 2 images" in err


def test_a_video_does_not_fit_into_one_picture(tmp_path, paint):
    clip = figure_clip(tmp_path / "clip.mp4", frames=10)
    code, err = paint("-i", clip, "-o", tmp_path / "a.png")
    assert code == 2
    assert "a.png holds one picture, and" in err
    assert "--max-frames 1" in err
    assert paint("-i", clip, "-o", tmp_path / "a.png", "--max-frames", 1)[0] == 0
    assert opened(tmp_path / "a.png").size == read_clip(clip)[0].shape[1::-1]


def test_a_picture_into_a_format_without_alpha_is_told_first(photo, tmp_path, paint):
    code, err = paint("-i", photo, "-o", tmp_path / "a.jpg", "--background", "none")
    assert code == 2
    assert ".jpg cannot hold alpha; use one of .png" in err


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (20_000, 5), (3000, 2000)])
def test_any_size_is_painted(size, tmp_path, paint):
    Image.new("RGB", size, (90, 80, 70)).save(tmp_path / "in.png")
    assert paint("-i", tmp_path / "in.png", "-o", tmp_path / "out.png", "--background", "none")[0] == 0
    assert opened(tmp_path / "out.png").size == size


@pytest.mark.parametrize("size", [(1, 1), (20_000, 5), (3000, 2000)])
def test_what_is_learnt_on_is_no_larger_than_it_has_to_be(size):
    small = shrunk(np.zeros((size[1], size[0], 3), np.uint8), 1024)
    assert max(small.shape[:2]) == min(1024, max(size))
    assert min(small.shape[:2]) >= 1


def test_the_student_learns_on_a_photo_before_it_is_painted(photo, tmp_path):
    from engine.contracts import Canvas
    from engine.masker import Masker
    from engine.pipeline import Pipeline
    from engine.sources import open_source

    painted = []
    with Masker("ort-cpu", None, "none", threads=1, lockstep=True) as masker:
        process = masker.process
        masker.process = lambda bgr, at, canvas=None: (
            painted.append(round(at, 3)) or process(bgr, at, canvas or Canvas())
        )
        sink = ImageFiles([str(tmp_path / "out.png")], transparent=True)
        Pipeline(open_source(str(photo)), masker, [sink], lockstep=True, transparent=True, looks=4).run()
    assert painted == [-0.12, -0.08, -0.04, 0.0]
    assert (tmp_path / "out.png").exists()
