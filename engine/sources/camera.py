"""A camera, through OpenCV in a guarded thread. Knows nothing about files.

OpenCV's capture can block for ever, or return the same stale frame for ever, once a camera is unplugged (opencv#5221,
#4468). So nobody but a daemon thread touches it, and a camera without a new frame for a while counts as lost. A frame
is new where the driver's time of it is, or else its pixels: so a still picture is no loss where the driver has a clock.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from .. import v4l2
from ..contracts import Frame, Origin
from ..errors import SourceError
from ..mailboxes import LatestSlot
from ..pixels import as_bgr
from ..v4l2 import Mode
from . import devices
from .devices import CameraWish

log = logging.getLogger("jit_masker")

FRAME_TIMEOUT_S = 5.0  # s without a new frame; a slow camera takes as long for its first
REFUSED_S = 1.0  # s in which every read failed at once: it is gone
READ_TIMEOUT_MS = 1000  # of one read, where OpenCV can be told
POSITION, WIDTH, HEIGHT, FPS, FOURCC, READ_TIMEOUT = 0, 3, 4, 5, 6, 54  # cv2.CAP_PROP_…; POSITION: of a frame, ms
SAMPLE_STRIDE = 7  # pixels; a frame counts as new if any of these differs: sensors are never that quiet


class Capture(Protocol):
    """What is used of cv2.VideoCapture."""

    def isOpened(self) -> bool: ...  # noqa: N802 (OpenCV's name)
    def read(self) -> tuple[bool, Any]: ...
    def get(self, property_id: int) -> float: ...
    def set(self, property_id: int, value: float) -> bool: ...
    def release(self) -> None: ...


class Camera:
    """A live source. `device` is a number, or a path such as /dev/video2; `wish` says how its pictures are to come.

    A frame's index counts the new frames that the device gave since the first one taken here: a gap is what came while
    nobody looked. `captured_at` is when the device gave it; an image that repeats the one before is no new frame.
    """

    live = True
    frames: int | None = None
    origin = Origin()

    def __init__(
        self,
        device: str,
        wish: CameraWish | None = None,
        timeout: float = FRAME_TIMEOUT_S,
        factory: Callable[[str], Capture] | None = None,
    ):
        self._device, self._timeout = device, timeout
        self._factory = factory or functools.partial(open_capture, wish=wish or CameraWish())
        self.format = ""  # as the camera says it was opened: "1280x720 30 fps YUYV"
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
            self.format = in_words(capture)
            log.info("camera %s: %s", self._device, self.format)
            opened.put(max(0.0, float(capture.get(FPS))))  # 0 or NaN where the driver does not know
            self._read(capture)
        except Exception as error:
            self._error = error
        finally:
            opened.close()
            self._slot.close()
            if capture is not None:
                capture.release()

    def _read(self, capture: Capture) -> None:
        index, last, last_stamp = 0, None, None
        refused_since = None  # s, from when every read failed
        while not self._closed.is_set():
            good, image = capture.read()
            now = time.perf_counter()
            if good and image is not None:
                refused_since, stamp = None, capture.get(POSITION)
                if stamp != last_stamp or last is None or _differs(image, last):
                    self._slot.put(Frame(as_bgr(image), index, now, now))
                    index, last, last_stamp = index + 1, image, stamp
                    continue
            else:
                refused_since = refused_since or now
                if now - refused_since > min(REFUSED_S, self._timeout / 2):
                    raise SourceError(f"it refused every read for {now - refused_since:.1f} s")
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


def open_capture(device: str, wish: CameraWish) -> Capture:
    """cv2.VideoCapture of `device`, asked for what is wished; SourceError with what is wrong and what to do."""
    import cv2

    mode, api = None, cv2.CAP_ANY
    if sys.platform.startswith("linux"):
        path = f"/dev/video{device}" if device.isdigit() else device
        devices.check_device(path)
        mode, api = devices.choose(_offered(path), wish), cv2.CAP_V4L2
    previous = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our message says it better
    try:
        capture = cv2.VideoCapture(int(device) if device.isdigit() else device, api)
    finally:
        cv2.utils.logging.setLogLevel(previous)
    if not capture.isOpened():
        raise SourceError(f"camera {device} cannot be opened; close other programs that use it, or try another number")
    capture.set(READ_TIMEOUT, READ_TIMEOUT_MS)
    fourcc = mode.fourcc if mode is not None else devices.FORMATS.get(wish.format)
    if fourcc is not None:
        capture.set(FOURCC, cv2.VideoWriter.fourcc(*fourcc))
    size = (mode.width, mode.height) if mode is not None else wish.size or devices.MAX_SIZE
    for prop, value in (
        (WIDTH, size[0]),
        (HEIGHT, size[1]),
        (FPS, mode.fps if mode else wish.fps or devices.USUAL_FPS),
    ):
        capture.set(prop, value)
    got, rate = (int(capture.get(WIDTH)), int(capture.get(HEIGHT))), capture.get(FPS)
    if (wish.size is not None and got != wish.size) or (wish.fps is not None and 0 < rate < wish.fps - 0.5):
        capture.release()
        raise SourceError(
            f"camera {device} gives {got[0]}x{got[1]} at {rate:g} fps, which is not what was asked for; "
            "jm-engine cameras lists what it offers"
        )
    return capture


def _offered(path: str) -> list[Mode]:
    try:
        return v4l2.modes(path)
    except OSError:  # OpenCV's own attempt says why it cannot be opened
        return []


def in_words(capture: Capture) -> str:
    """How an open camera says that it gives pictures."""
    code = int(capture.get(FOURCC)) & 0xFFFFFFFF
    fourcc = code.to_bytes(4, "little").decode("latin-1").strip("\0 ")
    return f"{capture.get(WIDTH):g}x{capture.get(HEIGHT):g} {capture.get(FPS):g} fps {fourcc}".strip()
