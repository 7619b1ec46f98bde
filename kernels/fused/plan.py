"""What repeats from frame to frame, planned once per pair of sizes and thread: sampling tables and scratch rows.

A plan is arrays and nothing else. Knows no kernel and no Numba; what a kernel's own file decides is handed in.
"""

from __future__ import annotations

import threading

import numpy as np

from ..reference import (
    BLOCK_SIDE,
    CELL_RADIUS,
    GUIDED_RADIUS,
    MOTION_RADIUS,
    SAMPLE_STEP,
    colour_grid,
    sample_positions,
)


def _axis(source: int, target: int, one: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`sample_positions` in fixed point: left, right int32; weight uint16 in [0, one]."""
    left, right, weight = sample_positions(source, target)
    return left.astype(np.int32), right.astype(np.int32), np.rint(weight * one).astype(np.uint16)


def _nearest(source: int, target: int) -> np.ndarray:
    """uint32 (target,): the sample of `source` that lies under the centre of each."""
    return ((2 * np.arange(target) + 1) * source // (2 * target)).astype(np.uint32)


class PreprocessPlan:
    """Tables and scratch for one frame size, one student size and its normalisation; a weight of 1 is `one`."""

    def __init__(self, frame: tuple[int, int], image: tuple[int, int], affine: np.ndarray, one: int):
        self.affine = affine
        self.top, self.bottom, self.row_weight = _axis(frame[0], image[0], one)
        left, _, self.column_weight = _axis(frame[1], image[1], one)
        self.left_byte = (3 * left).astype(np.uint32)
        # the right neighbour is read at +3 bytes always; past the last column its weight is 0
        self.row = np.zeros(3 * frame[1] + 3, np.uint16)
        self.contiguous = np.empty((*frame, 3), np.uint8)


class FindMotionPlan:
    """Scratch for one student size and its normalisation; `scale` brings a sum over a block to grey levels."""

    def __init__(self, image: tuple[int, int], std: tuple[float, ...]):
        self.scale = np.array([255 * s / (3 * BLOCK_SIDE**2) for s in std], np.float32)
        self.shift, self.stir = np.zeros((2, image[1]), np.float32)
        self.blocks = np.zeros(image[1] - BLOCK_SIDE + 1, np.float32)
        self.row = np.zeros(1, np.int64)


class SmoothAlphaPlan:
    """Tables and scratch for one student size, its normalisation and one mask size."""

    def __init__(self, image: tuple[int, int], affine: np.ndarray, mask: tuple[int, int]):
        h, w = mask
        self.affine = affine
        self.row, self.column = _nearest(image[0], h), _nearest(image[1], w)
        # a border of replicated pixels, so that no window looks outside
        self.change = np.zeros((h + 2, w + 2), np.float32)
        self.motion = np.zeros((h + 2 * MOTION_RADIUS, w + 2 * MOTION_RADIUS), np.float32)
        self.line = np.zeros(w + 2 * MOTION_RADIUS, np.float32)


class FitGuidedFilterPlan:
    """Scratch for one mask size. Rows have a border of replicated pixels, so that no window looks outside."""

    def __init__(self, mask: tuple[int, int]):
        wide = mask[1] + 2 * GUIDED_RADIUS
        self.sums = np.zeros((4, wide), np.float32)
        self.fit = np.zeros((2, mask[0], wide), np.float32)


class ApplyGuidedFilterPlan:
    """Tables and scratch for one mask size and one frame size."""

    def __init__(self, mask: tuple[int, int], frame: tuple[int, int]):
        self.top, self.bottom, row_weight = sample_positions(mask[0], frame[0])
        self.left, _, column_weight = sample_positions(mask[1], frame[1])
        self.row_weight, self.column_weight = row_weight.astype(np.float32), column_weight.astype(np.float32)
        self.left = self.left.astype(np.int32)
        # cell k of a mask row lies between columns k and k + 1; its pixels are edge[k]:edge[k + 1]
        self.edge = np.searchsorted(self.left, np.arange(mask[1] + 1)).astype(np.int32)
        self.coefficients = np.zeros((2, mask[0], mask[1] + 1), np.float32)  # the last column twice
        self.kind = np.zeros((mask[0], mask[1] + 1), np.uint8)
        self.cell = np.zeros(mask[1], np.uint8)
        self.upper, self.lower = np.zeros((2, 2, frame[1]), np.float32)  # a and b of two mask rows
        self.contiguous = np.empty((*frame, 3), np.uint8)


class LocalColoursPlan:
    """Tables and scratch for one student size, its normalisation and one mask size."""

    def __init__(self, image: tuple[int, int], affine: np.ndarray, mask: tuple[int, int]):
        self.affine = affine
        self.row, self.column = (_nearest(*sides)[::SAMPLE_STEP].copy() for sides in zip(image, mask, strict=True))
        rows, columns = colour_grid(mask)
        # sums over each cell: the person's weight and colours, the room's, and all: number and colours
        self.cells = np.zeros((rows, 12, columns), np.float32)
        self.near = np.zeros((8, columns + 2 * CELL_RADIUS), np.float32)


class EstimateForegroundPlan:
    """Tables and scratch for one grid of colours and one frame size."""

    def __init__(self, grid: tuple[int, int], frame: tuple[int, int]):
        self.row = (np.arange(frame[0]) * grid[0] // frame[0] * 3 * grid[1]).astype(np.uint32)
        # of each byte
        self.column = (np.arange(frame[1]) * grid[1] // frame[1] * 3 + np.arange(3)[:, None]).T.reshape(-1)
        self.column = self.column.astype(np.uint32)
        self.alpha = np.zeros((frame[0], -(-frame[1] // 8) * 8), np.uint8)  # rows filled up to whole words
        self.words = self.alpha.view(np.uint64)
        self.weight = np.zeros(3 * self.alpha.shape[1], np.uint8)
        self.contiguous = np.empty((*frame, 3), np.uint8)


class CompositePlan:
    """Scratch for one frame size, of which `chunk` pixels are blended together."""

    def __init__(self, frame: tuple[int, int], chunk: int):
        self.contiguous = np.empty((2, *frame, 3), np.uint8)
        self.weight = np.zeros(3 * chunk, np.uint8)


class _Plans(threading.local):
    """Each thread owns its scratch. A changed size replaces the plan: sizes change rarely, memory must not grow."""

    preprocess: tuple[tuple, PreprocessPlan] | None = None
    composite: tuple[tuple, CompositePlan] | None = None
    apply_guided_filter: tuple[tuple, ApplyGuidedFilterPlan] | None = None
    fit_guided_filter: tuple[tuple, FitGuidedFilterPlan] | None = None
    find_motion: tuple[tuple, FindMotionPlan] | None = None
    smooth_alpha: tuple[tuple, SmoothAlphaPlan] | None = None
    local_colours: tuple[tuple, LocalColoursPlan] | None = None
    estimate_foreground: tuple[tuple, EstimateForegroundPlan] | None = None


plans = _Plans()
