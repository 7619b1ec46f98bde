"""What Linux says of its video devices: who they are, which formats they offer, whether somebody reads a loopback.

Structures and numbers as in linux/videodev2.h, on 64 bits; no library with a permissive licence gives them. Every
function raises OSError where the device or the driver does not answer.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CAPABILITY = struct.Struct("16s32s32sIII12x")  # driver, card, bus, version, capabilities, those of this node
FORMAT = struct.Struct("III32sII12x")  # index, type, flags, description, fourcc, bus code
FRAME_SIZE = struct.Struct("III6I8x")  # index, fourcc, type, and width, height or their ranges
FRAME_INTERVAL = struct.Struct("IIIII6I8x")  # index, fourcc, width, height, type, fractions of a second
SUBSCRIPTION = struct.Struct("III20x")  # type, id, flags
EVENT = struct.Struct("I4x64sII16xI32x4x")  # type, what it says, how many more, sequence, id

DISCRETE = 1  # type of a frame size or interval; 2 and 3 are ranges
CAPTURE, OUTPUT = 0x1, 0x2  # capabilities
DEVICE_CAPS = 0x80000000  # the capabilities of this node are given, too
CAPTURE_BUFFERS = 1  # type of a format
SEND_INITIAL = 1  # flag of a subscription
CLIENT_USAGE = 0x08000000 + 0x08E00000 + 1  # v4l2loopback's event: how many read


def _number(direction: int, index: int, size: int) -> int:
    """An ioctl of 'V': direction 1 writes, 2 reads, 3 does both, as seen from the program."""
    return direction << 30 | size << 16 | ord("V") << 8 | index


QUERYCAP = _number(2, 0, CAPABILITY.size)
ENUM_FMT = _number(3, 2, FORMAT.size)
ENUM_FRAMESIZES = _number(3, 74, FRAME_SIZE.size)
ENUM_FRAMEINTERVALS = _number(3, 75, FRAME_INTERVAL.size)
DQEVENT = _number(2, 89, EVENT.size)
SUBSCRIBE_EVENT = _number(1, 90, SUBSCRIPTION.size)


@dataclass(frozen=True)
class Mode:
    """One way in which a device gives pictures."""

    fourcc: str  # "YUYV", "MJPG" …
    width: int
    height: int
    fps: float  # the highest, frames per second


@dataclass(frozen=True)
class Device:
    """A video device, as its driver describes it."""

    path: str  # /dev/videoN
    name: str
    driver: str
    bus: str
    captures: bool
    outputs: bool

    @property
    def is_loopback(self) -> bool:
        """Whether it is a virtual camera of v4l2loopback."""
        return self.driver == "v4l2 loopback"


def describe(path: str) -> Device:
    """Who the device at `path` is."""
    with _opened(path) as descriptor:
        buffer = bytearray(CAPABILITY.size)
        fcntl.ioctl(descriptor, QUERYCAP, buffer)
    driver, card, bus, _, all_of_it, of_node = CAPABILITY.unpack(buffer)
    capabilities = of_node if all_of_it & DEVICE_CAPS else all_of_it
    return Device(
        path, _text(card), _text(driver), _text(bus), bool(capabilities & CAPTURE), bool(capabilities & OUTPUT)
    )


def devices(folder: str = "/dev") -> list[Device]:
    """All that answer, by number."""
    paths = [path for path in Path(folder).glob("video*") if path.name[5:].isdecimal()]
    found = []
    for path in sorted(paths, key=lambda path: int(path.name[5:])):
        try:
            found.append(describe(str(path)))
        except OSError:  # no permission, or it went away
            continue
    return found


def modes(path: str, within: tuple[int, int] = (1280, 720)) -> list[Mode]:
    """The ways in which the device at `path` gives pictures; of a range of sizes, the largest up to `within` (W, H)."""
    found = []
    with _opened(path) as descriptor:
        for entry in _enumerated(descriptor, ENUM_FMT, FORMAT, (CAPTURE_BUFFERS, 0, bytes(32), 0, 0)):
            code = entry[4]
            fourcc = struct.pack("<I", code).decode("latin-1").strip()
            for size in _enumerated(descriptor, ENUM_FRAMESIZES, FRAME_SIZE, (code, 0, *[0] * 6)):
                width, height = size[3:5] if size[2] == DISCRETE else _within(size[3:9], within)
                found.append(Mode(fourcc, width, height, _highest_rate(descriptor, code, width, height)))
    return found


def _within(ranges: tuple[int, ...], limit: tuple[int, int]) -> tuple[int, int]:
    min_width, max_width, _, min_height, max_height, _ = ranges
    return min(max(limit[0], min_width), max_width), min(max(limit[1], min_height), max_height)


def _highest_rate(descriptor: int, code: int, width: int, height: int) -> float:
    rates = [0.0]
    for entry in _enumerated(descriptor, ENUM_FRAMEINTERVALS, FRAME_INTERVAL, (code, width, height, 0, *[0] * 6)):
        seconds, parts = entry[5], entry[6]  # of the only one, or of the shortest
        rates.append(parts / seconds if seconds else 0.0)
    return round(max(rates), 2)


def _enumerated(
    descriptor: int, number: int, layout: struct.Struct, rest: tuple[object, ...]
) -> Iterator[tuple[Any, ...]]:
    """The entries of a list that a driver gives one by one; none where it has no such list."""
    for index in range(256):
        buffer = bytearray(layout.pack(index, *rest))
        try:
            fcntl.ioctl(descriptor, number, buffer)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return
            raise
        entry = layout.unpack(buffer)
        yield entry
        if layout is not FORMAT and entry[2 if layout is FRAME_SIZE else 4] != DISCRETE:
            return


def subscribe_to_readers(descriptor: int) -> None:
    """From now on the open loopback tells, as an event, how many read it: at once, and when that changes."""
    fcntl.ioctl(descriptor, SUBSCRIBE_EVENT, SUBSCRIPTION.pack(CLIENT_USAGE, 0, SEND_INITIAL))


def next_readers(descriptor: int) -> int | None:
    """How many read, as the next event says; None where no event waits (the descriptor must not block)."""
    buffer = bytearray(EVENT.size)
    try:
        fcntl.ioctl(descriptor, DQEVENT, buffer)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EAGAIN):
            return None
        raise
    return int.from_bytes(EVENT.unpack(buffer)[1][:4], "little")


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


@contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
