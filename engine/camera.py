"""A camera, through OpenCV in a guarded thread. Knows nothing about files.

OpenCV's capture can block for ever, or return the same stale frame for ever, once a camera is unplugged (opencv#5221,
#4468). So nobody but a daemon thread touches it, and a camera without a new frame for a while counts as lost.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from .contracts import Frame
from .errors import SourceError
from .pixels import as_bgr
from .slot import LatestSlot

TIMEOUT = 5.0  # s without a new frame
STRIDE = 7  # pixels; a frame counts as new if any of these differs: sensors are never that quiet


class Capture(Protocol):
    """What is used of cv2.VideoCapture."""

    def isOpened(self) -> bool: ...  # noqa: N802 (OpenCV's name)
    def read(self) -> tuple[bool, Any]: ...
    def get(self, property_id: int) -> float: ...
    def release(self) -> None: ...


class Camera:
    """A live source. `device` is a number, or a path such as /dev/video2."""

    live = True
    frames: int | None = None
    sound: str | None = None

    def __init__(self, device: str, timeout: float = TIMEOUT, factory: Callable[[str], Capture] | None = None):
        self._device, self._timeout = device, timeout
        self._slot: LatestSlot[np.ndarray] = LatestSlot()
        self._closed = threading.Event()
        opened: LatestSlot[Capture | Exception] = LatestSlot()
        self._factory = factory or open_capture
        self._thread = threading.Thread(target=self._serve, args=(opened,), name="camera", daemon=True)
        self._thread.start()
        capture = opened.take(timeout)
        if capture is None:
            raise SourceError(f"camera {device} did not open within {timeout:g} s; unplug it and plug it in again")
        if isinstance(capture, Exception):
            raise SourceError(str(capture)) from capture
        self.fps = max(0.0, float(capture.get(5)))  # cv2.CAP_PROP_FPS

    def _serve(self, opened: LatestSlot[Capture | Exception]) -> None:
        """The camera's own thread: opens, reads, releases; may hang in any of the three."""
        try:
            capture = self._factory(self._device)
        except Exception as error:
            opened.put(error)
            return
        opened.put(capture)
        try:
            while not self._closed.is_set():
                good, image = capture.read()
                if good and image is not None:
                    self._slot.put(image)
                else:
                    self._closed.wait(0.01)  # a lost camera answers at once, again and again
        finally:
            self._slot.close()
            capture.release()

    def __iter__(self) -> Iterator[Frame]:
        index, began, last = 0, time.perf_counter(), None
        newest_at = began
        while not self._closed.is_set():
            image = self._slot.take(timeout=min(0.1, self._timeout))
            now = time.perf_counter()
            if image is not None and (last is None or _differs(image, last)):
                last, newest_at = image, now
                yield Frame(as_bgr(image), index, now, now - began)
                index += 1
            elif now - newest_at > self._timeout:
                raise SourceError(
                    f"camera {self._device} gave no new frame for {self._timeout:g} s; plug it in again, and close "
                    "other programs that use it"
                )

    def close(self) -> None:
        self._closed.set()


def _differs(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape != b.shape or not np.array_equal(a[::STRIDE, ::STRIDE], b[::STRIDE, ::STRIDE])


def open_capture(device: str) -> Capture:
    """cv2.VideoCapture of `device`, or SourceError with what is wrong and what to do."""
    import cv2

    if sys.platform.startswith("linux"):
        _check_device(f"/dev/video{device}" if device.isdigit() else device)
    previous = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our message says it better
    try:
        capture = cv2.VideoCapture(int(device) if device.isdigit() else device)
    finally:
        cv2.utils.logging.setLogLevel(previous)
    if not capture.isOpened():
        raise SourceError(f"camera {device} cannot be opened; close other programs that use it, or try another number")
    return capture


def _check_device(path: str) -> None:
    if not os.path.exists(path):
        others = sorted(f"/dev/{name}" for name in os.listdir("/dev") if name.startswith("video"))
        remedy = f"there are {', '.join(others)}" if others else "no camera is connected; plug one in, or give a file"
        raise SourceError(f"no camera {path}; {remedy}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceError(f"cannot open {path}: permission denied. Add yourself to the 'video' group and log in again.")
