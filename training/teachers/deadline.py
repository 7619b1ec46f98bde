"""A deadline around any teacher.

The teacher is made and runs on a thread of its own, which nobody waits for longer than the deadline: a teacher that
hangs costs its labels and nothing else.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.errors import TeacherError

from . import Closable, RememberingTeacher, Teacher, checked

DEADLINE = 5.0  # s; RVM needs 0.3 on one slow core
CLOSE_TIMEOUT = 1.0  # s, at the end, for the frame in flight


class TeacherClosed(Exception):
    """The teacher was closed while somebody waited for its label: nothing went wrong."""


class DeadlineTeacher:
    """Calls a teacher on a daemon thread; every way to fail comes out as TeacherError."""

    def __init__(
        self,
        make: Callable[[], Teacher],
        deadline: float = DEADLINE,
        on_thread: Callable[[], None] | None = None,
        cpu_clock: Callable[[], float] = time.thread_time,
    ):
        """Make the teacher, and wait until it is there.

        Parameters
        ----------
        make : makes it, on its thread: a runtime's pool then inherits that thread's priority. What it raises is raised
            here.
        deadline : s for one label.
        on_thread : called first on that thread (to lower its priority).
        cpu_clock : s; what it tells on that thread before and after is what a label costs. A process in which nobody
            else computes can give its own, and so counts a runtime's pool.
        """
        self.took = self.cpu = 0.0  # s that the teacher needed for its last label; CPU seconds
        self._deadline, self._cpu_clock = deadline, cpu_clock
        self._requests: queue.SimpleQueue[tuple[np.ndarray, bool] | None] = queue.SimpleQueue()
        self._labels: queue.SimpleQueue[tuple[Any, float, float]] = queue.SimpleQueue()
        self._requested_at = 0.0  # s, monotonic
        self._late = False  # a frame is out whose label nobody waits for any more
        made: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, args=(make, made, on_thread), name="teacher", daemon=True)
        self._thread.start()
        self.inner = made.get()
        if isinstance(self.inner, BaseException):
            raise self.inner

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        """The label; see `Teacher`. Raises what `request` and `poll` raise."""
        self.request(bgr)
        label = self.poll()
        assert label is not None
        return label

    def request(self, bgr: np.ndarray, forget: bool = False) -> None:
        """Show the teacher a frame uint8 (H, W, 3), copied; `poll` has to give its label before the next. `forget`: a
        teacher with a memory is to forget what it saw before.

        Raises
        ------
        TeacherError
            The teacher is still busy with a frame it was late for.
        """
        if self._late:
            try:
                self._labels.get_nowait()  # it came back at last; its label is of an old frame
            except queue.Empty:
                raise TeacherError("the teacher has not come back from an earlier frame yet") from None
            self._late = False
        self._requests.put((bgr.copy(), forget))  # a late teacher must not read a frame that has been overwritten
        self._requested_at = time.monotonic()

    def poll(self, wait: bool = True) -> np.ndarray | None:
        """The label of the frame that was requested. Without `wait`, None as long as it is not there.

        Raises
        ------
        TeacherError
            The teacher raised, is late, or answered something that is no label.
        TeacherClosed
            `close` was called meanwhile.
        """
        left = max(self._requested_at + self._deadline - time.monotonic(), 0)
        try:
            label, self.took, self.cpu = self._labels.get(block=wait, timeout=left)
        except queue.Empty:
            if not wait and left:
                return None
            self._late = True
            raise TeacherError(f"the teacher did not answer within {self._deadline:g} s") from None
        if isinstance(label, (TeacherClosed, TeacherError)):
            raise label
        if isinstance(label, BaseException):
            raise TeacherError(f"the teacher failed: {type(label).__name__}: {label}") from label
        return checked(label)

    def _serve(
        self, make: Callable[[], Teacher], made: queue.SimpleQueue[Any], on_thread: Callable[[], None] | None
    ) -> None:
        try:
            if on_thread is not None:
                on_thread()
            teacher = make()
        except BaseException as error:
            made.put(error)
            return
        made.put(teacher)
        while (request := self._requests.get()) is not None:
            (bgr, forget), began, cpu = request, time.perf_counter(), self._cpu_clock()
            try:
                if forget and isinstance(teacher, RememberingTeacher):
                    teacher.forget()
                label: Any = teacher(bgr)
            except BaseException as error:  # whatever a teacher raises, SystemExit too, it becomes an answer
                label = error
            self._labels.put((label, time.perf_counter() - began, self._cpu_clock() - cpu))
        if isinstance(teacher, Closable):
            teacher.close()

    def close(self) -> None:
        """Let the thread end after the frame in flight; whoever waits for its label hears of it at once."""
        self._requests.put(None)
        self._labels.put((TeacherClosed(), 0.0, 0.0))
        self._thread.join(timeout=CLOSE_TIMEOUT)
