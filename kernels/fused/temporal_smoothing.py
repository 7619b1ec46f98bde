"""`smooth_alpha`: temporal smoothing, an exponential moving average of alpha that follows motion.

Knows no frame: it looks at what the student was shown."""

from __future__ import annotations

import numpy as np

from ..checks import check_smooth_alpha
from ..reference import CHANGE_HIGH, CHANGE_LOW, EMA_MIN, MOTION_HIGH, MOTION_LOW, MOTION_RADIUS
from .compilation import Kernel
from .plan import SmoothAlphaPlan, plans
from .rows import copy, replicate


def smooth_alpha(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray,
    last_grey: np.ndarray, smoothed: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """See `kernels.reference.smooth_alpha`."""
    check_smooth_alpha(image, alpha, last_grey, smoothed)
    key = (image.shape, mean, std, alpha.shape)
    if plans.smooth_alpha is None or plans.smooth_alpha[0] != key:
        affine = np.array([*(s / 3 for s in std), sum(mean) / 3], np.float32)  # from red, green and blue to brightness
        plans.smooth_alpha = (key, SmoothAlphaPlan(image.shape[2:], affine, alpha.shape))
    plan = plans.smooth_alpha[1]
    _smooth(
        image[0], plan.affine, alpha, last_grey, smoothed, plan.row, plan.column, plan.change, plan.motion, plan.line,
    )  # fmt: skip
    return alpha


@Kernel
def _grey_change(change, last_grey, red, green, blue, column, scale, shift):
    for i in range(last_grey.shape[0]):
        at = column[i]
        grey = red[at] * scale[0] + green[at] * scale[1] + blue[at] * scale[2] + shift
        change[i] = grey - last_grey[i]
        last_grey[i] = grey


@Kernel
def _grey_change_same_size(change, last_grey, red, green, blue, scale, shift):
    """Without looking up columns, which takes as long as all the rest."""
    for i in range(last_grey.shape[0]):
        grey = red[i] * scale[0] + green[i] * scale[1] + blue[i] * scale[2] + shift
        change[i] = grey - last_grey[i]
        last_grey[i] = grey


@Kernel
def _mean_3x3(out, above, here, below):
    for i in range(out.shape[0]):
        columns = (above[i] + here[i] + below[i]) + (above[i + 1] + here[i + 1] + below[i + 1])
        out[i] = abs(columns + (above[i + 2] + here[i + 2] + below[i + 2])) * np.float32(1 / 9)


@Kernel
def _largest(out, a, b, c, d, e):
    for i in range(out.shape[0]):
        out[i] = max(max(max(a[i], b[i]), max(c[i], d[i])), e[i])


@Kernel
def _smooth_row(alpha, smoothed, motion):
    for i in range(alpha.shape[0]):
        change = alpha[i] - smoothed[i]
        nearby = max(max(max(motion[i], motion[i + 1]), max(motion[i + 2], motion[i + 3])), motion[i + 4])
        moves = (nearby - np.float32(MOTION_LOW)) * np.float32(1 / (MOTION_HIGH - MOTION_LOW))
        jumps = (abs(change) - np.float32(CHANGE_LOW)) * np.float32(1 / (CHANGE_HIGH - CHANGE_LOW))
        weight = min(max(max(moves, jumps), np.float32(EMA_MIN)), np.float32(1))
        alpha[i] = smoothed[i] + weight * change
        smoothed[i] = alpha[i]


@Kernel
def _smooth(image, affine, alpha, last_grey, smoothed, row, column, change, motion, line):
    height, width = alpha.shape
    scale, shift = (affine[0], affine[1], affine[2]), affine[3]
    for j in range(height):
        at, inner = row[j], change[j + 1, 1 : width + 1]
        if image.shape[2] == width:
            _grey_change_same_size(inner, last_grey[j], image[0, at], image[1, at], image[2, at], scale, shift)
        else:
            _grey_change(inner, last_grey[j], image[0, at], image[1, at], image[2, at], column, scale, shift)
        replicate(change[j + 1], 1)
    copy(change[0], change[1])
    copy(change[height + 1], change[height])
    for j in range(height):
        _mean_3x3(
            motion[j + MOTION_RADIUS, MOTION_RADIUS : width + MOTION_RADIUS], change[j], change[j + 1], change[j + 2]
        )
        replicate(motion[j + MOTION_RADIUS], MOTION_RADIUS)
    for k in range(MOTION_RADIUS):
        copy(motion[k], motion[MOTION_RADIUS])
        copy(motion[height + MOTION_RADIUS + k], motion[height + MOTION_RADIUS - 1])
    for j in range(height):
        _largest(line, motion[j], motion[j + 1], motion[j + 2], motion[j + 3], motion[j + 4])
        _smooth_row(alpha[j], smoothed[j], line)
