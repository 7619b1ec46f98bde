"""Where pictures go: `open_sink` turns what a user asks for into a Sink. Knows nothing about masks and threads.

Every sink has, beside what `contracts.Sink` asks, `wanted`: False once nobody looks any more (the window was closed,
the reader of the pipe went away). Whoever writes stops then; it is no error. Files are in `recording.py`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Protocol

import numpy as np

from ..contracts import Picture, Sink
from ..errors import SinkError, UsageError
from .containers import CONTAINERS
from .video_file import FALLBACK_FPS, AlphaFile, SteadySize, VideoFile, with_alpha

__all__ = ["AlphaFile", "Camera", "Null", "Stdout", "VideoFile", "VirtualCamera", "Window", "open_sink"]

TITLE = "jit-masker"
QUIT_KEYS = (ord("q"), ord("Q"), 27)  # 27 = Esc

POSSIBLE = f"window, camera, camera:DEVICE, -, null, or a file ({', '.join(CONTAINERS)})"


def open_sink(spec: str, *, fps: float, sound: str | None = None, transparent: bool = False, threads: int = 1) -> Sink:
    """The sink that `spec` names.

    Parameters
    ----------
    spec : "window", "camera", "camera:DEVICE", "-" (raw frames to stdout), "null", or a path (.mp4, .mkv, .webm).
    fps : frames per second, 0 if unknown.
    sound : path of a file whose sound goes into the file that is written; other sinks have no sound.
    transparent : keep alpha; `Picture.bgr` is then the straight colour, not blended over anything.
    threads : of the encoder.

    Raises
    ------
    UsageError
        An unknown `spec`, or alpha into something that cannot hold it.
    SinkError
        It cannot be opened here.
    """
    if spec == "-":
        return Stdout(transparent=transparent)
    if spec == "null":
        return Null(transparent=transparent)
    kind, _, device = spec.partition(":")
    if kind in ("window", "camera") and transparent:
        raise UsageError(f"a {kind} cannot show alpha; choose a background, or write to .webm, .mkv or -")
    if spec == "window":
        return Window()
    if kind == "camera":
        return Camera(fps, device or None)
    if os.path.splitext(spec)[1].lower() in CONTAINERS:
        return VideoFile(spec, fps, sound, transparent, threads)
    raise UsageError(f"cannot write to {spec!r}: unknown output; choose one of {POSSIBLE}")


class Null:
    """Sink that only counts. For measurements, and for running without a picture."""

    live = False
    wanted = True

    def __init__(self, transparent: bool = False) -> None:
        self.needs_alpha = transparent
        self.pictures = 0  # written so far

    def write(self, picture: Picture) -> None:
        self.pictures += 1

    def close(self) -> None:
        pass


class Stdout:
    """Sink: raw frames one after the other, BGR24 (BGRA, straight, when transparent), all of the first one's size.

    `stream` is where to; stdout when None. A reader that goes away makes `wanted` False.
    """

    live = False

    def __init__(self, stream: BinaryIO | None = None, transparent: bool = False) -> None:
        self.needs_alpha = transparent
        self.wanted = True
        self._stream = sys.stdout.buffer if stream is None else stream
        self._size = SteadySize("stdout")
        self._bgra: np.ndarray | None = None

    def write(self, picture: Picture) -> None:
        if not self.wanted:
            return
        if self.needs_alpha:
            pixels = self._bgra = with_alpha(picture, self._bgra)
        else:
            pixels = picture.bgr
        try:
            self._stream.write(self._size(pixels).data)
            self._stream.flush()
        except BrokenPipeError:
            self.wanted = False
            self._discard_the_rest()
        except OSError as error:
            raise SinkError(f"cannot write to stdout: {error.strerror}; check where it is redirected to") from error

    def close(self) -> None:
        """Leaves the stream open: whoever opened it closes it."""

    def _discard_the_rest(self) -> None:
        """Python flushes stdout once more at exit, and would print a traceback about the same closed pipe."""
        if self._stream is sys.stdout.buffer:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class Window:
    """Sink: a window on the desktop. `q`, Esc or closing it makes `wanted` False. Used from one thread, as OpenCV asks.

    `environ` is where the display is named.
    """

    live = True
    needs_alpha = False

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        # Before OpenCV is asked: without a display Qt ends the process instead of raising.
        if sys.platform.startswith("linux") and not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
            raise SinkError("cannot open a window: no display; set DISPLAY, or use --output FILE or --headless")
        import cv2

        self._cv2 = cv2
        self._sized = False
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise SinkError(
                "cannot open a window: this OpenCV has none; "
                "pip uninstall opencv-python-headless and pip install opencv-python, "
                "or use --output FILE or --headless"
            ) from error
        self.wanted = True

    def write(self, picture: Picture) -> None:
        if not self.wanted:
            return
        cv2 = self._cv2
        if not self._sized:
            H, W = picture.bgr.shape[:2]
            cv2.resizeWindow(TITLE, W, H)
            self._sized = True
        cv2.imshow(TITLE, picture.bgr)
        # waitKey also draws. A window that was closed is no longer visible, and imshow would open it again.
        if (cv2.waitKey(1) & 0xFF) in QUIT_KEYS or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            self.close()

    def close(self) -> None:
        if not self.wanted:
            return
        self.wanted = False
        try:
            self._cv2.destroyWindow(TITLE)
        except self._cv2.error:
            return  # the user was faster


class VirtualCamera(Protocol):
    """The part of pyvirtualcam.Camera that is used."""

    def send(self, frame: np.ndarray) -> None: ...

    def close(self) -> None: ...


CameraFactory = Callable[[int, int, float, str | None], VirtualCamera]  # width, height, fps, device


class Camera:
    """Sink: a virtual camera that other programs open. It has the first picture's size, made even.

    Parameters
    ----------
    fps : frames per second it announces; 30 where unknown (0).
    device : "/dev/video10"; None takes the first one that is free.
    factory : makes the camera once the size is known; pyvirtualcam's when None.

    Raises
    ------
    SinkError
        pyvirtualcam is missing, or there is no such device; the latter also from the first `write`.
    """

    live = True
    needs_alpha = False
    wanted = True

    def __init__(self, fps: float, device: str | None = None, factory: CameraFactory | None = None) -> None:
        self._fps = fps if fps > 0 else FALLBACK_FPS
        self._device = device
        self._factory = _pyvirtualcam() if factory is None else factory
        self._size = SteadySize("virtual camera", even=True)
        self._camera: VirtualCamera | None = None
        if device is not None and device.startswith("/dev/") and not os.path.exists(device):
            raise self._lost("no such device")

    def write(self, picture: Picture) -> None:
        pixels = self._size(picture.bgr)
        try:
            if self._camera is None:
                H, W = pixels.shape[:2]
                self._camera = self._factory(W, H, self._fps, self._device)
            self._camera.send(pixels)
        except (RuntimeError, OSError) as error:  # what pyvirtualcam raises for a device it cannot use
            raise self._lost(str(error)) from error

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _lost(self, reason: str) -> SinkError:
        return SinkError(f"cannot use the virtual camera {self._device or '(any)'}: {reason}. {_camera_remedy()}")


def _camera_remedy() -> str:
    if sys.platform.startswith("linux"):
        return "Make one: sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=jit-masker"
    return "Install OBS Studio and start its virtual camera once"


def _pyvirtualcam() -> CameraFactory:
    try:
        import pyvirtualcam
    except ImportError as error:
        raise SinkError(
            'the virtual camera needs pyvirtualcam, which is not here; pip install "jit-masker[virtualcam]"'
        ) from error

    def make(width: int, height: int, fps: float, device: str | None) -> Any:
        fmt = pyvirtualcam.PixelFormat.BGR
        return pyvirtualcam.Camera(width=width, height=height, fps=fps, fmt=fmt, device=device)

    return make
