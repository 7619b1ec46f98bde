"""Alpha of the student's logits, and how it went: the kernels of `alpha`. Knows no frame."""

from __future__ import annotations

import math

import numpy as np
from numba import float32, int32

from .. import LEVELS_OF_STATUS
from .pixel import F0, F1, HALF, cuda

_LEVELS, _LARGEST = np.float32(LEVELS_OF_STATUS), np.float32(30)


@cuda.jit
def clear(status):
    status[cuda.threadIdx.x] = 0


@cuda.jit
def alpha_of_logits(logits, threshold, low, stretch, limit, out, status):
    # one atomic per block and number: thousands on one address would queue
    block = cuda.shared.array(2, int32)
    if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0:
        block[0] = 0
        block[1] = 0
    cuda.syncthreads()
    i, j = cuda.grid(2)
    if i < out.shape[1] and j < out.shape[0]:
        logit = logits[j, i]
        if not (logit >= -limit and logit <= limit):  # NaN too
            cuda.atomic.add(block, 1, 1)
            out[j, i] = F0
        else:
            x = min(max(threshold - logit, -_LARGEST), _LARGEST)
            value = (F1 / (F1 + math.exp(x)) - low) * stretch
            value = float32(min(max(value, F0), F1))
            out[j, i] = value
            cuda.atomic.add(block, 0, int32(value * _LEVELS + HALF))
    cuda.syncthreads()
    if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0:
        cuda.atomic.add(status, 0, block[0])
        cuda.atomic.add(status, 1, block[1])
