"""Two engines of one graph: the idle one takes new weights, is held against numbers, and then goes live.

`TwinPolicy` decides and is pure: no engine, no thread, no clock. `EnginePair` acts. Neither knows TensorRT: an engine
is
whatever `build` returns. Everything here runs on the thread that publishes, never on the one that paints.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from enum import Enum
from typing import Generic, Protocol, TypeVar

from ..errors import CandidateRejected, GpuFault, ModelError

log = logging.getLogger("jit_masker")

MAX_FAILED_REFITS = 2  # in a row, whose weights went well when an engine was built of them: then refits are not tried


class Step(Enum):
    """What is to be done with new weights. The value is for the user."""

    REFIT = "refitting the idle engine"
    BUILD = "building an engine in half precision"
    BUILD_FULL = "building an engine in single precision"
    GIVE_UP = "keeping the student that paints"


class TwinPolicy:
    """Which way new weights go live, and what follows when that way fails.

    REFIT, where an engine is idle and refits are trusted; if it fails, BUILD of the same weights; if that disagrees,
    too, BUILD_FULL; if that fails, the weights are at fault and nothing changes: GIVE_UP.

    What is remembered: single precision, once only it was right; that refits fail, once MAX_FAILED_REFITS in a row did
    while the same weights were right in an engine that was built of them.
    """

    def __init__(self, half: bool = True, refits: bool = True):
        self.half = half  # half precision is worth trying
        self.refits = refits  # refitting is worth trying
        self._failed_refits = 0
        self._failed: list[Step] = []  # with the weights in hand

    def first(self, idle: bool) -> Step:
        """The first step for new weights; `idle`: whether there is an engine that paints nothing."""
        self._failed = []
        return Step.REFIT if idle and self.refits else self._build()

    def failed(self, step: Step) -> Step:
        """`step` did not lead to an engine that agrees: what comes next, for the same weights."""
        self._failed.append(step)
        if step is Step.REFIT:
            return self._build()
        return Step.BUILD_FULL if step is Step.BUILD else Step.GIVE_UP

    def worked(self, step: Step) -> None:
        """The engine agrees, and goes live."""
        if step is Step.REFIT:
            self._failed_refits = 0
        elif Step.BUILD in self._failed:
            self.half = False  # and the refit failed for the same reason: it is not at fault
        elif Step.REFIT in self._failed:
            self._failed_refits += 1
            self.refits = self._failed_refits < MAX_FAILED_REFITS

    def _build(self) -> Step:
        return Step.BUILD if self.half else Step.BUILD_FULL


class Holder(Protocol):
    """What makes an engine a backend; while somebody holds it, its engine is in use."""

    __weakref__: object


E = TypeVar("E")
W = TypeVar("W")
H = TypeVar("H")


class EnginePair(Generic[E, W, H]):
    """The engines of one graph. At most one is idle; who holds a backend keeps its engine from being touched."""

    def __init__(
        self,
        policy: TwinPolicy,
        build: Callable[[W, bool], E],
        refit: Callable[[E, W], None],
        backend: Callable[[E], H],
        recall: Callable[[], E | None] = lambda: None,
    ):
        """How engines are made: `build(weights, half)`, `refit(engine, weights)`, and `recall()`, which may know one
        with other weights from an earlier run. They raise ModelError, GpuFault or CandidateRejected where they fail.
        """
        self.policy = policy
        self._build, self._refit, self._backend, self._recall = build, refit, backend, recall
        self._lock = threading.Lock()  # several maskers may publish at a time
        self._engines: list[tuple[E, weakref.ref[H]]] = []
        self._told: set[Step] = set()

    def place(self, weights: W, check: Callable[[H], None]) -> H:
        """A backend with these weights that `check` has passed. The one that paints meanwhile is not touched.

        Raises
        ------
        CandidateRejected, ModelError
            No way led to an engine that agrees: the reason of the last one.
        """
        with self._lock:
            idle = self._take_idle() or (self._recall() if self.policy.refits else None)
            step = self.policy.first(idle is not None)
            while True:
                if step is not Step.REFIT:
                    idle = None  # freed before another is built: two engines at a time
                try:
                    return self._make(step, weights, idle, check)
                except (CandidateRejected, ModelError, GpuFault) as error:
                    following = self.policy.failed(step)
                    self._tell(step, error, following)
                    if following is Step.GIVE_UP:
                        if isinstance(error, GpuFault):  # whoever publishes knows what to do with a refused student
                            raise CandidateRejected(f"no engine could be made: {error}") from error
                        raise
                    step = following

    @property
    def in_use(self) -> int:
        """Engines whose backend somebody holds."""
        return sum(holder() is not None for _, holder in self._engines)

    def _make(self, step: Step, weights: W, idle: E | None, check: Callable[[H], None]) -> H:
        if step is Step.REFIT and idle is not None:
            self._refit(idle, weights)
            engine = idle
        else:
            engine = self._build(weights, step is Step.BUILD)
        backend = self._backend(engine)
        check(backend)
        self.policy.worked(step)
        self._engines.append((engine, weakref.ref(backend)))
        return backend

    def _take_idle(self) -> E | None:
        """An engine whose backend nobody holds any more, taken off the list; others like it are freed."""
        idle = [engine for engine, holder in self._engines if holder() is None]
        self._engines = [(engine, holder) for engine, holder in self._engines if holder() is not None]
        return idle[-1] if idle else None

    def _tell(self, step: Step, error: Exception, following: Step) -> None:
        if step not in self._told:  # once for each way: a learner publishes many times a second
            self._told.add(step)
            log.warning("%s failed (%s); %s", step.value, error, following.value)
