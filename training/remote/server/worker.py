"""Requests from many callers to one teacher: they queue, and what waits together is labelled together.

Knows nothing about HTTP, nor about other replicas. The teacher runs on a daemon thread of its own: one that hangs
blocks neither its callers nor the end of the process.
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
from .deadline_queue import DeadlineQueue

log = logging.getLogger("jit_masker")

BATCH_DEADLINE = 30.0  # s; callers give up long before
JOIN_TIMEOUT = 1.0  # s, at the end, for the batch in work


class Busy(Exception):
    """Too many requests wait already, or this one would be answered too late."""


@dataclass(frozen=True)
class WorkerOptions:
    """How requests queue."""

    waiting: int = 16  # requests waiting or in work, then Busy
    batch: int = 8  # frames at once, at most, of a BatchTeacher
    batch_wait: float = 0.0  # s that an idle teacher waits for more frames; while it is busy they gather anyway
    deadline: float = BATCH_DEADLINE  # s for one batch, then the teacher counts as hanging


@dataclass(frozen=True)
class LabelResult:
    """A label, or why there is none; a value that travels between processes."""

    label: np.ndarray | None  # float32 (h, w) in [0, 1]
    error: str | None  # why there is none
    batch: int = 0  # frames that were labelled together
    busy: bool = False  # there is none for lack of time only


Pending = tuple[np.ndarray, "asyncio.Future[LabelResult]"]  # a frame, and what its caller awaits


class TeacherWorker:
    """Runs one teacher. Used by one event loop at a time; `close()` may be called twice."""

    def __init__(
        self,
        teacher: Teacher,
        options: WorkerOptions = WorkerOptions(),
        on_batch: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`on_batch` is called once for each frame with the size of its batch."""
        self._teacher, self._options, self._on_batch, self._clock = teacher, options, on_batch, clock
        self._max_batch = options.batch if isinstance(teacher, BatchTeacher) else 1
        self._queue = DeadlineQueue[Pending](self._max_batch)
        self._batches: queue.SimpleQueue[tuple[list[np.ndarray], asyncio.Future[list[LabelResult]]] | None]
        self._batches = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="teacher", daemon=True)
        self._thread.start()
        self._drainer: asyncio.Task | None = None  # the task that empties the queue
        self._overdue: asyncio.Future | None = None  # a batch that missed its deadline
        self.waiting = 0  # requests that wait or are in work

    def healthy(self) -> bool:
        """Whether the teacher's thread lives and is not stuck in an overdue batch."""
        return self._thread.is_alive() and (self._overdue is None or self._overdue.done())

    async def label(self, bgr: np.ndarray, within: float) -> np.ndarray:
        """The label of a picture uint8 (H, W, 3), for a caller who waits `within` seconds.

        Raises
        ------
        Busy
            The queue is full, or too slow.
        TeacherError
            The teacher failed.
        """
        return unwrap(await self.result(bgr, within))

    async def result(self, bgr: np.ndarray, within: float) -> LabelResult:
        """The same, with the error inside the result."""
        if self.waiting >= self._options.waiting:
            return LabelResult(None, f"{self.waiting} requests wait already", busy=True)
        pending: asyncio.Future[LabelResult] = asyncio.get_running_loop().create_future()
        self._queue.add((bgr, pending), self._clock() + within)
        self.waiting += 1
        if self._drainer is None:
            self._drainer = asyncio.create_task(self._drain())
        try:
            result = await pending
        finally:
            self.waiting -= 1
        if result.batch:
            self._on_batch(result.batch)
        return result

    async def _drain(self) -> None:
        """Label the queue until it is empty."""
        while self._queue:
            if self._options.batch_wait and len(self._queue) < self._max_batch:
                await asyncio.sleep(self._options.batch_wait)
            batch, late = self._queue.take(self._clock())
            for _, pending in late:
                set_result(pending, LabelResult(None, "the queue is longer than this request can wait", busy=True))
            batch = [(bgr, pending) for bgr, pending in batch if not pending.done()]  # its caller has not left
            if batch:
                began = self._clock()
                results = await self._results([bgr for bgr, _ in batch])
                if self.healthy():
                    self._queue.record(self._clock() - began, len(batch))
                for (_, pending), result in zip(batch, results, strict=True):
                    set_result(pending, result)
        self._drainer = None

    async def _results(self, frames: list[np.ndarray]) -> list[LabelResult]:
        if not self.healthy():
            alive = self._thread.is_alive()
            why = (
                "the teacher has not come back from an earlier frame yet" if alive else "the teacher's thread has ended"
            )
            return [LabelResult(None, why)] * len(frames)
        work: asyncio.Future[list[LabelResult]] = asyncio.get_running_loop().create_future()
        self._batches.put((frames, work))
        try:
            async with asyncio.timeout(self._options.deadline):
                return await asyncio.shield(work)
        except TimeoutError:
            self._overdue = work
            why = f"the teacher did not answer within {self._options.deadline:g} s"
            return [LabelResult(None, why)] * len(frames)

    def _serve(self) -> None:
        while (asked := self._batches.get()) is not None:
            frames, work = asked
            results = label_batch(self._teacher, frames)
            try:
                work.get_loop().call_soon_threadsafe(set_result, work, results)
            except RuntimeError:  # the loop is closed: nobody waits any more
                break
        if isinstance(self._teacher, Closable):
            self._teacher.close()

    def close(self) -> None:
        """End the thread after the batch in work; one that takes long is not waited for."""
        self._batches.put(None)
        self._thread.join(timeout=JOIN_TIMEOUT)


def set_result(future: asyncio.Future, value: object) -> None:
    """Set a future's result, unless whoever awaited it has left."""
    if not future.done():
        future.set_result(value)


def unwrap(result: LabelResult) -> np.ndarray:
    """The label in a result; raises Busy or TeacherError where there is none."""
    if result.label is None:
        raise Busy(result.error) if result.busy else TeacherError(str(result.error))
    return result.label


def label_batch(teacher: Teacher, frames: Sequence[np.ndarray]) -> list[LabelResult]:
    """One result for each frame, whatever the teacher raises or returns, SystemExit included: this thread must go on.

    Frames are labelled together where the teacher can, else one by one; a bad frame fails no other.
    """
    count = len(frames)
    if count > 1 and isinstance(teacher, BatchTeacher):
        try:
            return [_labelled(label, count) for _, label in zip(frames, teacher.many(frames), strict=True)]
        except BaseException as error:
            log.warning("a batch of %d failed and is done one by one: %s: %s", count, type(error).__name__, error)
    return [_label_one(teacher, frame, count) for frame in frames]


def _labelled(label: np.ndarray, batch: int) -> LabelResult:
    return LabelResult(checked(label).astype(np.float32, copy=False), None, batch)


def _label_one(teacher: Teacher, frame: np.ndarray, count: int) -> LabelResult:
    try:
        return _labelled(teacher(frame), count)
    except BaseException as error:
        return LabelResult(None, f"the teacher failed: {type(error).__name__}: {error}", count)
