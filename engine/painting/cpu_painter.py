"""The paint path on the CPU: one frame, one call, one picture, in buffers that are reused.

preprocess -> student -> guard -> presence -> temporal smoothing -> guided filter -> foreground estimation -> composite

With a still gate, the student is passed over where nothing moved.
"""

from __future__ import annotations

import numpy as np

from kernels import NO_BRIGHTNESS, Kernels, colour_grid

from ..backgrounds import Background
from ..contracts import Canvas
from ..errors import StudentFault
from ..timing import Stages
from .contrast import MAX_LOGIT
from .edge_options import EdgeOptions, Feather, LightWrap
from .guard import Guard
from .loaded_student import NO_ANSWER, LoadedStudent
from .painter import Painted
from .presence import PresenceGate
from .still import StillGate


class CpuPainter:
    """See `engine.painting.painter.Painter`."""

    def __init__(
        self, kernels: Kernels, guard: Guard, edges: EdgeOptions, stages: Stages, gate: StillGate | None = None
    ):
        """`gate` : decides whether the student is asked; None: it is, about every frame."""
        self.name = kernels.name
        self.foreground: np.ndarray = np.empty((0, 0, 3), np.uint8)
        self._kernels, self._guard, self._stages = kernels, guard, stages
        self._gate = gate
        self._threshold = edges.threshold_logit
        self._feather = Feather(edges.feather) if edges.feather else None
        self._light_wrap = LightWrap(edges.light_wrap) if edges.light_wrap else None
        self._alpha = self._last_grey = self._smoothed = np.empty((0, 0), np.float32)
        self._coefficients = np.empty((2, 0, 0), np.float32)
        self._colours = np.empty((2, 0, 0, 3), np.float32)

    def paint(
        self,
        bgr: np.ndarray,
        student: LoadedStudent,
        presence: PresenceGate,
        background: Background,
        position: float,
        canvas: Canvas,
    ) -> Painted:
        k, lap = self._kernels, self._stages.lap
        self._fit(bgr.shape, student.mask_size)
        k.preprocess(bgr, student.mean, student.std, student.image)
        self._guard.begin(bgr, position)  # the frame lies in the cache by now
        lap("preprocess")
        alpha = self._alpha
        try:
            logits, reused = self._answer(student, position)
            area, largest = k.alpha_of_logits(logits, self._threshold, self._guard.stretch, alpha)
            if not largest <= MAX_LOGIT:
                raise StudentFault(NO_ANSWER)
        except StudentFault:
            self._last_grey.fill(NO_BRIGHTNESS)  # what is remembered belongs to a frame that is gone
            if self._gate is not None:
                self._gate.reset()
            raise
        objection = self._guard.objection(bgr, student, logits, alpha, area)
        if objection is not None:
            area = float(alpha.mean())
        lap("student")
        k.smooth_alpha(student.image, student.mean, student.std, self._alpha, self._last_grey, self._smoothed)
        person = presence.admits(area)
        if not person:
            self._paint_nobody(bgr, background, position, canvas)
        else:
            self._paint_person(bgr, student, background, position, canvas)
        lap("composite")
        return Painted(logits, person, objection, reused)

    def _answer(self, student: LoadedStudent, position: float) -> tuple[np.ndarray, bool]:
        if self._gate is None:
            return student.unchecked_logits(), False
        return self._gate.answer(student, position, self._guard.settled)

    def _paint_nobody(self, bgr: np.ndarray, background: Background, position: float, canvas: Canvas) -> None:
        for array in (self._alpha, canvas.alpha, self.foreground):
            array.fill(0)
        self._smoothed.fill(0)  # so that a returning person is not blended with the old mask
        np.copyto(canvas.picture, background.picture(bgr, self._alpha, position))

    def _paint_person(
        self, bgr: np.ndarray, student: LoadedStudent, background: Background, position: float, canvas: Canvas
    ) -> None:
        k, lap = self._kernels, self._stages.lap
        behind = background.picture(bgr, self._alpha, position)
        lap("composite")
        k.fit_guided_filter(self._last_grey, self._alpha, self._coefficients)
        k.apply_guided_filter(bgr, self._coefficients, canvas.alpha)
        if self._feather is not None:
            self._feather(canvas.alpha)
        k.local_colours(student.image, student.mean, student.std, self._alpha, self._colours)
        k.estimate_foreground(bgr, canvas.alpha, self._colours, self.foreground)
        lap("edges")
        if self._light_wrap is not None:
            self._light_wrap(self.foreground, canvas.alpha, behind)
        k.composite(self.foreground, canvas.alpha, behind, canvas.picture)

    def reset(self) -> None:
        self._last_grey.fill(NO_BRIGHTNESS)
        self._smoothed.fill(0)
        if self._gate is not None:
            self._gate.reset()

    def _fit(self, frame: tuple[int, ...], mask: tuple[int, int]) -> None:
        """Buffers for these sizes; what was remembered goes with those of another mask."""
        if self.foreground.shape != frame:
            self.foreground = np.empty(frame, np.uint8)
            if self._gate is not None:
                self._gate.reset()
        if self._alpha.shape != mask:
            self._alpha = np.zeros(mask, np.float32)
            self._last_grey, self._smoothed = np.full(mask, NO_BRIGHTNESS, np.float32), np.zeros(mask, np.float32)
            self._coefficients = np.zeros((2, *mask), np.float32)
            self._colours = np.zeros((2, *colour_grid(mask), 3), np.float32)
