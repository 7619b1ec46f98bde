"""Small changes of alpha are held where the picture stands still: the kernels of `steady`.

Knows no frame: it looks at what the student was shown.
"""

from __future__ import annotations

import numpy as np

from ..reference import CALM, LARGE, LOUD, NEAR, QUIET, SMALL
from .pixel import F0, F1, cuda, inside, nearest

_QUIET, _CALM, _SMALL = np.float32(QUIET), np.float32(CALM), np.float32(SMALL)
_PER_MOTION, _PER_JUMP = np.float32(1 / (LOUD - QUIET)), np.float32(1 / (LARGE - SMALL))
_NINTH = np.float32(1 / 9)


@cuda.jit
def brighten(image, red, green, blue, shift, seen, change):
    i, j = cuda.grid(2)
    if i >= seen.shape[1] or j >= seen.shape[0]:
        return
    y, x = nearest(j, image.shape[2], seen.shape[0]), nearest(i, image.shape[3], seen.shape[1])
    brightness = image[0, 0, y, x] * red + image[0, 1, y, x] * green + image[0, 2, y, x] * blue + shift
    change[j, i] = brightness - seen[j, i]
    seen[j, i] = brightness


@cuda.jit
def mean_of_nine(change, motion):
    i, j = cuda.grid(2)
    if i >= motion.shape[1] or j >= motion.shape[0]:
        return
    total = F0
    for y in range(j - 1, j + 2):
        for x in range(i - 1, i + 2):
            total += change[inside(y, motion.shape[0]), inside(x, motion.shape[1])]
    motion[j, i] = abs(total) * _NINTH


@cuda.jit
def follow(motion, alpha, shown):
    i, j = cuda.grid(2)
    if i >= alpha.shape[1] or j >= alpha.shape[0]:
        return
    largest = F0
    for y in range(j - NEAR, j + NEAR + 1):
        for x in range(i - NEAR, i + NEAR + 1):
            largest = max(largest, motion[inside(y, alpha.shape[0]), inside(x, alpha.shape[1])])
    change = alpha[j, i] - shown[j, i]
    moves, jumps = (largest - _QUIET) * _PER_MOTION, (abs(change) - _SMALL) * _PER_JUMP
    weight = min(max(max(moves, jumps), _CALM), F1)
    value = shown[j, i] + weight * change
    alpha[j, i] = value
    shown[j, i] = value
