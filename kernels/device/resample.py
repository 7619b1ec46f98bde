"""The student's input, made of a frame: the kernel of `preprocess`. Knows no mask."""

from __future__ import annotations

from numba import float32

from .pixel import F1, cuda, sample


@cuda.jit
def preprocess(bgr, red_scale, green_scale, blue_scale, red_shift, green_shift, blue_shift, out):
    i, j = cuda.grid(2)
    if i >= out.shape[3] or j >= out.shape[2]:
        return
    left, right, x = sample(i, bgr.shape[1], out.shape[3])
    top, bottom, y = sample(j, bgr.shape[0], out.shape[2])
    for c in range(3):
        upper = float32(bgr[top, left, c]) * (F1 - x) + float32(bgr[top, right, c]) * x
        lower = float32(bgr[bottom, left, c]) * (F1 - x) + float32(bgr[bottom, right, c]) * x
        scale = blue_scale if c == 0 else green_scale if c == 1 else red_scale
        shift = blue_shift if c == 0 else green_shift if c == 1 else red_shift
        out[0, 2 - c, j, i] = (upper * (F1 - y) + lower * y) * scale + shift
