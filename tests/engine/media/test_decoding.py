"""Interlaced video gives whole pictures, as many as it has frames, at their times."""

import numpy as np
import pytest

from engine.backgrounds import open_background
from engine.media import decoding
from engine.media.ffmpeg import av
from engine.media.pictures import Pictures
from engine.sources import open_source
from tests.engine.media.clips_of_kinds import plain, write

MOVED = 8  # pixels, from one frame to the next
CODECS = [
    ("a.ts", "mpeg2video", {"flags": "+ilme+ildct", "qmin": "2", "qmax": "2"}),
    ("a.mp4", "libx264", {"flags": "+ilme+ildct", "crf": "4"}),
]


def bar(place, size=(96, 160)):
    picture = plain((20, 20, 20), size)
    picture[:, place : place + 16] = 235
    return picture


def interlaced(count=8):
    """A bar that moves from field to field. Odd rows are earlier: what encoders write of frames that do not tell."""
    film = []
    for i in range(count):
        picture = bar(16 + i * MOVED)
        picture[::2] = bar(16 + i * MOVED + MOVED // 2)[::2]
        film.append(picture)
    return film


def combs(bgr):
    """Mean difference of neighbouring rows."""
    return np.abs(np.diff(bgr[..., 1].astype(int), axis=0)).mean()


@pytest.mark.parametrize(("name", "codec", "options"), CODECS)
def test_interlaced_video_has_no_combs_and_keeps_its_frames_and_times(name, codec, options, tmp_path):
    film = interlaced()
    path = write(tmp_path / name, film, codec=codec, options=options)
    frames = list(open_source(path))
    assert combs(film[3]) > 8
    assert max(combs(frame.bgr) for frame in frames) < 4
    assert len(frames) == len(film)
    assert np.allclose(np.diff([frame.position for frame in frames]), 1 / 25, atol=1e-3)
    for i, frame in enumerate(frames[1:-1], 1):
        columns = np.nonzero(frame.bgr[48, :, 1] > 127)[0]
        assert abs(columns[0] - (16 + i * MOVED)) <= 2, "the earlier field is shown"


@pytest.mark.parametrize("lossless", [True, False])
def test_an_interlaced_background_has_no_combs(lossless, tmp_path):
    name, codec, options = CODECS[1]
    background = open_background(write(tmp_path / name, interlaced(), codec=codec, options=options), lossless=lossless)
    for position in (0.0, 0.04, 0.2, 0.4):
        assert combs(background.picture(bar(0), None, position)) < 4
    background.close()


def test_progressive_video_never_meets_the_filter(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "Deinterlacer", None)
    assert len(list(open_source(write(tmp_path / "a.mp4", [bar(16)] * 5)))) == 5


def test_an_empty_packet_in_the_middle_is_no_damage_and_no_end(tmp_path):
    """Theora and AVI write one where a picture is as the one before."""
    with av.open(write(tmp_path / "a.mp4", [bar(16)] * 4)) as container:
        stream = container.streams.video[0]
        decoder, frames = decoding.Decoder(stream, Pictures("a")), []
        for packet in container.demux(stream):
            frames += decoder.decode(packet)
            if packet.size:
                empty = av.Packet(0)
                empty.pts, empty.dts, empty.time_base = packet.pts, packet.dts, packet.time_base
                assert list(decoder.decode(empty)) == []
    assert len(frames) == 4


@pytest.mark.parametrize(("codec", "pixels"), [("png", "rgb24"), ("qtrle", "rgb24")])
def test_a_stream_that_says_it_for_all_of_its_frames_is_believed(codec, pixels, tmp_path):
    """A frame of PNG or QuickTime RLE cannot tell, the container does."""

    def set_up(context):
        context.field_order = 3  # AV_FIELD_BB

    path = write(tmp_path / "a.mov", interlaced(), codec=codec, pixels=pixels, set_up=set_up)
    frames = list(open_source(path))
    assert len(frames) == 8
    assert max(combs(frame.bgr) for frame in frames) < 4
