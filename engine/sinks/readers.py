"""Who reads a virtual camera: by v4l2loopback's own event. Has no thread; whoever waits here is woken by a change."""

from __future__ import annotations

import os
import select
import time

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
