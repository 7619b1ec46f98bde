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

from ..contracts import Frame
from ..errors import SourceError
from ..mailboxes import LatestSlot
from ..pixels import as_bgr

FRAME_TIMEOUT_S = 5.0  # s without a new frame
SAMPLE_STRIDE = 7  # pixels; a frame counts as new if any of these differs: sensors are never that quiet


class Capture(Protocol):
    """What is used of cv2.VideoCapture."""

    def isOpened(self) -> bool: ...  # noqa: N802 (OpenCV's name)
    def read(self) -> tuple[bool, Any]: ...
    def get(self, property_id: int) -> float: ...
    def release(self) -> None: ...


class Camera:
    """A live source. `device` is a number, or a path such as /dev/video2.

    A frame's index counts the new frames that the device gave since the first one taken here: a gap is what came while
    nobody looked. `captured_at` is when the device gave it; an image that repeats the one before is no new frame.
    """

    live = True
    frames: int | None = None
    sound: str | None = None

    def __init__(self, device: str, timeout: float = FRAME_TIMEOUT_S, factory: Callable[[str], Capture] | None = None):
        self._device, self._timeout = device, timeout
        self._factory = factory or open_capture
        self._slot: LatestSlot[Frame] = LatestSlot()
        self._closed = threading.Event()
        self._error: Exception | None = None  # what ended the camera's thread
        opened: LatestSlot[float] = LatestSlot()
        threading.Thread(target=self._work, args=(opened,), name="camera", daemon=True).start()
        fps = None
        try:
            fps = opened.take(timeout)
        finally:
            if fps is None:  # a device that opens after all is let go at once
                self.close()
        if fps is None:
            late = f"camera {device} did not open within {timeout:g} s; unplug it and plug it in again"
            raise SourceError(str(self._error or late)) from self._error
        self.fps = fps

    def _work(self, opened: LatestSlot[float]) -> None:
        """The camera's own thread: opens, asks, reads, releases; may hang in any of the four."""
        capture = None
        try:
            capture = self._factory(self._device)
            opened.put(max(0.0, float(capture.get(5))))  # cv2.CAP_PROP_FPS; 0 or NaN where the driver does not know
            self._read(capture)
        except Exception as error:
            self._error = error
        finally:
            opened.close()
            self._slot.close()
            if capture is not None:
                capture.release()

    def _read(self, capture: Capture) -> None:
        index, last = 0, None
        while not self._closed.is_set():
            good, image = capture.read()
            now = time.perf_counter()
            if good and image is not None and (last is None or _differs(image, last)):
                self._slot.put(Frame(as_bgr(image), index, now, now))
                index, last = index + 1, image
            else:
                self._closed.wait(0.01)  # a lost camera answers at once, again and again

    def __iter__(self) -> Iterator[Frame]:
        first = None
        while (frame := self._slot.take(self._timeout)) is not None and not self._closed.is_set():
            first = first or frame
            position = frame.captured_at - first.captured_at
            yield Frame(frame.bgr, frame.index - first.index, frame.captured_at, position)
        if self._closed.is_set():
            return
        if self._error is not None:
            raise SourceError(f"camera {self._device} failed: {self._error}; plug it in again") from self._error
        raise SourceError(
            f"camera {self._device} gave no new frame for {self._timeout:g} s; plug it in again, uncover it, and close "
            "other programs that use it"
        )

    def close(self) -> None:
        """Whoever waits for a frame goes on; the device is released after the read that is under way."""
        self._closed.set()
        self._slot.close()


def _differs(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape != b.shape or not np.array_equal(
        a[::SAMPLE_STRIDE, ::SAMPLE_STRIDE], b[::SAMPLE_STRIDE, ::SAMPLE_STRIDE]
    )


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
