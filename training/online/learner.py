"""The teacher's thread (Figure 1): takes frames from its tap, at low priority, and lets the Distiller do one thing
with each. If it dies, the picture goes on with the last good student and the reason is in `stats`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import BackendUnavailable
from engine.mailboxes import Tap
from engine.teacher_options import TeacherOptions, as_teacher_options
from engine.timing import Durations
from export.contracts import Published, StudentWeights

from ..teachers.deadline import DeadlineTeacher, TeacherClosed

log = logging.getLogger("jit_masker")

PATIENCE = 2.0  # s, at the end, for the operation in flight
STEP_THREADS = 1  # of torch; a step this small gains little from a second, and waits for it where cores are short
NICENESS = 10  # of the learner's threads, where the system has it: the picture goes first


@dataclass(frozen=True)
class LearningStats:
    """A snapshot of the learner."""

    teacher: str
    calls: int  # of the teacher
    failures: int  # calls without a usable label
    steps: int
    publishes: int  # students that went live
    rejected: int  # students that did not
    returns: int  # times an earlier student fitted better, after a cut or when lost, and was gone back to
    delta: int  # frames between labels now
    curve: list[tuple[int, float]]  # (frame of the learner's count, IoU-Acc against the teacher, as painted)
    teacher_ms: Durations
    publish_ms: Durations
    died: str | None  # why learning stopped
    wire: dict[str, Any] | None = None  # of a teacher on another machine; see docs/report.md


class Learner:
    """Owns the Distiller and its thread. `close()` may be called twice."""

    def __init__(
        self,
        distiller,
        teacher_name: str,
        guard,
        threaded: bool,
        device: str = "cpu",
        wire: Callable[[], dict[str, Any] | None] = lambda: None,
    ):
        """`wire` tells what a teacher on another machine sent and received; None for one on this machine."""
        self.tap = Tap()
        self._wire = wire
        self._distiller, self._teacher_name, self._guard = distiller, teacher_name, guard
        self._device = device
        self._died: str | None = None
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True) if threaded else None
        if self._thread is not None:
            self._thread.start()

    def operate(self, bgr: np.ndarray, alpha: np.ndarray) -> None:
        """The one operation for this frame, on the calling thread. Never raises: learning stops instead."""
        if self._died is not None:
            return
        try:
            self._distiller.operate(bgr, alpha)
        except TeacherClosed:
            return
        except Exception as error:
            self._died = f"{type(error).__name__}: {error}"
            log.exception("learning stopped; the picture goes on with the last good student")

    def _run(self) -> None:
        import torch

        lower_priority()
        torch.set_num_threads(STEP_THREADS)
        with own_stream(self._device):
            while self._died is None and (taken := self.tap.take()) is not None:
                self.operate(*taken)

    @property
    def stats(self) -> LearningStats:
        d = self._distiller
        return LearningStats(
            self._teacher_name, d.calls, d.failures, d.steps, d.publishes, d.rejected, d.returns, d.schedule.delta,
            list(d.curve), d.teacher_ms, d.publish_ms, self._died, self._wire(),
        )  # fmt: skip

    def close(self) -> None:
        """Stop after the operation in flight; a teacher that hangs is left behind."""
        self.tap.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=PATIENCE)
        self._guard.close()


def lower_priority() -> None:
    """Let the calling thread give way to the picture; without effect where threads have no niceness of their own."""
    if sys.platform.startswith("linux"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def own_stream(device: str) -> AbstractContextManager:
    """The calling thread's work on a GPU goes to a stream of its own, after the picture's; nothing for "cpu"."""
    import torch

    if device == "cpu":
        return nullcontext()
    torch.cuda.synchronize()  # what was made before, on the default stream, is there
    return torch.cuda.stream(torch.cuda.Stream(priority=0))  # 0 is torch's lowest; what paints has a higher one


def start(
    weights: StudentWeights,
    size: tuple[int, int],
    *,
    teacher: str | TeacherOptions,
    recipe: str,
    publish: Callable[[Published], None],
    threads: int,
    seed: int,
    threaded: bool,
    on_gpu: bool = False,
) -> Learner:
    """A Learner for the student of `weights`, taught by `teacher`; running if `threaded`.

    `threads` are the teacher's. `on_gpu`: the student paints on a GPU, and is taught there if torch has it.

    Raises
    ------
    UsageError
        Unknown teacher or recipe.
    BackendUnavailable
        torch, or a package that the teacher needs, is not installed.
    ModelError
        The teacher's weights cannot be had.
    """
    from ..teachers import load, traffic_of
    from .recipe import recipe as recipe_named

    chosen = recipe_named(recipe, weights.student)
    if importlib.util.find_spec("torch") is None:
        raise BackendUnavailable(
            'learning needs torch, which is not installed; pip install "jit-masker[learn]", or use --teacher none'
        )
    teacher = as_teacher_options(teacher)
    source = load(teacher, threads)
    guard = DeadlineTeacher(source, on_thread=lower_priority if threaded else None)
    import torch

    import kernels
    from export.publish import Publisher

    from ..students import new_student
    from ..teachers.devices import best_device
    from .distiller import Distiller

    torch.set_num_threads(STEP_THREADS)
    torch.manual_seed(seed)
    student = new_student(weights.student)
    student.load_weights(weights.tensors)
    device = best_device().type if on_gpu else "cpu"
    elsewhere = traffic_of(source) is not None
    distiller = Distiller(
        student, Publisher(weights, size), guard, chosen, publish, kernels.load(), seed, device,
        overlap=threaded and elsewhere,
    )  # fmt: skip
    return Learner(distiller, teacher.name, guard, threaded, device, lambda: traffic_of(source))
