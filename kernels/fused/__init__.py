"""The kernels in Numba: one pass over the pixels, nothing allocated, the GIL released. Same results as reference.py
to two grey levels.

    resample.py    preprocess
    motion.py      steady
    edges.py       refine, matte
    unmixing.py    colours, foreground
    blend.py       composite
    plan.py        sampling tables and scratch, one plan for each of the seven
    rows.py        what they share, and why a kernel calls its own file only

Speed comes from three things. Rows are byte slices and arithmetic stays in small unsigned types, so that LLVM
vectorises it. What repeats from frame to frame is planned. Most of a mask is pure: `matte` and `foreground` compute
the rest only.

Serial on purpose: `parallel=True` from two Python threads kills the process on Numba's default threading layer.
"""

from __future__ import annotations

import numpy as np

from .blend import composite
from .edges import matte, refine
from .motion import steady
from .resample import preprocess
from .unmixing import colours, foreground

__all__ = ["colours", "composite", "foreground", "matte", "preprocess", "refine", "steady", "warm"]


def warm() -> None:
    """Compile (or load from Numba's cache) every kernel, for every kind of array that the functions pass on."""
    frame = np.zeros((4, 5, 3), np.uint8)
    alpha = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    edges, whole = np.zeros((2, 2, 3), np.float32), np.zeros((4, 5), np.uint8)
    preprocess(frame, (0.0,) * 3, (1.0,) * 3, np.empty((1, 3, 2, 2), np.float32))
    image, grey = np.zeros((1, 3, 4, 6), np.float32), np.zeros_like(alpha)
    steady(image, (0.0,) * 3, (1.0,) * 3, alpha, grey, np.zeros_like(alpha))
    matte(frame, refine(grey, alpha, edges), whole)
    grid = colours(image, (0.0,) * 3, (1.0,) * 3, alpha, np.zeros((2, 1, 1, 3), np.float32))
    composite(foreground(frame, whole, grid, np.empty_like(frame)), whole, frame, np.empty_like(frame))
