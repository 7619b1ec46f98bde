"""One teacher for many callers: replicas on Ray Serve.

Knows nothing about HTTP: to app.py it looks like a TeacherWorker. Replicas, a TeacherWorker each, are processes of
their own, scale with load between two bounds, and are replaced when they die or hang; a request that was with them is
sent to another, because labelling is idempotent.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import TeacherError, UsageError
from engine.teacher_options import TeacherOptions

from ...teachers import load
from .worker import Busy, LabelResult, TeacherWorker, WorkerOptions, unwrap

log = logging.getLogger("jit_masker")

APPLICATION = "jm-teacher"
MAX_ATTEMPTS = 3  # replicas that one request is sent to, if each of them is lost
HEALTH_PERIOD, HEALTH_TIMEOUT = 2.0, 5.0  # s between two health checks of a replica, and for its answer
SHUTDOWN_TIMEOUT = 5.0  # s for a replica to end
REPLICA_QUEUE = 64  # requests queued in one replica besides the batch in work; more wait in front of all
# The proxy of Ray's processes, where nobody listens: one of them asks three clouds whether it runs there
# (169.254.169.254, metadata.google.internal), also with usage statistics switched off. Weights come by https.
NOWHERE = "http://127.0.0.1:9"
# Ray Serve's own batching closes a batch by the clock: frames would wait one by one before a busy teacher.


@dataclass(frozen=True)
class FleetOptions:
    """How many replicas, and what each may use."""

    replicas: tuple[int, int] = (1, 1)  # at least, at most
    batch: int = 8  # frames at once, at most, of a BatchTeacher
    batch_wait: float = 0.0  # s that an idle teacher waits for more frames
    threads: int = 1  # CPU cores for each replica
    gpus: float = 0.0  # for each replica; a share lets several replicas live on one GPU
    waiting: int = 64  # requests waiting, then Busy
    address: str | None = None  # of a Ray cluster; None: one is started here, for this machine only


class Replica:
    """One teacher in a process of its own."""

    def __init__(self, teacher: TeacherOptions, options: FleetOptions):
        most = options.batch + REPLICA_QUEUE
        self._worker = TeacherWorker(
            load(teacher, options.threads), WorkerOptions(most, options.batch, options.batch_wait)
        )

    async def label(self, bgr: np.ndarray, within: float) -> LabelResult:
        """The label of a frame uint8 (H, W, 3), for a caller who waits `within` seconds."""
        return await self._worker.result(bgr, within)

    def check_health(self) -> None:
        """Called by Ray Serve, which replaces a replica that raises here."""
        if not self._worker.healthy():
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
        """`on_batch` is called once for each frame with the size of its batch."""
        if options.address is None:
            # Ray's own ports listen on every interface, and whoever reaches them can run code: they need a token
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            # and its processes speak to each other by the loopback address: any system's setting, for all its name
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        import ray  # reads the environment
        from ray import exceptions, serve
        from ray.serve.exceptions import BackPressureError

        self._ray, self._serve, self._on_batch = ray, serve, on_batch
        self._lost, self._full = (exceptions.RayActorError, exceptions.WorkerCrashedError), BackPressureError
        self.waiting = 0  # requests that wait or are in work
        self._folder: str | None = None  # of the Ray that was started here, for its logs and sockets
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
        # short, because the path of a socket has at most 107 characters: macOS's own folder is too long
        above = os.environ.get("RAY_TMPDIR") or ("/tmp" if sys.platform == "darwin" else None)
        self._folder = tempfile.mkdtemp(prefix="jm-", dir=above)
        with set_environment(http_proxy=NOWHERE, no_proxy=""):
            self._ray.init(
                num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
                _node_ip_address="127.0.0.1", _temp_dir=self._folder,
            )  # fmt: skip

    def healthy(self) -> bool:
        """Always: Ray replaces a replica that hangs."""
        return True

    async def label(self, bgr: np.ndarray, within: float) -> np.ndarray:
        """The label of a picture uint8 (H, W, 3), for a caller who waits `within` seconds.

        Raises
        ------
        Busy
            The queue is full, or too slow.
        TeacherError
            The teacher failed, or replica after replica was lost.
        """
        self.waiting += 1
        deadline = time.monotonic() + within
        try:
            for _ in range(MAX_ATTEMPTS):
                try:
                    result: LabelResult = await self._handle.label.remote(bgr, deadline - time.monotonic())
                except self._lost as error:
                    log.warning("a replica was lost, its request is sent to another: %s", type(error).__name__)
                    continue
                except self._full as error:
                    raise Busy("too many requests wait already") from error
                if result.batch:
                    self._on_batch(result.batch)
                return unwrap(result)
            raise TeacherError(f"{MAX_ATTEMPTS} replicas were lost over this frame")
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Stop the replicas, and the Ray that was started here."""
        if self._ray.is_initialized():
            self._serve.shutdown()
            self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def set_environment(**values: str) -> Iterator[None]:
    """Variables for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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
        max_ongoing_requests=options.batch + REPLICA_QUEUE,
        max_queued_requests=options.waiting,
        health_check_period_s=HEALTH_PERIOD,
        health_check_timeout_s=HEALTH_TIMEOUT,
        graceful_shutdown_timeout_s=SHUTDOWN_TIMEOUT,
        **scaling,
    )
