"""Where frames come from: `open_source` turns what a user names into a Source. Knows nothing about painting.

Cameras are in camera.py, the synthetic figure in figure.py. Here: files and streams (PyAV), images, raw frames.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .contracts import Frame, Source
from .errors import SourceError, UsageError
from .pixels import as_bgr
from .slot import LatestSlot, LosslessSlot

log = logging.getLogger("jit_masker")

IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
STREAMS = ("rtsp://", "rtsps://", "rtmp://", "udp://", "tcp://", "srt://")
WEB = ("http://", "https://")
VIDEOS = "a video that is whole: mp4, mkv, webm, mov, avi …"
FALLBACK_FPS = 25.0  # frames per second, for pictures without a clock
MAX_FPS, MAX_SIDE = 1000.0, 16384  # frames per second, pixels; beyond, it is a slip of the finger
OPEN_TIMEOUT, READ_TIMEOUT = 10.0, 10.0  # s, of a stream; opening asks twice, for an answer and for its pictures
WAKE = 0.2  # s between two looks whether it is over, while nothing comes

T = TypeVar("T")


def open_source(
    spec: str, *, size: tuple[int, int] | None = None, fps: float | None = None, loop: bool = False
) -> Source:
    """The source that `spec` names.

    Parameters
    ----------
    spec : a camera's number or device, a file, a folder of images, a URL, "-" (raw BGR frames on standard input), or
        "test://".
    size : (W, H) of raw frames, sides from 1 to MAX_SIDE.
    fps : of raw frames, images and test://, above 0 and at most MAX_FPS; others know their own.
    loop : start a file or images again at the end.

    Raises
    ------
    UsageError
        What is asked for cannot be meant.
    SourceError
        It cannot be opened.
    """
    _check(size, fps)
    if spec.isdecimal() or spec.startswith("/dev/video"):
        from .camera import Camera

        return Camera(spec)
    if spec.startswith("test://"):
        from .figure import MovingFigure

        return MovingFigure.from_url(spec, fps)
    if spec == "-":
        return Detached(lambda: RawFrames(size, fps or FALLBACK_FPS))
    if spec.startswith((*STREAMS, *WEB)):
        return Detached(lambda: Video(spec, live=spec.startswith(STREAMS), loop=loop))
    path = Path(spec)
    if path.is_dir():
        return Images(_images_in(path), fps or FALLBACK_FPS, loop)
    if not path.is_file():
        raise SourceError(
            f"no file {spec}; expected a camera's number, a file, a folder of images, a URL, - or test://"
        )
    if path.suffix.lower() in IMAGES:
        return Images([path], fps or FALLBACK_FPS, loop)
    return Video(spec, loop=loop)


def _check(size: tuple[int, int] | None, fps: float | None) -> None:
    if fps is not None and not 0 < fps <= MAX_FPS:  # NaN is not, either
        raise UsageError(f"fps is {fps!r}; expected frames per second above 0, at most {MAX_FPS:g}, as in --fps 25")
    if size is not None and not (len(size) == 2 and all(side in range(1, MAX_SIDE + 1) for side in size)):
        raise UsageError(
            f"the size of raw frames is {size}; expected a width and a height from 1 to {MAX_SIDE}, as in "
            "--input-size 640x480"
        )


class Video:
    """A file or a stream, through PyAV. A file loses no frame; one that is damaged gives what can be decoded.

    `close` is heard between two packets: while the next one does not come, the iteration waits for it, a stream's at
    most READ_TIMEOUT. See Detached.
    """

    def __init__(self, spec: str, live: bool = False, loop: bool = False, threads: int = 1):
        from .ffmpeg import av

        self._av, self._spec, self._loop, self._threads = av, spec, loop, threads
        self._remote = spec.startswith((*STREAMS, *WEB))
        self._closed = False
        self._damage_told = False
        self._container = self._open()
        stream = self._container.streams.video[0]
        self.live = live or (self._remote and not self._container.duration)
        self.fps = float(stream.average_rate or 0.0)
        self.frames = stream.frames if stream.frames and not loop else None
        self.sound = spec if self._container.streams.audio and not self._remote and not loop else None

    def _open(self) -> Any:
        options = {"rtsp_transport": "tcp"} if self._spec.startswith("rtsp") else {}
        timeout = (OPEN_TIMEOUT, READ_TIMEOUT) if self._remote else None
        try:
            # tags in an old encoding are no reason to refuse the pictures
            container = self._av.open(self._spec, options=options, timeout=timeout, metadata_errors="replace")
        except (self._av.FFmpegError, OSError) as error:
            silent = f"{self._reason(error, OPEN_TIMEOUT)}; expected a server that answers, and {VIDEOS}"
            raise SourceError(
                f"cannot open {self._spec}: {silent if self._remote else _wrong_with(self._spec)}"
            ) from error
        if wrong := self._nothing_to_show(container):
            container.close()
            raise SourceError(f"cannot open {self._spec}: {wrong}")
        container.streams.video[0].codec_context.thread_count = self._threads
        return container

    def _nothing_to_show(self, container: Any) -> str | None:
        """What is wrong with a container that could be opened and yet gives no picture; None if it does."""
        video = container.streams.video
        if video and video[0].codec_context is None:
            return "its pictures are in a codec that is not known here; convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
        # text opens as a subtitle-like stream or a "tty" picture, without a rate or a size
        if video and video[0].width and container.format.name != "tty":
            return None
        if container.streams.audio:
            return f"it has sound, but no pictures; expected {VIDEOS}"
        return f"it has no pictures; expected {VIDEOS}" if self._remote else _wrong_with(self._spec)

    def _reason(self, error: Exception, timeout: float) -> str:
        if isinstance(error, self._av.ExitError):  # what a timeout of ours is called
            return f"nothing came for {timeout:g} s"
        return getattr(error, "strerror", None) or str(error)

    def __iter__(self) -> Iterator[Frame]:
        index, offset = 0, 0.0
        while not self._closed:
            last = offset
            for bgr, position in self._decoded():
                last = offset + position
                yield Frame(bgr, index, time.perf_counter(), last)
                index += 1
            if not self._loop or self._closed:
                break
            offset = last + (1 / self.fps if self.fps else 1 / FALLBACK_FPS)
            self._container.close()
            self._container = self._open()
        if self.live and not self._closed:
            raise SourceError(f"{self._spec} ended; check that the stream is still being sent")

    def _decoded(self) -> Iterator[tuple[np.ndarray, float]]:
        """Pictures with their position (s) from the start of the stream, which sound is counted from too; skips what
        cannot be decoded and says how much."""
        stream, bad, good = self._container.streams.video[0], 0, 0
        begin = stream.start_time if stream.start_time is not None and not self.live else None
        first = None if begin is None else float(begin * stream.time_base)
        packets = self._container.demux(stream)
        while not self._closed:
            try:
                packet = next(packets)
                pictures = packet.decode()
            except StopIteration:
                break
            except self._av.FFmpegError as error:
                if self._remote:
                    reason = self._reason(error, READ_TIMEOUT)
                    raise SourceError(f"{self._spec} was lost: {reason}; check the sender and the network") from error
                bad += 1
                if bad > good + 1000:  # a file of noise must end too
                    break
                continue
            for picture in pictures:
                if self._closed:
                    return
                moment = picture.time if picture.time is not None else good / (self.fps or FALLBACK_FPS)
                first = moment if first is None else first
                good += 1
                yield _upright(picture), moment - first
        if bad and not self._damage_told:
            self._damage_told = True  # a looped file is damaged at the same place each time
            log.warning("%s is damaged: %d of its packets cannot be decoded and are left out", self._spec, bad)
        if not good and not self._closed:
            raise SourceError(f"{self._spec} holds no picture that can be decoded; expected a video that is whole")

    def close(self) -> None:
        # the container itself is freed with this object: closing it under a thread that decodes crashes
        self._closed = True


def _upright(picture: Any) -> np.ndarray:
    """uint8 (H, W, 3) BGR, turned as the file says (phones store pictures lying down)."""
    bgr = picture.to_ndarray(format="bgr24")
    turns = round(getattr(picture, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(bgr, turns)) if turns else bgr


CONTROLS = bytes(set(range(32)) - set(b"\t\n\f\r\x1b"))  # bytes that text does not have
ARCHIVES = {b"PK\x03\x04": "zip", b"Rar!": "rar", b"7z\xbc\xaf": "7z", b"\x1f\x8b": "gzip"}


def _wrong_with(path: str | Path, expected: str = VIDEOS) -> str:
    """What is wrong with a file that cannot be opened, as far as its first bytes tell, and what to do."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        return f"{error.strerror}; expected a file that you may read"
    archive = next((name for magic, name in ARCHIVES.items() if head.startswith(magic)), None)
    if not head:
        return f"it is empty; copy or record it again. Expected {expected}"
    if archive:
        return f"it is a {archive} archive; unpack it and give what is inside. Expected {expected}"
    if head[4:8] == b"ftyp":
        return (
            "its index (moov) is missing or damaged: the recording or the copy was cut short; copy it again, or repair "
            f"it with untrunc. Expected {expected}"
        )
    if not any(byte in CONTROLS for byte in head):
        return f"it is text, as a failed download can be; expected {expected}"
    return f"its content is damaged or not known here; expected {expected}"


class Detached:
    """A source that can hang, opened and read in threads of its own: whoever waits here goes on when it is closed.

    Loses no frame: the thread waits until one is taken. Once closed it ends with the read that it is in, which nobody
    waits for: a stream's ends within READ_TIMEOUT, a pipe's with the next bytes or with the pipe.
    """

    def __init__(self, open_it: Callable[[], Source]):
        (self._source,) = _aside(lambda: [open_it()], LosslessSlot())
        source, self._closed = self._source, False
        self.live, self.fps, self.frames, self.sound = source.live, source.fps, source.frames, source.sound
        self._frames: LosslessSlot[Frame] = LosslessSlot()

    def __iter__(self) -> Iterator[Frame]:
        for frame in _aside(lambda: self._source, self._frames):
            if self._closed:
                return
            yield frame

    def close(self) -> None:
        self._closed = True
        self._source.close()
        self._frames.close()


def _aside(items: Callable[[], Iterable[T]], slot: LosslessSlot[T]) -> Iterator[T]:
    """What `items()` gives, through `slot` from a thread that is left behind when the slot is closed."""
    errors: list[Exception] = []

    def work() -> None:
        try:
            for item in items():
                if slot.put(item) is not None:  # closed
                    return
        except Exception as error:
            errors.append(error)
        finally:
            slot.close()

    threading.Thread(target=work, name="source", daemon=True).start()
    try:
        while (item := _wait(slot)) is not None:
            yield item
    finally:
        slot.close()  # whoever iterated went away: what comes later is not kept
    if errors:
        raise errors[0]


def _wait(slot: LatestSlot[T]) -> T | None:
    """The next item; None once the slot is closed and empty.

    Looks up now and then: a signal handler that closes the slot may run between the check and the sleep of this thread.
    """
    while True:
        over = slot.closed  # asked first: what was put before the end is still taken
        if (item := slot.take(WAKE)) is not None or over:
            return item


class Images:
    """Image files, one frame each; sizes may differ. Looped they come for ever.

    They lie ready, so they are not live: they come as fast as they are asked for, with positions at `fps`, and Paced
    gives them a clock.
    """

    sound: str | None = None

    def __init__(self, paths: list[Path], fps: float, loop: bool = False):
        self._paths, self._loop = paths, loop
        self.fps, self.live = fps, False
        self.frames: int | None = None if loop else len(paths)
        self._closed = False
        self._last = paths[0], self._read(paths[0])

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self._closed and (self._loop or index < len(self._paths)):
            path = self._paths[index % len(self._paths)]
            if self._last[0] != path:  # one image, looped, is decoded once
                self._last = path, self._read(path)
            yield Frame(self._last[1], index, time.perf_counter(), index / self.fps)
            index += 1

    def _read(self, path: Path) -> np.ndarray:
        import cv2

        try:
            # imread cannot open every path on Windows; IMREAD_UNCHANGED would leave a phone's photos lying down
            image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        except (OSError, cv2.error):
            image = None
        if image is None:
            expected = f"one of {', '.join(sorted(IMAGES))}"
            raise SourceError(f"cannot read the image {path}: {_wrong_with(path, expected)}")
        return as_bgr(image)

    def close(self) -> None:
        self._closed = True


def _images_in(folder: Path) -> list[Path]:
    """The images of `folder` in natural order: 2 before 10."""
    try:
        paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGES]
    except OSError as error:
        raise SourceError(
            f"cannot look into the folder {folder}: {error.strerror}; expected one you may read"
        ) from error
    if not paths:
        raise SourceError(f"the folder {folder} holds no images; expected {', '.join(sorted(IMAGES))}")
    return sorted(paths, key=lambda p: [int(s) if s.isdecimal() else s.lower() for s in re.split(r"(\d+)", p.name)])


class RawFrames:
    """BGR24 frames, one after the other, from a pipe.

    `stream` is read past its buffer, so what that holds already is left out; standard input when None. `close` is heard
    between two frames: while bytes do not come, the iteration waits for them, or for the pipe's end. See Detached.
    """

    live = False
    frames: int | None = None
    sound: str | None = None

    def __init__(self, size: tuple[int, int] | None, fps: float, stream: Any = None):
        if size is None:
            raise UsageError("raw frames have no size of their own; say --input-size WxH")
        if stream is None and sys.stdin is None:
            raise SourceError("standard input is closed; expected raw frames from a pipe: PROGRAM | jm-engine -i -")
        self._width, self._height = size
        self.fps = fps
        stream = sys.stdin.buffer if stream is None else stream
        # a thread that is left behind in a read must not hold the buffer's lock: Python aborts over it when it ends
        self._stream = getattr(stream, "raw", stream)
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self._closed:
            bgr = np.empty((self._height, self._width, 3), np.uint8)
            got = self._fill(bgr.data.cast("B"))
            if got < bgr.nbytes:
                if got:
                    log.warning("the last raw frame has %d of %d bytes and is left out", got, bgr.nbytes)
                return
            yield Frame(bgr, index, time.perf_counter(), index / self.fps)
            index += 1

    def _fill(self, target: memoryview) -> int:
        """Bytes read into `target`: all of it, or less at the pipe's end. One read of a pipe gives what there is."""
        got = 0
        while got < len(target) and (count := self._stream.readinto(target[got:])):
            got += count
        return got

    def close(self) -> None:
        self._closed = True


class Paced:
    """Another source's frames, none earlier than its position on the clock: a file at the speed it was recorded."""

    def __init__(self, source: Source):
        self._source = source
        self.live, self.fps, self.frames, self.sound = source.live, source.fps, source.frames, source.sound
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        began = None
        for frame in self._source:
            began = time.perf_counter() - frame.position if began is None else began
            while not self._closed and (early := began + frame.position - time.perf_counter()) > 0:
                time.sleep(min(early, 0.1))  # in pieces, so that close is heard
            if self._closed:
                return
            # what matters to a viewer is how long after its moment a frame is shown
            yield Frame(frame.bgr, frame.index, time.perf_counter(), frame.position)

    def close(self) -> None:
        self._closed = True
        self._source.close()
