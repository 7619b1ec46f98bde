"""The kernels in Numba: one pass over the pixels, nothing allocated, the GIL released. Same results as reference.py
to two grey levels (weights are 8-bit fixed point).

Speed comes from three things. Rows are byte slices and arithmetic stays in small unsigned types, so that LLVM
vectorises it. What repeats from frame to frame (sampling tables, scratch rows) is planned once per pair of sizes and
thread. Most of a mask is pure: spans where alpha is 0 or 255 are copied, only the rest is blended.

Serial on purpose: `parallel=True` from two Python threads kills the process on Numba's default threading layer.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numba import njit, uint8, uint16, uint32

from .reference import check_blend, check_frame, check_image, sample_positions

WEIGHT_BITS = 8  # a weighted sum of two bytes is at most 255 * 256, and fits 16 bits with rounding
ONE = 1 << WEIGHT_BITS
BACKGROUND, MIXED, PERSON = 0, 1, 2  # what a span of the mask is

kernel: Any = njit(nogil=True, cache=True, boundscheck=False, error_model="numpy", fastmath=True)


def _axis(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`sample_positions` with weights in 1/256: left, right int32; weight uint16 in [0, 256]."""
    left, right, weight = sample_positions(source, target)
    return left.astype(np.int32), right.astype(np.int32), np.rint(weight * ONE).astype(np.uint16)


class _PreprocessPlan:
    """Tables and scratch for one frame size and one student size."""

    def __init__(self, frame: tuple[int, int], image: tuple[int, int]):
        self.top, self.bottom, self.row_weight = _axis(frame[0], image[0])
        left, _, self.column_weight = _axis(frame[1], image[1])
        self.left_byte = (3 * left).astype(np.uint32)
        # the right neighbour is read at +3 bytes always; past the last column its weight is 0
        self.row = np.zeros(3 * frame[1] + 3, np.uint16)
        self.contiguous = np.empty((*frame, 3), np.uint8)


class _CompositePlan:
    """Tables and scratch for one mask size and one frame size."""

    def __init__(self, mask: tuple[int, int], frame: tuple[int, int]):
        self.top, self.bottom, self.row_weight = _axis(mask[0], frame[0])
        self.left, _, self.column_weight = _axis(mask[1], frame[1])
        # cell k of a mask row lies between columns k and k + 1; its pixels are bytes edge[k]:edge[k + 1]
        self.edge = (3 * np.searchsorted(self.left, np.arange(mask[1] + 1))).astype(np.int32)
        self.mask = np.zeros((mask[0], mask[1] + 1), np.uint8)  # the last column twice
        self.kind = np.zeros(mask[1], np.uint8)
        self.upper, self.lower = np.zeros((2, 3 * frame[1]), np.uint8)
        self.contiguous = np.empty((2, *frame, 3), np.uint8)


class _Plans(threading.local):
    """Each thread owns its scratch. A changed size replaces the plan: sizes change rarely, memory must not grow."""

    preprocess: tuple[tuple, _PreprocessPlan] | None = None
    composite: tuple[tuple, _CompositePlan] | None = None


_plans = _Plans()


def preprocess(bgr: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.preprocess`."""
    check_frame(bgr)
    check_image(out)
    key = (bgr.shape, out.shape)
    if _plans.preprocess is None or _plans.preprocess[0] != key:
        _plans.preprocess = (key, _PreprocessPlan(bgr.shape[:2], out.shape[2:]))
    plan = _plans.preprocess[1]
    _resample(
        _rows(bgr, plan.contiguous), out[0], plan.top, plan.bottom, plan.row_weight, plan.left_byte,
        plan.column_weight, plan.row, *_affine(mean, std),
    )  # fmt: skip
    return out


def composite(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.composite`."""
    check_blend(bgr, alpha, background, out)
    key = (alpha.shape, bgr.shape)
    if _plans.composite is None or _plans.composite[0] != key:
        _plans.composite = (key, _CompositePlan(alpha.shape, bgr.shape[:2]))
    plan = _plans.composite[1]
    _quantise(alpha if _plain(alpha) else np.array(alpha), plan.mask)
    target = out.reshape(out.shape[0], -1)
    person = target if out is bgr else _rows(bgr, plan.contiguous[0])
    _blend_spans(
        person, _rows(background, plan.contiguous[1]), target, out is bgr, plan.mask, plan.top, plan.bottom,
        plan.row_weight, plan.left, plan.column_weight, plan.edge, plan.kind, plan.upper, plan.lower,
    )  # fmt: skip
    return out


def warm() -> None:
    """Compile (or load from Numba's cache) every kernel, for every kind of array that the functions pass on."""
    frame = np.zeros((4, 5, 3), np.uint8)
    alpha = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    preprocess(frame, (0.0,) * 3, (1.0,) * 3, np.empty((1, 3, 2, 2), np.float32))
    composite(frame, alpha, frame, np.empty_like(frame))


def _plain(array: np.ndarray) -> bool:
    """Whether Numba sees the one type of array that `warm` compiled for; any other would compile on a live frame."""
    return array.flags.c_contiguous and array.flags.writeable


def _rows(bgr: np.ndarray, scratch: np.ndarray) -> np.ndarray:
    """`bgr` as rows of bytes (H, 3W); strided or read-only input goes through `scratch`."""
    if not _plain(bgr):
        np.copyto(scratch, bgr)
        bgr = scratch
    return bgr.reshape(bgr.shape[0], -1)


def _affine(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[tuple, tuple]:
    """Scale and shift per RGB channel, float32, that take a fixed-point sample to (x / 255 - mean) / std."""
    scale = tuple(np.float32(1 / (255 * s * ONE * ONE)) for s in std)
    return scale, tuple(np.float32(-m / s) for m, s in zip(mean, std, strict=True))


@kernel
def _mix_rows(row, upper, lower, upper_weight, lower_weight):
    for i in range(upper.shape[0]):
        row[i] = uint16(uint16(upper[i]) * upper_weight) + uint16(uint16(lower[i]) * lower_weight)


@kernel
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


@kernel
def _resample(rows, out, top, bottom, row_weight, left_byte, column_weight, row, scale, shift):
    for j in range(out.shape[1]):
        lower = uint16(row_weight[j])
        _mix_rows(row[: rows.shape[1]], rows[top[j]], rows[bottom[j]], uint16(uint16(ONE) - lower), lower)
        _gather(out[0, j], out[1, j], out[2, j], row, left_byte, column_weight, scale, shift)


@kernel
def _quantise(alpha, mask):
    """float [0, 1] -> uint8, the last column written twice."""
    width = alpha.shape[1]
    for j in range(alpha.shape[0]):
        for i in range(width):
            value = min(max(alpha[j, i], np.float32(0)), np.float32(1))
            mask[j, i] = uint8(value * np.float32(255) + np.float32(0.5))
        mask[j, width] = mask[j, width - 1]


@kernel
def _copy(out, source):
    for i in range(out.shape[0]):
        out[i] = source[i]


@kernel
def _classify(kind, upper, lower):
    """What each cell between two mask rows is: all four corners 0, all four 255, or mixed."""
    upper_right, lower_right = upper[1:], lower[1:]
    for k in range(kind.shape[0]):
        least = min(min(upper[k], upper_right[k]), min(lower[k], lower_right[k]))
        most = max(max(upper[k], upper_right[k]), max(lower[k], lower_right[k]))
        kind[k] = uint8(uint8(most != 0) + uint8(least == 255))


@kernel
def _widen(out, mask_row, left, weight, first, last):
    """Pixels first:last of a mask row, interpolated along x, each written to its three bytes."""
    for i in range(first, last):
        at = uint32(left[uint32(i)])
        right = np.int32(weight[uint32(i)])
        both = np.int32(mask_row[at]) * (ONE - right) + np.int32(mask_row[at + uint32(1)]) * right
        value = uint8((both + ONE // 2) >> WEIGHT_BITS)
        byte = uint32(3) * uint32(i)
        out[byte] = value
        out[byte + uint32(1)] = value
        out[byte + uint32(2)] = value


@kernel
def _blend(out, person, background, upper, lower, upper_weight, lower_weight):
    for i in range(out.shape[0]):
        mixed = uint16(uint16(uint16(upper[i]) * upper_weight) + uint16(uint16(lower[i]) * lower_weight))
        alpha = uint16(uint16(mixed + uint16(ONE // 2)) >> uint16(WEIGHT_BITS))
        rest = uint16(uint16(255) - alpha)
        both = uint16(uint16(uint16(person[i]) * alpha) + uint16(uint16(background[i]) * rest))
        both = uint16(both + uint16(128))
        out[i] = uint8(uint16(both + uint16(both >> uint16(8))) >> uint16(8))  # = rint(both / 255)


@kernel
def _blend_spans(
    person, background, out, in_place, mask, top, bottom, row_weight, left, column_weight, edge, kind, upper, lower
):
    height, cells = out.shape[0], kind.shape[0]
    first = 0
    while first < height:
        # all picture rows between the same two mask rows share cells and widened rows
        a, b = mask[top[first]], mask[bottom[first]]
        last = first + 1
        while last < height and top[last] == top[first] and bottom[last] == bottom[first]:
            last += 1
        _classify(kind, a, b)
        cell = 0
        while cell < cells:
            what = kind[uint32(cell)]
            end = cell + 1
            while end < cells and kind[uint32(end)] == what:
                end += 1
            p, q = edge[cell], edge[end]
            if p < q:
                if what == MIXED:
                    _widen(upper, a, left, column_weight, p // 3, q // 3)
                    _widen(lower, b, left, column_weight, p // 3, q // 3)
                    for j in range(first, last):
                        weight = uint16(row_weight[j])
                        _blend(
                            out[j, p:q], person[j, p:q], background[j, p:q], upper[p:q], lower[p:q],
                            uint16(uint16(ONE) - weight), weight,
                        )  # fmt: skip
                elif what == BACKGROUND:
                    for j in range(first, last):
                        _copy(out[j, p:q], background[j, p:q])
                elif not in_place:
                    for j in range(first, last):
                        _copy(out[j, p:q], person[j, p:q])
            cell = end
        first = last
