"""Which scene a frame belongs to: a cut to another scene starts a new one. Runs at frame rate, on a grid of cells.

A cut changes what is where. A lamp that flickers or a camera that sets its exposure changes how bright it is, and a
camera that pans or is carried moves it a little: neither is a cut. So frames are compared with their neighbour in time,
cell by cell, after the brightness of the whole frame was taken out. The thresholds lie between what was measured on
webcams, pans and walks and what was measured on cuts (docs/decisions.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

CELLS = (12, 16)  # rows, columns of the grid
SAMPLES = 4  # pixels along each side of a cell that are looked at
GAIN_CHANGE = 0.11  # mean |difference| of cells over their mean; up to .09 without a cut, from .13 at one
PATTERN_CHANGE = 0.28  # the same of cells brought to mean 0 and deviation 1; up to .25 in a walk, from .30 at a cut
REFRACTORY = 0.5  # s after a cut in which no other is seen: a flash, a cross-fade
DARK = 4.0  # grey levels: darker differences are noise


class SceneDetector:
    """Counts the scenes of one stream. Frames come in the order of time; their size may change."""

    def __init__(self) -> None:
        import cv2  # late: `import engine` loads no OpenCV

        self.scene = 0
        self._cv2: Any = cv2
        self._last: np.ndarray | None = None
        self._compared = False  # the last frame had one before it
        self._cut_at = -np.inf  # s
        self._sampled, self._sampled_before = np.empty((2, CELLS[0] * SAMPLES, CELLS[1] * SAMPLES, 3), np.uint8)

    def __call__(self, bgr: np.ndarray, timestamp: float) -> int:
        """The scene of a frame uint8 (H, W, 3) at `timestamp` (s), counted from 0."""
        self._sampled, self._sampled_before = self._sampled_before, self._sampled
        cells = self._cells(bgr)
        last, self._last = self._last, cells
        self._compared = last is not None
        if (
            last is not None
            and timestamp - self._cut_at >= REFRACTORY
            and not self._alike(last, cells)
            and is_cut(last, cells)
        ):
            self._cut_at = timestamp
            self.scene += 1
        return self.scene

    def change(self) -> np.ndarray:
        """How much the samples of the last frame differ from those of the one before: grey levels, uint8 (rows,
        columns), the largest of the three colours; 255 where there was no frame before.
        """
        if not self._compared:
            return np.full(self._sampled.shape[:2], 255, np.uint8)
        difference: np.ndarray = self._cv2.absdiff(self._sampled, self._sampled_before).max(2)
        return difference

    def reset(self) -> None:
        """Another stream begins, which is another scene."""
        if self._last is not None:
            self.scene += 1
        self._last, self._cut_at = None, -np.inf

    def _cells(self, bgr: np.ndarray) -> np.ndarray:
        """The frame as uint8 (rows, columns, 3): the mean of a few pixels of each cell."""
        cv2 = self._cv2
        cv2.resize(bgr, self._sampled.shape[1::-1], dst=self._sampled, interpolation=cv2.INTER_NEAREST)
        cells: np.ndarray = cv2.resize(self._sampled, CELLS[::-1], interpolation=cv2.INTER_AREA)
        return cells

    def _alike(self, before: np.ndarray, after: np.ndarray) -> bool:
        """Whether the cells differ too little for a cut, as nearly always: a bound of what `is_cut` works out."""
        difference = self._cv2.norm(before, after, self._cv2.NORM_L1) / before.size
        return bool(2 * difference <= GAIN_CHANGE * (min(self._cv2.mean(after)[:3]) + DARK))


def is_cut(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two grids of cells, uint8 (rows, columns, 3), show different scenes."""
    before, after = before.astype(np.float32), after.astype(np.float32)
    means = before.mean((0, 1)), after.mean((0, 1))
    gain_change = np.abs(before / (means[0] + DARK) - after / (means[1] + DARK)).mean()
    if gain_change <= GAIN_CHANGE:
        return False
    patterns = [(cells - mean) / (cells.std((0, 1)) + DARK) for cells, mean in zip((before, after), means, strict=True)]
    return float(np.abs(patterns[0] - patterns[1]).mean()) > PATTERN_CHANGE
