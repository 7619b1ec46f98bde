"""The guided filter: the kernels of `fit_guided_filter` and `apply_guided_filter`. Knows no colours."""

from __future__ import annotations

import numpy as np
from numba import float32

from ..reference import ALPHA_FLOOR, GUIDED_EPS, GUIDED_RADIUS
from .pixel import BYTE, F0, F1, cuda, grey_level, inside, sample

_EPS, _FLOOR, _STRETCH = np.float32(GUIDED_EPS), np.float32(ALPHA_FLOOR), np.float32(1 / (1 - 2 * ALPHA_FLOOR))
_WINDOW = np.float32(1 / (2 * GUIDED_RADIUS + 1) ** 2)
_GREY = np.float32(1 / 765)


@cuda.jit
def fit_coefficients(grey, alpha, fit):
    i, j = cuda.grid(2)
    if i >= alpha.shape[1] or j >= alpha.shape[0]:
        return
    # around the pixel's own values: in float32 the variance of a flat window would be the rounding of its mean
    grey_here, alpha_here = grey[j, i], alpha[j, i]
    g_sum, p_sum, gg_sum, gp_sum = F0, F0, F0, F0
    for dy in range(-GUIDED_RADIUS, GUIDED_RADIUS + 1):
        for dx in range(-GUIDED_RADIUS, GUIDED_RADIUS + 1):
            y, x = inside(j + dy, alpha.shape[0]), inside(i + dx, alpha.shape[1])
            g, p = grey[y, x] - grey_here, alpha[y, x] - alpha_here
            g_sum += g
            p_sum += p
            gg_sum += g * g
            gp_sum += g * p
    mean_grey, mean_alpha = g_sum * _WINDOW, p_sum * _WINDOW
    variance = max(gg_sum * _WINDOW - mean_grey * mean_grey, F0)
    a = (gp_sum * _WINDOW - mean_grey * mean_alpha) / (variance + _EPS)
    fit[0, j, i] = a
    fit[1, j, i] = mean_alpha + alpha_here - a * (mean_grey + grey_here)


@cuda.jit
def mean_coefficients(fit, coefficients):
    i, j = cuda.grid(2)
    if i >= coefficients.shape[2] or j >= coefficients.shape[1]:
        return
    a, b = F0, F0
    for dy in range(-GUIDED_RADIUS, GUIDED_RADIUS + 1):
        for dx in range(-GUIDED_RADIUS, GUIDED_RADIUS + 1):
            y, x = inside(j + dy, coefficients.shape[1]), inside(i + dx, coefficients.shape[2])
            a += fit[0, y, x]
            b += fit[1, y, x]
    coefficients[0, j, i] = a * _WINDOW * _STRETCH
    coefficients[1, j, i] = (b * _WINDOW - _FLOOR) * _STRETCH


@cuda.jit(device=True)
def _bilinear(plane, k, top, bottom, left, right, y, x):
    upper = plane[k, top, left] * (F1 - x) + plane[k, top, right] * x
    lower = plane[k, bottom, left] * (F1 - x) + plane[k, bottom, right] * x
    return upper * (F1 - y) + lower * y


@cuda.jit
def evaluate(bgr, coefficients, out):
    i, j = cuda.grid(2)
    if i >= out.shape[1] or j >= out.shape[0]:
        return
    left, right, x = sample(i, coefficients.shape[2], out.shape[1])
    top, bottom, y = sample(j, coefficients.shape[1], out.shape[0])
    grey = (float32(bgr[j, i, 0]) + float32(bgr[j, i, 1]) + float32(bgr[j, i, 2])) * _GREY
    a = _bilinear(coefficients, 0, top, bottom, left, right, y, x)
    b = _bilinear(coefficients, 1, top, bottom, left, right, y, x)
    out[j, i] = grey_level((a * grey + b) * BYTE)
