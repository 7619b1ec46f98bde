"""One teacher for many callers: replicas on Ray Serve, which gather requests of different callers into batches.

Knows nothing about HTTP: the front (app.py) stays the same and asks here instead of a Worker. Replicas are processes of
their own, scale with load between two bounds, and are replaced when they die or hang; a question that was with them is
asked again, because a label can be made twice.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import TeacherError, UsageError
from engine.teaching import TeacherOptions

from ..teachers import TakesMany, Teacher, checked, load
from .worker import DEADLINE, Busy

log = logging.getLogger("jit_masker")

APPLICATION = "jm-teacher"
TRIALS = 3  # replicas that a question may meet the end of
HEALTH_PERIOD, HEALTH_WITHIN = 2.0, 5.0  # s between two looks at a replica, and for its answer
STARTED_TO_STOP = 5.0  # s that a replica may go on once it is told to stop
SPARE = 64  # questions on their way to one replica besides the batch in work; more wait in line


@dataclass(frozen=True)
class FleetOptions:
    """How many do the work, and with what."""

    replicas: tuple[int, int] = (1, 1)  # at least, at most
    batch: int = 8  # frames at once, at most, of a teacher that labels several faster together
    batch_wait: float = 0.0  # s that a free teacher waits for more frames; those that come while it is busy wait anyway
    threads: int = 1  # CPU cores for each replica
    gpus: float = 0.0  # for each replica; a share lets several replicas live on one GPU
    waiting: int = 64  # questions in line, then Busy
    address: str | None = None  # of a Ray cluster; None: one is started here, for this machine only


@dataclass(frozen=True)
class Answer:
    """What a replica says of one frame."""

    label: np.ndarray | None  # float32 (h, w)
    error: str | None  # why there is none
    batch: int  # frames that were labelled together


class Replica:
    """One teacher in a process of its own. What comes in while it is busy is labelled together afterwards.

    Ray Serve's own batches are closed by the clock: in front of a busy teacher they wait one frame each.
    """

    def __init__(self, teacher: TeacherOptions, options: FleetOptions, deadline: float = DEADLINE):
        self._teacher = load(teacher, options.threads)
        self._together = options.batch if isinstance(self._teacher, TakesMany) else 1
        self._wait, self._deadline = options.batch_wait, deadline
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="teacher")
        self._line: deque[tuple[np.ndarray, asyncio.Future[Answer]]] = deque()
        self._work: asyncio.Task | None = None
        self._stuck = False

    async def label(self, bgr: np.ndarray) -> Answer:
        """The answer for a frame uint8 (H, W, 3)."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._line.append((bgr, answer))
        if self._work is None:
            self._work = asyncio.create_task(self._work_off())
        return await answer

    async def _work_off(self) -> None:
        """Label until the line is empty."""
        while self._line:
            if self._wait and len(self._line) < self._together:
                await asyncio.sleep(self._wait)
            batch = [self._line.popleft() for _ in range(min(self._together, len(self._line)))]
            batch = [(bgr, answer) for bgr, answer in batch if not answer.done()]  # whose caller is still there
            answers = await self._answers([bgr for bgr, _ in batch]) if batch else []
            for (_, waiting), answer in zip(batch, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)
        self._work = None

    async def _answers(self, frames: Sequence[np.ndarray]) -> list[Answer]:
        work = asyncio.get_running_loop().run_in_executor(self._thread, answer_all, self._teacher, frames)
        try:
            async with asyncio.timeout(self._deadline):
                return await asyncio.shield(work)
        except TimeoutError:
            self._stuck = True
            why = f"the teacher did not answer within {self._deadline:g} s"
            return [Answer(None, why, len(frames)) for _ in frames]

    def check_health(self) -> None:
        """Called by Ray Serve, which replaces a replica that raises here."""
        if self._stuck:
            raise RuntimeError("the teacher hangs")


def answer_all(teacher: Teacher, frames: Sequence[np.ndarray]) -> list[Answer]:
    """Label frames together where the teacher can, else one by one; a bad frame spoils no other."""
    count = len(frames)
    if count > 1 and isinstance(teacher, TakesMany):
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


class Fleet:
    """Replicas of one teacher. Made before the first request; `close()` may be called twice.

    Raises
    ------
    ImportError
        Ray Serve is not installed.
    UsageError
        There is no Ray cluster at the address, or no replica could be started.
    """

    def __init__(self, teacher: TeacherOptions, options: FleetOptions, on_batch: Callable[[int], None]):
        """`on_batch` is told how many frames were labelled together, once for each frame."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if options.address is None:
            # Ray's own ports listen on every interface, and whoever reaches them can run code: only ours may
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        import ray  # reads the environment
        from ray import exceptions, serve
        from ray.serve.exceptions import BackPressureError

        self._ray, self._serve, self._on_batch = ray, serve, on_batch
        self._lost, self._full = (exceptions.RayActorError, exceptions.WorkerCrashedError), BackPressureError
        self.waiting = 0  # questions that wait or are in work
        try:
            self._start(options)
            serve.start(proxy_location="Disabled")
            application = deployment(serve, options).bind(teacher, options)
            self._handle: Any = serve.run(application, name=APPLICATION, route_prefix=None)
        except (ConnectionError, RuntimeError, ValueError) as error:
            self.close()
            raise UsageError(f"Ray Serve cannot run {teacher.name}: {error}") from error

    def _start(self, options: FleetOptions) -> None:
        if options.address is not None:
            self._ray.init(options.address, log_to_driver=False, logging_level=logging.ERROR)
            return
        cores = max(os.cpu_count() or 1, options.replicas[1] * options.threads)
        self._ray.init(
            num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
        )  # fmt: skip

    def well(self) -> bool:
        """Always: who hangs is replaced."""
        return True

    async def label(self, bgr: np.ndarray) -> np.ndarray:
        """The label of a picture uint8 (H, W, 3).

        Raises
        ------
        Busy
            The line is full.
        TeacherError
            The teacher failed, or replica after replica was lost.
        """
        self.waiting += 1
        try:
            for _ in range(TRIALS):
                try:
                    answer: Answer = await self._handle.label.remote(bgr)
                except self._lost as error:
                    log.warning("a replica was lost, its question is asked again: %s", type(error).__name__)
                    continue
                except self._full as error:
                    raise Busy("too many requests wait already") from error
                self._on_batch(answer.batch)
                if answer.label is None:
                    raise TeacherError(str(answer.error))
                return answer.label
            raise TeacherError(f"{TRIALS} replicas were lost over this frame")
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Stop the replicas, and the Ray that was started here."""
        if self._ray.is_initialized():
            self._serve.shutdown()
            self._ray.shutdown()


def deployment(serve: Any, options: FleetOptions) -> Any:
    """Replica as Ray Serve deploys it."""
    least, most = options.replicas
    scaling: dict[str, Any] = {"num_replicas": least}
    if least != most:
        scaling = {
            "autoscaling_config": {
                "min_replicas": least,
                "max_replicas": most,
                "target_ongoing_requests": max(options.batch // 2, 1),
            }
        }
    return serve.deployment(
        Replica,
        name="Teacher",
        ray_actor_options={"num_cpus": options.threads, "num_gpus": options.gpus},
        max_ongoing_requests=options.batch + SPARE,
        max_queued_requests=options.waiting,
        health_check_period_s=HEALTH_PERIOD,
        health_check_timeout_s=HEALTH_WITHIN,
        graceful_shutdown_timeout_s=STARTED_TO_STOP,
        **scaling,
    )
