"""Whether a frame shows another scene than the one before. NumPy only; knows nothing about people."""

from __future__ import annotations

import numpy as np

STRIDE = 8  # pixels; every eighth of the student's input says enough
THRESHOLD = 0.32  # mean |difference| of normalised pixels; people walking by reach 0.24, cuts begin at 0.38


class CutDetector:
    """Compares each image with the last one it was shown."""

    def __init__(self, threshold: float = THRESHOLD):
        self.threshold = threshold
        self._last: np.ndarray | None = None

    def __call__(self, image: np.ndarray) -> bool:
        """True where `image`, float32 (1, 3, h, w) normalised, is a new scene; False for the first."""
        small = image[0, :, ::STRIDE, ::STRIDE].copy()
        last, self._last = self._last, small
        return last is not None and float(np.abs(small - last).mean()) > self.threshold
