"""`bgr_from_yuv` and `yuv_from_bgr`: 16-bit arithmetic throughout, row by row, so that rows stay in the first cache.

The upper half of a product of two 16-bit numbers is one instruction. On the way to BGR a level has 5 bits behind the
point (Q5), on the way back 8 (Q8).
"""

from __future__ import annotations

import threading

import numpy as np
from numpy import int16, int32, uint8, uint16, uint32

from ..checks import check_frame, check_planes
from ..yuv import matrix_to_bgr, matrix_to_yuv
from .compilation import Kernel, as_rows, plain


def warm() -> None:
    """Compile (or load) both."""
    out, y, chroma = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8), np.zeros((2, 3), np.uint8)
    bgr_from_yuv(y, chroma, chroma, matrix_to_bgr("bt601", False), out)
    yuv_from_bgr(out, matrix_to_yuv("bt601", False), y, chroma, chroma.copy())


class Plan:
    """Scratch and coefficients for one frame size and one matrix, to BGR or from it."""

    def __init__(self, shape: tuple[int, ...], coefficients: np.ndarray):
        half = -(-shape[1] // 2)
        self.coefficients = coefficients
        self.added = np.zeros((3, 2 * half), np.int16)
        self.rows, self.sums = np.zeros((6, 2 * half), np.uint8), np.zeros((3, half), np.uint16)
        self.contiguous = np.empty(shape, np.uint8)


class _Plans(threading.local):
    """As in plan.py: each thread owns its scratch, and a changed size replaces the plan."""

    to_bgr: tuple[tuple, Plan] | None = None
    to_yuv: tuple[tuple, Plan] | None = None


plans = _Plans()


def bgr_from_yuv(y: np.ndarray, u: np.ndarray, v: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.yuv.bgr_from_yuv`."""
    check_frame(out, "out")
    check_planes(y, u, v, out.shape[:2], rows=u.shape[0])
    key = (out.shape, matrix.tobytes())
    if plans.to_bgr is None or plans.to_bgr[0] != key:
        plans.to_bgr = (key, Plan(out.shape, _to_bgr(matrix)))
    plan = plans.to_bgr[1]
    y, u, v = (plane if plain(plane) else np.array(plane) for plane in (y, u, v))
    pairs = plan.added.view(np.uint32)
    _bgr_from_yuv(y, u, v, plan.coefficients, plan.added, pairs, out.reshape(out.shape[0], -1))
    return out


def yuv_from_bgr(
    bgr: np.ndarray, matrix: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, ...]:
    """See `kernels.yuv.yuv_from_bgr`."""
    check_frame(bgr)
    check_planes(y, u, v, bgr.shape[:2])
    key = (bgr.shape, matrix.tobytes())
    if plans.to_yuv is None or plans.to_yuv[0] != key:
        plans.to_yuv = (key, Plan(bgr.shape, _to_yuv(matrix)))
    plan = plans.to_yuv[1]
    pixels = as_rows(bgr, plan.contiguous)
    _yuv_from_bgr(pixels, plan.coefficients, plan.rows, plan.rows.view(np.uint16), plan.sums, y, u, v)
    return y, u, v


def _to_bgr(matrix: np.ndarray) -> np.ndarray:
    """int16 (6,) of `matrix_to_bgr`: luma in Q7 and black in Q5; B from U, G from U and V, R from V in Q13.

    (U - 128) is taken in Q8, so that the upper half of its product with one of these is in Q5, and below 2^14.
    """
    gain = np.rint(matrix[0, 0] * 2**7)
    # what the rounded gain leaves out, for a picture of medium brightness; and what rounds
    black = matrix[0, 3] + 128 * matrix[0, 1] + 128 * (matrix[0, 0] - gain / 2**7)
    chroma = matrix[[0, 1, 1, 2], [1, 1, 2, 2]] * 2**13
    return np.rint([gain, black * 2**5 + 16.5, *chroma]).astype(np.int16)


def _to_yuv(matrix: np.ndarray) -> np.ndarray:
    """uint16 (10,) of `matrix_to_yuv`: for Y the weights of B, G, R in Q16 and black in Q8; for U those of B, G, R,
    and for V those of R, G, B, of which the last two are subtracted.
    """
    weights = np.abs(matrix[:, :3]) * 2**16
    black = matrix[0, 3] * 2**8 + 128 + 1  # what rounds, and what the upper halves of three products leave out
    return np.rint([*weights[0], black, *weights[1], *weights[2, ::-1]]).astype(np.uint16)


@Kernel
def _upper(a, b):
    return int16(int32(int32(a) * int32(b)) >> int32(16))


@Kernel
def _upper_unsigned(a, b):
    return uint16(uint32(uint32(a) * uint32(b)) >> uint32(16))


@Kernel
def _level(value):
    return uint8(min(max(int16(value >> int16(5)), int16(0)), int16(255)))


@Kernel
def _twice(value):
    """16 bits, twice in a row."""
    one = uint32(uint16(value))
    return uint32(one | uint32(one << uint32(16)))


@Kernel
def _chroma(u, v, k, b, g, r):
    """What the two chroma samples add to B, G and R of both of their pixels, in Q5: b, g and r are uint32."""
    b_u, g_u, g_v, r_v = int16(k[2]), int16(k[3]), int16(k[4]), int16(k[5])
    for i in range(b.shape[0]):
        s = int16(int16(int16(u[i]) - int16(128)) << int16(8))
        t = int16(int16(int16(v[i]) - int16(128)) << int16(8))
        b[i] = _twice(_upper(s, b_u))
        g[i] = _twice(int16(_upper(s, g_u) + _upper(t, g_v)))
        r[i] = _twice(_upper(t, r_v))


@Kernel
def _weave(y, k, b, g, r, out):
    gain, black = uint16(k[0]), int16(k[1])
    for i in range(b.shape[0]):
        byte = uint32(3) * uint32(i)
        luma = int16(int16(uint16(uint16(uint16(y[i]) * gain) >> uint16(2))) + black)
        out[byte] = _level(int16(luma + b[i]))
        out[byte + uint32(1)] = _level(int16(luma + g[i]))
        out[byte + uint32(2)] = _level(int16(luma + r[i]))


@Kernel
def _bgr_from_yuv(y, u, v, k, added, pairs, out):
    H, W = out.shape[0], out.shape[1] // 3
    step = 1 if u.shape[0] == H else 2
    for row in range(H):
        if row % step == 0:
            _chroma(u[row // step], v[row // step], k, pairs[0], pairs[1], pairs[2])
        _weave(y[row], k, added[0][:W], added[1][:W], added[2][:W], out[row])


@Kernel
def _split(bgr, b, g, r):
    pixels = bgr.shape[0] // 3
    for i in range(pixels):
        byte = uint32(3) * uint32(i)
        b[i] = bgr[byte]
        g[i] = bgr[byte + uint32(1)]
        r[i] = bgr[byte + uint32(2)]
    if pixels < b.shape[0]:
        b[pixels], g[pixels], r[pixels] = b[pixels - 1], g[pixels - 1], r[pixels - 1]


@Kernel
def _brightness(b, g, r, k, y):
    of_b, of_g, of_r, black = uint16(k[0]), uint16(k[1]), uint16(k[2]), uint16(k[3])
    for i in range(y.shape[0]):
        value = uint16(_upper_unsigned(uint16(uint16(b[i]) << uint16(8)), of_b) + black)
        value = uint16(value + _upper_unsigned(uint16(uint16(g[i]) << uint16(8)), of_g))
        value = uint16(value + _upper_unsigned(uint16(uint16(r[i]) << uint16(8)), of_r))
        y[i] = uint8(value >> uint16(8))


@Kernel
def _sum_of_four(upper, lower, out):
    """Two rows of bytes, read in pairs: the sum of 2x2, in Q6."""
    for i in range(out.shape[0]):
        a, b = uint16(upper[i]), uint16(lower[i])
        left = uint16(uint16(a & uint16(255)) + uint16(b & uint16(255)))
        out[i] = uint16(uint16(left + uint16(uint16(a >> uint16(8)) + uint16(b >> uint16(8)))) << uint16(6))


@Kernel
def _difference(added, first, second, k, out):
    of_added, of_first, of_second = uint16(k[0]), uint16(k[1]), uint16(k[2])
    middle = uint16(128 * 256 + 127)  # and what rounds: with 128, full range would overflow
    for i in range(out.shape[0]):
        value = uint16(middle + _upper_unsigned(added[i], of_added))
        value = uint16(value - _upper_unsigned(first[i], of_first))
        value = uint16(value - _upper_unsigned(second[i], of_second))
        out[i] = uint8(value >> uint16(8))


@Kernel
def _yuv_from_bgr(bgr, k, rows, pairs, sums, y, u, v):
    H, W, half = bgr.shape[0], bgr.shape[1] // 3, sums.shape[1]
    for row in range(0, H, 2):
        for below in range(2):
            at, first = min(row + below, H - 1), 3 * below
            _split(bgr[at], rows[first], rows[first + 1], rows[first + 2])
            _brightness(rows[first], rows[first + 1], rows[first + 2], k, y[at][:W])
        for channel in range(3):
            _sum_of_four(pairs[channel], pairs[3 + channel], sums[channel])
        _difference(sums[0], sums[1], sums[2], k[4:7], u[row // 2][:half])
        _difference(sums[2], sums[1], sums[0], k[7:10], v[row // 2][:half])
