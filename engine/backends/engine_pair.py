"""Two engines of one graph: the idle one is refitted with new weights, checked, and then goes live.

`RefitPolicy` decides and is pure: no engine, no thread, no clock. `EnginePair` acts. Neither knows TensorRT: an engine
is whatever `build` returns. Everything here runs on the thread that publishes, never on the one that paints.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

from ..errors import CandidateRejected, GpuFault, ModelError

log = logging.getLogger("jit_masker")

MAX_FAILED_REFITS = 2  # in a row, whose weights went well when an engine was built of them: then refits are not tried


class Step(Enum):
    """What is to be done with new weights. The value is for log messages."""

    REFIT = "refitting the idle engine"
    BUILD_FP16 = "building an engine in half precision"
    BUILD_FP32 = "building an engine in single precision"
    GIVE_UP = "keeping the student that paints"


class RefitPolicy:
    """How new weights go live: by a refit or in an engine that is built, in half or in single precision.

    REFIT, where an engine is idle and refits work; if that fails, BUILD_FP16 of the same weights; if that fails its
    check, too, BUILD_FP32; if that fails, the weights are at fault and nothing changes: GIVE_UP.

    Remembered are: single precision, once only it passed; that refits fail, once MAX_FAILED_REFITS in a row did while
    the same weights passed in an engine that was built of them.
    """

    def __init__(self, fp16: bool = True, refits: bool = True):
        self.fp16 = fp16  # half precision is worth trying
        self.refits = refits  # refitting is worth trying
        self._failed_refits = 0
        self._failed: list[Step] = []  # with the weights in hand

    def first_step(self, idle: bool) -> Step:
        """The first step for new weights; `idle`: whether there is an engine that paints nothing."""
        self._failed = []
        return Step.REFIT if idle and self.refits else self._build()

    def next_step(self, failed: Step) -> Step:
        """The step after `failed`, for the same weights."""
        self._failed.append(failed)
        if failed is Step.REFIT:
            return self._build()
        return Step.BUILD_FP32 if failed is Step.BUILD_FP16 else Step.GIVE_UP

    def succeeded(self, step: Step) -> None:
        """`step` led to an engine that passed its check, and goes live."""
        if step is Step.REFIT:
            self._failed_refits = 0
        elif Step.BUILD_FP16 in self._failed:
            self.fp16 = False  # and the refit failed for the same reason: it is not at fault
        elif Step.REFIT in self._failed:
            self._failed_refits += 1
            self.refits = self._failed_refits < MAX_FAILED_REFITS

    def _build(self) -> Step:
        return Step.BUILD_FP16 if self.fp16 else Step.BUILD_FP32


E = TypeVar("E")  # an engine
W = TypeVar("W")  # the weights of a student
B = TypeVar("B")  # a backend: while somebody refers to it, its engine is in use


class EnginePair(Generic[E, W, B]):
    """The engines of one graph: those of backends that are in use, and at most one that is idle and may be refitted."""

    def __init__(
        self,
        policy: RefitPolicy,
        build: Callable[[W, bool], E],
        refit: Callable[[E, W], None],
        backend: Callable[[E], B],
        load_cached: Callable[[], E | None] = lambda: None,
    ):
        """How engines are made: `build(weights, fp16)`, `refit(engine, weights)`, and `load_cached()`: one of an
        earlier run with other weights, if there is one. They raise ModelError, GpuFault or CandidateRejected.
        """
        self.policy = policy
        self._build, self._refit, self._backend, self._load_cached = build, refit, backend, load_cached
        self._lock = threading.Lock()  # several maskers may publish at a time
        self._engines: list[tuple[E, weakref.ref[B]]] = []
        self._warned: set[Step] = set()

    def create(self, weights: W, check: Callable[[B], None]) -> B:
        """A backend with these weights that `check` has passed. Engines that are in use are not touched.

        Raises
        ------
        CandidateRejected, ModelError
            No step led to an engine that passes: the reason of the last one.
        """
        with self._lock:
            idle = self._take_idle() or (self._load_cached() if self.policy.refits else None)
            step = self.policy.first_step(idle is not None)
            while True:
                if step is not Step.REFIT:
                    idle = None  # freed before another is built: two engines at a time
                try:
                    return self._try(step, weights, idle, check)
                except (CandidateRejected, ModelError, GpuFault) as error:
                    next_step = self.policy.next_step(step)
                    self._warn_once(step, error, next_step)
                    if next_step is Step.GIVE_UP:
                        if isinstance(error, GpuFault):  # the learner knows how to take a refused student
                            raise CandidateRejected(f"no engine could be made: {error}") from error
                        raise
                    step = next_step

    @property
    def in_use(self) -> int:
        """How many engines have a backend that somebody refers to."""
        return sum(backend() is not None for _, backend in self._engines)

    def _try(self, step: Step, weights: W, idle: E | None, check: Callable[[B], None]) -> B:
        if step is Step.REFIT and idle is not None:
            self._refit(idle, weights)
            engine = idle
        else:
            engine = self._build(weights, step is Step.BUILD_FP16)
        backend = self._backend(engine)
        check(backend)
        self.policy.succeeded(step)
        self._engines.append((engine, weakref.ref(backend)))
        return backend

    def _take_idle(self) -> E | None:
        """An engine that is no longer in use, taken off the list; others like it are freed."""
        idle = [engine for engine, backend in self._engines if backend() is None]
        self._engines = [(engine, backend) for engine, backend in self._engines if backend() is not None]
        return idle[-1] if idle else None

    def _warn_once(self, step: Step, error: Exception, next_step: Step) -> None:
        if step not in self._warned:  # once for each way: a learner publishes many times a second
            self._warned.add(step)
            log.warning("%s failed (%s); %s", step.value, error, next_step.value)
