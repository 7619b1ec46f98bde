"""`composite`: the foreground over a background. Blends every pixel of a chunk in which one is mixed, which is faster
than to look which ones need it.

Knows neither where alpha comes from nor at what size it was made."""

from __future__ import annotations

import numpy as np
from numpy import uint8, uint16

from ..checks import check_composite
from .compilation import Kernel, as_rows, plain
from .plan import CompositePlan, plans
from .rows import copy, thrice

CHUNK = 256  # pixels that are blended together


def composite(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.composite`."""
    check_composite(bgr, alpha, background, out)
    key = bgr.shape
    if plans.composite is None or plans.composite[0] != key:
        plans.composite = (key, CompositePlan(bgr.shape[:2], CHUNK))
    plan = plans.composite[1]
    target = out.reshape(-1)
    person = target if out is bgr else as_rows(bgr, plan.contiguous[0]).reshape(-1)
    alpha = alpha if plain(alpha) else np.array(alpha)
    _blend(person, as_rows(background, plan.contiguous[1]).reshape(-1), target, alpha.reshape(-1), plan.weight)
    return out


@Kernel
def _mix(out, person, background, weight):
    for i in range(out.shape[0]):
        alpha = uint16(weight[i])
        rest = uint16(uint16(255) - alpha)
        both = uint16(uint16(uint16(person[i]) * alpha) + uint16(uint16(background[i]) * rest))
        both = uint16(both + uint16(128))
        out[i] = uint8(uint16(both + uint16(both >> uint16(8))) >> uint16(8))  # = rint(both / 255)


@Kernel
def _range(alpha):
    least, most = uint8(255), uint8(0)
    for i in range(alpha.shape[0]):
        least, most = min(least, alpha[i]), max(most, alpha[i])
    return least, most


@Kernel
def _blend(person, background, out, alpha, weight):
    pixels = alpha.shape[0]
    for first in range(0, pixels, CHUNK):
        last = min(first + CHUNK, pixels)
        p, q = 3 * first, 3 * last
        least, most = _range(alpha[first:last])
        if most == 0:
            copy(out[p:q], background[p:q])
        elif least == 255:
            copy(out[p:q], person[p:q])
        else:
            thrice(weight, alpha[first:last])
            _mix(out[p:q], person[p:q], background[p:q], weight)
