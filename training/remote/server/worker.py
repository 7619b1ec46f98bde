"""Requests from many callers, one teacher: they wait in line, and what waits together is labelled together.

Knows nothing about HTTP, nor about other replicas. The teacher runs on a daemon thread of its own: one that hangs keeps
neither the callers nor the end of the process waiting.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import TeacherError

from ...teachers import BatchTeacher, Closable, Teacher, checked
from .deadline_queue import Line

log = logging.getLogger("jit_masker")

DEADLINE = 30.0  # s for one batch; callers give up long before
PATIENCE = 1.0  # s, at the end, for the batch in work


class Busy(Exception):
    """Too many wait already, or this one waited too long."""


@dataclass(frozen=True)
class WorkerOptions:
    """How questions wait."""

    waiting: int = 16  # questions in line or in work, then Busy
    batch: int = 8  # frames at once, at most, of a teacher that labels several faster together
    batch_wait: float = 0.0  # s that a free teacher waits for more frames; those that come while it is busy wait anyway
    deadline: float = DEADLINE  # s for one batch, then the teacher is said to hang


@dataclass(frozen=True)
class Answer:
    """What a teacher says of one frame; a value that travels between processes."""

    label: np.ndarray | None  # float32 (h, w)
    error: str | None  # why there is none
    batch: int = 0  # frames that were labelled together
    busy: bool = False  # nothing is wrong but the time


Question = tuple[np.ndarray, "asyncio.Future[Answer]"]


class Worker:
    """Asks one teacher. Used by one event loop at a time; `close()` may be called twice."""

    def __init__(
        self,
        teacher: Teacher,
        options: WorkerOptions = WorkerOptions(),
        on_batch: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`on_batch` is told how many frames were labelled together, once for each frame."""
        self._teacher, self._options, self._on_batch, self._clock = teacher, options, on_batch, clock
        together = options.batch if isinstance(teacher, BatchTeacher) else 1
        self._together, self._line = together, Line[Question](together)
        self._batches: queue.SimpleQueue[tuple[list[np.ndarray], asyncio.Future[list[Answer]]] | None]
        self._batches = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="teacher", daemon=True)
        self._thread.start()
        self._work: asyncio.Task | None = None  # works the line off
        self._overdue: asyncio.Future | None = None  # a batch that nobody waits for any more
        self.waiting = 0  # questions that wait or are in work

    def well(self) -> bool:
        """Whether the teacher still comes back."""
        return self._overdue is None or self._overdue.done()

    async def label(self, bgr: np.ndarray, within: float) -> np.ndarray:
        """The label of a picture uint8 (H, W, 3), for a caller who waits `within` seconds.

        Raises
        ------
        Busy
            The line is full, or too slow.
        TeacherError
            The teacher failed.
        """
        return label_of(await self.answer(bgr, within))

    async def answer(self, bgr: np.ndarray, within: float) -> Answer:
        """The same, with what went wrong inside the answer."""
        if self.waiting >= self._options.waiting:
            return Answer(None, f"{self.waiting} requests wait already", busy=True)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._line.add((bgr, answer), self._clock() + within)
        self.waiting += 1
        if self._work is None:
            self._work = asyncio.create_task(self._work_off())
        try:
            return await answer
        finally:
            self.waiting -= 1

    async def _work_off(self) -> None:
        """Have the line answered until it is empty."""
        while self._line:
            if self._options.batch_wait and len(self._line) < self._together:
                await asyncio.sleep(self._options.batch_wait)
            batch, late = self._line.take(self._clock())
            for _, unanswered in late:
                settle(unanswered, Answer(None, "the line is longer than this request can wait", busy=True))
            batch = [(bgr, unanswered) for bgr, unanswered in batch if not unanswered.done()]  # whose caller is there
            if batch:
                began = self._clock()
                answers = await self._answers([bgr for bgr, _ in batch])
                if self.well():
                    self._line.took(self._clock() - began, len(batch))
                for (_, unanswered), answer in zip(batch, answers, strict=True):
                    self._on_batch(len(batch))
                    settle(unanswered, answer)
        self._work = None

    async def _answers(self, frames: list[np.ndarray]) -> list[Answer]:
        if not self.well():
            return [Answer(None, "the teacher has not come back from an earlier frame yet")] * len(frames)
        work: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._batches.put((frames, work))
        try:
            async with asyncio.timeout(self._options.deadline):
                return await asyncio.shield(work)
        except TimeoutError:
            self._overdue = work
            why = f"the teacher did not answer within {self._options.deadline:g} s"
            return [Answer(None, why)] * len(frames)

    def _serve(self) -> None:
        while (asked := self._batches.get()) is not None:
            frames, work = asked
            answers = answer_all(self._teacher, frames)
            try:
                work.get_loop().call_soon_threadsafe(settle, work, answers)
            except RuntimeError:  # the loop is closed: nobody is there any more
                break
        if isinstance(self._teacher, Closable):
            self._teacher.close()

    def close(self) -> None:
        """Let the batch in work end, if it does so soon."""
        self._batches.put(None)
        self._thread.join(timeout=PATIENCE)


def settle(future: asyncio.Future, value: object) -> None:
    """Give a future its value, unless whoever waited has left."""
    if not future.done():
        future.set_result(value)


def label_of(answer: Answer) -> np.ndarray:
    """The label in an answer; Busy or TeacherError where there is none."""
    if answer.label is None:
        raise Busy(answer.error) if answer.busy else TeacherError(str(answer.error))
    return answer.label


def answer_all(teacher: Teacher, frames: Sequence[np.ndarray]) -> list[Answer]:
    """Label frames together where the teacher can, else one by one; a bad frame spoils no other."""
    count = len(frames)
    if count > 1 and isinstance(teacher, BatchTeacher):
        try:
            return [Answer(checked(label), None, count) for label in teacher.many(frames)]
        except Exception as error:
            log.warning("a batch of %d failed and is done one by one: %s", count, error)
    return [_answer(teacher, frame, count) for frame in frames]


def _answer(teacher: Teacher, frame: np.ndarray, count: int) -> Answer:
    try:
        return Answer(checked(teacher(frame)), None, count)
    except Exception as error:  # whatever a teacher raises, it becomes an answer
        return Answer(None, f"the teacher failed: {type(error).__name__}: {error}", count)
