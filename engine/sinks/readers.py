"""Who reads a virtual camera: by v4l2loopback's own event, or by who opens the device, where the module is older.

Has no thread; whoever waits here is woken by a change.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from pathlib import Path

from .. import v4l2


class ReaderWatch:
    """Counts the programs that read the loopback at `device`, /dev/videoN. OSError where it does not tell."""

    def __init__(self, device: str):
        self._descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._readers: int | None = None
        self._lost = False
        try:
            v4l2.subscribe_to_readers(self._descriptor)
        except OSError:
            os.close(self._descriptor)
            raise
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLPRI)
        self._update()

    @property
    def watched(self) -> bool | None:
        """Whether anybody reads; None where it cannot be told."""
        return None if self._lost or self._readers is None else self._readers > 0

    def wait(self, timeout: float) -> bool:
        """Wait for a change, at most `timeout` s; whether there was one. One thread at a time."""
        if self._lost:
            time.sleep(timeout)
        if self._lost or not self._poll.poll(timeout * 1e3):
            return False
        before = self._readers
        self._update()
        return self._readers != before

    def _update(self) -> None:
        try:
            while (readers := v4l2.next_readers(self._descriptor)) is not None:
                self._readers = readers
        except OSError:  # the device went away; whoever writes to it says so
            self._lost = True

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        self._lost = True
        if descriptor >= 0:
            os.close(descriptor)


class OpenWatch:
    """Counts who else opens and closes the file at `path`, by inotify(7); likewise.

    A program that only looks what the device can do is counted while it does.
    """

    OPEN, CLOSE = 0x20, 0x08 | 0x10
    EVENT = struct.Struct("iIII")  # watch, what happened, cookie, length of a name: 0 for a file

    def __init__(self, path: str):
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if (
            self._descriptor < 0
            or libc.inotify_add_watch(self._descriptor, os.fsencode(path), self.OPEN | self.CLOSE) < 0
        ):
            error = ctypes.get_errno()
            self.close()
            raise OSError(error, os.strerror(error), path)
        self._others = others_holding(path)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    @property
    def watched(self) -> bool | None:
        """Whether anybody has it open."""
        return self._others > 0

    def wait(self, timeout: float) -> bool:
        """Wait for a change, at most `timeout` s; whether there was one. One thread at a time."""
        if not self._poll.poll(timeout * 1e3) or self._descriptor < 0:
            return False
        before = self._others
        for _, what, _, _ in self.EVENT.iter_unpack(os.read(self._descriptor, 256 * self.EVENT.size)):
            self._others += bool(what & self.OPEN) - bool(what & self.CLOSE)
        self._others = max(self._others, 0)
        return self._others != before

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def others_holding(path: str) -> int:
    """How many other processes of this user have the file at `path` open."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            count += any(os.readlink(link) == path for link in (process / "fd").iterdir())
        except OSError:  # another user's, or it ended
            continue
    return count
