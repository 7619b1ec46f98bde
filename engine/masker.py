"""Masker: one frame -> alpha -> picture, with a student that may be replaced between two frames.

The face for other apps, and the paint path of `jm-engine`. Knows nothing about sources, sinks or files, nor whether a
frame is painted on the CPU or on a GPU: painting/ does that. It learns by loading the learner by
name when a teacher is asked for; without one, torch is never imported.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import kernels
from export.contracts import Published

from . import backends
from . import cpu_budget as budget
from .backgrounds import open_background
from .contracts import Frame, Mask
from .errors import UsageError
from .painting.cpu_painter import CpuPainter
from .painting.edge_options import EdgeOptions
from .painting.gpu_painter import GpuPainter, gpu_painter_for
from .painting.loaded_student import LoadedStudent, first_student
from .painting.presence import MIN_AREA, PresenceGate
from .pixels import as_bgr
from .teacher_options import TeacherOptions
from .timing import Durations

log = logging.getLogger("jit_masker")

STUDENT = "lite"
LOCKSTEP_FPS = 25.0  # frames per second, for frames that are handed over without a time


@dataclass(frozen=True)
class MaskerStats:
    """A snapshot of what a Masker did so far."""

    frames: int  # painted
    faults: int  # frames painted as background only, because something failed
    version: int  # of the student that is live
    swaps: int  # students adopted after the first
    rejected: int  # candidates that never went live
    learning: Any | None  # training.online.learner.LearningStats, None without a teacher


class Masker:
    """Paint people over another background.

        with Masker(backend="ort-cpu", teacher="rvm", background="beach.jpg") as masker:
            out = masker(frame)

    Parameters
    ----------
    backend : "auto" or a name in BACKENDS.
    teacher : None (no learning, no torch), a name in TEACHERS, a .toml, a URL, or TeacherOptions.
    background : a picture, a video, "#rrggbb", "blur", "none"; see `engine.backgrounds.open_background`.
    student : a name in STUDENTS.
    size : of the student's input, pixels: a side, "WxH", or (h, w). None: the student's own.
    weights : .safetensors made by jm-train; None: those that come with the package.
    threads : the CPU budget, shared with the learner; None: see `engine.cpu_budget`. OpenCV's pool, which the whole
        process shares, is set to the paint path's part of it.
    recipe : how the student learns, a name in `training.online.recipe.NAMES`.
    lockstep : True: each call also runs the learner's one operation, so that a run is repeatable; False: the learner
        has its own thread and no frame waits for it.
    min_area : share of the frame below which nobody is painted.
    look : how the edge of the person looks; None: as the student and the picture say.

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
        threads: int | budget.CpuBudget | None = None,
        recipe: str = "default",
        lockstep: bool = False,
        min_area: float = MIN_AREA,
        look: EdgeOptions | None = None,
        seed: int = 0,
    ):
        teacher = None if teacher == "none" else teacher
        self.threads = budget.divide(threads, teacher is not None, taking_turns=lockstep)
        budget.apply(self.threads)
        self.kernels = kernels.load()
        if self.kernels.name != "fused":
            log.warning("kernels: %s; painting is several times slower", self.kernels.reason)
        from export.publish import first, load_student
        from export.students import input_size

        self.size = input_size(student, size)
        self.student = load_student(student, self.size, weights)
        self.background = open_background(background, lossless=lockstep)
        self.stages = {name: Durations() for name in ("preprocess", "student", "edges", "composite")}
        self.paint_path, self.swap_stall = Durations(), Durations()
        self._lockstep = lockstep
        self._gate = PresenceGate(min_area)
        look = look or EdgeOptions()
        self._threshold = float(np.log(look.threshold / (1 - look.threshold)))  # as a logit
        self._frame_lock = threading.Lock()  # held by whoever paints; never by the learner
        self._swap_lock = threading.Lock()  # held by whoever builds; never by the paint path
        self._inbox: deque[LoadedStudent] = deque(maxlen=1)  # built, not yet adopted; its operations are atomic
        self._retired: LoadedStudent | None = None  # freed by the next builder: freeing a session takes time
        self._frames = self._faults = self._swaps = self._rejected = 0
        self._closed = False
        self._began = time.perf_counter()
        self.backend, self._live = first_student(backend, first(self.student, self.size), self.threads.paint)
        on_device = gpu_painter_for(self._live.backend, look, self.background.transparent)
        self._path: CpuPainter | GpuPainter = on_device or CpuPainter(self.kernels, look)
        self._empty: np.ndarray = np.zeros_like(self._live.alpha)  # of a frame with nobody
        self._matte = np.empty((0, 0), np.uint8)  # of the frame that is painted, at its size
        self._learner: Any | None = None
        if teacher is not None:
            start = importlib.import_module("training.online.learner").start  # torch: only where somebody learns
            self._learner = start(
                self.student, self.size, teacher=teacher, recipe=recipe, publish=self.swap, threads=self.threads.learn,
                seed=seed, threaded=not lockstep, on_gpu=self.backend.name in backends.ON_GPU,
            )  # fmt: skip

    # -- one frame -----------------------------------------------------------------------------------------------

    def __call__(self, frame: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The picture of `frame`: uint8 (H, W, 3) BGR, in `out` if that is given, else a new array."""
        bgr = as_bgr(frame)
        out = np.empty(bgr.shape, np.uint8) if out is None else out
        self.paint(self._as_frame(bgr), out)
        return out

    def alpha(self, frame: np.ndarray) -> np.ndarray:
        """The matte of `frame`: float32 (H, W) in [0, 1], 1 = person, a new array; zeros where there is no mask."""
        bgr = as_bgr(frame)
        with self._frame_lock:
            mask = self._mask(self._as_frame(bgr))
            self._fit(bgr)
            if self._shows_somebody(mask):
                self._path.matte(self._matte)
            else:
                self._matte.fill(0)
            return self._matte / np.float32(255)

    def _as_frame(self, bgr: np.ndarray) -> Frame:
        """A frame that came without a time: now, or in lockstep one every 40 ms, so that a run is repeatable."""
        now = time.perf_counter()
        position = self._frames / LOCKSTEP_FPS if self._lockstep else now - self._began
        return Frame(bgr, self._frames, now, position)

    def paint(self, frame: Frame, out: np.ndarray, matte: np.ndarray | None = None) -> None:
        """Paint `frame` into `out`, uint8 (H, W, 3), C-contiguous.

        `matte`, uint8 (H, W), receives the alpha that was painted with, 255 = person. Whatever fails on the way, `out`
        is written: with the background alone, or black.

        Raises
        ------
        UsageError
            The masker is closed, or `out` does not fit the frame: nothing can be painted.
        """
        if out.shape != frame.bgr.shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise UsageError(f"out is {out.dtype} {out.shape}; expected C-contiguous uint8 {frame.bgr.shape}")
        with self._frame_lock:
            began = time.perf_counter()
            mask = self._mask(frame)
            self._composite(frame, mask, out)
            self.paint_path.add(time.perf_counter() - began)
            alpha = mask.alpha if mask else self._empty
            if matte is not None:
                np.copyto(matte, self._matte)
            self._frames += 1
            if self._learner is not None:
                self._teach(frame.bgr, alpha)

    def _mask(self, frame: Frame) -> Mask | None:
        """The newest student's mask: zeros where it sees nobody, None where something failed."""
        if self._closed:
            raise UsageError("this masker is closed; make a new one")
        self._adopt()
        student = self._live
        try:
            began = time.perf_counter()
            area = self._path.mask(frame.bgr, student, self._threshold)
            took = time.perf_counter() - began
            self.stages["preprocess"].add(self._path.preparing)
            self.stages["student"].add(took - self._path.preparing)
        except Exception as error:  # whatever it is, the room must not be seen
            self._fault(f"{type(error).__name__}: {error}")
            self._path.forget(seen=True, shown=False)
            return None
        if area is None:
            self._fault("the student answered NaN")
            self._path.forget(seen=True, shown=False)
            return None
        if not self._gate.admits(area):
            self._path.forget(seen=False, shown=True)  # who comes back fades in from nothing, not from who was there
            return Mask(self._empty, frame.index, student.version)
        return Mask(student.alpha, frame.index, student.version)

    def _shows_somebody(self, mask: Mask | None) -> bool:
        return mask is not None and mask.alpha is not self._empty

    def _fit(self, bgr: np.ndarray) -> None:
        if self._matte.shape != bgr.shape[:2]:
            self._matte = np.empty(bgr.shape[:2], np.uint8)

    def _composite(self, frame: Frame, mask: Mask | None, out: np.ndarray) -> None:
        began, drawing = time.perf_counter(), 0.0
        try:
            self._fit(frame.bgr)
            background = self.background.picture(frame.bgr, mask.alpha if mask else None, frame.position)
            if self._shows_somebody(mask):
                self._path.picture(background, self.background.still, out, self._matte)
                drawing = self._path.drawing
            else:
                np.copyto(out, background)
                self._matte.fill(0)
        except Exception as error:
            out.fill(0)
            self._matte.fill(0)
            self._fault(f"{type(error).__name__}: {error}")
        self.stages["edges"].add(drawing)
        self.stages["composite"].add(time.perf_counter() - began - drawing)

    def _fault(self, why: str) -> None:
        self._faults += 1
        if self._faults == 1:  # once: a fault per frame must not become a line per frame
            log.error("frame %d is painted as background only: %s", self._frames, why)

    # -- a new student -------------------------------------------------------------------------------------------

    def swap(self, published: Published) -> None:
        """Build and check a new student on the calling thread; the paint path adopts it between two frames.

        At most two are alive: one that was never adopted, or is retired, is freed before the next is built.

        Raises
        ------
        ModelError, CandidateRejected
            The candidate cannot be loaded or is bad; the live student stays.
        """
        with self._swap_lock:
            self._inbox.clear()
            self._retired = None
            try:
                candidate = LoadedStudent(published, self.backend, self.threads.paint)
            except Exception:
                self._rejected += 1
                raise
            self._inbox.append(candidate)

    def _adopt(self) -> None:
        if not self._inbox:
            return
        began = time.perf_counter()
        try:
            candidate = self._inbox.popleft()
        except IndexError:  # a builder took it back in this moment; its successor comes
            return
        self._retired, self._live = self._live, candidate
        if candidate.alpha.shape != self._empty.shape:
            self._empty = np.zeros_like(candidate.alpha)
        self._swaps += 1
        self.swap_stall.add(time.perf_counter() - began)

    # -- learning, and the end -----------------------------------------------------------------------------------

    def _teach(self, bgr: np.ndarray, alpha: np.ndarray) -> None:
        if self._lockstep:
            self._learner.operate(bgr, alpha)  # type: ignore[union-attr]
        else:
            self._learner.tap.offer(bgr, alpha)  # type: ignore[union-attr]

    @property
    def stats(self) -> MaskerStats:
        """What happened so far."""
        learning = self._learner.stats if self._learner is not None else None
        return MaskerStats(self._frames, self._faults, self._live.version, self._swaps, self._rejected, learning)

    @property
    def kernels_name(self) -> str:
        """Which kernels paint: "device", or those of the CPU, "fused" or "fallback"."""
        return self._path.name

    @property
    def foreground(self) -> np.ndarray:
        """What was painted last, before it was blended: uint8 (H, W, 3) without the room's colour at the edge.

        For a transparent background only; borrowed; it means nothing where the matte is 0.
        """
        assert isinstance(self._path, CpuPainter)  # gpu_painter_for leaves transparent pictures to it
        return self._path.foreground

    @property
    def live(self) -> Any:
        """The student that paints (engine.painting.loaded_student.LoadedStudent)."""
        return self._live

    def close(self) -> None:
        """End the learner and the background; waits for a frame in flight. May be called twice."""
        with self._frame_lock:
            closed, self._closed = self._closed, True
        if not closed:
            if self._learner is not None:
                self._learner.close()
            self.background.close()

    def __enter__(self) -> Masker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
