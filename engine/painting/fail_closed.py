"""Fail closed: a frame is painted, or covered with the background. The room is not seen, whatever fails.

Owns the painter and those who watch it, the guard and the presence gate, and counts what they found. One thread.
"""

from __future__ import annotations

import logging

import numpy as np

from kernels import Kernels

from ..backgrounds import Background
from ..contracts import Canvas, PaintState
from ..errors import StudentFault
from ..timing import Stages
from .cpu_painter import CpuPainter
from .edge_options import EdgeOptions
from .gpu_painter import gpu_painter_for
from .guard import Guard
from .hot_swap import HotSwap
from .loaded_student import LoadedStudent
from .painter import Painter
from .presence import PresenceGate
from .still import StillGate

log = logging.getLogger("jit_masker")

NO_PERSON = -30.0  # the logit of a pixel that is not a person, for frames that no student answered


class FailClosed:
    """Paints with the students of a HotSwap, and tells it how each did."""

    def __init__(
        self, kernels: Kernels, hot_swap: HotSwap, edges: EdgeOptions, stages: Stages, min_area: float, *,
        transparent: bool, trusted: bool, wait: bool, still_gate: bool,
    ):  # fmt: skip
        """`transparent`: what is painted goes where there is alpha. `trusted`, `wait`: see Guard. `still_gate`: on a
        CPU, see StillGate.
        """
        self.faults = 0  # frames that were covered, because something failed
        self.unsure = 0  # frames on which what was doubtful was painted as background
        self.doubts = 0  # frames on which the student was not believed
        self.reused = 0  # frames that stood still, for which the student was not asked again
        self._hot_swap = hot_swap
        self._presence = PresenceGate(min_area)
        self.guard = Guard(kernels, edges.threshold_logit, trusted, wait)
        how = self.guard, edges, stages
        gpu_painter = gpu_painter_for(hot_swap.current.backend, *how, transparent)
        self.painter: Painter = gpu_painter or CpuPainter(kernels, *how, StillGate(kernels) if still_gate else None)

    def paint(
        self, bgr: np.ndarray, student: LoadedStudent, background: Background, position: float, canvas: Canvas,
        index: int,
    ) -> tuple[np.ndarray | None, PaintState]:  # fmt: skip
        """What the student said, None if that is not known, and what was painted. Never raises.

        Parameters
        ----------
        bgr, position, canvas : as for `engine.painting.painter.Painter.paint`.
        index : of the frame, for what is said.
        """
        try:
            painted = self.painter.paint(bgr, student, self._presence, background, position, canvas)
        except StudentFault as fault:
            self._hot_swap.failed()
            self._cover(bgr, background, position, canvas, index, str(fault))
            # the learner may have a student that answers
            return np.full(student.mask_size, NO_PERSON, np.float32), PaintState.COVERED
        except Exception as error:  # whatever it is, the room must not be seen
            self._cover(bgr, background, position, canvas, index, f"{type(error).__name__}: {error}")
            return None, PaintState.COVERED
        self.reused += painted.reused
        if painted.objection is None:
            self._hot_swap.answered()
        else:
            self._hot_swap.failed()
            self.doubts += 1
            if self.doubts == 1:
                log.warning("frame %d: student %d is not believed: %s", index, student.version, painted.objection)
        if not painted.person:
            return painted.logits, PaintState.NOBODY if painted.objection is None else PaintState.COVERED
        self.unsure += self.guard.unsure
        return painted.logits, PaintState.UNSURE if self.guard.unsure else PaintState.PERSON

    def _cover(
        self, bgr: np.ndarray, background: Background, position: float, canvas: Canvas, index: int, why: str
    ) -> None:
        """The background alone; black where that fails, too."""
        self.faults += 1
        if self.faults == 1:  # once: a fault per frame must not become a line per frame
            log.error("frame %d is painted as background only: %s", index, why)
        canvas.alpha.fill(0)
        if (foreground := self.painter.foreground) is not None:
            foreground.fill(0)
        try:
            np.copyto(canvas.picture, background.picture(bgr, None, position))
        except Exception:
            canvas.picture.fill(0)

    def reset(self) -> None:
        """Another stream begins; what was counted stays."""
        self.painter.reset()
        self._presence.reset()
        self.guard.reset()

    def clear(self) -> None:
        """As if nothing had been counted."""
        self.faults = self.unsure = self.doubts = self.reused = 0
