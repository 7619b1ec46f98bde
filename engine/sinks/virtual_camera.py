"""A virtual camera that other programs open, through pyvirtualcam."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..contracts import Picture
from ..errors import SinkError
from .frame_size import FALLBACK_FPS, FixedSize


class Device(Protocol):
    """The part of pyvirtualcam.Camera that is used."""

    def send(self, frame: np.ndarray) -> None: ...

    def close(self) -> None: ...


CameraFactory = Callable[[int, int, float, str | None], Device]  # width, height, fps, device


class VirtualCamera:
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

    needs_alpha = False
    wanted = True

    def __init__(self, fps: float, device: str | None = None, factory: CameraFactory | None = None) -> None:
        self._fps = fps if fps > 0 else FALLBACK_FPS
        self._name = device
        self._factory = pyvirtualcam_factory() if factory is None else factory
        self._size = FixedSize("virtual camera", even=True)
        self._camera: Device | None = None
        if device is not None and device.startswith("/dev/") and not os.path.exists(device):
            raise self._error("no such device")

    def write(self, picture: Picture) -> None:
        pixels = self._size(picture.bgr)
        try:
            if self._camera is None:
                H, W = pixels.shape[:2]
                self._camera = self._factory(W, H, self._fps, self._name)
            self._camera.send(pixels)
        except (RuntimeError, OSError) as error:  # what pyvirtualcam raises for a device it cannot use
            raise self._error(str(error)) from error

    def open_watch(self) -> Any:
        """Who reads it; None while it is not open."""
        return None

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _error(self, reason: str) -> SinkError:
        return SinkError(f"cannot use the virtual camera {self._name or '(any)'}: {reason}. {_remedy()}")


def _remedy() -> str:
    if sys.platform.startswith("linux"):
        return "Make one: sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=jit-masker"
    return "Install OBS Studio and start its virtual camera once"


def pyvirtualcam_factory() -> CameraFactory:
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
