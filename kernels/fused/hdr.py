"""`bgr_from_hdr`: every pixel by itself, all that is hard to compute looked up."""

from __future__ import annotations

import numpy as np
from numpy import float32, int32

from ..checks import check_frame, check_planes
from ..hdr import STEPS, ToneMap, tone_map
from .compilation import Kernel, plain

LAST = STEPS - 1


def warm() -> None:
    """Compile (or load) it."""
    y, chroma = np.zeros((4, 6), np.uint16), np.zeros((2, 3), np.uint16)
    tones = tone_map("hlg", "bt2020", "bt2020", False, 1000.0)
    bgr_from_hdr(y, chroma, chroma, tones, np.empty((4, 6, 3), np.uint8))


def bgr_from_hdr(y: np.ndarray, u: np.ndarray, v: np.ndarray, tones: ToneMap, out: np.ndarray) -> np.ndarray:
    """See `kernels.hdr.bgr_from_hdr`."""
    check_frame(out, "out")
    check_planes(y, u, v, out.shape[:2], np.uint16)
    y, u, v = (plane if plain(plane) else np.array(plane) for plane in (y, u, v))
    tables = tones.matrix, tones.linear, tones.gain, tones.gamut, tones.level
    _bgr_from_hdr(y, u, v, *tables, out.reshape(out.shape[0], -1))
    return out


@Kernel
def _place(k, y, u, v):
    return int32(min(max(k[0] * y + k[1] * u + k[2] * v + k[3], float32(0)), float32(LAST)) + float32(0.5))


@Kernel
def _looked_up(k, b, g, r, level):
    light = min(max(k[0] * b + k[1] * g + k[2] * r, float32(0)), float32(1))
    return level[int32(np.sqrt(light) * float32(LAST) + float32(0.5))]


@Kernel
def _bgr_from_hdr(y, u, v, matrix, linear, gain, gamut, level, out):
    for row in range(out.shape[0]):
        luma, blueness, redness, line = y[row], u[row // 2], v[row // 2], out[row]
        for x in range(out.shape[1] // 3):
            p, q, s = float32(luma[x]), float32(blueness[x // 2]), float32(redness[x // 2])
            at_b, at_g, at_r = _place(matrix[0], p, q, s), _place(matrix[1], p, q, s), _place(matrix[2], p, q, s)
            scale = gain[max(at_b, max(at_g, at_r))]
            b, g, r = linear[at_b] * scale, linear[at_g] * scale, linear[at_r] * scale
            line[3 * x] = _looked_up(gamut[0], b, g, r, level)
            line[3 * x + 1] = _looked_up(gamut[1], b, g, r, level)
            line[3 * x + 2] = _looked_up(gamut[2], b, g, r, level)
