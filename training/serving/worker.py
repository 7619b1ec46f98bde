"""Requests from many callers, one teacher: they wait in line, and the line has an end. Knows nothing about HTTP."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from engine.teaching import MAX_DEADLINE

from ..teachers import Teacher
from ..teachers.guard import GuardedTeacher

DEADLINE = 30.0  # s for one label; a caller gives up long before


class Busy(Exception):
    """Too many wait already, or this one waited too long."""


class Worker:
    """Asks one teacher, one question at a time. `close()` may be called twice."""

    def __init__(self, teacher: Teacher, waiting: int, deadline: float = DEADLINE, patience: float = MAX_DEADLINE):
        """
        Parameters
        ----------
        waiting : how many questions may wait or be in work.
        deadline : s, for the teacher's answer.
        patience : s that a question may wait in line; after that nobody listens any more, and it is not asked.
        """
        self._patience = patience
        self._guard = GuardedTeacher(teacher, deadline)
        self._line = ThreadPoolExecutor(1, thread_name_prefix="line")
        self._most = waiting
        self.waiting = 0  # questions that wait or are in work

    def well(self) -> bool:
        """Whether the teacher still comes back."""
        return not self._guard.stuck

    async def label(self, bgr: np.ndarray) -> np.ndarray:
        """The label of a picture uint8 (H, W, 3).

        Raises
        ------
        Busy
            The line is full, or it was too slow.
        TeacherError
            The teacher failed.
        """
        if self.waiting >= self._most:
            raise Busy(f"{self.waiting} requests wait already")
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._line, self._ask, bgr, time.monotonic())
        finally:
            self.waiting -= 1

    def _ask(self, bgr: np.ndarray, since: float) -> np.ndarray:
        waited = time.monotonic() - since
        if waited > self._patience:
            raise Busy(f"the request was in line for {waited:.1f} s; nobody waits that long")
        return self._guard(bgr)

    def close(self) -> None:
        """Let the question in work end."""
        self._line.shutdown(wait=True, cancel_futures=True)
        self._guard.close()
