"""The kernels on an NVIDIA GPU, in Numba: the meanings of reference.py, on arrays that are on the device already.

One thread computes one pixel; nothing is copied to or from the host and nothing is waited for. `DeviceKernels` launches
on one stream and owns the scratch. The same code runs without a GPU in Numba's simulator (NUMBA_ENABLE_CUDASIM=1),
where the tests hold it against reference.py. Knows no engine and no frame.

Not named cuda.py: that is the name of a package that NVIDIA ships.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numba.cuda
import numpy as np
from numba import float32, int32

from . import LEVELS_OF_STATUS, STATUS
from .reference import (
    CALM,
    CELL,
    FAINT,
    FLAT,
    LARGE,
    LOUD,
    NEAR,
    QUIET,
    RADIUS,
    REACH,
    SKIP,
    SMALL,
    TRACE,
    colour_grid,
)  # fmt: skip

BLOCK = (32, 8)  # threads of a block, along x and y: a warp reads neighbouring pixels

cuda: Any = numba.cuda  # its stubs and its decorators do not agree

DeviceArray = Any  # of Numba, or anything with __cuda_array_interface__ that went through cuda.as_cuda_array

# float32 by name: a Python number would be float64, which desktop GPUs compute 32 to 64 times slower
F0, F1, HALF, BYTE = np.float32(0), np.float32(1), np.float32(0.5), np.float32(255)
_QUIET, _CALM, _SMALL = np.float32(QUIET), np.float32(CALM), np.float32(SMALL)
_PER_MOTION, _PER_JUMP = np.float32(1 / (LOUD - QUIET)), np.float32(1 / (LARGE - SMALL))
_FLAT, _FAINT, _STRETCH = np.float32(FLAT), np.float32(FAINT), np.float32(1 / (1 - 2 * FAINT))
_NINTH, _WINDOW = np.float32(1 / 9), np.float32(1 / (2 * RADIUS + 1) ** 2)
_LEVELS = np.float32(LEVELS_OF_STATUS)
_GREY, _TRACE, _LARGEST = np.float32(1 / 765), np.float32(TRACE), np.float32(30)


for _place in ("numba.core.config", "numba.cuda.core.config"):  # Numba's own, and that of numba-cuda
    if _place in sys.modules:  # a mask does not fill a card, and need not be told so for each of its sizes
        setattr(sys.modules[_place], "CUDA_LOW_OCCUPANCY_WARNINGS", 0)  # noqa: B010


class DeviceKernels:
    """Every kernel of `kernels.reference` with its signature, launched on `stream`.

    Arrays are C-contiguous on the device, with the shapes and dtypes of the reference; `bgr` may not be `out` in
    `foreground`. Everything is asynchronous: whoever reads a result synchronises the stream. Scratch is allocated at
    the first call with a size and then kept, so that a second call can be captured into a CUDA graph.
    """

    def __init__(self, stream: Any = 0):
        self._stream = stream
        self._scratch: dict[tuple, DeviceArray] = {}

    def preprocess(self, bgr: DeviceArray, mean: tuple, std: tuple, out: DeviceArray) -> DeviceArray:
        """See `kernels.reference.preprocess`. ValueError where the arrays are of another kind, here and below."""
        _expect("bgr", bgr, np.uint8, (None, None, 3))
        _expect("out", out, np.float32, (1, 3, None, None))
        scale, shift = [1 / (255 * s) for s in std], [-m / s for m, s in zip(mean, std, strict=True)]
        self._launch(_preprocess, out.shape[2:], bgr, *_floats(*scale, *shift), out)
        return out

    def alpha(
        self, logits: DeviceArray, threshold: float, levels: tuple[float, float], limit: float, out: DeviceArray,
        status: DeviceArray,
    ) -> DeviceArray:  # fmt: skip
        """`engine.students.to_alpha` on the device: the stretched sigmoid of `logits` - `threshold`.

        Parameters
        ----------
        logits, out : float32 (h, w).
        threshold : subtracted from the logits.
        levels : of the sigmoid, that become 0 and 1.
        limit : a logit beyond it, or NaN, is a fault.
        status : int32 (STATUS,), overwritten: the sum of alpha in 1/LEVELS_OF_STATUS, and the number of faults.
        """
        _expect("out", out, np.float32, logits.shape)
        _expect("status", status, np.int32, (STATUS,))
        _clear[1, STATUS, self._stream](status)
        low, high = levels
        self._launch(_alpha, out.shape, logits, *_floats(threshold, low, 1 / (high - low), limit), out, status)
        return out

    def steady(
        self, image: DeviceArray, mean: tuple, std: tuple, alpha: DeviceArray, seen: DeviceArray, shown: DeviceArray
    ) -> DeviceArray:
        """See `kernels.reference.steady`."""
        for name, array in (("seen", seen), ("shown", shown)):
            _expect(name, array, np.float32, alpha.shape)
        change, motion = self._buffer("change", alpha.shape), self._buffer("motion", alpha.shape)
        scale = _floats(*(s / 3 for s in std), sum(mean) / 3)
        self._launch(_brighten, alpha.shape, image, *scale, seen, change)
        self._launch(_mean_of_nine, alpha.shape, change, motion)
        self._launch(_follow, alpha.shape, motion, alpha, shown)
        return alpha

    def refine(self, grey: DeviceArray, alpha: DeviceArray, edges: DeviceArray) -> DeviceArray:
        """See `kernels.reference.refine`."""
        _expect("grey", grey, np.float32, alpha.shape)
        _expect("edges", edges, np.float32, (2, *alpha.shape))
        fit = self._buffer("fit", edges.shape)
        self._launch(_fit, alpha.shape, grey, alpha, fit)
        self._launch(_smooth, alpha.shape, fit, edges)
        return edges

    def matte(self, bgr: DeviceArray, edges: DeviceArray, out: DeviceArray) -> DeviceArray:
        """See `kernels.reference.matte`."""
        _expect("edges", edges, np.float32, (2, None, None))
        _expect("out", out, np.uint8, bgr.shape[:2])
        self._launch(_matte, out.shape, bgr, edges, out)
        return out

    def colours(self, image: DeviceArray, mean: tuple, std: tuple, alpha: DeviceArray, out: DeviceArray) -> DeviceArray:
        """See `kernels.reference.colours`."""
        rows, columns = colour_grid(alpha.shape)
        _expect("out", out, np.float32, (2, rows, columns, 3))
        cells = self._buffer("cells", (12, rows, columns))
        self._launch(_sum_cells, (rows, columns), image, alpha, cells)
        affine = _floats(*(255 * s for s in reversed(std)), *(255 * m for m in reversed(mean)))
        self._launch(_mean_colours, (rows, columns), cells, *affine, out)
        return out

    def foreground(self, bgr: DeviceArray, alpha: DeviceArray, colours: DeviceArray, out: DeviceArray) -> DeviceArray:
        """See `kernels.reference.foreground`."""
        _expect("alpha", alpha, np.uint8, bgr.shape[:2])
        _expect("colours", colours, np.float32, (2, None, None, 3))
        _expect("out", out, np.uint8, bgr.shape)
        self._launch(_unmix, alpha.shape, bgr, alpha, colours, out)
        return out

    def composite(self, bgr: DeviceArray, alpha: DeviceArray, background: DeviceArray, out: DeviceArray) -> DeviceArray:
        """See `kernels.reference.composite`."""
        _expect("alpha", alpha, np.uint8, bgr.shape[:2])
        _expect("background", background, np.uint8, bgr.shape)
        _expect("out", out, np.uint8, bgr.shape)
        self._launch(_blend, alpha.shape, bgr, alpha, background, out)
        return out

    def _launch(self, kernel: Any, size: tuple[int, ...], *arguments: Any) -> None:
        """One thread for every pixel of `size` (rows, columns)."""
        grid = (-(-size[1] // BLOCK[0]), -(-size[0] // BLOCK[1]))
        kernel[grid, BLOCK, self._stream](*arguments)

    def _buffer(self, name: str, shape: tuple[int, ...]) -> DeviceArray:
        """Scratch float32 of this shape, one for each name: a changed size replaces it."""
        if (name, shape) not in self._scratch:
            self._scratch = {key: value for key, value in self._scratch.items() if key[0] != name}
            self._scratch[name, shape] = cuda.device_array(shape, np.float32)
        return self._scratch[name, shape]


def _floats(*values: float) -> tuple:
    return tuple(np.float32(value) for value in values)


def _expect(name: str, array: DeviceArray, dtype: type, shape: tuple[int | None, ...]) -> None:
    fits = len(array.shape) == len(shape) and all(want in (None, is_) for is_, want in zip(array.shape, shape))  # noqa: B905
    if array.dtype != dtype or not fits or 0 in array.shape:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(f"{name} is {array.dtype} {array.shape}; expected {np.dtype(dtype)} ({wanted})")


# -- on the device -----------------------------------------------------------------------------------------------------


@cuda.jit(device=True)
def _sample(i, source, target):
    """`kernels.reference.sample_positions` for one sample: left, right, weight of the right one."""
    position = (float32(i) + HALF) * (float32(source) / float32(target)) - HALF
    position = min(max(position, F0), float32(source - 1))
    left = int32(position)
    return left, min(left + 1, source - 1), position - float32(left)


@cuda.jit(device=True)
def _nearest(i, source, target):
    return (2 * i + 1) * source // (2 * target)


@cuda.jit(device=True)
def _inside(i, side):
    return min(max(i, 0), side - 1)


@cuda.jit(device=True)
def _grey_level(value):
    return int32(min(max(value, F0), BYTE) + HALF)


@cuda.jit
def _preprocess(bgr, red_scale, green_scale, blue_scale, red_shift, green_shift, blue_shift, out):
    i, j = cuda.grid(2)
    if i >= out.shape[3] or j >= out.shape[2]:
        return
    left, right, x = _sample(i, bgr.shape[1], out.shape[3])
    top, bottom, y = _sample(j, bgr.shape[0], out.shape[2])
    for c in range(3):
        upper = float32(bgr[top, left, c]) * (F1 - x) + float32(bgr[top, right, c]) * x
        lower = float32(bgr[bottom, left, c]) * (F1 - x) + float32(bgr[bottom, right, c]) * x
        scale = blue_scale if c == 0 else green_scale if c == 1 else red_scale
        shift = blue_shift if c == 0 else green_shift if c == 1 else red_shift
        out[0, 2 - c, j, i] = (upper * (F1 - y) + lower * y) * scale + shift


@cuda.jit
def _clear(status):
    status[cuda.threadIdx.x] = 0


@cuda.jit
def _alpha(logits, threshold, low, stretch, limit, out, status):
    # one atomic per block and number: thousands on one address would queue
    block = cuda.shared.array(2, int32)
    if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0:
        block[0] = 0
        block[1] = 0
    cuda.syncthreads()
    i, j = cuda.grid(2)
    if i < out.shape[1] and j < out.shape[0]:
        logit = logits[j, i]
        if not (logit >= -limit and logit <= limit):  # NaN too
            cuda.atomic.add(block, 1, 1)
            out[j, i] = F0
        else:
            x = min(max(threshold - logit, -_LARGEST), _LARGEST)
            value = (F1 / (F1 + math.exp(x)) - low) * stretch
            value = float32(min(max(value, F0), F1))
            out[j, i] = value
            cuda.atomic.add(block, 0, int32(value * _LEVELS + HALF))
    cuda.syncthreads()
    if cuda.threadIdx.x == 0 and cuda.threadIdx.y == 0:
        cuda.atomic.add(status, 0, block[0])
        cuda.atomic.add(status, 1, block[1])


@cuda.jit
def _brighten(image, red, green, blue, shift, seen, change):
    i, j = cuda.grid(2)
    if i >= seen.shape[1] or j >= seen.shape[0]:
        return
    y, x = _nearest(j, image.shape[2], seen.shape[0]), _nearest(i, image.shape[3], seen.shape[1])
    brightness = image[0, 0, y, x] * red + image[0, 1, y, x] * green + image[0, 2, y, x] * blue + shift
    change[j, i] = brightness - seen[j, i]
    seen[j, i] = brightness


@cuda.jit
def _mean_of_nine(change, motion):
    i, j = cuda.grid(2)
    if i >= motion.shape[1] or j >= motion.shape[0]:
        return
    total = F0
    for y in range(j - 1, j + 2):
        for x in range(i - 1, i + 2):
            total += change[_inside(y, motion.shape[0]), _inside(x, motion.shape[1])]
    motion[j, i] = abs(total) * _NINTH


@cuda.jit
def _follow(motion, alpha, shown):
    i, j = cuda.grid(2)
    if i >= alpha.shape[1] or j >= alpha.shape[0]:
        return
    largest = F0
    for y in range(j - NEAR, j + NEAR + 1):
        for x in range(i - NEAR, i + NEAR + 1):
            largest = max(largest, motion[_inside(y, alpha.shape[0]), _inside(x, alpha.shape[1])])
    change = alpha[j, i] - shown[j, i]
    moves, jumps = (largest - _QUIET) * _PER_MOTION, (abs(change) - _SMALL) * _PER_JUMP
    weight = min(max(max(moves, jumps), _CALM), F1)
    value = shown[j, i] + weight * change
    alpha[j, i] = value
    shown[j, i] = value


@cuda.jit
def _fit(grey, alpha, fit):
    i, j = cuda.grid(2)
    if i >= alpha.shape[1] or j >= alpha.shape[0]:
        return
    # around the pixel's own values: in float32 the variance of a flat window would be the rounding of its mean
    g_here, a_here = grey[j, i], alpha[j, i]
    g_sum, a_sum, gg_sum, ga_sum = F0, F0, F0, F0
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            y, x = _inside(j + dy, alpha.shape[0]), _inside(i + dx, alpha.shape[1])
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
def _smooth(fit, edges):
    i, j = cuda.grid(2)
    if i >= edges.shape[2] or j >= edges.shape[1]:
        return
    gain, offset = F0, F0
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            y, x = _inside(j + dy, edges.shape[1]), _inside(i + dx, edges.shape[2])
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
def _matte(bgr, edges, out):
    i, j = cuda.grid(2)
    if i >= out.shape[1] or j >= out.shape[0]:
        return
    left, right, x = _sample(i, edges.shape[2], out.shape[1])
    top, bottom, y = _sample(j, edges.shape[1], out.shape[0])
    grey = (float32(bgr[j, i, 0]) + float32(bgr[j, i, 1]) + float32(bgr[j, i, 2])) * _GREY
    gain = _bilinear(edges, 0, top, bottom, left, right, y, x)
    out[j, i] = _grey_level((gain * grey + _bilinear(edges, 1, top, bottom, left, right, y, x)) * BYTE)


@cuda.jit
def _sum_cells(image, alpha, cells):
    """For each cell: weight and colours (BGR) of the person, of the room, and the number and colours of all pixels."""
    i, j = cuda.grid(2)
    if i >= cells.shape[2] or j >= cells.shape[1]:
        return
    for q in range(12):
        cells[q, j, i] = F0
    height, width = alpha.shape
    for y in range(SKIP * CELL * j, min(SKIP * CELL * (j + 1), height), SKIP):
        for x in range(SKIP * CELL * i, min(SKIP * CELL * (i + 1), width), SKIP):
            a, below = alpha[y, x], _nearest(y, image.shape[2], height)
            at = _nearest(x, image.shape[3], width)
            person, room = a * a, (F1 - a) * (F1 - a)
            cells[0, j, i] += person
            cells[4, j, i] += room
            cells[8, j, i] += F1
            for c in range(3):
                colour = image[0, 2 - c, below, at]
                cells[1 + c, j, i] += person * colour
                cells[5 + c, j, i] += room * colour
                cells[9 + c, j, i] += colour


@cuda.jit
def _mean_colours(cells, blue_scale, green_scale, red_scale, blue_shift, green_shift, red_shift, out):
    i, j = cuda.grid(2)
    rows, columns = cells.shape[1], cells.shape[2]
    if i >= columns or j >= rows:
        return
    for kind in range(2):
        first = 4 * kind
        weight = _TRACE * cells[8, j, i]
        blue, green, red = _TRACE * cells[9, j, i], _TRACE * cells[10, j, i], _TRACE * cells[11, j, i]
        for y in range(max(j - REACH, 0), min(j + REACH + 1, rows)):
            for x in range(max(i - REACH, 0), min(i + REACH + 1, columns)):
                weight += cells[first, y, x]
                blue += cells[first + 1, y, x]
                green += cells[first + 2, y, x]
                red += cells[first + 3, y, x]
        out[kind, j, i, 0] = blue / weight * blue_scale + blue_shift
        out[kind, j, i, 1] = green / weight * green_scale + green_shift
        out[kind, j, i, 2] = red / weight * red_scale + red_shift


@cuda.jit
def _unmix(bgr, alpha, colours, out):
    i, j = cuda.grid(2)
    if i >= alpha.shape[1] or j >= alpha.shape[0]:
        return
    share = float32(alpha[j, i]) / BYTE
    y, x = j * colours.shape[1] // alpha.shape[0], i * colours.shape[2] // alpha.shape[1]
    for c in range(3):
        value = float32(bgr[j, i, c])
        if share > F0 and share < F1:
            person = colours[0, y, x, c]
            value = person + share * (value - share * person - (F1 - share) * colours[1, y, x, c])
        out[j, i, c] = _grey_level(value)


@cuda.jit
def _blend(bgr, alpha, background, out):
    i, j = cuda.grid(2)
    if i >= alpha.shape[1] or j >= alpha.shape[0]:
        return
    share = float32(alpha[j, i]) / BYTE
    for c in range(3):
        out[j, i, c] = _grey_level(share * float32(bgr[j, i, c]) + (F1 - share) * float32(background[j, i, c]))
