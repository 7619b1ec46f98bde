"""What the kernels of one pixel share: where it samples, where its image ends, how it is rounded.

Not named cuda.py: that is the name of a package that NVIDIA ships.
"""

from __future__ import annotations

from typing import Any

import numba.cuda
import numpy as np
from numba import float32, int32

cuda: Any = numba.cuda  # its stubs and its decorators do not agree

# float32 by name: a Python number would be float64, which desktop GPUs compute 32 to 64 times slower
F0, F1, HALF, BYTE = np.float32(0), np.float32(1), np.float32(0.5), np.float32(255)


@cuda.jit(device=True)
def sample(i, source, target):
    """`kernels.reference.sample_positions` for one sample: left, right, weight of the right one."""
    position = (float32(i) + HALF) * (float32(source) / float32(target)) - HALF
    position = min(max(position, F0), float32(source - 1))
    left = int32(position)
    return left, min(left + 1, source - 1), position - float32(left)


@cuda.jit(device=True)
def nearest(i, source, target):
    return (2 * i + 1) * source // (2 * target)


@cuda.jit(device=True)
def inside(i, side):
    return min(max(i, 0), side - 1)


@cuda.jit(device=True)
def grey_level(value):
    return int32(min(max(value, F0), BYTE) + HALF)
