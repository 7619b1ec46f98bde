"""A source that can hang, in a thread that may be left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from ..contracts import Frame, Source
from ..mailboxes import LatestSlot, LosslessSlot

POLL_INTERVAL_S = 0.2  # between two checks whether it is over, while nothing comes

T = TypeVar("T")


class ThreadedSource:
    """A source that can hang, opened and read in threads of its own: whoever waits here goes on when it is closed.

    Loses no frame: the thread waits until one is taken. Once closed it ends with the read that it is in, which nobody
    waits for: a stream's ends within READ_TIMEOUT_S, a pipe's with the next bytes or with the pipe.
    """

    def __init__(self, open_it: Callable[[], Source]):
        (self._source,) = _in_a_thread(lambda: [open_it()], LosslessSlot())
        source, self._closed = self._source, False
        self.live, self.fps, self.frames, self.origin = source.live, source.fps, source.frames, source.origin
        self._frames: LosslessSlot[Frame] = LosslessSlot()

    def __iter__(self) -> Iterator[Frame]:
        for frame in _in_a_thread(lambda: self._source, self._frames):
            if self._closed:
                return
            yield frame

    def close(self) -> None:
        self._closed = True
        self._source.close()
        self._frames.close()


def _in_a_thread(items: Callable[[], Iterable[T]], slot: LosslessSlot[T]) -> Iterator[T]:
    """What `items()` gives, through `slot` from a thread that is left behind when the slot is closed."""
    errors: list[Exception] = []

    def work() -> None:
        try:
            for item in items():
                if slot.put(item) is not None:  # closed
                    return
        except Exception as error:
            errors.append(error)
        finally:
            slot.close()

    threading.Thread(target=work, name="source", daemon=True).start()
    try:
        while (item := _wait(slot)) is not None:
            yield item
    finally:
        slot.close()  # whoever iterated went away: what comes later is not kept
    if errors:
        raise errors[0]


def _wait(slot: LatestSlot[T]) -> T | None:
    """The next item; None once the slot is closed and empty.

    Looks up now and then: a signal handler that closes the slot may run between the check and the sleep of this thread.
    """
    while True:
        over = slot.closed  # asked first: what was put before the end is still taken
        if (item := slot.take(POLL_INTERVAL_S)) is not None or over:
            return item
