"""Masker: one frame in, one picture out, with a student that may be replaced between two frames.

The face for other apps, and the paint path of `jm-engine`. How a frame is painted, and how students are swapped, is
told in painting/. The learner is loaded when a teacher is asked for; without one, torch is never imported.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import kernels
from export.contracts import Published, StudentWeights

from . import cpu_budget
from .backends import ON_GPU
from .backgrounds import open_background
from .contracts import (
    Canvas,
    KeepOptions,
    LearnerOptions,
    MaskerStats,
    PaintResult,
    RoomOptions,
    StartLearner,
)
from .cpu_budget import CpuBudget
from .defaults import LEARNING_BUDGET, STUDENT
from .errors import CandidateRejected, JitMaskerError, ModelError, UsageError
from .learning import Kind, Learning, check_kind
from .painting.edge_options import EdgeOptions
from .painting.fail_closed import FailClosed
from .painting.hot_swap import HotSwap
from .painting.loaded_student import LoadedStudent
from .painting.presence import MIN_AREA
from .pixels import as_bgr
from .rooms.recall import RecallAtStart
from .stroke import Stroke
from .teacher_options import TeacherOptions, as_teacher_options
from .timing import Durations, Stages

log = logging.getLogger("jit_masker")

LOCKSTEP_FPS = 25.0  # frames per second, for frames that are handed over without a time
TAUGHT_BEFORE_S = 1e6  # frames that are taught lie that long before the stream, a second apart


class Masker:
    """Paint people over another background.

        with Masker(teacher="rvm", background="beach.jpg") as masker:
            out = masker(frame)

    Parameters
    ----------
    backend : "auto" or a name in BACKENDS.
    teacher : None (no learning, no torch), a name in TEACHERS, a .toml, a URL, or TeacherOptions.
    background : a picture, a video, "#rrggbb", "blur", "none"; see `engine.backgrounds.open_background`.
    student : a name in STUDENTS.
    size : of the student's input, pixels: a side, "WxH", or (h, w). None: the student's own.
    weights : .safetensors made by jm-train; None: those that come with the package.
    threads : the CPU budget, shared with the learner, or a CpuBudget that says who has how many; None: see
        `engine.cpu_budget`. OpenCV's pool, which the whole process shares, is set to the paint path's part of it.
    recipe : how the student learns, a name in `training.online.recipe.NAMES`.
    learning_budget : CPU time of the learner, percent of one core over any minute; 0: no learning; `math.inf`: no
        limit. Lockstep has none: there no clock decides.
    learner : "thread": in this process; the constructor waits for torch and for the teacher. "process" (Linux): in one
        of its own, so that neither its start nor its end, whatever that is, touches the picture. It paints at once, and
        what keeps the learner from its work is in `learner_failure` later. Beside a student on a GPU: a thread.
    lockstep : True: each call also runs the learner's one operation, so that a run is repeatable; False: the learner
        has its own thread and no frame waits for it.
    min_area : share of the frame below which nobody is painted.
    edges : how the edge of the person looks.
    seed : of what is drawn while learning.
    rooms : where rooms are remembered from one run to the next, see `engine.rooms`; None: they are not.
    still_gate : while the picture stands still, the student's last answer is reused, for half a second at most; on the
        CPU alone, a GPU paints every frame anew.
    keep : frames that are kept with their labels, see `engine.personal`; None: none. Their user has to agree.
    start_learner : makes the learner, where it is to be another than `training.online.learner.start`.

    Raises
    ------
    UsageError, BackendUnavailable, ModelError
        A name is unknown, a runtime is missing, weights or a teacher's file cannot be had.

    Frames are uint8 (H, W, 3) BGR; grey, BGRA and 16-bit arrays are converted. Any size, and it may change. Calls from
    several threads are served one after the other. `close()` may be called twice, and while a frame is in flight.

    The room is never painted: where there is no mask (a fault, NaN, nobody there) the background covers the frame.
    """

    def __init__(
        self,
        backend: str = "auto",
        teacher: str | TeacherOptions | None = None,
        background: str = "blur",
        *,
        student: str = STUDENT,
        size: int | str | tuple[int, int] | None = None,
        weights: str | Path | None = None,
        threads: int | CpuBudget | None = None,
        recipe: str = "default",
        learning_budget: float = LEARNING_BUDGET,
        learner: Kind = "thread",
        lockstep: bool = False,
        min_area: float = MIN_AREA,
        edges: EdgeOptions | None = None,
        seed: int = 0,
        rooms: RoomOptions | None = None,
        keep: KeepOptions | None = None,
        still_gate: bool = False,
        start_learner: StartLearner | None = None,
    ):
        from export.publish import load_student, publish_initial
        from export.students import input_size

        if not learning_budget >= 0:
            raise UsageError(
                f"learning_budget is {learning_budget}; expected 0 (no learning) or more percent of a core"
            )
        check_kind(learner, lockstep)
        teacher = None if teacher == "none" or not learning_budget else teacher
        self.threads = cpu_budget.divide(threads, teacher is not None, taking_turns=lockstep)
        cpu_budget.apply(self.threads)
        self.size = input_size(student, size)
        self.student = load_student(student, self.size, weights)
        self._weights = weights
        # read on a thread of its own, beside all that follows
        self._recall = RecallAtStart(rooms, self.student, self.size) if rooms is not None else None
        self.background = open_background(background, lossless=lockstep)
        self._timing = Stages(("preprocess", "student", "edges", "composite"))
        self._lockstep = lockstep
        self._frame_lock = threading.Lock()  # held by whoever paints; never by the learner
        self._frames = self._index = 0
        self._cpu = 0.0  # s, of whoever paints
        self._frame_shape: tuple[int, ...] | None = None  # of the last frame
        self._stream_began = time.perf_counter()
        self._closed = False
        self._original = np.empty((0, 0, 3), np.uint8)  # of a frame that is painted in its own place
        try:
            wait = lockstep or backend != "auto"
            self._hot_swap = HotSwap(backend, publish_initial(self.student, self.size), self.threads.paint, wait)
        except CandidateRejected as error:
            raise ModelError(f"the weights {weights or 'that are shipped'} cannot be used: {error}") from error
        self._learning = Learning(rooms)
        self._prepare: Callable[[StudentWeights], None] | None = None  # who learns, from this start
        if teacher is not None:
            options = LearnerOptions(
                as_teacher_options(teacher), recipe, self.threads.learn, seed, learning_budget, lockstep,
                on_gpu=self.backend_name in ON_GPU, rooms=rooms, keep=keep,
            )  # fmt: skip
            self._prepare = functools.partial(
                self._learning.prepare, learner, start_learner, size=self.size, publish=self.swap, options=options
            )
            self._prepare(self.student)
        try:
            self._learning.begin()
            self.kernels = kernels.load(wait=lockstep)  # a run is repeatable only with the same from its first frame
            if self.kernels.name != "fused":
                log.warning("kernels: %s; painting is several times slower", self.kernels.reason)
            self._painting = FailClosed(
                self.kernels, self._hot_swap, edges or EdgeOptions(), self._timing, min_area,
                transparent=self.background.transparent, trusted=weights is None, wait=lockstep, still_gate=still_gate,
            )  # fmt: skip
        except BaseException:
            self.close()
            raise

    # -- one frame -------------------------------------------------------------------------------------------------

    def process(self, frame: np.ndarray, timestamp: float | None = None, canvas: Canvas | None = None) -> PaintResult:
        """Paint one frame: run the student, count the frame, teach.

        Parameters
        ----------
        frame : uint8 (H, W, 3), BGR, or what can be converted to that. Read only: never changed, unless it is the
            canvas's own picture.
        timestamp : s, its position in its stream. None: now, or in lockstep one frame every 40 ms.
        canvas : what to paint into, made to fit; None: new arrays.

        Raises
        ------
        UsageError
            The masker is closed, or `frame` is no picture: nothing can be painted. Whatever else fails, the canvas is
            painted, with the background alone or black.
        """
        bgr = as_bgr(frame)
        canvas = (canvas or Canvas()).fit(bgr)
        with self._frame_lock:
            if self._closed:
                raise UsageError("this masker is closed; make a new one")
            if timestamp is None:
                now = time.perf_counter() - self._stream_began
                timestamp = self._index / LOCKSTEP_FPS if self._lockstep else now
            return self._process(bgr, timestamp, canvas)

    def _process(self, bgr: np.ndarray, timestamp: float, canvas: Canvas) -> PaintResult:
        self._timing.begin()
        began = time.thread_time()
        self._frame_shape = bgr.shape
        if self._recall is not None:
            self._recall_room(bgr)
        student = self._hot_swap.adopt()
        untouched = self._untouched(bgr, canvas)
        logits, state = self._painting.paint(bgr, student, self.background, timestamp, canvas, self._index)
        self._timing.end()
        self._cpu += time.thread_time() - began
        index, self._index, self._frames = self._index, self._index + 1, self._frames + 1
        if logits is not None:
            self._learning.offer(untouched, logits, self._painting.guard.scene)
        foreground = self._painting.painter.foreground
        return PaintResult(canvas.picture, canvas.alpha, foreground, index, student.version, state)

    def _recall_room(self, bgr: np.ndarray) -> None:
        """Before the first frame of all: if this room is known, its student paints it."""
        assert self._recall is not None
        recollection, self._recall = self._recall(bgr), None
        if recollection is None:
            return
        try:
            self.swap(replace(recollection.published, version=1))
        except JitMaskerError as error:
            log.warning("the student of room %s is not used: %s", recollection.facts.id, error)
            return
        self._learning.recalled(recollection.facts.id)

    def _untouched(self, bgr: np.ndarray, canvas: Canvas) -> np.ndarray:
        """The frame as it came, for the learner, also where it is painted in its own place."""
        if self._learning.learner is None or not np.may_share_memory(bgr, canvas.picture):
            return bgr
        if self._original.shape != bgr.shape:
            self._original = np.empty(bgr.shape, np.uint8)
        np.copyto(self._original, bgr)
        return self._original

    # -- sugar -------------------------------------------------------------------------------------------------------

    def __call__(self, frame: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The picture of `frame`: uint8 (H, W, 3) BGR, in `out` (which may be the frame), or a new array.

        Raises
        ------
        UsageError
            As `process`; or `out` does not fit the frame.
        """
        bgr, canvas = as_bgr(frame), Canvas()
        if out is not None:
            if out.shape != bgr.shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
                raise UsageError(f"out is {out.dtype} {out.shape}; expected C-contiguous uint8 {bgr.shape}")
            canvas.picture = out
        return self.process(bgr, canvas=canvas).picture

    def alpha(self, frame: np.ndarray) -> np.ndarray:
        """The matte of `frame`: float32 (H, W) in [0, 1], 1 = person, a new array; zeros where there is no mask."""
        return self.process(frame).alpha / np.float32(255)

    def teach(self, frames: Iterable[np.ndarray]) -> None:
        """Learn from `frames` before the first picture: they are painted for the learner's sake alone, and not counted.

        What they leave is a student that knows them, and trust in it where the stream goes on with the scene of the
        last one.

        Parameters
        ----------
        frames : as in `process`, in the order of time.

        Raises
        ------
        UsageError
            As `process`; or this masker is not in lockstep, where a learner has its own time.
        """
        if not self._lockstep:
            raise UsageError("teach needs a masker with lockstep=True; else the learner has a clock of its own")
        canvas = Canvas()
        for i, frame in enumerate(frames):
            self.process(frame, i - TAUGHT_BEFORE_S, canvas)
        with self._frame_lock:
            self._frames = self._index = 0
            self._painting.clear()
            self._timing.clear()

    # -- students, streams, the end ----------------------------------------------------------------------------------

    def swap(self, published: Published) -> None:
        """Build and check a new student on the calling thread; the paint path adopts it between two frames.

        Raises
        ------
        ModelError, CandidateRejected
            The candidate cannot be loaded or is bad; the live student stays.
        """
        self._hot_swap.swap(published)

    def forget(self) -> None:
        """The start student paints again, and whoever learns starts anew: nothing that was learnt here is left. Where
        the file of the start is gone, as that of a profile that was forgotten, the shipped one is the start.

        Raises
        ------
        UsageError
            The masker is closed.
        JitMaskerError
            The learner cannot be started again, or what lies on disk cannot be deleted; the picture goes on.
        """
        if self._closed:
            raise UsageError("this masker is closed; make a new one")
        self._recall = None
        try:
            self._learning.forget()
        finally:
            if self._weights is not None and not Path(self._weights).exists():
                self._start_as_shipped()
            self._hot_swap.forget()
            self._learning.begin()

    def correct(self, points: Iterable[Sequence[float]], keep: bool = True) -> None:
        """What the user draws over is painted with the person (`keep`) or is background, whatever the teacher says.

        It is learnt from the next frame on, which takes one to three seconds, and holds in this room: while it runs,
        and where rooms are remembered the next time, too. `undo_correction` takes the last one back.

        Parameters
        ----------
        points : of a stroke over the thing, (x, y) in [0, 1], shares of the frame's width and height; one will do for
            a thing of one colour.
        keep : True: it belongs to the picture (a guitar); False: it does not (a chair).

        Raises
        ------
        UsageError
            There are no points or too many, one lies outside the frame, or nobody learns.
        """
        self._learning.correct(Stroke.of(points, keep))

    def undo_correction(self) -> None:
        """The last correction that still holds does so no more. UsageError where nobody learns."""
        self._learning.correct(None)

    def _start_as_shipped(self) -> None:
        from export.publish import load_student, publish_initial

        self._weights, self.student = None, load_student(self.student.student, self.size)
        self._hot_swap.start_from(publish_initial(self.student, self.size))
        if self._prepare is not None:
            self._prepare(self.student)

    def set_background(self, spec: str) -> None:
        """Another background from the next frame on; opened here, on the calling thread.

        Raises
        ------
        UsageError
            It cannot be read; or it is transparent and the one before is not, or the other way round: what is painted
            goes where there is alpha, or does not, for good. The one before stays.
        """
        background = open_background(spec, lossless=self._lockstep)
        try:
            if background.transparent != self.background.transparent:
                raise UsageError(
                    f"background {spec!r}: alpha was {'on' if self.background.transparent else 'off'} when this began; "
                    "start anew to change that"
                )
            if not self._lockstep and self._frame_shape is not None:
                background.picture(np.zeros(self._frame_shape, np.uint8), None, 0.0)  # fitted here, not between frames
        except BaseException:
            background.close()
            raise
        with self._frame_lock:  # for an assignment
            old, self.background = self.background, background
            if self._closed:
                old = background
        old.close()

    def reset(self) -> None:
        """Another stream begins: what is remembered of the last one's frames is forgotten, what was learnt is kept."""
        with self._frame_lock:
            self._painting.reset()
            self._index, self._stream_began = 0, time.perf_counter()

    @property
    def stats(self) -> MaskerStats:
        """What happened so far."""
        swap, painting = self._hot_swap, self._painting
        return MaskerStats(
            self._frames,
            self._cpu,
            painting.faults,
            painting.unsure,
            painting.doubts,
            painting.reused,
            self.live.version,
            swap.swaps,
            swap.rejected,
            swap.rollbacks,
            self._learning.stats,
        )

    @property
    def learning(self) -> bool:
        """Whether frames are offered to the learner; False: it waits. Set from any thread."""
        return self._learning.on

    @learning.setter
    def learning(self, on: bool) -> None:
        self._learning.on = on

    @property
    def learner_failure(self) -> JitMaskerError | None:
        """Why nothing is learnt, where that was found out only after this was made. What was asked for is missing."""
        return self._learning.failure

    @property
    def live(self) -> LoadedStudent:
        """The student that paints."""
        return self._hot_swap.current

    @property
    def backend_name(self) -> str:
        return self._hot_swap.backend.name

    @property
    def backend_reason(self) -> str:
        """Why this backend, for the user."""
        return self._hot_swap.backend.reason

    @property
    def kernels_name(self) -> str:
        """Which kernels paint: "device", or those of the CPU, "fused" or "fallback", which "fused" may replace."""
        return "device" if self._painting.painter.name == "device" else self.kernels.name

    @property
    def stages(self) -> dict[str, Durations]:
        """The stages of the paint path; they add up to `paint_path`."""
        return self._timing.stages

    @property
    def paint_path(self) -> Durations:
        """From a frame to its picture."""
        return self._timing.total

    @property
    def swap_stall(self) -> Durations:
        """What adopting a student cost the paint path."""
        return self._hot_swap.stall

    def close(self) -> None:
        """End the learner and the background; waits for a frame in flight. May be called twice."""
        with self._frame_lock:
            closed, self._closed = self._closed, True
        if not closed:
            self._learning.close()
            self._hot_swap.close()
            self.background.close()

    def __enter__(self) -> Masker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
