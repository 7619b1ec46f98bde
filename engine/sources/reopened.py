"""A live source that comes back: opened again after it was lost, and released while nobody watches.

Knows nothing about what it opens: a camera that returned under another number is found by whoever opens it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator

from ..contracts import Frame, Origin, PaintState, Source
from ..errors import SourceError

log = logging.getLogger("jit_masker")

FIRST_DELAY_S, MAX_DELAY_S = 0.25, 4.0  # between two attempts; doubled each time
STABLE_S = 10.0  # of frames: what is lost after that is a new loss, told and tried anew from the first delay


def delay(attempt: int) -> float:
    """How long to wait (s) before an attempt, counted from 0."""
    return min(FIRST_DELAY_S * 2.0 ** min(attempt, 10), MAX_DELAY_S)


class ReopenedSource:
    """Live source: what `open_it` gives, again and again; frames are numbered on, their positions keep to the clock.

    Parameters
    ----------
    open_it : opens the source, or raises SourceError.
    first : what it gave already; None where it is not there yet.
    patience : s without a frame after which a loss is final; `math.inf`: never.
    """

    live = True
    frames: int | None = None

    def __init__(self, open_it: Callable[[], Source], first: Source | None, patience: float = math.inf):
        self.absence: PaintState | None = PaintState.LOST if first is None else None
        self.fps = first.fps if first is not None else 0.0
        self.format = getattr(first, "format", "")  # of a camera, as it was opened last: "1280x720 30 fps mjpeg"
        self.origin = Origin(unheard=first.origin.unheard if first is not None else None)
        self.losses = 0
        self._open_it, self._patience = open_it, patience
        self._source = first
        self._asleep = self._closed = False
        self._wakenings = 0
        self._changed = threading.Condition()  # guards the three above; never held while a source is opened or read
        self._began = time.perf_counter()
        self._index, self._position, self._attempt = -1, 0.0, 0
        self._came = self._stable_from = self._began  # s: the last frame or the last wakening; the last return

    def __iter__(self) -> Iterator[Frame]:
        while self._wait_until_wanted():
            wakenings = self._wakenings
            try:
                yield from self._frames()
                failure = SourceError("the source ended")
            except SourceError as error:
                failure = SourceError(str(error))  # without its traceback, which would keep the connection alive
            self._release()
            if (
                not self._closed and not self._asleep and self._wakenings == wakenings
            ):  # else it was released on purpose
                self._lose(failure)
                self._pause(delay(self._attempt))
                self._attempt += 1

    def _wait_until_wanted(self) -> bool:
        """False once it is closed; waits while it sleeps."""
        with self._changed:
            if self._asleep:
                self._changed.wait_for(lambda: self._closed or not self._asleep)
                self._came, self._attempt = time.perf_counter(), 0
            return not self._closed

    def _frames(self) -> Iterator[Frame]:
        source = self._source or self._open_it()
        self.format = getattr(source, "format", "")
        with self._changed:  # from here on `close` and `suspend` reach it
            self._source = source
            if self._closed or self._asleep:
                return
        offset, first = None, 0
        for frame in source:
            if offset is None:
                on_clock = max(frame.captured_at - self._began, self._position)  # never back
                offset, first = on_clock - frame.position, self._index + 1 - frame.index
            self._found()
            self._index, self._position = frame.index + first, offset + frame.position
            yield Frame(frame.bgr, self._index, frame.captured_at, self._position)

    def _found(self) -> None:
        now = time.perf_counter()
        if self.absence is PaintState.LOST:
            self._stable_from = now
            log.warning("the source is back after %.1f s", now - self._came)
        if now - self._stable_from > STABLE_S:
            self._attempt = 0
        if not self._asleep:
            self.absence = None
        self._came = now

    def _lose(self, failure: SourceError) -> None:
        """Count and tell a loss, once; the loss is final when nothing came for `patience`."""
        if self.absence is not PaintState.LOST:
            self.absence = PaintState.LOST
            self.losses += 1
            log.warning("%s. It is opened again until it is back", failure)
        if (waited := time.perf_counter() - self._came) > self._patience:
            raise SourceError(f"{failure} (it did not come back within {waited:.0f} s)") from failure

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._asleep, seconds)

    def _release(self) -> None:
        with self._changed:
            source, self._source = self._source, None
        if source is not None:
            source.close()

    # -- any thread ----------------------------------------------------------------------------------------------------

    def suspend(self) -> None:
        """See `Interruptible`."""
        with self._changed:
            self._asleep, self.absence = True, PaintState.ASLEEP
            self._changed.notify_all()
        self._release()

    def resume(self) -> None:
        """See `Interruptible`."""
        with self._changed:
            self._wakenings += self._asleep
            self._asleep = False
            if self.absence is PaintState.ASLEEP:
                self.absence = None
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._release()
