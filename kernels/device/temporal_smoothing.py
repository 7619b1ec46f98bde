"""Temporal smoothing, an exponential moving average that follows motion: the kernels of `smooth_alpha`.

Knows no frame: it looks at what the student was shown.
"""

from __future__ import annotations

import numpy as np

from ..reference import CHANGE_HIGH, CHANGE_LOW, EMA_MIN, MOTION_HIGH, MOTION_LOW, MOTION_RADIUS
from .pixel import F0, F1, cuda, inside, nearest

_MOTION_LOW, _EMA_MIN, _CHANGE_LOW = np.float32(MOTION_LOW), np.float32(EMA_MIN), np.float32(CHANGE_LOW)
_PER_MOTION, _PER_JUMP = np.float32(1 / (MOTION_HIGH - MOTION_LOW)), np.float32(1 / (CHANGE_HIGH - CHANGE_LOW))
_NINTH = np.float32(1 / 9)


@cuda.jit
def grey_change(image, red, green, blue, shift, last_grey, change):
    i, j = cuda.grid(2)
    if i >= last_grey.shape[1] or j >= last_grey.shape[0]:
        return
    y, x = nearest(j, image.shape[2], last_grey.shape[0]), nearest(i, image.shape[3], last_grey.shape[1])
    grey = image[0, 0, y, x] * red + image[0, 1, y, x] * green + image[0, 2, y, x] * blue + shift
    change[j, i] = grey - last_grey[j, i]
    last_grey[j, i] = grey


@cuda.jit
def mean_3x3(change, motion):
    i, j = cuda.grid(2)
    if i >= motion.shape[1] or j >= motion.shape[0]:
        return
    total = F0
    for y in range(j - 1, j + 2):
        for x in range(i - 1, i + 2):
            total += change[inside(y, motion.shape[0]), inside(x, motion.shape[1])]
    motion[j, i] = abs(total) * _NINTH


@cuda.jit
def smooth(motion, alpha, smoothed):
    i, j = cuda.grid(2)
    if i >= alpha.shape[1] or j >= alpha.shape[0]:
        return
    largest = F0
    for y in range(j - MOTION_RADIUS, j + MOTION_RADIUS + 1):
        for x in range(i - MOTION_RADIUS, i + MOTION_RADIUS + 1):
            largest = max(largest, motion[inside(y, alpha.shape[0]), inside(x, alpha.shape[1])])
    change = alpha[j, i] - smoothed[j, i]
    moves, jumps = (largest - _MOTION_LOW) * _PER_MOTION, (abs(change) - _CHANGE_LOW) * _PER_JUMP
    weight = min(max(max(moves, jumps), _EMA_MIN), F1)
    value = smoothed[j, i] + weight * change
    alpha[j, i] = value
    smoothed[j, i] = value
