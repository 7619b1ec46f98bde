"""Image files of every kind: what is seen is what a viewer shows, and what is no image says what it is."""

import io
import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import Image

from engine.backgrounds import open_background
from engine.errors import SourceError, UsageError
from engine.media.stills import UnreadableImage, is_animated, kind_of, read_still, turned
from engine.sources import open_source
from tests.heic_file import heic

H, W = 30, 40
SHOWN = np.zeros((H, W, 3), np.uint8)  # BGR, another colour in each corner
SHOWN[:15, :20], SHOWN[:15, 20:], SHOWN[15:, :20], SHOWN[15:, 20:] = (200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 90)
RGB = Image.fromarray(SHOWN[..., ::-1].copy())
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(range(256))  # as much of one as a refusal needs


def stored(orientation):
    """What a camera stores so that, seen as `orientation` says, it is SHOWN; by Pillow's own transposition."""
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    return RGB if back is None else RGB.transpose(Image.Transpose(back))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_an_image_stands_as_its_exif_says(suffix, orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    stored(orientation).save(tmp_path / f"a.{suffix}", exif=exif, **options)
    assert np.abs(read_still(tmp_path / f"a.{suffix}").astype(int) - SHOWN).max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_stands_as_its_boxes_say(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation  # Pillow writes it as irot and imir, which are what counts in an AVIF
    stored(orientation).save(tmp_path / "a.avif", exif=exif, quality=95, subsampling="4:4:4")
    read = read_still(tmp_path / "a.avif")
    assert read.shape == SHOWN.shape
    inner = np.abs(read.astype(int) - SHOWN)[5:10, 5:10]
    assert inner.max() <= 12
    assert np.abs(read.astype(int) - SHOWN).mean() < 4


def test_turning_twice_by_a_quarter_is_a_half_turn():
    assert (turned(turned(SHOWN, 6), 6) == turned(SHOWN, 3)).all()
    assert (turned(turned(SHOWN, 6), 8) == SHOWN).all()


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "avif"])
def test_hidden_colours_of_a_transparent_image_are_never_seen(suffix, tmp_path):
    alpha = np.zeros((H, W), np.uint8)
    alpha[:, 10:20], alpha[:, 20:] = 128, 255
    rgba = Image.fromarray(np.dstack([np.full((H, W), 250, np.uint8), np.zeros((H, W, 2), np.uint8), alpha]))
    options = {"webp": {"lossless": True, "exact": True}, "avif": {"quality": 100, "subsampling": "4:4:4"}}
    rgba.save(tmp_path / f"a.{suffix}", **options.get(suffix, {}))
    read = read_still(tmp_path / f"a.{suffix}").astype(int)
    assert read[:, :9].max() <= 3
    assert read[:, 12:18, 2] == pytest.approx(125, abs=3)
    assert read[:, 22:, 2] == pytest.approx(250, abs=3)


def test_alpha_of_a_palette_and_of_16_bits_is_blended_too(tmp_path):
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 1), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    assert read_still(tmp_path / "p.png")[0, 0].tolist() == [0, 0, 0]
    assert read_still(tmp_path / "p.png")[1, 1].tolist() == [0, 255, 0]
    (tmp_path / "deep.png").write_bytes(png(2, 1, 16, 6, struct.pack(">x8H", 65535, 0, 0, 0, 65535, 0, 0, 32768)))
    assert read_still(tmp_path / "deep.png").tolist() == [[[0, 0, 0], [0, 0, 128]]]


def test_cmyk_grey_one_bit_and_floats_become_bgr(tmp_path):
    RGB.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100, subsampling=0)
    assert np.abs(read_still(tmp_path / "cmyk.jpg").astype(int) - SHOWN).max() <= 60  # without a profile, about
    RGB.convert("1").save(tmp_path / "bit.png")
    assert read_still(tmp_path / "bit.png").shape == SHOWN.shape
    Image.fromarray(np.full((4, 6), 0.5, np.float32)).save(tmp_path / "float.tif")
    assert (read_still(tmp_path / "float.tif") == 127).all()


def test_of_several_pages_the_first_is_read(tmp_path):
    RGB.save(tmp_path / "a.tif", save_all=True, append_images=[Image.new("RGB", (5, 5))])
    assert (read_still(tmp_path / "a.tif") == SHOWN).all()


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.jpg", "no suffix"])
def test_a_phones_heic_is_read_whole_whatever_it_is_called(name, tmp_path):
    large = RGB.resize((300, 210), Image.Resampling.NEAREST)  # three by two tiles, cut at the right and below
    (tmp_path / name).write_bytes(heic(np.asarray(large)[..., ::-1]))
    (frame,) = open_source(str(tmp_path / name))
    assert frame.bgr.shape == (210, 300, 3)
    assert np.abs(frame.bgr.astype(int) - np.asarray(large)[..., ::-1]).mean() < 4


@pytest.mark.parametrize(
    ("irot", "imir", "orientation"), [(1, None, 8), (2, None, 3), (3, None, 6), (None, 0, 4), (1, 0, 5)]
)
def test_a_heic_stands_as_its_boxes_say(irot, imir, orientation, tmp_path):
    lying = stored(orientation).resize((280, 280), Image.Resampling.NEAREST)
    (tmp_path / "a.heic").write_bytes(heic(np.asarray(lying)[..., ::-1], irot=irot, imir=imir))
    shown = np.asarray(RGB.resize((280, 280), Image.Resampling.NEAREST))[..., ::-1]
    assert np.abs(read_still(tmp_path / "a.heic").astype(int) - shown).mean() < 4


def test_a_heic_that_cannot_be_put_together_is_refused_by_what_it_is(tmp_path):
    whole = heic(np.asarray(RGB.resize((300, 210)))[..., ::-1])
    for name, content in (
        ("a.heic", HEIC),
        ("b.jpg", whole[: len(whole) // 2]),
        ("c.jpg", whole.replace(b"dimg", b"dxxx")),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match="it is a HEIC picture.*heif-convert"):
            open_source(str(tmp_path / name))
    with pytest.raises(UsageError, match="it is a HEIC picture"):
        open_background(str(tmp_path / "b.jpg"))


def test_jpeg_xl_is_refused_by_name(tmp_path):
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a" + bytes(50))
    with pytest.raises(SourceError, match="it is a JPEG XL image.*djxl"):
        open_source(str(tmp_path / "a.jxl"))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "avif"])
def test_an_image_that_was_cut_short_is_damaged(suffix, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / f"a.{suffix}")
    whole = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableImage, match="damaged"):
        read_still(tmp_path / f"a.{suffix}")


def test_a_small_file_that_unfolds_to_gigabytes_is_refused(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png(20_000, 20_000, 8, 2, bytes(1000)))
    with pytest.raises(UnreadableImage, match="more than 134 million pixels; make it smaller"):
        read_still(tmp_path / "bomb.png")


@pytest.mark.parametrize("size", [(1, 1), (20_000, 10)])
def test_odd_sizes_are_read(size, tmp_path):
    Image.new("RGB", size, (10, 20, 30)).save(tmp_path / "a.png")
    assert read_still(tmp_path / "a.png").shape == (size[1], size[0], 3)


def test_a_picture_under_a_videos_name_is_still_a_picture(tmp_path):
    RGB.save(tmp_path / "a.mp4", format="PNG")
    (frame,) = open_source(str(tmp_path / "a.mp4"))
    assert (frame.bgr == SHOWN).all()


def test_a_missing_card_is_called_a_card():
    from engine.card import Card

    with pytest.raises(UsageError, match="cannot read the card nowhere.png: No such file"):
        Card("blur", "nowhere.png")


def test_kinds_are_told_by_content():
    buffer = io.BytesIO()
    RGB.save(buffer, "WEBP")
    assert kind_of(buffer.getvalue()) == "webp"
    assert not is_animated(buffer.getvalue())
    assert kind_of(HEIC) == "heic"
    assert kind_of(b"\0\0\0\x20ftypmif1\0\0\0\0avifmif1miaf" + bytes(9)) == "avif"
    assert kind_of(b"\0\0\0\x20ftypisom") is None
    assert kind_of(b"") is None


def png(width, height, depth, colour, pixels):
    """A PNG by hand."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("pixels", ["yuv444p10le", "yuv444p12le"])
def test_deep_avifs_are_as_bright_as_shallow_ones(pixels, tmp_path):
    shallow = "ffmpeg -v error -y -i in.png -c:v libaom-av1 -still-picture 1 -crf 5 -cpu-used 8 -pix_fmt"
    RGB.resize((160, 120)).save(tmp_path / "in.png")
    try:
        subprocess.run([*shallow.split(), pixels, "deep.avif"], cwd=tmp_path, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the program ffmpeg with libaom")
    expected = np.asarray(RGB.resize((160, 120)))[..., ::-1].astype(int)
    assert np.abs(read_still(tmp_path / "deep.avif") - expected).mean() < 6
