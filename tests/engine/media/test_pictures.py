"""What a decoded frame shows: colours, range, HDR, the shape of pixels, transparency; and what an encoder is given."""

from fractions import Fraction

import numpy as np
import pytest

from engine.backgrounds import open_background
from engine.contracts import Picture
from engine.media.ffmpeg import av
from engine.media.pictures import Pictures, square_size, to_frame
from engine.sinks import open_sink
from engine.sources import open_source
from engine.sources.synthetic import SyntheticPerson
from kernels import hdr
from tests.clips import lie_down
from tests.engine.media.clips_of_kinds import plain, write

SKIN = (96, 140, 200)  # BGR


def first(path):
    return next(iter(open_source(str(path)))).bgr


def level(bgr):
    return bgr.reshape(-1, 3).astype(float).mean(0)


def shown_behind(path, size):
    for lossless in (True, False):
        background = open_background(str(path), lossless=lossless)
        yield background.picture(plain(size=size), None, 0.0).copy()
        background.close()


# -- colours -----------------------------------------------------------------------------------------------------------


def test_colours_of_untouched_pixels_come_through(tmp_path):
    """Read, written and read again: no channel drifts. Lossless, so that what is left is the conversions'."""
    figure = SyntheticPerson(width=320, height=240)
    path = write(tmp_path / "a.mp4", [figure.picture(i) for i in range(5)], options={"crf": "0"})
    once = [frame.bgr for frame in open_source(path)]
    again = [frame.bgr for frame in open_source(write(tmp_path / "b.mp4", once, options={"crf": "0"}))]
    for other in (again, [figure.picture(i) for i in range(5)]):
        assert np.abs((np.stack(once).astype(float) - other).mean((0, 1, 2))).max() < 0.3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_colours_that_are_written_are_those_that_were_given(suffix, tmp_path):
    figure = SyntheticPerson(width=320, height=240)
    path, given = tmp_path / f"a{suffix}", [figure.picture(i) for i in range(5)]
    sink = open_sink(str(path), fps=25)
    for i, bgr in enumerate(given):
        sink.write(Picture(bgr.copy(), None, i, i / 25))
    sink.close()
    written = [frame.bgr for frame in open_source(str(path))]
    assert np.abs((np.stack(written).astype(float) - given).mean((0, 1, 2))).max() < 0.5


@pytest.mark.parametrize("matrix", [1, 6, 7, 9])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "nv12"])
def test_matrix_and_range_of_a_frame_are_its_own(kind, full, matrix):
    """Made by FFmpeg's exact conversion, read by ours."""
    reformatter = av.video.reformatter
    range_ = reformatter.ColorRange.JPEG if full else reformatter.ColorRange.MPEG
    exact = reformatter.Interpolation.BILINEAR | reformatter.Interpolation.ACCURATE_RND
    colourspace = {6: 5}.get(matrix, matrix)
    frame = av.VideoFrame.from_ndarray(plain(SKIN), format="bgr24").reformat(
        format=kind, dst_colorspace=colourspace, dst_color_range=range_, interpolation=exact
    )
    frame.colorspace, frame.color_range = matrix, range_
    assert np.abs(level(Pictures("a").bgr(frame)) - SKIN).max() < 2


@pytest.mark.parametrize(("size", "matrix"), [((48, 64), "bt601"), ((720, 1280), "bt709")])
def test_what_names_no_matrix_is_taken_as_players_take_it(size, matrix):
    from kernels import yuv

    frame = to_frame(plain(SKIN, size), "bgr24", "yuv420p")
    assert np.abs(level(Pictures("a").bgr(frame)) - SKIN).max() < 2
    y = np.frombuffer(frame.planes[0], np.uint8)[0]
    assert y == round(float(yuv.matrix_to_yuv(matrix, False)[0] @ [*SKIN, 1]))


@pytest.mark.parametrize("kind", ["gray", "rgb24", "bgr24", "rgb48le", "gbrp", "yuyv422", "yuv422p10le", "yuv444p12le"])
def test_pictures_of_every_layout_are_read(kind):
    grey = kind == "gray"
    frame = av.VideoFrame.from_ndarray(plain((90, 90, 90) if grey else SKIN), format="bgr24").reformat(format=kind)
    assert np.abs(level(Pictures("a").bgr(frame)) - ((90,) * 3 if grey else SKIN)).max() < 3


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (37, 53)])
def test_odd_sizes_are_read_as_they_are(size):
    picture = Pictures("a").bgr(to_frame(plain(SKIN, size), "bgr24", "yuv420p"))
    assert picture.shape == (*size, 3)
    assert picture.flags.c_contiguous
    assert np.abs(level(picture) - SKIN).max() < 2


# -- HDR ---------------------------------------------------------------------------------------------------------------


def hdr_clip(path, transfer, signal, frames=3):
    """A grey of `signal` in [0, 1], 10 bits, BT.2020."""

    def tag(thing):
        thing.colorspace, thing.color_range, thing.color_primaries, thing.color_trc = 9, 1, 9, transfer

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=none"})
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p10le"
        tag(stream.codec_context)
        for i in range(frames):
            frame = av.VideoFrame(64, 64, "yuv420p10le")
            for plane, value in zip(frame.planes, (round(64 + 876 * signal), 512, 512), strict=True):
                np.frombuffer(plane, np.uint16)[:] = value
            tag(frame)
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


@pytest.mark.parametrize(
    ("name", "transfer", "signal", "light"),
    [("PQ", 16, float(hdr.nits_to_pq(40.0)), 40 / hdr.SDR_WHITE), ("HLG", 18, 0.38, 0.38**2 / 3 / hdr.HLG_WHITE)],
)
def test_hdr_is_shown_as_sdr_and_that_is_said_once(name, transfer, signal, light, tmp_path, caplog):
    path = hdr_clip(tmp_path / "a.mp4", transfer, signal)
    expected = 255 * (light ** (1 / 2.4) if name == "PQ" else float(hdr.scene_to_bt709(np.array(light))))
    frames = [frame.bgr for frame in open_source(path)]
    assert np.abs(np.stack(frames) - expected).max() <= 2
    assert caplog.text.count(f"is HDR ({name}); it is shown and written as SDR") == 1
    for picture in shown_behind(path, (64, 64)):
        assert np.abs(picture - expected).max() <= 2


def test_white_paper_of_hdr_is_nearly_white_and_its_peak_is_white(tmp_path):
    assert 190 < first(hdr_clip(tmp_path / "a.mp4", 18, 0.75)).mean() < 250
    assert first(hdr_clip(tmp_path / "b.mp4", 18, 1.0)).min() >= 252


@pytest.mark.parametrize("kind", ["yuv420p10le", "yuv444p12le", "yuv422p10le", "p010le", "gbrp10le", "rgb48le"])
def test_hdr_of_every_layout_is_the_same(kind):
    frame = av.VideoFrame(64, 64, "yuv420p10le")
    for plane, value in zip(frame.planes, (500, 480, 590), strict=True):
        np.frombuffer(plane, np.uint16)[:] = value
    frame.colorspace, frame.color_range = 9, 1
    same = frame if kind == "yuv420p10le" else frame.reformat(format=kind, src_colorspace=9, dst_colorspace=9)
    for thing in (frame, same):
        thing.color_trc, thing.color_primaries = 18, 9
    assert np.abs(level(Pictures("a").bgr(same)) - level(Pictures("a").bgr(frame))).max() < 3


def test_hdr_that_names_nothing_but_its_curve_is_taken_for_bt_2020():
    shown = []
    for primaries, matrix in ((9, 9), (2, 2)):
        frame = av.VideoFrame(64, 64, "yuv420p10le")
        for plane, value in zip(frame.planes, (500, 480, 590), strict=True):
            np.frombuffer(plane, np.uint16)[:] = value
        frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = matrix, 1, 16, primaries
        shown.append(Pictures("a").bgr(frame))
    assert np.array_equal(*shown)


def test_what_is_transparent_in_hdr_is_not_shown_either():
    frame = av.VideoFrame(64, 64, "yuva444p10le")
    for plane, value in zip(frame.planes, (700, 512, 512, 0), strict=True):
        np.frombuffer(plane, np.uint16)[:] = value
    frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = 9, 1, 18, 9
    assert not Pictures("a").bgr(frame).any()


# -- the shape of pixels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "aspect", "shown"),
    [
        (720, 576, Fraction(64, 45), (1024, 576)), (720, 576, Fraction(16, 15), (768, 576)),
        (720, 480, Fraction(8, 9), (720, 540)), (1440, 1080, Fraction(4, 3), (1920, 1080)),
        (640, 480, Fraction(1), (640, 480)), (640, 480, None, (640, 480)), (641, 479, Fraction(1), (641, 479)),
        (640, 480, Fraction(0), (640, 480)), (640, 480, Fraction(4319, 4320), (640, 480)),
        (640, 480, Fraction(1, 1000), (640, 480)),
    ],
)  # fmt: skip
def test_pixels_that_are_not_square_are_made_so(width, height, aspect, shown):
    assert square_size(width, height, aspect) == shown


def anamorphic(path, codec="libx264", pixels="yuv420p", **options):
    """A circle as it is stored: half as wide as high."""
    y, x = np.mgrid[:64, :32]
    picture = np.where(((x * 2 - 31) ** 2 + (y - 31) ** 2 < 400)[..., None], 255, 0).astype(np.uint8).repeat(3, 2)

    def set_up(context):
        context.sample_aspect_ratio = Fraction(2, 1)

    return write(path, [picture] * 3, codec=codec, pixels=pixels, set_up=set_up, **options)


def bright(bgr):
    """Height and width of what is bright."""
    rows, columns = np.nonzero(bgr[..., 1] > 127)
    return np.ptp(rows) + 1, np.ptp(columns) + 1


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.mov", "mpeg2video")]
)
def test_a_circle_of_wide_pixels_is_round(name, codec, tmp_path, caplog):
    path = anamorphic(tmp_path / name, codec)
    with caplog.at_level("INFO"):
        frames = list(open_source(path))
    assert [frame.bgr.shape for frame in frames] == [(64, 64, 3)] * 3
    assert abs(np.subtract(*bright(frames[0].bgr))) <= 2
    assert caplog.text.count("32x64 is shown at 64x64") == 1
    for picture in shown_behind(path, (64, 64)):
        assert abs(np.subtract(*bright(picture))) <= 2


@pytest.mark.parametrize("degrees", [90, 270])
def test_a_circle_of_wide_pixels_that_lies_down_is_round(degrees, tmp_path):
    """The stored picture is 32 wide and 64 high; were it stretched after the turn, it would be 32 high."""
    path = lie_down(anamorphic(tmp_path / "a.mp4"), degrees)
    picture = first(path)
    assert picture.shape == (64, 64, 3)
    assert abs(np.subtract(*bright(picture))) <= 2


# -- transparency ------------------------------------------------------------------------------------------------------


def half_seen(last):
    """The left half is seen through, and hides a bright colour; the right is `last` of 255 there."""
    bgra = plain((40, 80, 250, 0), (64, 64))
    bgra[:, 32:, 3] = last
    return bgra


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [(".webm", "libvpx-vp9", "yuva420p"), (".webm", "libvpx", "yuva420p"), (".mkv", "ffv1", "bgra"),
     (".mov", "prores_ks", "yuva444p10le"), (".mov", "qtrle", "argb"), (".mov", "png", "rgba")],
)  # fmt: skip
@pytest.mark.parametrize("last", [255, 128])
def test_colours_that_are_transparent_are_not_shown(suffix, codec, pixels, last, tmp_path):
    options = {"crf": "4", "auto-alt-ref": "0", "b": "2M"} if "vpx" in codec else {}
    path = write(tmp_path / f"a{suffix}", [half_seen(last)] * 3, codec=codec, pixels=pixels, options=options)
    expected = np.array([40, 80, 250]) * last / 255
    for picture in (first(path), *shown_behind(path, (64, 64))):
        assert picture[8:-8, 4:24].max() <= 12
        assert np.abs(level(picture[8:-8, 40:60]) - expected).max() < 8
