"""The foreground over a background: the kernel of `composite`."""

from __future__ import annotations

from numba import float32

from .pixel import BYTE, F1, cuda, grey_level


@cuda.jit
def blend(bgr, alpha, background, out):
    i, j = cuda.grid(2)
    if i >= alpha.shape[1] or j >= alpha.shape[0]:
        return
    share = float32(alpha[j, i]) / BYTE
    for c in range(3):
        out[j, i, c] = grey_level(share * float32(bgr[j, i, c]) + (F1 - share) * float32(background[j, i, c]))
