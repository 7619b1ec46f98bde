"""The learner beside a Masker: which one, its start, what it is offered, its end. Knows nothing about painting."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Literal

import numpy as np

from export.contracts import Published, StudentWeights

from .contracts import Learner, LearnerOptions, LearningStats, RoomOptions, StartLearner
from .errors import JitMaskerError, SinkError, UsageError
from .stroke import Stroke

Kind = Literal["thread", "process"]

LEARNERS = {"thread": "training.online.learner", "process": "training.online.process_learner"}
# who waits for pictures is served best by a learner in a process of its own: where that is possible
LIVE_LEARNER: Kind = (
    "process" if sys.platform == "linux" and sys.executable and not getattr(sys, "frozen", False) else "thread"
)


def check_kind(kind: str, lockstep: bool) -> None:
    """UsageError where there is no learner of this kind, or not here."""
    if kind not in LEARNERS or (kind == "process" and (lockstep or sys.platform != "linux")):
        raise UsageError(f"learner is {kind!r}; expected thread, or on Linux and without lockstep process")


class Learning:
    """A learner that can be started again; until `begin`, and without one to start, nobody learns."""

    def __init__(self, rooms: RoomOptions | None = None) -> None:
        """`rooms` : where they are remembered; None: they are not."""
        self.on = True  # False: no frame is offered, and the learner waits; set from any thread
        self.learner: Learner | None = None
        self._start: Callable[[], Learner] | None = None
        self._rooms = rooms
        self._recalled: str | None = None  # the room whose student the paint path took

    def prepare(
        self,
        kind: Kind,
        start: StartLearner | None,
        student: StudentWeights,
        size: tuple[int, int],
        publish: Callable[[Published], None],
        options: LearnerOptions,
    ) -> None:
        """What `begin` starts: a learner of that kind, or what `start` makes."""
        # two processes share a GPU in turns: the picture would wait for a step
        module = LEARNERS["thread" if options.on_gpu else kind]
        start = start or importlib.import_module(module).start
        self._start = functools.partial(start, student, size, publish, options)

    def begin(self) -> None:
        """Start it. In a process of its own it gets ready while the caller goes on."""
        if self._start is not None:
            self.learner = self._start()

    def offer(self, bgr: np.ndarray, logits: np.ndarray, scene: int) -> None:
        """See `contracts.Learner.offer`."""
        learner = self.learner
        if learner is not None and self.on:
            learner.offer(bgr, logits, scene)

    def recalled(self, room_id: str) -> None:
        """See `contracts.Learner.recalled`."""
        self._recalled = room_id
        if self.learner is not None:
            self.learner.recalled(room_id)

    def correct(self, stroke: Stroke | None) -> None:
        """See `contracts.Learner.correct`; UsageError where nobody learns."""
        if self.learner is None:
            raise UsageError("a stroke is learnt, and nobody learns here; start with a teacher, as in --teacher rvm")
        stats = self.learner.stats
        if stats.died is not None:
            raise UsageError(f"the learner has ended: {stats.died}; `forget` starts it anew")
        self.learner.correct(stroke)

    def forget(self) -> None:
        """From here on nothing is published, until the next `begin`; what was learnt is forgotten, also on disk.

        Raises
        ------
        SinkError
            The file of the room at hand cannot be deleted.
        """
        learner, self.learner = self.learner, None
        if learner is not None:
            learner.close()
        named = {self._recalled, learner.stats.room if learner is not None else None} - {None}
        self._recalled = None
        if self._rooms is not None and named:
            from .rooms.store import RoomStore

            try:
                for room in filter(None, named):
                    RoomStore(self._rooms.folder).forget(room)
            except OSError as error:
                raise SinkError(f"{error.filename} is not deleted: {error.strerror}; delete it") from error

    def close(self) -> None:
        """End it for good; its `stats` stay. May be called twice."""
        if self.learner is not None:
            self.learner.close()

    @property
    def stats(self) -> LearningStats | None:
        return self.learner.stats if self.learner is not None else None

    @property
    def failure(self) -> JitMaskerError | None:
        """Why nothing is learnt, where that was found out only after the start."""
        return self.learner.failure if self.learner is not None else None
