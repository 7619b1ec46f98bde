"""Where frames come from: `open_source` turns what a user names into a Source. Knows nothing about painting.

Each kind has its file: camera.py, video.py (files and streams), images.py, raw_frames.py, figure.py (synthetic).
detached.py is around those that can hang; Paced, here, around those that should keep to the clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from ..contracts import Frame, Source
from ..errors import SourceError, UsageError
from .camera import Camera
from .images import IMAGES, Images, images_in
from .raw_frames import RawFrames
from .threaded import ThreadedSource
from .video import FALLBACK_FPS, STREAMS, WEB, Video

MAX_FPS, MAX_SIDE = 1000.0, 16384  # frames per second, pixels; beyond, it is a slip of the finger


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
        return Camera(spec)
    if spec.startswith("test://"):
        from .synthetic import SyntheticPerson  # late: it loads OpenCV

        return SyntheticPerson.from_url(spec, fps)
    if spec == "-":
        return ThreadedSource(lambda: RawFrames(size, fps or FALLBACK_FPS))
    if spec.startswith((*STREAMS, *WEB)):
        return ThreadedSource(lambda: Video(spec, live=spec.startswith(STREAMS), loop=loop))
    path = Path(spec)
    if path.is_dir():
        return Images(images_in(path), fps or FALLBACK_FPS, loop)
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
