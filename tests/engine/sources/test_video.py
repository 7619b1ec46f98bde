"""Real files, whole and damaged, and streams from real servers."""

import functools
import http.server
import io
import socket
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine.errors import SourceError
from engine.media.ffmpeg import av
from engine.sources import open_source
from engine.sources.synthetic import SyntheticPerson
from tests.clips import figure_clip, lie_down, write_clip
from tests.streams import send_once, stalled_stream, transport_stream


def indices(source):
    return [frame.index for frame in source]


@pytest.fixture
def clip(tmp_path):
    return figure_clip(tmp_path / "clip.mp4", frames=20)


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("degrees", "bright"), [(90, np.s_[:32, 32:]), (270, np.s_[32:, :32])])
def test_a_file_that_lies_down_is_turned_as_it_says(tmp_path, degrees, bright):
    """Its upper left quarter is bright, which comes to the upper right by a turn clockwise."""
    from engine.backgrounds import open_background

    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32, :32] = 255
    path = lie_down(write_clip(tmp_path / "phone.mp4", [picture] * 3), degrees)
    shown = [next(iter(open_source(path))).bgr]
    for lossless in (True, False):
        background = open_background(str(path), lossless=lossless)
        shown.append(background.picture(np.zeros((64, 64, 3), np.uint8), None, 0.0).copy())
        background.close()
    for bgr in shown:
        assert bgr[bright].mean() > 200
        assert bgr.mean() < 80


def test_a_file_gives_every_frame_with_its_time(clip):
    source = open_source(clip)
    frames = list(source)
    assert [f.index for f in frames] == list(range(20))
    assert np.allclose([f.position for f in frames], np.arange(20) / 25)
    assert (source.fps, source.frames, source.live, source.origin.unheard) == (25.0, 20, False, None)


def test_a_file_gives_the_pictures_that_went_in(clip):
    figure = SyntheticPerson(width=320, height=240)
    frame = list(open_source(clip))[7]
    assert np.abs(frame.bgr.astype(int) - figure.picture(7)).mean() < 6


def test_a_file_with_sound_says_so(tmp_path):
    path = figure_clip(tmp_path / "clip.mp4", sound=True)
    assert open_source(path).origin.again == path


def test_a_looped_file_begins_again_and_its_time_goes_on(clip):
    positions = []
    for frame in open_source(clip, loop=True):
        positions.append(frame.position)
        if len(positions) == 45:
            break
    assert np.allclose(np.diff(positions), 1 / 25, atol=1e-6)


def test_a_source_ends_soon_after_close(clip):
    source = open_source(clip, loop=True)
    seen = []
    for frame in source:
        seen.append(frame.index)
        if len(seen) == 3:
            source.close()
            source.close()
    assert len(seen) == 3


@pytest.mark.parametrize("size", [(2, 2), (6, 8), (240, 426)])
def test_files_of_any_size_are_read(tmp_path, size):
    path = write_clip(tmp_path / "a.mkv", [np.zeros((*size, 3), np.uint8)] * 3, codec="ffv1")
    assert [f.bgr.shape for f in open_source(path)] == [(*size, 3)] * 3


def zipped(clip):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(clip)
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", lambda clip: b"", "cannot open .*empty.mp4: it is empty; copy or record it again"),
        ("text.mp4", lambda clip: b"no video\n" * 200, "cannot open .*text.mp4: it is text"),
        ("text.txt", lambda clip: "kein Bild, nur für Leser\n".encode() * 200, "cannot open .*text.txt: it is text"),
        ("a.zip", zipped, "cannot open .*a.zip: it is a zip archive; unpack it and give what is inside"),
        (
            "half.mp4",
            lambda clip: Path(clip).read_bytes()[:3000],
            r"its index \(moov\) is missing or damaged: .*; copy it",
        ),
        ("noise.mkv", lambda clip: np.random.default_rng(0).bytes(9999), "its content is damaged or not known here"),
    ],
)
def test_what_is_no_video_is_told_apart(clip, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content(clip))
    with pytest.raises(SourceError, match=message) as caught:
        open_source(str(tmp_path / name))
    assert "expected a video that is whole: mp4, mkv" in str(caught.value).replace("Expected", "expected")


def test_a_file_with_nothing_but_sound_is_told_apart(tmp_path):
    path = tmp_path / "tone.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
    with pytest.raises(SourceError, match="tone.wav: it has sound, but no pictures; expected a video"):
        open_source(str(path))


def test_a_codec_that_is_not_known_is_told(clip):
    data = Path(clip).read_bytes()
    assert b"avc1" in data
    Path(clip).write_bytes(data.replace(b"avc1", b"xyz1"))
    with pytest.raises(SourceError, match="in a codec that is not known here; convert it"):
        open_source(clip)


def test_tags_in_an_old_encoding_do_not_matter(tmp_path):
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "caf@"
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="bgr24")))
        container.mux(stream.encode())
    data = path.read_bytes()
    assert b"caf@" in data
    path.write_bytes(data.replace(b"caf@", "café".encode("latin-1")))
    assert indices(open_source(str(path))) == [0]


@pytest.fixture
def damaged(tmp_path):
    path = tmp_path / "damaged.mp4"
    figure_clip(path, frames=60)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    return str(path)


def test_a_file_damaged_in_the_middle_gives_what_can_be_decoded(damaged):
    assert len(list(open_source(damaged))) >= 10  # what comes before, and after the next sync point if there is one


def test_damage_is_told_once_however_often_the_file_is_looped(damaged, caplog):
    source = open_source(damaged, loop=True)
    for frame in source:
        if frame.index == 300:  # it has 60 frames
            source.close()
    assert caplog.text.count("is damaged") == 1


def test_a_truncated_stream_of_pictures_ends_where_it_ends(tmp_path):
    path = tmp_path / "clip.mkv"
    figure_clip(path, frames=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 5 < len(list(open_source(str(path)))) < 60


# -- streams ---------------------------------------------------------------------------------------------------------


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path):
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_on_a_server_gives_every_frame(web, clip):
    assert indices(open_source(f"{web}/clip.mp4")) == list(range(20))


def test_a_server_without_the_file_is_a_lost_source(web):
    with pytest.raises(SourceError, match="cannot open http://.*a server that answers"):
        open_source(f"{web}/none.mp4")


def test_a_server_that_is_not_there_is_a_lost_source():
    with pytest.raises(SourceError, match="cannot open rtsp://"):
        open_source("rtsp://127.0.0.1:9/stream")


def test_a_stream_gives_frames_and_its_end_is_a_lost_source():
    """MPEG-TS over TCP, from a real sender to a real receiver."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        sender = threading.Thread(target=send_once, args=(server, transport_stream(frames=50)), daemon=True)
        sender.start()
        source = open_source(url)
        seen = []
        with pytest.raises(SourceError, match="tcp://.* ended; check that the stream is still being sent"):
            for frame in source:
                seen.append(frame.index)
        sender.join(10)
    assert source.live
    assert len(seen) >= 45


def test_a_stream_that_stalls_is_lost_after_a_while(monkeypatch):
    monkeypatch.setattr("engine.sources.video.READ_TIMEOUT_S", 0.3)
    with stalled_stream(frames=50) as url:
        source = open_source(url)
        with pytest.raises(SourceError, match="tcp://.* was lost: nothing came for 0.3 s; check the sender"):
            list(source)


def test_a_server_that_says_nothing_is_a_lost_source(monkeypatch):
    monkeypatch.setattr("engine.sources.video.OPEN_TIMEOUT_S", 0.3)
    with (
        stalled_stream(frames=0) as url,
        pytest.raises(SourceError, match="cannot open .* nothing came for 0.3 s; exp"),
    ):
        open_source(url)
