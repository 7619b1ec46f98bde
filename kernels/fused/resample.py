"""`preprocess`: the student's input, made of a frame. Two rows are mixed in fixed point, then sampled along x.

Knows no mask."""

from __future__ import annotations

import numpy as np
from numpy import uint16, uint32

from ..checks import check_frame, check_image
from .compilation import Kernel, as_rows
from .plan import PreprocessPlan, plans

WEIGHT_BITS = 8  # a weighted sum of two bytes is at most 255 * 256, and fits 16 bits with rounding
ONE = 1 << WEIGHT_BITS


def preprocess(bgr: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.preprocess`."""
    check_frame(bgr)
    check_image(out)
    key = (bgr.shape, out.shape, mean, std)
    if plans.preprocess is None or plans.preprocess[0] != key:
        plans.preprocess = (key, PreprocessPlan(bgr.shape[:2], out.shape[2:], _affine(mean, std), ONE))
    plan = plans.preprocess[1]
    if bgr.shape[0] == 2 * out.shape[2] and bgr.shape[1] == 2 * out.shape[3]:
        _halve(as_rows(bgr, plan.contiguous), out[0], plan.row, plan.affine)
        return out
    _resample(
        as_rows(bgr, plan.contiguous), out[0], plan.top, plan.bottom, plan.row_weight, plan.left_byte,
        plan.column_weight, plan.row, plan.affine,
    )  # fmt: skip
    return out


def _affine(mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """float32 (2, 3): scale and shift per RGB channel that take a fixed-point sample to (x / 255 - mean) / std."""
    scale, shift = [1 / (255 * s * ONE * ONE) for s in std], [-m / s for m, s in zip(mean, std, strict=True)]
    return np.array([scale, shift], np.float32)


@Kernel
def _mix_rows(row, upper, lower, upper_weight, lower_weight):
    for i in range(upper.shape[0]):
        row[i] = uint16(uint16(upper[i]) * upper_weight) + uint16(uint16(lower[i]) * lower_weight)


@Kernel
def _gather(red, green, blue, row, left_byte, weight, scale, shift):
    for i in range(red.shape[0]):
        at = uint32(left_byte[i])
        right = np.int32(weight[i])
        left = np.int32(ONE) - right
        b = np.int32(row[at]) * left + np.int32(row[at + uint32(3)]) * right
        g = np.int32(row[at + uint32(1)]) * left + np.int32(row[at + uint32(4)]) * right
        r = np.int32(row[at + uint32(2)]) * left + np.int32(row[at + uint32(5)]) * right
        red[i] = np.float32(r) * scale[0] + shift[0]
        green[i] = np.float32(g) * scale[1] + shift[1]
        blue[i] = np.float32(b) * scale[2] + shift[2]


@Kernel
def _add_rows(row, upper, lower):
    for i in range(upper.shape[0]):
        row[i] = uint16(uint16(upper[i]) + uint16(lower[i]))


@Kernel
def _add_columns(red, green, blue, row, scale, shift):
    for i in range(red.shape[0]):
        at = uint32(6) * uint32(i)
        b = uint16(row[at] + row[at + uint32(3)])
        g = uint16(row[at + uint32(1)] + row[at + uint32(4)])
        r = uint16(row[at + uint32(2)] + row[at + uint32(5)])
        red[i] = np.float32(r) * scale[0] + shift[0]
        green[i] = np.float32(g) * scale[1] + shift[1]
        blue[i] = np.float32(b) * scale[2] + shift[2]


@Kernel
def _halve(rows, out, row, affine):
    """To half the sides, half-pixel centres lie in the middle of four pixels: each is their mean."""
    quarter = np.float32(ONE * ONE / 4)
    scale = (affine[0, 0] * quarter, affine[0, 1] * quarter, affine[0, 2] * quarter)
    shift = (affine[1, 0], affine[1, 1], affine[1, 2])
    for j in range(out.shape[1]):
        _add_rows(row[: rows.shape[1]], rows[2 * j], rows[2 * j + 1])
        _add_columns(out[0, j], out[1, j], out[2, j], row, scale, shift)


@Kernel
def _resample(rows, out, top, bottom, row_weight, left_byte, column_weight, row, affine):
    scale, shift = (affine[0, 0], affine[0, 1], affine[0, 2]), (affine[1, 0], affine[1, 1], affine[1, 2])
    for j in range(out.shape[1]):
        lower = uint16(row_weight[j])
        _mix_rows(row[: rows.shape[1]], rows[top[j]], rows[bottom[j]], uint16(uint16(ONE) - lower), lower)
        _gather(out[0, j], out[1, j], out[2, j], row, left_byte, column_weight, scale, shift)
