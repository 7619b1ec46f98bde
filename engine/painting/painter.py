"""What a painter is: cpu_painter.py and gpu_painter.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..backgrounds import Background
from ..contracts import Canvas
from .loaded_student import LoadedStudent
from .presence import PresenceGate


@dataclass(frozen=True, slots=True)
class Painted:
    """How one frame went."""

    logits: np.ndarray  # float32 (h, w), what the student said, untouched; borrowed until the next frame
    person: bool  # False: nobody was seen, and the background alone was painted
    objection: str | None  # why the student is not believed, and less was painted than it said; None: it is
    reused: bool = False  # the student was not asked: the picture is the one that it answered before


class Painter(Protocol):
    """Used by one thread. Students come and go; their sizes and the frames' may change."""

    name: str  # which kernels paint: "fused", "fallback" or "device"

    @property
    def foreground(self) -> np.ndarray | None:
        """uint8 (H, W, 3), the last frame before it was blended, black where nobody was painted; borrowed. None where
        it stays on a GPU.
        """
        ...

    def paint(
        self,
        bgr: np.ndarray,
        student: LoadedStudent,
        presence: PresenceGate,
        background: Background,
        position: float,
        canvas: Canvas,
    ) -> Painted:
        """Paint a frame uint8 (H, W, 3) at `position` (s) into `canvas`, of its size; its picture may be the frame.

        Raises
        ------
        StudentFault
            The student has no answer. `canvas` is as it was, or half painted: whoever calls covers it.
        Exception
            Whatever a background or a driver raises; likewise.
        """
        ...

    def reset(self) -> None:
        """Start anew what is remembered from frame to frame: the next one belongs to another stream."""
        ...
