"""`find_motion`: whether a picture differs from an earlier one. Stops at the first row of blocks that does."""

from __future__ import annotations

import numpy as np

from ..checks import check_motion
from ..reference import BLOCK_SHIFT, BLOCK_SIDE, BLOCK_STIR
from .compilation import Kernel
from .plan import FindMotionPlan, plans
from .rows import fill

assert BLOCK_SIDE == 4  # rows are summed by fours


def find_motion(image: np.ndarray, std: tuple[float, ...], last: np.ndarray, begin: int) -> int:
    """See `kernels.reference.find_motion`."""
    check_motion(image, last, BLOCK_SIDE)
    key = (image.shape, std)
    if plans.find_motion is None or plans.find_motion[0] != key:
        plans.find_motion = (key, FindMotionPlan(image.shape[2:], std))
    plan = plans.find_motion[1]
    plan.row[0] = begin
    _find_motion(image.reshape(3, -1), last.reshape(3, -1), plan.scale, plan.shift, plan.stir, plan.blocks, plan.row)
    return int(plan.row[0])


@Kernel
def _add_columns(shift, stir, now, before, scale):
    """Four rows of pixels, summed: how they differ, and, added, by how much."""
    width = shift.shape[0]
    for i in range(width):
        a, b = now[i] - before[i], now[width + i] - before[width + i]
        c, d = now[2 * width + i] - before[2 * width + i], now[3 * width + i] - before[3 * width + i]
        shift[i] = (a + b) + (c + d)
        stir[i] += ((abs(a) + abs(b)) + (abs(c) + abs(d))) * scale


@Kernel
def _add_blocks(blocks, shift, scale):
    for i in range(blocks.shape[0]):
        blocks[i] += abs((shift[i] + shift[i + 1]) + (shift[i + 2] + shift[i + 3])) * scale


@Kernel
def _excess(blocks, stir):
    """By how much all blocks are over what is a change: LLVM vectorises a sum, and no search for the largest."""
    excess = np.float32(0)
    for i in range(blocks.shape[0]):
        stirred = ((stir[i] + stir[i + 1]) + (stir[i + 2] + stir[i + 3])) * np.float32(1 / BLOCK_STIR)
        shifted = blocks[i] * np.float32(1 / BLOCK_SHIFT)
        excess += max(max(stirred, shifted), np.float32(1)) - np.float32(1)
    return excess


@Kernel
def _find_motion(image, last, scale, shift, stir, blocks, found):
    width = shift.shape[0]
    height = image.shape[1] // width
    rows = (height + 3) // 4
    for k in range(rows):
        row = (found[0] + k) % rows
        first = min(4 * row, height - 4) * width
        fill(stir, np.float32(0))
        fill(blocks, np.float32(0))
        for colour in range(3):
            now, before = image[colour, first : first + 4 * width], last[colour, first : first + 4 * width]
            _add_columns(shift, stir, now, before, scale[colour])
            _add_blocks(blocks, shift, scale[colour])
        if _excess(blocks, stir) > 0:
            found[0] = row
            return
    found[0] = -1
