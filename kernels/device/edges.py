"""Alpha fitted to the picture's brightness, then drawn at the frame's size: the kernels of `refine` and `matte`.

Knows no colours.
"""

from __future__ import annotations

import numpy as np
from numba import float32

from ..reference import FAINT, FLAT, RADIUS
from .pixel import BYTE, F0, F1, cuda, grey_level, inside, sample

_FLAT, _FAINT, _STRETCH = np.float32(FLAT), np.float32(FAINT), np.float32(1 / (1 - 2 * FAINT))
_WINDOW = np.float32(1 / (2 * RADIUS + 1) ** 2)
_GREY = np.float32(1 / 765)


@cuda.jit
def fit_edges(grey, alpha, fit):
    i, j = cuda.grid(2)
    if i >= alpha.shape[1] or j >= alpha.shape[0]:
        return
    # around the pixel's own values: in float32 the variance of a flat window would be the rounding of its mean
    g_here, a_here = grey[j, i], alpha[j, i]
    g_sum, a_sum, gg_sum, ga_sum = F0, F0, F0, F0
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            y, x = inside(j + dy, alpha.shape[0]), inside(i + dx, alpha.shape[1])
            g, a = grey[y, x] - g_here, alpha[y, x] - a_here
            g_sum += g
            a_sum += a
            gg_sum += g * g
            ga_sum += g * a
    mean_grey, mean_alpha = g_sum * _WINDOW, a_sum * _WINDOW
    variance = max(gg_sum * _WINDOW - mean_grey * mean_grey, F0)
    gain = (ga_sum * _WINDOW - mean_grey * mean_alpha) / (variance + _FLAT)
    fit[0, j, i] = gain
    fit[1, j, i] = mean_alpha + a_here - gain * (mean_grey + g_here)


@cuda.jit
def smooth_edges(fit, edges):
    i, j = cuda.grid(2)
    if i >= edges.shape[2] or j >= edges.shape[1]:
        return
    gain, offset = F0, F0
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            y, x = inside(j + dy, edges.shape[1]), inside(i + dx, edges.shape[2])
            gain += fit[0, y, x]
            offset += fit[1, y, x]
    edges[0, j, i] = gain * _WINDOW * _STRETCH
    edges[1, j, i] = (offset * _WINDOW - _FAINT) * _STRETCH


@cuda.jit(device=True)
def _bilinear(plane, k, top, bottom, left, right, y, x):
    upper = plane[k, top, left] * (F1 - x) + plane[k, top, right] * x
    lower = plane[k, bottom, left] * (F1 - x) + plane[k, bottom, right] * x
    return upper * (F1 - y) + lower * y


@cuda.jit
def draw_edges(bgr, edges, out):
    i, j = cuda.grid(2)
    if i >= out.shape[1] or j >= out.shape[0]:
        return
    left, right, x = sample(i, edges.shape[2], out.shape[1])
    top, bottom, y = sample(j, edges.shape[1], out.shape[0])
    grey = (float32(bgr[j, i, 0]) + float32(bgr[j, i, 1]) + float32(bgr[j, i, 2])) * _GREY
    gain = _bilinear(edges, 0, top, bottom, left, right, y, x)
    out[j, i] = grey_level((gain * grey + _bilinear(edges, 1, top, bottom, left, right, y, x)) * BYTE)
