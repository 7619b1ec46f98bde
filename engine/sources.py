"""Where frames come from: `open_source` turns what a user names into a Source. Knows nothing about painting.

Cameras are in camera.py, the synthetic figure in figure.py. Here: files and streams (PyAV), images, raw frames.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .contracts import Frame, Source
from .errors import SourceError, UsageError
from .pixels import as_bgr

log = logging.getLogger("jit_masker")

IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
STREAMS = ("rtsp://", "rtsps://", "rtmp://", "udp://", "tcp://", "srt://")
WEB = ("http://", "https://")
FALLBACK_FPS = 25.0  # frames per second, for pictures without a clock
OPEN_TIMEOUT, READ_TIMEOUT = 10.0, 10.0  # s, of a stream


def open_source(
    spec: str, *, size: tuple[int, int] | None = None, fps: float | None = None, loop: bool = False
) -> Source:
    """The source that `spec` names.

    Parameters
    ----------
    spec : a camera's number or device, a file, a folder of images, a URL, "-" (raw BGR frames on standard input), or
        "test://".
    size : (W, H) of raw frames.
    fps : of raw frames and images; others know their own.
    loop : start a file again at its end.

    Raises
    ------
    UsageError
        What is asked for cannot be meant.
    SourceError
        It cannot be opened.
    """
    if spec.isdigit() or spec.startswith("/dev/video"):
        from .camera import Camera

        return Camera(spec)
    if spec.startswith("test://"):
        from .figure import MovingFigure

        return MovingFigure.from_url(spec)
    if spec == "-":
        return RawFrames(size, fps or FALLBACK_FPS)
    if spec.startswith((*STREAMS, *WEB)):
        return Video(spec, live=spec.startswith(STREAMS), loop=loop)
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


class Video:
    """A file or a stream, through PyAV. A file loses no frame; one that is damaged gives what can be decoded."""

    def __init__(self, spec: str, live: bool = False, loop: bool = False, threads: int = 1):
        from .ffmpeg import av

        self._av, self._spec, self._loop, self._threads = av, spec, loop, threads
        self._remote = spec.startswith((*STREAMS, *WEB))
        self._closed = False
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
            container = self._av.open(self._spec, options=options, timeout=timeout)
        except (self._av.FFmpegError, OSError) as error:
            raise SourceError(
                f"cannot open {self._spec}: {error.strerror or error}; expected a video that is whole"
                + (", and a server that answers" if self._remote else "")
            ) from error
        # a text file opens as a subtitle-like stream or a "tty" picture, without a rate or a size
        video = container.streams.video
        if not video or not video[0].width or container.format.name == "tty":
            container.close()
            raise SourceError(f"{self._spec} is not a video: it has no pictures; expected mp4, mkv, webm, mov, avi …")
        video[0].codec_context.thread_count = self._threads
        return container

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
                    raise SourceError(f"{self._spec} was lost: {error.strerror or error}; check the network") from error
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
        if bad:
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


class Images:
    """Image files, one frame each; sizes may differ. Looped, a single image is a live source at `fps`."""

    sound: str | None = None

    def __init__(self, paths: list[Path], fps: float, loop: bool = False):
        self._paths, self._loop = paths, loop
        self.fps, self.live = fps, False
        self.frames: int | None = None if loop else len(paths)
        self._closed = False
        self._read(paths[0])

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self._closed and (self._loop or index < len(self._paths)):
            bgr = self._read(self._paths[index % len(self._paths)])
            yield Frame(bgr, index, time.perf_counter(), index / self.fps)
            index += 1

    def _read(self, path: Path) -> np.ndarray:
        import cv2

        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise SourceError(f"cannot read the image {path}; expected one of {', '.join(sorted(IMAGES))}")
        return as_bgr(image)

    def close(self) -> None:
        self._closed = True


def _images_in(folder: Path) -> list[Path]:
    """The images of `folder` in natural order: 2 before 10."""
    paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGES]
    if not paths:
        raise SourceError(f"the folder {folder} holds no images; expected {', '.join(sorted(IMAGES))}")
    return sorted(paths, key=lambda p: [int(s) if s.isdigit() else s.lower() for s in re.split(r"(\d+)", p.name)])


class RawFrames:
    """BGR24 frames, one after the other, from a pipe."""

    live = False
    frames: int | None = None
    sound: str | None = None

    def __init__(self, size: tuple[int, int] | None, fps: float, stream: BinaryIO | None = None):
        if size is None:
            raise UsageError("raw frames have no size of their own; say --input-size WxH")
        self._width, self._height = size
        self.fps = fps
        self._stream = stream or sys.stdin.buffer
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        expected, index = self._width * self._height * 3, 0
        while not self._closed:
            data = self._stream.read(expected)
            if len(data) < expected:
                if data:
                    log.warning("the last raw frame has %d of %d bytes and is left out", len(data), expected)
                return
            bgr = np.frombuffer(data, np.uint8).reshape(self._height, self._width, 3)
            yield Frame(bgr, index, time.perf_counter(), index / self.fps)
            index += 1

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
            # what matters to a viewer is how long after its moment a frame is shown
            yield Frame(frame.bgr, frame.index, time.perf_counter(), frame.position)

    def close(self) -> None:
        self._closed = True
        self._source.close()
