"""Real files, folders, streams and pipes. Cameras are in test_camera.py."""

import functools
import http.server
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.contracts import Source
from engine.errors import SourceError, UsageError
from engine.ffmpeg import av
from engine.figure import MovingFigure
from engine.pixels import as_bgr
from engine.sources import Detached, Paced, RawFrames, open_source
from tests.clips import figure_clip, write_clip


def indices(source):
    return [frame.index for frame in source]


@pytest.fixture
def clip(tmp_path):
    return figure_clip(tmp_path / "clip.mp4", frames=20)


# -- files -----------------------------------------------------------------------------------------------------------


def test_a_file_gives_every_frame_with_its_time(clip):
    source = open_source(clip)
    frames = list(source)
    assert [f.index for f in frames] == list(range(20))
    assert np.allclose([f.position for f in frames], np.arange(20) / 25)
    assert (source.fps, source.frames, source.live, source.sound) == (25.0, 20, False, None)


def test_a_file_gives_the_pictures_that_went_in(clip):
    figure = MovingFigure(width=320, height=240)
    frame = list(open_source(clip))[7]
    assert np.abs(frame.bgr.astype(int) - figure.picture(7)).mean() < 6


def test_a_file_with_sound_says_so(tmp_path):
    path = figure_clip(tmp_path / "clip.mp4", sound=True)
    assert open_source(path).sound == path


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


def test_a_missing_file_is_a_lost_source(tmp_path):
    with pytest.raises(SourceError, match="no file .*none.mp4; expected a camera's number, a file"):
        open_source(str(tmp_path / "none.mp4"))


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


@pytest.mark.parametrize("fps", [0, -25, float("nan"), float("inf"), 1e6])
@pytest.mark.parametrize("spec", ["-", "test://", "none.mp4"])
def test_an_impossible_frame_rate_is_refused(spec, fps):
    with pytest.raises(
        UsageError, match=r"fps is .*; expected frames per second above 0, at most 1000, as in --fps 25"
    ):
        open_source(spec, fps=fps, size=(64, 48))


@pytest.mark.parametrize("size", [(0, 48), (64, -1), (64, 1 << 40), (64,), (6.5, 48)])
def test_an_impossible_size_of_raw_frames_is_refused(size):
    with pytest.raises(UsageError, match=r"the size of raw frames is \(.*; expected .* as in --input-size 640x480"):
        open_source("-", size=size)


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


# -- images ----------------------------------------------------------------------------------------------------------


def test_a_folder_of_images_is_read_in_natural_order_and_sizes_may_differ(tmp_path):
    for number, size in ((10, (5, 7)), (2, (1, 1)), (1, (48, 64))):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), np.full((*size, 3), number, np.uint8))
    assert [f.bgr.shape[:2] for f in open_source(str(tmp_path))] == [(48, 64), (1, 1), (5, 7)]


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("no image")
    with pytest.raises(SourceError, match=r"holds no images; expected \.bmp, \.jpeg"):
        open_source(str(tmp_path))


def test_a_file_that_only_looks_like_an_image_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(SourceError, match="cannot read the image"):
        open_source(str(tmp_path / "a.png"))


@pytest.mark.parametrize(("content", "message"), [(b"", "it is empty; copy"), (b"none\n", "it is text")])
def test_what_is_no_image_is_told_apart(tmp_path, content, message):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(SourceError, match=rf"cannot read the image .*a.jpg: {message}.*xpected one of \.bmp"):
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


def test_a_looped_image_gets_its_clock_from_paced(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((6, 8, 3), np.uint8))
    source = Paced(open_source(str(tmp_path / "photo.png"), fps=50, loop=True))
    began = time.perf_counter()
    for frame in source:
        assert time.perf_counter() - began >= frame.position
        if frame.index == 5:
            source.close()
    assert frame.index == 5


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
    assert indices(open_source(str(tmp_path))) == [0, 1, 2]


@pytest.mark.parametrize(
    "image",
    [
        np.full((6, 8), 77, np.uint8),
        np.full((6, 8), 77 * 257, np.uint16),
        np.full((6, 8, 4), 77, np.uint8),
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


# -- pipes, figures, clocks ------------------------------------------------------------------------------------------


def test_raw_frames_are_cut_by_size_and_a_rest_is_told(caplog):
    data = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).tobytes()
    frames = list(RawFrames((4, 3), 25.0, io.BytesIO(data + b"rest")))
    assert [f.bgr.shape for f in frames] == [(3, 4, 3)] * 2
    assert b"".join(f.bgr.tobytes() for f in frames) == data
    assert "4 of 36 bytes" in caplog.text


def test_raw_frames_need_a_size():
    with pytest.raises(UsageError, match="say --input-size WxH"):
        open_source("-")


def test_raw_frames_come_whole_however_the_pipe_cuts_them():
    reader, writer = os.pipe()
    data = np.random.default_rng(0).integers(0, 256, 3 * 36, dtype=np.uint8).tobytes()
    with open(reader, "rb") as stream:
        frames = iter(RawFrames((4, 3), 25.0, stream))
        seen = b""
        for start in range(0, 3 * 36, 36):  # a frame is given as soon as it is there, though the pipe stays open
            os.write(writer, data[start : start + 10])
            os.write(writer, data[start + 10 : start + 36])
            seen += next(frames).bgr.tobytes()
        os.close(writer)
        assert next(frames, None) is None
    assert seen == data


def test_close_ends_the_wait_for_a_pipe_that_says_nothing_more():
    reader, writer = os.pipe()
    with open(reader, "rb") as stream, open(writer, "wb", buffering=0) as sender:
        source = Detached(lambda: RawFrames((4, 3), 25.0, stream))
        sender.write(bytes(2 * 36))
        assert ends_soon_after_close(source, frames=2)


def ends_soon_after_close(source, frames):
    """Read `source` in a thread and close it once no frame comes any more; does the thread end all the same?"""
    came = threading.Semaphore(0)

    def read():
        for _ in source:
            came.release()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    for _ in range(frames):
        assert came.acquire(timeout=20)
    while came.acquire(timeout=0.3):
        pass
    assert thread.is_alive()
    source.close()
    source.close()
    thread.join(3)
    return not thread.is_alive()


def test_an_interrupted_run_leaves_although_its_pipe_says_nothing_more():
    """In lockstep the main thread reads: the one that signals have to get through to."""
    command = ["-i", "-", "--input-size", "64x48", "-o", "-", "--teacher", "none", "--pace", "lockstep"]
    two = bytes(2 * 64 * 48 * 3)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-m", "engine.cli", *command], **pipes) as process:
        process.stdin.write(two)
        process.stdin.flush()
        assert len(process.stdout.read(len(two))) == len(two)
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(10) == 130
        finally:
            process.kill()


def test_the_figure_is_the_same_each_time_and_has_a_true_mask():
    a, b = (open_source("test://?width=160&height=120&frames=3&seed=4") for _ in range(2))
    assert all(np.array_equal(x.bgr, y.bgr) for x, y in zip(a, b, strict=True))
    figure = MovingFigure(width=160, height=120, seed=4)
    changed = (figure.picture(0) != figure._scene(0).room).any(axis=2)
    assert 0.1 < (figure.mask(0) > 0).mean() < 0.6
    assert (changed <= (figure.mask(0) > 0)).all()


def test_a_figure_can_cut_and_come_late():
    figure = MovingFigure(width=160, height=120, cut=5, empty=2)
    assert not figure.mask(1).any()
    assert figure.mask(2).any()
    assert np.abs(figure.picture(5).astype(int) - figure.picture(4)).mean() > 20


@pytest.mark.parametrize(
    "query", ["colour=3", "width=0", "width=big", "width=²", "height=20000", "fps=5000", "seed=" + "9" * 5000]
)
def test_a_figure_with_impossible_options_is_refused(query):
    with pytest.raises(UsageError, match="test://"):
        open_source(f"test://?{query}")


def test_a_figure_takes_its_frame_rate_from_the_url_or_else_from_the_option():
    assert open_source("test://", fps=50).fps == 50
    assert open_source("test://?fps=10", fps=50).fps == 10


def test_paced_frames_come_no_earlier_than_their_time():
    began = time.perf_counter()
    frames = list(Paced(open_source("test://?frames=6&fps=50&width=32&height=32")))
    assert len(frames) == 6
    assert time.perf_counter() - began >= 5 / 50
    assert all(f.captured_at - began >= f.position for f in frames)


@pytest.mark.parametrize("spec", ["test://?frames=2", "file", "folder"])
def test_every_source_keeps_the_protocol(spec, clip, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    assert isinstance(open_source({"file": clip, "folder": str(tmp_path)}.get(spec, spec)), Source)


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


@contextmanager
def stalled_stream(frames):
    """The URL of a server that sends some frames, then nothing; the connection stays."""
    done = threading.Event()

    def send():
        connection, _ = server.accept()
        with connection:
            connection.sendall(transport_stream(frames) if frames else b"")
            done.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            done.set()
            sender.join(10)


def test_close_ends_the_wait_for_a_stream_that_stalls():
    with stalled_stream(frames=50) as url:
        assert ends_soon_after_close(open_source(url), frames=45)


def test_a_run_can_be_interrupted_while_its_stream_does_not_open():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "engine.cli", "-i", url, "--headless"]
        # where this suite runs in the background, a shell has told it, and its children, to ignore the interrupt
        heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        with subprocess.Popen(command, preexec_fn=heed) as process:
            connection, _ = server.accept()
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(60) == 130
            finally:
                process.kill()
                connection.close()


def test_a_stream_that_stalls_is_lost_after_a_while(monkeypatch):
    monkeypatch.setattr("engine.sources.READ_TIMEOUT", 0.3)
    with stalled_stream(frames=50) as url:
        source = open_source(url)
        with pytest.raises(SourceError, match="tcp://.* was lost: nothing came for 0.3 s; check the sender"):
            list(source)


def test_a_server_that_says_nothing_is_a_lost_source(monkeypatch):
    monkeypatch.setattr("engine.sources.OPEN_TIMEOUT", 0.3)
    with (
        stalled_stream(frames=0) as url,
        pytest.raises(SourceError, match="cannot open .* nothing came for 0.3 s; exp"),
    ):
        open_source(url)


def transport_stream(frames: int) -> bytes:
    """`frames` grey pictures as H.264 in MPEG-TS."""
    target = io.BytesIO()
    with av.open(target, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25, options={"tune": "zerolatency", "g": "5"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(frames):
            picture = np.full((48, 64, 3), 4 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return target.getvalue()


def send_once(server: socket.socket, data: bytes) -> None:
    """To the first who connects; then the connection ends."""
    connection, _ = server.accept()
    with connection:
        connection.sendall(data)
