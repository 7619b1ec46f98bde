"""Real files, folders, streams and pipes; a scripted camera, since no real one can be assumed."""

import functools
import http.server
import io
import socket
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.camera import Camera
from engine.contracts import Source
from engine.errors import SourceError, UsageError
from engine.ffmpeg import av
from engine.figure import MovingFigure
from engine.pixels import as_bgr
from engine.sources import Paced, RawFrames, open_source
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


@pytest.mark.parametrize("name", ["notes.mp4", "notes.txt"])
def test_a_text_file_is_not_a_video(tmp_path, name):
    path = tmp_path / name
    path.write_text("hello, this is no video\n" * 200)
    with pytest.raises(SourceError, match=f"{name}.*expected"):
        open_source(str(path))


def test_an_mp4_without_its_index_is_refused(clip, tmp_path):
    half = tmp_path / "half.mp4"
    data = Path(clip).read_bytes()
    half.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match="cannot open .*half.mp4: .*; expected a video that is whole"):
        open_source(str(half))


def test_a_file_damaged_in_the_middle_gives_what_can_be_decoded(tmp_path, caplog):
    path = tmp_path / "clip.mkv"
    figure_clip(path, frames=60)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    assert len(list(open_source(str(path)))) >= 10  # what comes before, and after the next sync point if there is one


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


@pytest.mark.parametrize("query", ["colour=3", "width=0", "width=big"])
def test_a_figure_with_impossible_options_is_refused(query):
    with pytest.raises(UsageError, match="test://"):
        open_source(f"test://?{query}")


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


# -- cameras ---------------------------------------------------------------------------------------------------------


class ScriptedCapture:
    """Gives the images it was given, then does `afterwards`: "fail", "repeat" the last one, or "block"."""

    def __init__(self, images, afterwards):
        self._images, self._afterwards = list(images), afterwards
        self._last = None
        self.unblock = threading.Event()
        self.released = threading.Event()
        self._pace = threading.Semaphore(0)

    def read(self):
        if self._images:
            self._last = self._images.pop(0)
            self.unblock.wait(0.02)  # a camera's own rate
            return True, self._last
        if self._afterwards == "block":
            self.unblock.wait(30)
        return self._afterwards == "repeat", self._last if self._afterwards == "repeat" else None

    def get(self, _):
        return 30.0

    def release(self):
        self.released.set()


PICTURES = [np.full((8, 8, 3), i, np.uint8) for i in range(3)]


@pytest.mark.parametrize("afterwards", ["fail", "repeat", "block"])
def test_a_camera_without_new_frames_is_lost_however_it_fails(afterwards):
    capture = ScriptedCapture(PICTURES, afterwards)
    camera = Camera("0", timeout=0.3, factory=lambda _: capture)
    seen = []
    with pytest.raises(SourceError, match=r"camera 0 gave no new frame for 0.3 s; plug it in again"):
        for frame in camera:
            seen.append(frame.bgr[0, 0, 0])
    capture.unblock.set()
    assert seen[-1] == 2


def test_a_closed_camera_is_released():
    capture = ScriptedCapture(PICTURES * 100, "fail")
    camera = Camera("0", timeout=0.5, factory=lambda _: capture)
    for _ in camera:
        camera.close()
    assert capture.released.wait(5)


def test_a_camera_that_hangs_while_opening_is_lost():
    hang = threading.Event()
    with pytest.raises(SourceError, match="did not open within 0.1 s"):
        Camera("0", timeout=0.1, factory=lambda _: hang.wait(30) and ScriptedCapture([], "fail"))
    hang.set()


def test_a_camera_that_is_not_there_names_the_remedy():
    with pytest.raises(SourceError, match=r"no camera /dev/video97; (there are|no camera is connected)"):
        open_source("97")
