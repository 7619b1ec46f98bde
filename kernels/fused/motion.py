"""`steady`: small changes of alpha are held where the picture stands still.

Knows no frame: it looks at what the student was shown."""

from __future__ import annotations

import numpy as np

from ..reference import CALM, LARGE, LOUD, NEAR, QUIET, SMALL
from .plan import SteadyPlan, plans
from .rows import kernel


def steady(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, seen: np.ndarray,
    shown: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """See `kernels.reference.steady`."""
    key = (image.shape, alpha.shape)
    if plans.steady is None or plans.steady[0] != key:
        plans.steady = (key, SteadyPlan(image.shape[2:], alpha.shape))
    plan = plans.steady[1]
    _hold(
        image[0], tuple(np.float32(s / 3) for s in std), np.float32(sum(mean) / 3), alpha, seen, shown, plan.row,
        plan.column, plan.change, plan.motion, plan.line, plan.nearby,
    )  # fmt: skip
    return alpha


@kernel
def _brighten(change, seen, red, green, blue, column, scale, shift):
    for i in range(seen.shape[0]):
        at = column[i]
        brightness = red[at] * scale[0] + green[at] * scale[1] + blue[at] * scale[2] + shift
        change[i] = brightness - seen[i]
        seen[i] = brightness


@kernel
def _mean_of_nine(out, above, here, below):
    for i in range(out.shape[0]):
        columns = (above[i] + here[i] + below[i]) + (above[i + 1] + here[i + 1] + below[i + 1])
        out[i] = abs(columns + (above[i + 2] + here[i + 2] + below[i + 2])) * np.float32(1 / 9)


@kernel
def _copy(out, source):
    for i in range(out.shape[0]):
        out[i] = source[i]


@kernel
def _larger(out, other):
    for i in range(out.shape[0]):
        out[i] = max(out[i], other[i])


@kernel
def _follow(alpha, shown, motion):
    for i in range(alpha.shape[0]):
        change = alpha[i] - shown[i]
        moves = (motion[i] - np.float32(QUIET)) * np.float32(1 / (LOUD - QUIET))
        jumps = (abs(change) - np.float32(SMALL)) * np.float32(1 / (LARGE - SMALL))
        weight = min(max(max(moves, jumps), np.float32(CALM)), np.float32(1))
        alpha[i] = shown[i] + weight * change
        shown[i] = alpha[i]


@kernel
def _replicate(row, border):
    """The pixels of `row` inside a border, copied into the border."""
    last = row.shape[0] - border
    for k in range(border):
        row[k] = row[border]
        row[last + k] = row[last - 1]


@kernel
def _hold(image, scale, shift, alpha, seen, shown, row, column, change, motion, line, nearby):
    height, width = alpha.shape
    for j in range(height):
        at = row[j]
        _brighten(change[j + 1, 1 : width + 1], seen[j], image[0, at], image[1, at], image[2, at], column, scale, shift)
        _replicate(change[j + 1], 1)
    _copy(change[0], change[1])
    _copy(change[height + 1], change[height])
    for j in range(height):
        _mean_of_nine(motion[j + NEAR, NEAR : width + NEAR], change[j], change[j + 1], change[j + 2])
        _replicate(motion[j + NEAR], NEAR)
    for k in range(NEAR):
        _copy(motion[k], motion[NEAR])
        _copy(motion[height + NEAR + k], motion[height + NEAR - 1])
    for j in range(height):
        _copy(line, motion[j])
        for k in range(1, 2 * NEAR + 1):
            _larger(line, motion[j + k])
        _copy(nearby, line)
        for k in range(1, 2 * NEAR + 1):
            _larger(nearby[:width], line[k:])
        _follow(alpha[j], shown[j], nearby)
