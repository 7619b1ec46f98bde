"""The teacher's thread (Figure 1): takes frames from its sampler, at low priority, and lets the distiller do one thing
with each. If it dies, the picture goes on with the last good student and the reason is in `stats`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from engine.contracts import Correction, LearnerOptions, LearningStats
from engine.errors import BackendUnavailable, JitMaskerError
from engine.mailboxes import FrameSampler
from engine.rooms.memory import RoomMemory
from engine.stroke import Stroke
from export.contracts import Published, StudentWeights
from export.publish import Publisher
from kernels import Kernels
from kernels import load as load_kernels

from .. import teachers
from ..teachers.deadline import DeadlineTeacher, TeacherClosed
from .recipe import recipe as recipe_named
from .shared_sampler import SharedFrameSampler

if TYPE_CHECKING:
    from .distiller import Distiller  # it needs torch, whose absence is to be told in plain words

log = logging.getLogger("jit_masker")

CLOSE_TIMEOUT = 2.0  # s, at the end, for the operation in flight
STEP_THREADS = 1  # of torch; a step this small gains little from a second, and waits for it where cores are short
NICENESS = 10  # of the learner's threads, where the system has it: the picture goes first


class OnlineLearner:
    """See `engine.contracts.Learner`. Owns the distiller, its thread and the teacher."""

    def __init__(
        self,
        distiller: Distiller,
        teacher_name: str,
        teacher: DeadlineTeacher,
        *,
        lockstep: bool,
        device: str = "cpu",
        sampler: FrameSampler | SharedFrameSampler | None = None,
        traffic: Callable[[], Mapping[str, object] | None] = lambda: None,
    ):
        """`sampler` gives the frames; None: one of its own. `traffic` tells what a teacher on another machine sent and
        received; None for one on this machine.
        """
        self.failure: JitMaskerError | None = None
        self._traffic = traffic
        self._distiller, self._teacher_name, self._teacher = distiller, teacher_name, teacher
        self._device = device
        self._died: str | None = None
        self._recalled: str | None = None  # a room whose student paints, and that the distiller was not told of yet
        self._strokes: queue.SimpleQueue[Stroke | None] = queue.SimpleQueue()  # that the distiller was not told of yet
        self._sampler = sampler or FrameSampler()
        self._thread = None if lockstep else threading.Thread(target=self._run, name="learner", daemon=True)
        if self._thread is not None:
            self._thread.start()

    def offer(self, bgr: np.ndarray, logits: np.ndarray, scene: int) -> None:
        if self._thread is not None:
            self._sampler.offer(bgr, logits, scene)
        elif self._died is None:
            with torch_threads(STEP_THREADS):
                self._operate(bgr, logits, scene)

    def recalled(self, room_id: str) -> None:
        self._recalled = room_id

    def correct(self, stroke: Stroke | None) -> None:
        self._strokes.put(stroke)

    def _operate(self, bgr: np.ndarray, logits: np.ndarray, scene: int, elapsed: int = 1) -> None:
        """The one operation for this frame. Never raises: learning stops instead."""
        try:
            room_id, self._recalled = self._recalled, None
            if room_id is not None:
                self._distiller.recalled(room_id)
            while not self._strokes.empty():
                self._distiller.correct(self._strokes.get())
            self._distiller.operate(bgr, logits, scene, elapsed)
        except TeacherClosed:
            return
        except Exception as error:
            self._died = f"{type(error).__name__}: {error}"
            log.exception("learning stopped; the picture goes on with the last good student")

    def _run(self) -> None:
        lower_priority()
        with torch_threads(STEP_THREADS), own_stream(self._device):
            while self._died is None and (taken := self._sampler.take(self._distiller.patience)) is not None:
                self._operate(*taken)

    @property
    def stats(self) -> LearningStats:
        d = self._distiller
        return LearningStats(
            self._teacher_name, d.calls, d.failures, d.steps, d.publishes, d.rejected, d.refused, d.rollbacks,
            d.schedule.delta, list(d.curve), d.teacher_ms, d.publish_ms,
            {"teacher": d.teacher_cpu, **d.cpu.seconds}, self._died, d.room, d.corrections.all, self._traffic(),
        )  # fmt: skip

    def close(self) -> None:
        """Stop after the operation in flight; a teacher that hangs is left behind."""
        self._sampler.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=CLOSE_TIMEOUT)
        if self._thread is None or not self._thread.is_alive():
            self._distiller.close()
        self._teacher.close()


def lower_priority() -> None:
    """Let the calling thread give way to the picture; without effect where threads have no niceness of their own."""
    if sys.platform.startswith("linux"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """The calling thread computes with `count` threads of torch; the program that we run in, as before."""
    import torch

    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    # that also sets what threads begin with that come later; a thread of its own sets it back
    restore = threading.Thread(target=torch.set_num_threads, args=(before,), name="learner")
    restore.start()
    restore.join()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def own_stream(device: str) -> AbstractContextManager[object]:
    """The calling thread's work on a GPU goes to a stream of its own, after the picture's; nothing for "cpu"."""
    import torch

    if device == "cpu":
        return nullcontext()
    torch.cuda.synchronize()  # what was made before, on the default stream, is there
    return torch.cuda.stream(torch.cuda.Stream(priority=0))  # 0 is torch's lowest; what paints has a higher one


def check(student: str, options: LearnerOptions) -> None:
    """What can be known without torch of a learner that is asked for.

    Raises
    ------
    UsageError, BackendUnavailable, ModelError
        As `engine.contracts.StartLearner`.
    """
    recipe_named(options.recipe, student)
    if importlib.util.find_spec("torch") is None:
        raise BackendUnavailable(
            'learning needs torch, which is not installed; pip install "jit-masker[learn]", or use --teacher none'
        )
    teachers.check(options.teacher)


def start(
    weights: StudentWeights,
    size: tuple[int, int],
    publish: Callable[[Published], None],
    options: LearnerOptions,
    *,
    live: Mapping[str, np.ndarray] | None = None,
    corrections: Sequence[Correction] = (),
    sampler: FrameSampler | SharedFrameSampler | None = None,
    publisher: Publisher | None = None,
    kernels: Kernels | None = None,
) -> OnlineLearner:
    """A running learner; see `engine.contracts.StartLearner`.

    Parameters
    ----------
    live : tensors of the student that paints, to go on from; None: those of `weights`.
    corrections : of the room at hand, that it knows already.
    sampler, publisher, kernels : to work with; None: new ones.
    """
    check(weights.student, options)
    # made on the teacher's thread, so that a runtime's pool inherits its priority
    teacher = DeadlineTeacher(
        lambda: teachers.load(options.teacher, options.threads, remembers=True),
        on_thread=None if options.lockstep else lower_priority,
    )
    import torch

    from ..students import Student
    from ..teachers.devices import best_device
    from .budget import LearningBudget
    from .distiller import Distiller
    from .frame_keeper import FrameKeeper
    from .room_keeper import RoomKeeper

    with torch.random.fork_rng(devices=[]):  # what is drawn is overwritten at once; the host's chance is its own
        student = Student(weights.student)
    student.load_weights(weights.tensors)
    kernels = kernels or load_kernels(wait=options.lockstep)
    rooms = None
    if options.rooms is not None:
        rooms = RoomKeeper(RoomMemory(options.rooms, weights, size, kernels))
    keeper = FrameKeeper(options.keep, waits=options.lockstep) if options.keep is not None else None
    device = best_device().type if options.on_gpu else "cpu"
    elsewhere = teachers.traffic_of(teacher.inner) is not None
    distiller = Distiller(
        student, publisher or Publisher(weights, size), teacher, recipe_named(options.recipe, weights.student), publish,
        kernels, options.seed, device, overlap=elsewhere and not options.lockstep,
        budget=None if options.lockstep else LearningBudget(options.budget), rooms=rooms,
        keeper=keeper,
    )  # fmt: skip
    if live is not None:
        distiller.resume(live)
    distiller.corrections.restore(corrections)
    return OnlineLearner(
        distiller, options.teacher.name, teacher, lockstep=options.lockstep, device=device, sampler=sampler,
        traffic=lambda: teachers.traffic_of(teacher.inner),
    )  # fmt: skip
