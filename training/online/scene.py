"""Whether a frame shows another scene than the one before. NumPy only; knows nothing about people."""

from __future__ import annotations

import numpy as np

STRIDE = 8  # pixels; every eighth of the student's input says enough
THRESHOLD = 0.072  # mean |difference| of pixels in [0, 1]; people walking by reach 0.054, cuts begin at 0.086


class CutDetector:
    """Compares each image with the last one it was shown."""

    def __init__(self, std: tuple[float, float, float], threshold: float = THRESHOLD):
        """`std`: what the images were divided by, RGB."""
        self.threshold = threshold
        self._std = np.array(std, np.float32).reshape(3, 1, 1)
        self._last: np.ndarray | None = None

    def __call__(self, image: np.ndarray) -> bool:
        """True where `image`, float32 (1, 3, h, w) normalised, is a new scene; False for the first."""
        small = image[0, :, ::STRIDE, ::STRIDE] * self._std
        last, self._last = self._last, small
        return last is not None and float(np.abs(small - last).mean()) > self.threshold
