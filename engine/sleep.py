"""Sleep while nobody watches: the camera is released, nothing is painted or learnt. Decides when; a thread acts.

Somebody watches as long as a program reads the virtual camera, or a picture was asked for not long ago (the panel).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from .contracts import Interruptible

log = logging.getLogger("jit_masker")

DROWSY_S = 5.0  # that nobody has watched before it sleeps: programs close a camera and open it again
LOOKED_S = 3.0  # that a picture which somebody asked for counts as being watched
POLL_S = 0.25  # between two looks, where nothing tells of a change at once


class Watch(Protocol):
    """Who reads a virtual camera: engine.sinks.readers."""

    @property
    def watched(self) -> bool | None: ...

    def wait(self, timeout: float) -> bool: ...

    def close(self) -> None: ...


class Sleep:
    """Suspends `source` while nobody watches and wakes it at once when somebody does. `close()` may be called twice."""

    def __init__(self, source: Interruptible, open_watch: Callable[[], Watch | None], looked_at: Callable[[], float]):
        """`open_watch` is asked until there is a watch: there is none before the device is open. `looked_at` gives when
        a picture was last asked for, s by time.perf_counter()."""
        self._source, self._open_watch, self._looked_at = source, open_watch, looked_at
        self._watch: Watch | None = None
        self._closed = threading.Event()
        self.asleep = False
        self._thread = threading.Thread(target=self._work, name="sleep", daemon=True)
        self._thread.start()

    @property
    def watched(self) -> bool:
        """Whether anybody watches, as far as can be told."""
        return (
            self._watch is None
            or self._watch.watched is not False
            or time.perf_counter() - self._looked_at() < LOOKED_S
        )

    def _work(self) -> None:
        last_watched = time.perf_counter()
        while self._watch is None:
            self._watch = self._open_watch()
            if self._closed.wait(0 if self._watch is not None else POLL_S):
                return
        while not self._closed.is_set():
            now = time.perf_counter()
            if self.watched:
                last_watched = now
                self._set(False)
            elif now - last_watched >= DROWSY_S:
                self._set(True)
            self._watch.wait(POLL_S)

    def _set(self, asleep: bool) -> None:
        if asleep == self.asleep:
            return
        self.asleep = asleep
        if asleep:
            log.info("nobody watches: asleep, the camera is released")
            self._source.suspend()
        else:
            log.info("somebody watches: awake")
            self._source.resume()

    def close(self) -> None:
        self._closed.set()
        self._thread.join(2 * POLL_S)
        if self._watch is not None:
            self._watch.close()
