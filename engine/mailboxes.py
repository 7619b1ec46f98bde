"""Mailboxes between two threads. Know nothing about frames.

LatestSlot     one place, the newest item wins, losses are counted    live source -> paint
LosslessSlot   a few places, a full one makes the sender wait         file -> paint -> file
FrameSampler   one place, filled only when a frame is wanted          paint -> learner
Snapshot       a copy of a picture, made only when it is asked for    paint or sinks -> whoever looks
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class LatestSlot(Generic[T]):
    """One place between two threads: the newest item wins."""

    def __init__(self) -> None:
        self._items: deque[T] = deque(maxlen=1)
        self._changed = threading.Condition()
        self._closed = False
        self.dropped = 0  # items that were replaced before anybody took them

    def put(self, item: T) -> T | None:
        """Leave `item`; never waits. Returns the item that it displaced, if any."""
        with self._changed:
            displaced = self._items.pop() if self._items else None
            self.dropped += displaced is not None
            if not self._closed:
                self._items.append(item)
            self._changed.notify_all()
        return displaced

    def take(self, timeout: float | None = None) -> T | None:
        """The newest item, waiting for one; None when `timeout` seconds pass, or when closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            item = self._items.popleft() if self._items else None
            self._changed.notify_all()
        return item

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """No more items will come; whoever waits goes on. What lies in the slot can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class LosslessSlot(LatestSlot[T]):
    """A few places between two threads: a full slot makes `put` wait, and nothing is lost."""

    def __init__(self, places: int = 2) -> None:
        super().__init__()
        self._items = deque()
        self._places = places

    def put(self, item: T) -> T | None:
        """Leave `item`, waiting for a place. Returns `item` itself when the slot is closed: it was not delivered."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._places or self._closed)
            if self._closed:
                return item
            self._items.append(item)
            self._changed.notify_all()
        return None


class FrameSampler:
    """From the paint path to a slower learner, never the other way: `offer` copies only what the learner waits for.

    While the learner works no frame is wanted, offers return at once and are counted; so the buffers are never written
    while they are read. Nothing here can make the offering thread wait.
    """

    def __init__(self) -> None:
        self.skipped = 0  # offers nobody waited for
        self._offers = self._filled_at = self._taken_at = self._wanted_from = 0  # counts of offers
        self._wants_frame = False
        self._filled = threading.Event()
        self._closed = False
        self._bgr = np.empty((0, 0, 3), np.uint8)
        self._logits = np.empty((0, 0), np.float32)
        self._scene = 0

    def offer(self, bgr: np.ndarray, logits: np.ndarray, scene: int) -> None:
        """Copy a frame uint8 (H, W, 3) and the student's logits float32 (h, w) for it, if a frame is wanted."""
        self._offers += 1
        if not self._wants_frame or (self._offers < self._wanted_from and scene == self._scene):
            self.skipped += 1
            return
        if self._bgr.shape != bgr.shape:
            self._bgr = np.empty_like(bgr, order="C")
        if self._logits.shape != logits.shape:
            self._logits = np.empty_like(logits)
        np.copyto(self._bgr, bgr)
        np.copyto(self._logits, logits)
        self._scene, self._filled_at = scene, self._offers
        self._wants_frame = False
        self._filled.set()

    def take(self, patience: int = 1) -> tuple[np.ndarray, np.ndarray, int, int] | None:
        """Wait for a frame; None once closed. The arrays are valid until the next `take`.

        Parameters
        ----------
        patience : the frame that is wanted is the first one so many offers after the one that was taken last. Another
            scene is wanted at once.

        Returns
        -------
        Frame, logits and scene as they were offered, and the number of offers since the last one that was taken.
        """
        self._filled.clear()
        if not self._closed:  # looked at after the clear: a close from here on sets the event again
            self._wanted_from = self._taken_at + patience
            self._wants_frame = True
            self._filled.wait()
        if self._closed:
            return None
        elapsed, self._taken_at = self._filled_at - self._taken_at, self._filled_at
        return self._bgr, self._logits, self._scene, elapsed

    def close(self) -> None:
        self._closed = True
        self._wants_frame = False
        self._filled.set()


class Snapshot:
    """A copy of a picture for whoever asks now and then. While nobody asks, `offer` costs nothing; it never waits."""

    def __init__(self) -> None:
        self.asked_at = -math.inf  # s, time.perf_counter() when somebody last asked
        self._asking = threading.Lock()  # held by whoever asks; never by who offers
        self._wanted = False
        self._made = threading.Event()
        self._copy: np.ndarray | None = None

    def offer(self, bgr: np.ndarray) -> None:
        """uint8 (H, W, 3); borrowed."""
        if self._wanted:
            self._wanted, self._copy = False, bgr.copy()
            self._made.set()

    def take(self, timeout: float) -> np.ndarray | None:
        """A copy of the next picture that is offered; None where none is within `timeout` s."""
        with self._asking:
            self.asked_at = time.perf_counter()
            self._made.clear()
            self._wanted = True
            made = self._made.wait(timeout)
            self._wanted = False
            copy, self._copy = self._copy, None
            return copy if made else None
