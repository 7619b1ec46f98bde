"""`fit_guided_filter` and `apply_guided_filter`: fitted at the mask's size, evaluated at the frame's.

Most of a mask is pure: spans where alpha is 0 or 255 are filled, the rest is computed. Knows no colours.
"""

from __future__ import annotations

import numpy as np
from numpy import uint8, uint32

from ..checks import check_fit_guided_filter, check_guided_filter
from ..reference import ALPHA_FLOOR, GUIDED_EPS, GUIDED_RADIUS
from .compilation import Kernel, as_rows, plain
from .plan import ApplyGuidedFilterPlan, FitGuidedFilterPlan, plans
from .rows import fill, replicate

SIDE = np.float32(2 * GUIDED_RADIUS + 1)  # pixels of the mask, of the window of the filter
BACKGROUND, MIXED, PERSON = 0, 1, 2  # what a cell of the mask is


# -- fit_guided_filter -------------------------------------------------------------------------------------------------


def fit_guided_filter(grey: np.ndarray, alpha: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """See `kernels.reference.fit_guided_filter`."""
    check_fit_guided_filter(grey, alpha, coefficients)
    key = alpha.shape
    if plans.fit_guided_filter is None or plans.fit_guided_filter[0] != key:
        plans.fit_guided_filter = (key, FitGuidedFilterPlan(alpha.shape))
    plan = plans.fit_guided_filter[1]
    _fit(grey, alpha, coefficients, plan.sums, plan.fit)
    return coefficients


@Kernel
def _begin_moments(sums, grey, alpha):
    """The window above the first row: rows outside are the nearest one inside."""
    for i in range(grey.shape[0]):
        g, p = grey[i], alpha[i]
        sums[0, i + GUIDED_RADIUS] = SIDE * g
        sums[1, i + GUIDED_RADIUS] = SIDE * p
        sums[2, i + GUIDED_RADIUS] = SIDE * (g * p)
        sums[3, i + GUIDED_RADIUS] = SIDE * (g * g)


@Kernel
def _slide_moments(sums, grey_in, alpha_in, grey_out, alpha_out):
    """The window one row lower: a row enters, another leaves."""
    for i in range(grey_in.shape[0]):
        g, p, h, q = grey_in[i], alpha_in[i], grey_out[i], alpha_out[i]
        sums[0, i + GUIDED_RADIUS] += g - h
        sums[1, i + GUIDED_RADIUS] += p - q
        sums[2, i + GUIDED_RADIUS] += g * p - h * q
        sums[3, i + GUIDED_RADIUS] += g * g - h * h


@Kernel
def _begin(total, row):
    for i in range(total.shape[0]):
        total[i] = SIDE * row[i]


@Kernel
def _slide(total, row_in, row_out):
    for i in range(total.shape[0]):
        total[i] += row_in[i] - row_out[i]


@Kernel
def _along(row, i):
    """Sum of the window of `row` that begins at i."""
    total = row[i]
    for k in range(1, 2 * GUIDED_RADIUS + 1):
        total += row[i + k]
    return total


@Kernel
def _solve(a, b, sum_grey, sum_alpha, sum_both, sum_square):
    share = np.float32(1 / (2 * GUIDED_RADIUS + 1) ** 2)
    for i in range(a.shape[0]):
        grey, alpha = _along(sum_grey, i) * share, _along(sum_alpha, i) * share
        variance = max(_along(sum_square, i) * share - grey * grey, np.float32(0))
        slope = (_along(sum_both, i) * share - grey * alpha) / (variance + np.float32(GUIDED_EPS))
        a[i] = slope
        b[i] = alpha - slope * grey


@Kernel
def _stretch(a, b, sum_a, sum_b):
    share = np.float32(1 / (2 * GUIDED_RADIUS + 1) ** 2 / (1 - 2 * ALPHA_FLOOR))
    for i in range(a.shape[0]):
        a[i] = _along(sum_a, i) * share
        b[i] = _along(sum_b, i) * share - np.float32(ALPHA_FLOOR / (1 - 2 * ALPHA_FLOOR))


@Kernel
def _fit(grey, alpha, coefficients, sums, fit):
    height, width = alpha.shape
    inner = slice(GUIDED_RADIUS, GUIDED_RADIUS + width)
    _begin_moments(sums, grey[0], alpha[0])
    for j in range(-GUIDED_RADIUS, height):
        enters, leaves = min(j + GUIDED_RADIUS, height - 1), max(j - GUIDED_RADIUS - 1, 0)
        _slide_moments(sums, grey[enters], alpha[enters], grey[leaves], alpha[leaves])
        if j >= 0:
            for k in range(4):
                replicate(sums[k], GUIDED_RADIUS)
            _solve(fit[0, j, inner], fit[1, j, inner], sums[0], sums[1], sums[2], sums[3])
            replicate(fit[0, j], GUIDED_RADIUS)
            replicate(fit[1, j], GUIDED_RADIUS)
    for k in range(2):
        _begin(sums[k], fit[k, 0])
    for j in range(-GUIDED_RADIUS, height):
        enters, leaves = min(j + GUIDED_RADIUS, height - 1), max(j - GUIDED_RADIUS - 1, 0)
        for k in range(2):
            _slide(sums[k], fit[k, enters], fit[k, leaves])
        if j >= 0:
            _stretch(coefficients[0, j], coefficients[1, j], sums[0], sums[1])


# -- apply_guided_filter -----------------------------------------------------------------------------------------------


def apply_guided_filter(bgr: np.ndarray, coefficients: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.apply_guided_filter`."""
    check_guided_filter(bgr, coefficients, out)
    key = (coefficients.shape, bgr.shape)
    if plans.apply_guided_filter is None or plans.apply_guided_filter[0] != key:
        plans.apply_guided_filter = (key, ApplyGuidedFilterPlan(coefficients.shape[1:], bgr.shape[:2]))
    plan = plans.apply_guided_filter[1]
    _classify(coefficients if plain(coefficients) else np.array(coefficients), plan.coefficients, plan.kind)
    _draw(
        as_rows(bgr, plan.contiguous), out, plan.coefficients, plan.kind, plan.cell, plan.top, plan.bottom,
        plan.row_weight, plan.left, plan.column_weight, plan.edge, plan.upper, plan.lower,
    )  # fmt: skip
    return out


@Kernel
def _classify(coefficients, wide, kind):
    """Copy with the last column twice; what alpha is at a mask pixel whatever its brightness: 0, 1, or it depends."""
    height, width = coefficients.shape[1], coefficients.shape[2]
    for j in range(height):
        for i in range(width):
            a, b = coefficients[0, j, i], coefficients[1, j, i]
            dark, light = b, a + b
            wide[0, j, i], wide[1, j, i] = a, b
            kind[j, i] = uint8(uint8(max(dark, light) > 0) + uint8(min(dark, light) >= 1))
        wide[0, j, width], wide[1, j, width] = wide[0, j, width - 1], wide[1, j, width - 1]
        kind[j, width] = kind[j, width - 1]


@Kernel
def _between(cell, upper, lower):
    """What each cell between two mask rows is: the kind of its four corners, MIXED if they differ."""
    upper_right, lower_right = upper[1:], lower[1:]
    for k in range(cell.shape[0]):
        least = min(min(upper[k], upper_right[k]), min(lower[k], lower_right[k]))
        most = max(max(upper[k], upper_right[k]), max(lower[k], lower_right[k]))
        cell[k] = least if least == most else uint8(MIXED)


@Kernel
def _widen(out, row, left, weight, first, last):
    """Pixels first:last of a mask row, interpolated along x."""
    for i in range(first, last):
        at = uint32(left[uint32(i)])
        out[i] = row[at] + weight[i] * (row[at + uint32(1)] - row[at])


@Kernel
def _evaluate(out, bgr, a_upper, a_lower, b_upper, b_lower, weight):
    scale, half = np.float32(1 / 765), np.float32(0.5)
    for i in range(out.shape[0]):
        byte = uint32(3) * uint32(i)
        grey = np.int32(bgr[byte]) + np.int32(bgr[byte + uint32(1)]) + np.int32(bgr[byte + uint32(2)])
        a = a_upper[i] + weight * (a_lower[i] - a_upper[i])
        b = b_upper[i] + weight * (b_lower[i] - b_upper[i])
        value = a * (np.float32(grey) * scale) + b
        out[i] = uint8(np.int32(min(max(value, np.float32(0)), np.float32(1)) * np.float32(255) + half))


@Kernel
def _draw(bgr, out, coefficients, kind, cell, top, bottom, row_weight, left, column_weight, edge, upper, lower):
    height, cells = out.shape[0], cell.shape[0]
    first = 0
    while first < height:
        # all picture rows between the same two mask rows share cells and widened rows
        above, below = top[first], bottom[first]
        last = first + 1
        while last < height and top[last] == above and bottom[last] == below:
            last += 1
        _between(cell, kind[above], kind[below])
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
                    fill(out[j, p:q], uint8(255 if what == PERSON else 0))
                continue
            for k in range(2):
                _widen(upper[k], coefficients[k, above], left, column_weight, p, q)
                _widen(lower[k], coefficients[k, below], left, column_weight, p, q)
            for j in range(first, last):
                _evaluate(
                    out[j, p:q], bgr[j, 3 * p : 3 * q], upper[0, p:q], lower[0, p:q], upper[1, p:q], lower[1, p:q],
                    row_weight[j],
                )  # fmt: skip
        first = last
