"""A deadline around any teacher. Knows nothing about learning.

The teacher runs on a thread of its own, which nobody waits for longer than the deadline: a teacher that hangs costs
its labels and nothing else.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.errors import TeacherError

from . import Closable, Teacher, checked

DEADLINE = 5.0  # s; RVM needs 0.3 on one slow core
PATIENCE = 1.0  # s, at the end, for the question in flight


class TeacherClosed(Exception):
    """The teacher was closed while somebody waited for its answer: nothing went wrong."""


class DeadlineTeacher:
    """Calls `teacher` on a daemon thread; every way to fail comes out as TeacherError."""

    def __init__(self, teacher: Teacher, deadline: float = DEADLINE, on_thread: Callable[[], None] | None = None):
        """`on_thread` is called once in the teacher's thread (to lower its priority)."""
        self._teacher = teacher
        self._deadline = deadline
        self._questions: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Any, float]] = queue.SimpleQueue()
        self._asked_at = 0.0  # s, monotonic
        self._late = False  # a question is out that nobody waits for any more
        self.took = 0.0  # s that the teacher needed for its last answer
        self._thread = threading.Thread(target=self._serve, args=(on_thread,), name="teacher", daemon=True)
        self._thread.start()

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        """The label; see `Teacher`. Raises what `ask` and `answer` raise."""
        self.ask(bgr)
        label = self.answer()
        assert label is not None
        return label

    def ask(self, bgr: np.ndarray) -> None:
        """Show the teacher a frame uint8 (H, W, 3), copied; `answer` has to follow before the next.

        Raises
        ------
        TeacherError
            The teacher is still busy with a question it was late for.
        """
        if self._late:
            try:
                self._answers.get_nowait()  # it came back at last; its answer is about an old frame
            except queue.Empty:
                raise TeacherError("the teacher has not come back from an earlier frame yet") from None
            self._late = False
        self._questions.put(bgr.copy())  # a late teacher must not read a frame that has been overwritten
        self._asked_at = time.monotonic()

    def answer(self, wait: bool = True) -> np.ndarray | None:
        """The label of the frame asked about. Without `wait`, None as long as it is not there.

        Raises
        ------
        TeacherError
            The teacher raised, is late, or answered nonsense.
        TeacherClosed
            `close` was called meanwhile.
        """
        left = max(self._asked_at + self._deadline - time.monotonic(), 0)
        try:
            answer, self.took = self._answers.get(block=wait, timeout=left)
        except queue.Empty:
            if left and not wait:
                return None
            self._late = True
            raise TeacherError(f"the teacher did not answer within {self._deadline:g} s") from None
        if isinstance(answer, (TeacherClosed, TeacherError)):
            raise answer
        if isinstance(answer, Exception):
            raise TeacherError(f"the teacher failed: {type(answer).__name__}: {answer}") from answer
        return checked(answer)

    def _serve(self, on_thread: Callable[[], None] | None) -> None:
        if on_thread is not None:
            on_thread()
        while (bgr := self._questions.get()) is not None:
            began = time.perf_counter()
            try:
                answer: Any = self._teacher(bgr)
            except Exception as error:  # whatever a teacher raises, it becomes an answer
                answer = error
            self._answers.put((answer, time.perf_counter() - began))
        if isinstance(self._teacher, Closable):
            self._teacher.close()

    def close(self) -> None:
        """Let the thread end after the question in flight; whoever waits for its answer hears of it at once."""
        self._questions.put(None)
        self._answers.put((TeacherClosed(), 0.0))
        self._thread.join(timeout=PATIENCE)
