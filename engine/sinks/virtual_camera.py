"""A virtual camera that other programs open, through pyvirtualcam."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from .. import v4l2
from ..contracts import Picture
from ..errors import SinkError
from .frame_size import FALLBACK_FPS, FixedSize
from .readers import OpenWatch, ReaderWatch

log = logging.getLogger("jit_masker")


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
    device : "/dev/video10", "10", or a part of its name; None takes the first one that is free.
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
        self._factory = pyvirtualcam_factory() if factory is None else factory
        self._name = find_output(device) if device is not None else None
        self._size = FixedSize("virtual camera", even=True, cut=True)
        self._camera: Device | None = None
        self._blind = False

    def write(self, picture: Picture) -> None:
        pixels = self._size(picture.bgr)
        try:
            if self._camera is None:
                H, W = pixels.shape[:2]
                self._camera = self._factory(W, H, self._fps, self._name)
            self._camera.send(pixels)
        except (RuntimeError, OSError) as error:  # what pyvirtualcam raises for a device it cannot use
            raise self._error(str(error)) from error

    def open_watch(self) -> ReaderWatch | OpenWatch | None:
        """Who reads it; None while it is not open, or where that cannot be told."""
        device = getattr(self._camera, "device", None)
        if device is None or not sys.platform.startswith("linux"):
            return None
        try:
            return ReaderWatch(device)
        except OSError:  # v4l2loopback before 0.13 has no such event
            pass
        try:
            return OpenWatch(device)
        except OSError as error:
            if not self._blind:
                self._blind = True
                log.warning("nobody tells who reads %s (%s): never asleep", device, error)
            return None

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _error(self, reason: str) -> SinkError:
        return SinkError(f"cannot use the virtual camera {self._name or '(any)'}: {reason}. {_remedy()}")


def find_output(spec: str) -> str:
    """The device that `spec` names: a path, the number of one, or a part of the name of one; elsewhere as it is.

    Raises
    ------
    SinkError
        There is none, or the name fits several; the message says which there are.
    """
    if not sys.platform.startswith("linux"):
        return spec
    path = f"/dev/video{spec}" if spec.isdecimal() else spec
    loopbacks = [device for device in v4l2.devices() if device.is_loopback or device.outputs]
    if path.startswith("/dev/"):
        if os.path.exists(path):
            return path
        fitting = []
    else:
        fitting = [device for device in loopbacks if spec.lower() in device.name.lower()]
    if len(fitting) == 1:
        return fitting[0].path
    there = ", ".join(f"{device.path} ({device.name})" for device in fitting or loopbacks)
    what = "fits several" if fitting else "no such device"
    raise SinkError(f"cannot use the virtual camera {spec}: {what}. " + (f"There is {there}" if there else _remedy()))


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
