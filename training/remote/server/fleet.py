"""One teacher for many callers: replicas on Ray Serve.

Knows nothing about HTTP: the front (app.py) stays the same and asks here instead of a Worker. Replicas, a Worker each,
are processes of their own, scale with load between two bounds, and are replaced when they die or hang; a question that
was with them is asked again, because a label can be made twice.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import TeacherError, UsageError
from engine.teacher_options import TeacherOptions

from ...teachers import load
from .worker import Answer, Busy, Worker, WorkerOptions, label_of

log = logging.getLogger("jit_masker")

APPLICATION = "jm-teacher"
TRIALS = 3  # replicas that a question may meet the end of
HEALTH_PERIOD, HEALTH_WITHIN = 2.0, 5.0  # s between two looks at a replica, and for its answer
STARTED_TO_STOP = 5.0  # s that a replica may go on once it is told to stop
SPARE = 64  # questions in one replica's line besides the batch in work; more wait in front of all
# Ray Serve could gather batches itself, but closes them by the clock: before a busy teacher they would wait one by one.


@dataclass(frozen=True)
class FleetOptions:
    """How many do the work, and with what."""

    replicas: tuple[int, int] = (1, 1)  # at least, at most
    batch: int = 8  # frames at once, at most, of a teacher that labels several faster together
    batch_wait: float = 0.0  # s that a free teacher waits for more frames
    threads: int = 1  # CPU cores for each replica
    gpus: float = 0.0  # for each replica; a share lets several replicas live on one GPU
    waiting: int = 64  # questions in line, then Busy
    address: str | None = None  # of a Ray cluster; None: one is started here, for this machine only


class Replica:
    """One teacher in a process of its own."""

    def __init__(self, teacher: TeacherOptions, options: FleetOptions):
        most = options.batch + SPARE
        self._worker = Worker(load(teacher, options.threads), WorkerOptions(most, options.batch, options.batch_wait))

    async def label(self, bgr: np.ndarray, within: float) -> Answer:
        """What the teacher says of a frame uint8 (H, W, 3), for a caller who waits `within` seconds."""
        return await self._worker.answer(bgr, within)

    def check_health(self) -> None:
        """Called by Ray Serve, which replaces a replica that raises here."""
        if not self._worker.well():
            raise RuntimeError("the teacher hangs")


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

    async def label(self, bgr: np.ndarray, within: float) -> np.ndarray:
        """The label of a picture uint8 (H, W, 3), for a caller who waits `within` seconds.

        Raises
        ------
        Busy
            The line is full, or too slow.
        TeacherError
            The teacher failed, or replica after replica was lost.
        """
        self.waiting += 1
        until = time.monotonic() + within
        try:
            for _ in range(TRIALS):
                try:
                    answer: Answer = await self._handle.label.remote(bgr, until - time.monotonic())
                except self._lost as error:
                    log.warning("a replica was lost, its question is asked again: %s", type(error).__name__)
                    continue
                except self._full as error:
                    raise Busy("too many requests wait already") from error
                if answer.batch:
                    self._on_batch(answer.batch)
                return label_of(answer)
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
