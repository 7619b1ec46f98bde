"""Which camera is meant, and where it is now: a number says little once it was unplugged. Opens no stream.

On Linux a camera is known by its link in /dev/v4l/by-id, else by its bus and name; elsewhere by its number alone.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from .. import v4l2
from ..errors import SourceError
from ..v4l2 import Device, Mode

BY_ID = "/dev/v4l/by-id"  # links named by maker and serial number
MAX_SIZE = (1280, 720)  # W, H, where no size is asked for: more costs more than it shows in a call
USUAL_FPS = 30.0
FORMATS = {"yuyv": "YUYV", "mjpeg": "MJPG"}


@dataclass(frozen=True)
class CameraWish:
    """How pictures are to come from a camera; None and "auto": as is best."""

    size: tuple[int, int] | None = None  # (W, H), pixels
    fps: float | None = None  # frames per second
    format: str = "auto"  # or a name in FORMATS


def choose(offered: list[Mode], wish: CameraWish) -> Mode | None:
    """The way to open a camera: what was wished for; else the largest up to 1280x720 that reaches 30 per second, as
    YUYV where that does, because it is not to be decoded. None: it tells of none that is known here.

    Raises
    ------
    SourceError
        A size, rate or format was wished for and is not offered.
    """
    known = [mode for mode in offered if mode.fourcc in FORMATS.values()]
    fitting = [
        mode for mode in known if wish.format in ("auto", next(k for k, v in FORMATS.items() if v == mode.fourcc))
    ]
    if wish.size is not None:
        fitting = [mode for mode in fitting if (mode.width, mode.height) == wish.size]
    else:
        within = [mode for mode in fitting if mode.width <= MAX_SIZE[0] and mode.height <= MAX_SIZE[1]]
        fitting = within or fitting
    if wish.fps is not None:
        fitting = [mode for mode in fitting if not mode.fps or mode.fps >= wish.fps - 0.1]
    wished = wish != CameraWish()
    if not fitting and wished and offered and (known or wish.format != "auto"):
        raise SourceError(f"the camera has no {_in_words(wish)}; it offers {in_words(known or offered)}")
    fps = wish.fps or USUAL_FPS
    best = max(
        fitting,
        key=lambda mode: (min(mode.fps, fps), mode.width * mode.height, mode.fourcc == "YUYV"),
        default=None,
    )
    return best and Mode(best.fourcc, best.width, best.height, min(best.fps, fps) if best.fps else fps)


def in_words(modes: list[Mode]) -> str:
    """Sizes, each with its formats and highest rates."""
    sizes: dict[tuple[int, int], list[str]] = {}
    for mode in sorted(modes, key=lambda mode: -mode.width * mode.height):
        name = next((name for name, code in FORMATS.items() if code == mode.fourcc), mode.fourcc)
        sizes.setdefault((mode.width, mode.height), []).append(f"{name} {mode.fps:g}")
    return "; ".join(f"{w}x{h} ({', '.join(rates)} fps)" for (w, h), rates in sizes.items())


def _in_words(wish: CameraWish) -> str:
    size = f"{wish.size[0]}x{wish.size[1]}" if wish.size else "picture"
    rate = f" at {wish.fps:g} fps" if wish.fps else ""
    return f"{size}{rate}" + (f" as {wish.format}" if wish.format != "auto" else "")


class RememberedCamera:
    """A camera that a user named by number, path or a part of its name, and that is found again where it went."""

    def __init__(self, spec: str):
        self._spec = spec
        self._identity: tuple[str | None, str, str] | None = None  # stable link, bus, name

    def locate(self) -> str:
        """The device that it is now: /dev/videoN, on Linux; elsewhere as it was named.

        Raises
        ------
        SourceError
            It is not there, or the name fits several; the message says what is.
        """
        if not sys.platform.startswith("linux"):
            return self._spec
        there = [device for device in v4l2.devices() if device.captures]
        device = self._named(there) if self._identity is None else self._again(there)
        self._identity = identity(device)
        return device.path

    def _named(self, there: list[Device]) -> Device:
        spec = self._spec
        path = f"/dev/video{spec}" if spec.isdecimal() else spec
        if path.startswith("/dev/"):
            check_device(path)
            real = os.path.realpath(path)
            return next((device for device in there if device.path == real), None) or v4l2.describe(real)
        fitting = [device for device in there if spec.lower() in device.name.lower() and not device.is_loopback]
        if len(fitting) != 1:
            what = "fits several cameras" if fitting else "is no camera that is here"
            raise SourceError(f"{spec!r} {what}; {listed(fitting or there)}")
        return fitting[0]

    def _again(self, there: list[Device]) -> Device:
        assert self._identity is not None
        link, bus, name = self._identity
        if link is not None:  # two of one make differ in their serial numbers alone
            fitting = [device for device in there if stable_link(device.path) == link]
        else:
            fitting = [device for device in there if (device.bus, device.name) == (bus, name)]
        if fitting:
            return fitting[0]
        raise SourceError(f"camera {name!r} is not connected; {listed(there)}")


def identity(device: Device) -> tuple[str | None, str, str]:
    """What a camera is known by when it comes back."""
    return stable_link(device.path), device.bus, device.name


def stable_link(path: str) -> str | None:
    """The link that names the device at `path` by its maker and serial number; None without one."""
    links = sorted(Path(BY_ID).glob("*"))
    return next((str(link) for link in links if os.path.realpath(link) == path), None)


def listed(devices: list[Device]) -> str:
    """What is there, for a message."""
    cameras = [f"{device.path} ({device.name})" for device in devices if not device.is_loopback]
    return f"there are {', '.join(cameras)}" if cameras else "no camera is connected; plug one in, or give a file"


def check_device(path: str) -> None:
    """SourceError where there is no device at `path`, or this user may not open it."""
    if not os.path.exists(path):
        raise SourceError(f"no camera {path}; {listed([device for device in v4l2.devices() if device.captures])}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceError(f"cannot open {path}: permission denied. Add yourself to the 'video' group and log in again.")
