"""The kernels in Numba: one pass over the pixels, nothing allocated, the GIL released. Same results as reference.py
to two grey levels.

    resample.py                preprocess
    still.py                   find_motion
    network.py, vectors.py     the student itself: see `engine.backends.numba_cpu`
    logits.py                  alpha_of_logits
    temporal_smoothing.py      smooth_alpha
    guided_filter.py           fit_guided_filter, apply_guided_filter
    foreground_estimation.py   local_colours, estimate_foreground
    compositing.py             composite
    yuv.py, hdr.py             the pixels of video: see kernels/yuv.py and kernels/hdr.py
    plan.py                    sampling tables and scratch, one plan for each of the eight
    rows.py                    loops that several share
    compilation.py             how they are compiled, and for what arrays
    cache.py                   where their machine code is kept
    machine_code.py            how it is loaded and called, without Numba

Speed comes from three things. Rows are byte slices and arithmetic stays in small unsigned types, so that LLVM
vectorises it. What repeats from frame to frame is planned. Most of a mask is pure: `apply_guided_filter` and
`estimate_foreground` compute the rest only.

Serial on purpose: `parallel=True` from two Python threads kills the process on Numba's default threading layer.
"""

from __future__ import annotations

import numpy as np

from .compositing import composite
from .foreground_estimation import estimate_foreground, local_colours
from .guided_filter import apply_guided_filter, fit_guided_filter
from .logits import alpha_of_logits
from .resample import preprocess
from .still import find_motion
from .temporal_smoothing import smooth_alpha

__all__ = [
    "alpha_of_logits", "apply_guided_filter", "composite", "estimate_foreground", "find_motion",
    "fit_guided_filter", "local_colours", "preprocess", "smooth_alpha", "warm",
]  # fmt: skip


def warm() -> None:
    """Compile (or load) every kernel, for every kind of array that the functions pass on."""
    frame = np.zeros((4, 5, 3), np.uint8)
    alpha = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    coefficients, whole = np.zeros((2, 2, 3), np.float32), np.zeros((4, 5), np.uint8)
    for size in ((2, 2), (2, 3)):  # half of the frame's, and any
        preprocess(frame[:, :4].copy(), (0.0,) * 3, (1.0,) * 3, np.empty((1, 3, *size), np.float32))
    alpha_of_logits(np.zeros_like(alpha), 0.0, (0.1, 0.9), np.empty_like(alpha))
    image, grey = np.zeros((1, 3, 4, 6), np.float32), np.zeros_like(alpha)
    find_motion(image, (1.0,) * 3, image.copy(), 0)
    smooth_alpha(image, (0.0,) * 3, (1.0,) * 3, alpha, grey, np.zeros_like(alpha))
    apply_guided_filter(frame, fit_guided_filter(grey, alpha, coefficients), whole)
    grid = local_colours(image, (0.0,) * 3, (1.0,) * 3, alpha, np.zeros((2, 1, 1, 3), np.float32))
    person = estimate_foreground(frame, whole, grid, np.empty_like(frame))
    composite(person, whole, frame, np.empty_like(frame))
