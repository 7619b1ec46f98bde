"""`refine` and `matte`: alpha fitted to the picture's brightness at the mask's size, and drawn at the frame's.

Most of a mask is pure: `matte` fills spans where alpha is 0 or 255, and computes the rest. Knows no colours.
"""

from __future__ import annotations

import numpy as np
from numba import uint8, uint32

from ..reference import FAINT, FLAT, RADIUS, check_matte
from .plan import MattePlan, RefinePlan, plans
from .rows import as_rows, kernel, plain

SIDE = np.float32(2 * RADIUS + 1)  # pixels of the mask, of the window of `refine`
BACKGROUND, MIXED, PERSON = 0, 1, 2  # what a cell of the mask is


# -- refine ----------------------------------------------------------------------------------------------------------


def refine(grey: np.ndarray, alpha: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """See `kernels.reference.refine`."""
    key = alpha.shape
    if plans.refine is None or plans.refine[0] != key:
        plans.refine = (key, RefinePlan(alpha.shape))
    plan = plans.refine[1]
    _fit(grey, alpha, edges, plan.sums, plan.fit)
    return edges


@kernel
def _begin_moments(sums, grey, alpha):
    """The window above the first row: rows outside are the nearest one inside."""
    for i in range(grey.shape[0]):
        g, a = grey[i], alpha[i]
        sums[0, i + RADIUS] = SIDE * g
        sums[1, i + RADIUS] = SIDE * a
        sums[2, i + RADIUS] = SIDE * (g * a)
        sums[3, i + RADIUS] = SIDE * (g * g)


@kernel
def _slide_moments(sums, grey_in, alpha_in, grey_out, alpha_out):
    """The window one row lower: a row enters, another leaves."""
    for i in range(grey_in.shape[0]):
        g, a, h, b = grey_in[i], alpha_in[i], grey_out[i], alpha_out[i]
        sums[0, i + RADIUS] += g - h
        sums[1, i + RADIUS] += a - b
        sums[2, i + RADIUS] += g * a - h * b
        sums[3, i + RADIUS] += g * g - h * h


@kernel
def _begin(total, row):
    for i in range(total.shape[0]):
        total[i] = SIDE * row[i]


@kernel
def _slide(total, row_in, row_out):
    for i in range(total.shape[0]):
        total[i] += row_in[i] - row_out[i]


@kernel
def _along(row, i):
    """Sum of the window of `row` that begins at i."""
    total = row[i]
    for k in range(1, 2 * RADIUS + 1):
        total += row[i + k]
    return total


@kernel
def _solve(gain, offset, sum_grey, sum_alpha, sum_both, sum_square):
    share = np.float32(1 / (2 * RADIUS + 1) ** 2)
    for i in range(gain.shape[0]):
        grey, alpha = _along(sum_grey, i) * share, _along(sum_alpha, i) * share
        variance = max(_along(sum_square, i) * share - grey * grey, np.float32(0))
        slope = (_along(sum_both, i) * share - grey * alpha) / (variance + np.float32(FLAT))
        gain[i] = slope
        offset[i] = alpha - slope * grey


@kernel
def _stretch(gain, offset, sum_gain, sum_offset):
    share = np.float32(1 / (2 * RADIUS + 1) ** 2 / (1 - 2 * FAINT))
    for i in range(gain.shape[0]):
        gain[i] = _along(sum_gain, i) * share
        offset[i] = _along(sum_offset, i) * share - np.float32(FAINT / (1 - 2 * FAINT))


@kernel
def _replicate(row, border):
    """The pixels of `row` inside a border, copied into the border."""
    last = row.shape[0] - border
    for k in range(border):
        row[k] = row[border]
        row[last + k] = row[last - 1]


@kernel
def _fit(grey, alpha, edges, sums, fit):
    height, width = alpha.shape
    inner = slice(RADIUS, RADIUS + width)
    _begin_moments(sums, grey[0], alpha[0])
    for j in range(-RADIUS, height):
        enters, leaves = min(j + RADIUS, height - 1), max(j - RADIUS - 1, 0)
        _slide_moments(sums, grey[enters], alpha[enters], grey[leaves], alpha[leaves])
        if j >= 0:
            for k in range(4):
                _replicate(sums[k], RADIUS)
            _solve(fit[0, j, inner], fit[1, j, inner], sums[0], sums[1], sums[2], sums[3])
            _replicate(fit[0, j], RADIUS)
            _replicate(fit[1, j], RADIUS)
    for k in range(2):
        _begin(sums[k], fit[k, 0])
    for j in range(-RADIUS, height):
        enters, leaves = min(j + RADIUS, height - 1), max(j - RADIUS - 1, 0)
        for k in range(2):
            _slide(sums[k], fit[k, enters], fit[k, leaves])
        if j >= 0:
            _stretch(edges[0, j], edges[1, j], sums[0], sums[1])


# -- matte -----------------------------------------------------------------------------------------------------------


def matte(bgr: np.ndarray, edges: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.matte`."""
    check_matte(bgr, edges, out)
    key = (edges.shape, bgr.shape)
    if plans.matte is None or plans.matte[0] != key:
        plans.matte = (key, MattePlan(edges.shape[1:], bgr.shape[:2]))
    plan = plans.matte[1]
    _classify(edges if plain(edges) else np.array(edges), plan.edges, plan.kind)
    _draw(
        as_rows(bgr, plan.contiguous), out, plan.edges, plan.kind, plan.cell, plan.top, plan.bottom, plan.row_weight,
        plan.left, plan.column_weight, plan.edge, plan.upper, plan.lower,
    )  # fmt: skip
    return out


@kernel
def _classify(edges, wide, kind):
    """Copy with the last column twice; what alpha is at a mask pixel whatever its brightness: 0, 1, or it depends."""
    height, width = edges.shape[1], edges.shape[2]
    for j in range(height):
        for i in range(width):
            gain, offset = edges[0, j, i], edges[1, j, i]
            dark, light = offset, gain + offset
            wide[0, j, i], wide[1, j, i] = gain, offset
            kind[j, i] = uint8(uint8(max(dark, light) > 0) + uint8(min(dark, light) >= 1))
        wide[0, j, width], wide[1, j, width] = wide[0, j, width - 1], wide[1, j, width - 1]
        kind[j, width] = kind[j, width - 1]


@kernel
def _between(cell, upper, lower):
    """What each cell between two mask rows is: the kind of its four corners, MIXED if they differ."""
    upper_right, lower_right = upper[1:], lower[1:]
    for k in range(cell.shape[0]):
        least = min(min(upper[k], upper_right[k]), min(lower[k], lower_right[k]))
        most = max(max(upper[k], upper_right[k]), max(lower[k], lower_right[k]))
        cell[k] = least if least == most else uint8(MIXED)


@kernel
def _widen(out, row, left, weight, first, last):
    """Pixels first:last of a mask row, interpolated along x."""
    for i in range(first, last):
        at = uint32(left[uint32(i)])
        out[i] = row[at] + weight[i] * (row[at + uint32(1)] - row[at])


@kernel
def _alpha(out, bgr, gain_upper, gain_lower, offset_upper, offset_lower, weight):
    scale, half = np.float32(1 / 765), np.float32(0.5)
    for i in range(out.shape[0]):
        byte = uint32(3) * uint32(i)
        grey = np.int32(bgr[byte]) + np.int32(bgr[byte + uint32(1)]) + np.int32(bgr[byte + uint32(2)])
        gain = gain_upper[i] + weight * (gain_lower[i] - gain_upper[i])
        offset = offset_upper[i] + weight * (offset_lower[i] - offset_upper[i])
        value = gain * (np.float32(grey) * scale) + offset
        out[i] = uint8(np.int32(min(max(value, np.float32(0)), np.float32(1)) * np.float32(255) + half))


@kernel
def _fill(out, value):
    for i in range(out.shape[0]):
        out[i] = value


@kernel
def _draw(bgr, out, edges, kind, cell, top, bottom, row_weight, left, column_weight, edge, upper, lower):
    height, cells = out.shape[0], cell.shape[0]
    first = 0
    while first < height:
        # all picture rows between the same two mask rows share cells and widened rows
        a, b = top[first], bottom[first]
        last = first + 1
        while last < height and top[last] == a and bottom[last] == b:
            last += 1
        _between(cell, kind[a], kind[b])
        at = 0
        while at < cells:
            what = cell[uint32(at)]
            end = at + 1
            while end < cells and cell[uint32(end)] == what:
                end += 1
            p, q = edge[at], edge[end]
            at = end
            if p == q:
                continue
            if what != MIXED:
                for j in range(first, last):
                    _fill(out[j, p:q], uint8(255 if what == PERSON else 0))
                continue
            for k in range(2):
                _widen(upper[k], edges[k, a], left, column_weight, p, q)
                _widen(lower[k], edges[k, b], left, column_weight, p, q)
            for j in range(first, last):
                _alpha(
                    out[j, p:q], bgr[j, 3 * p : 3 * q], upper[0, p:q], lower[0, p:q], upper[1, p:q], lower[1, p:q],
                    row_weight[j],
                )  # fmt: skip
        first = last
