"""The kernels in Numba: one pass over the pixels, nothing allocated, the GIL released. Same results as reference.py
to two grey levels.

Speed comes from three things. Rows are byte slices and arithmetic stays in small unsigned types, so that LLVM
vectorises it. What repeats from frame to frame (sampling tables, scratch rows) is planned once per pair of sizes and
thread. Most of a mask is pure: `matte` fills spans where alpha is 0 or 255, and computes the rest; `composite` blends
every pixel, which is faster than to look which ones need it.

Serial on purpose: `parallel=True` from two Python threads kills the process on Numba's default threading layer.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numba import njit, uint8, uint16, uint32

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
    check_blend,
    check_foreground,
    check_frame,
    check_image,
    check_matte,
    colour_grid,
    sample_positions,
)  # fmt: skip

WEIGHT_BITS = 8  # a weighted sum of two bytes is at most 255 * 256, and fits 16 bits with rounding
ONE = 1 << WEIGHT_BITS
SIDE = np.float32(2 * RADIUS + 1)  # pixels of the mask, of the window of `refine`
BACKGROUND, MIXED, PERSON = 0, 1, 2  # what a cell of the mask is
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)  # eight pixels of alpha 255
CHUNK = 1024  # pixels that are blended together: their weights stay in the first cache

kernel: Any = njit(nogil=True, cache=True, boundscheck=False, error_model="numpy", fastmath=True)


def _axis(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`sample_positions` with weights in 1/256: left, right int32; weight uint16 in [0, 256]."""
    left, right, weight = sample_positions(source, target)
    return left.astype(np.int32), right.astype(np.int32), np.rint(weight * ONE).astype(np.uint16)


def nearest(source: int, target: int) -> np.ndarray:
    """uint32 (target,): the sample of `source` that lies under the centre of each."""
    return ((2 * np.arange(target) + 1) * source // (2 * target)).astype(np.uint32)


class _PreprocessPlan:
    """Tables and scratch for one frame size and one student size."""

    def __init__(self, frame: tuple[int, int], image: tuple[int, int]):
        self.top, self.bottom, self.row_weight = _axis(frame[0], image[0])
        left, _, self.column_weight = _axis(frame[1], image[1])
        self.left_byte = (3 * left).astype(np.uint32)
        # the right neighbour is read at +3 bytes always; past the last column its weight is 0
        self.row = np.zeros(3 * frame[1] + 3, np.uint16)
        self.contiguous = np.empty((*frame, 3), np.uint8)


class _MattePlan:
    """Tables and scratch for one mask size and one frame size."""

    def __init__(self, mask: tuple[int, int], frame: tuple[int, int]):
        self.top, self.bottom, row_weight = sample_positions(mask[0], frame[0])
        self.left, _, column_weight = sample_positions(mask[1], frame[1])
        self.row_weight, self.column_weight = row_weight.astype(np.float32), column_weight.astype(np.float32)
        self.left = self.left.astype(np.int32)
        # cell k of a mask row lies between columns k and k + 1; its pixels are edge[k]:edge[k + 1]
        self.edge = np.searchsorted(self.left, np.arange(mask[1] + 1)).astype(np.int32)
        self.edges = np.zeros((2, mask[0], mask[1] + 1), np.float32)  # the last column twice
        self.kind = np.zeros((mask[0], mask[1] + 1), np.uint8)
        self.cell = np.zeros(mask[1], np.uint8)
        self.upper, self.lower = np.zeros((2, 2, frame[1]), np.float32)  # gain and offset of two mask rows
        self.contiguous = np.empty((*frame, 3), np.uint8)


class _CompositePlan:
    """Scratch for one frame size."""

    def __init__(self, frame: tuple[int, int]):
        self.contiguous = np.empty((2, *frame, 3), np.uint8)
        self.weight = np.zeros(3 * CHUNK, np.uint8)


class _RefinePlan:
    """Scratch for one mask size. Rows have a border of replicated pixels, so that no window looks outside."""

    def __init__(self, mask: tuple[int, int]):
        wide = mask[1] + 2 * RADIUS
        self.sums = np.zeros((4, wide), np.float32)
        self.fit = np.zeros((2, mask[0], wide), np.float32)


class _SteadyPlan:
    """Tables and scratch for one student size and one mask size."""

    def __init__(self, image: tuple[int, int], mask: tuple[int, int]):
        h, w = mask
        self.row, self.column = nearest(image[0], h), nearest(image[1], w)
        # a border of replicated pixels, so that no window looks outside
        self.change = np.zeros((h + 2, w + 2), np.float32)
        self.motion = np.zeros((h + 2 * NEAR, w + 2 * NEAR), np.float32)
        self.line, self.nearby = np.zeros((2, w + 2 * NEAR), np.float32)


class _ColoursPlan:
    """Tables and scratch for one student size and one mask size."""

    def __init__(self, image: tuple[int, int], mask: tuple[int, int]):
        self.row, self.column = (nearest(*sides)[::SKIP] for sides in zip(image, mask, strict=True))
        rows, columns = colour_grid(mask)
        # sums over each cell: the person's weight and colours, the room's, and all: number and colours
        self.cells = np.zeros((rows, 12, columns), np.float32)
        self.near = np.zeros((8, columns + 2 * REACH), np.float32)


class _ForegroundPlan:
    """Tables and scratch for one grid of colours and one frame size."""

    def __init__(self, grid: tuple[int, int], frame: tuple[int, int]):
        self.row = (np.arange(frame[0]) * grid[0] // frame[0] * 3 * grid[1]).astype(np.uint32)
        self.column = (np.arange(frame[1]) * grid[1] // frame[1] * 3).astype(np.uint32)
        self.alpha = np.zeros(frame[0] * frame[1], np.uint8)
        self.words = self.alpha[: self.alpha.size // 8 * 8].view(np.uint64)


class _Plans(threading.local):
    """Each thread owns its scratch. A changed size replaces the plan: sizes change rarely, memory must not grow."""

    preprocess: tuple[tuple, _PreprocessPlan] | None = None
    composite: tuple[tuple, _CompositePlan] | None = None
    matte: tuple[tuple, _MattePlan] | None = None
    refine: tuple[tuple, _RefinePlan] | None = None
    steady: tuple[tuple, _SteadyPlan] | None = None
    colours: tuple[tuple, _ColoursPlan] | None = None
    foreground: tuple[tuple, _ForegroundPlan] | None = None


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


def refine(grey: np.ndarray, alpha: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """See `kernels.reference.refine`."""
    key = alpha.shape
    if _plans.refine is None or _plans.refine[0] != key:
        _plans.refine = (key, _RefinePlan(alpha.shape))
    plan = _plans.refine[1]
    _fit(grey, alpha, edges, plan.sums, plan.fit)
    return edges


def matte(bgr: np.ndarray, edges: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.matte`."""
    check_matte(bgr, edges, out)
    key = (edges.shape, bgr.shape)
    if _plans.matte is None or _plans.matte[0] != key:
        _plans.matte = (key, _MattePlan(edges.shape[1:], bgr.shape[:2]))
    plan = _plans.matte[1]
    _classify(edges if _plain(edges) else np.array(edges), plan.edges, plan.kind)
    _draw(
        _rows(bgr, plan.contiguous), out, plan.edges, plan.kind, plan.cell, plan.top, plan.bottom, plan.row_weight,
        plan.left, plan.column_weight, plan.edge, plan.upper, plan.lower,
    )  # fmt: skip
    return out


def colours(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """See `kernels.reference.colours`."""
    key = (image.shape, alpha.shape)
    if _plans.colours is None or _plans.colours[0] != key:
        _plans.colours = (key, _ColoursPlan(image.shape[2:], alpha.shape))
    plan = _plans.colours[1]
    scale, shift = (tuple(np.float32(255 * x) for x in reversed(rgb)) for rgb in (std, mean))
    _gather_colours(image[0], scale, shift, alpha, out, plan.row, plan.column, plan.cells, plan.near)
    return out


def foreground(bgr: np.ndarray, alpha: np.ndarray, colours: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.foreground`."""
    check_foreground(bgr, alpha, colours, out)
    key = (colours.shape, bgr.shape)
    if _plans.foreground is None or _plans.foreground[0] != key:
        _plans.foreground = (key, _ForegroundPlan(colours.shape[1:3], bgr.shape[:2]))
    plan = _plans.foreground[1]
    np.copyto(out, bgr)
    flat = alpha.reshape(-1)
    words = flat[: flat.size // 8 * 8].view(np.uint64)
    if not _plain(alpha) or not words.flags.aligned:
        np.copyto(plan.alpha, flat)
        flat, words = plan.alpha, plan.words
    grid = colours if _plain(colours) else np.array(colours)
    _unmix(out.reshape(-1), flat, words, grid.reshape(2, -1), plan.row, plan.column)
    return out


def composite(bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.composite`."""
    check_blend(bgr, alpha, background, out)
    key = bgr.shape
    if _plans.composite is None or _plans.composite[0] != key:
        _plans.composite = (key, _CompositePlan(bgr.shape[:2]))
    plan = _plans.composite[1]
    target = out.reshape(-1)
    person = target if out is bgr else _rows(bgr, plan.contiguous[0]).reshape(-1)
    alpha = alpha if _plain(alpha) else np.array(alpha)
    _blend(person, _rows(background, plan.contiguous[1]).reshape(-1), target, alpha.reshape(-1), plan.weight)
    return out


def steady(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, seen: np.ndarray,
    shown: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """See `kernels.reference.steady`."""
    key = (image.shape, alpha.shape)
    if _plans.steady is None or _plans.steady[0] != key:
        _plans.steady = (key, _SteadyPlan(image.shape[2:], alpha.shape))
    plan = _plans.steady[1]
    _hold(
        image[0], tuple(np.float32(s / 3) for s in std), np.float32(sum(mean) / 3), alpha, seen, shown, plan.row,
        plan.column, plan.change, plan.motion, plan.line, plan.nearby,
    )  # fmt: skip
    return alpha


def warm() -> None:
    """Compile (or load from Numba's cache) every kernel, for every kind of array that the functions pass on."""
    frame = np.zeros((4, 5, 3), np.uint8)
    alpha = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    edges, whole = np.zeros((2, 2, 3), np.float32), np.zeros((4, 5), np.uint8)
    preprocess(frame, (0.0,) * 3, (1.0,) * 3, np.empty((1, 3, 2, 2), np.float32))
    image, grey = np.zeros((1, 3, 4, 6), np.float32), np.zeros_like(alpha)
    steady(image, (0.0,) * 3, (1.0,) * 3, alpha, grey, np.zeros_like(alpha))
    matte(frame, refine(grey, alpha, edges), whole)
    grid = colours(image, (0.0,) * 3, (1.0,) * 3, alpha, np.zeros((2, 1, 1, 3), np.float32))
    composite(foreground(frame, whole, grid, np.empty_like(frame)), whole, frame, np.empty_like(frame))


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
def _copy(out, source):
    for i in range(out.shape[0]):
        out[i] = source[i]


@kernel
def _fill(out, value):
    for i in range(out.shape[0]):
        out[i] = value


# -- refine ----------------------------------------------------------------------------------------------------------


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


# -- colours, foreground -----------------------------------------------------------------------------------------------


@kernel
def _sum_cell(cells, image, alpha, row, column, j, i, last_row, last_column):
    """Sums over one cell: weight and colours of the person, of the room, and of all pixels. Colours as in the image."""
    wp = rp = gp = bp = wr = rr = gr = br = r = g = b = np.float32(0)
    for y in range(CELL * j, last_row):
        for x in range(CELL * i, last_column):
            a, at, below = alpha[SKIP * y, SKIP * x], column[x], row[y]
            red, green, blue = image[0, below, at], image[1, below, at], image[2, below, at]
            person, room = a * a, (np.float32(1) - a) * (np.float32(1) - a)
            wp, rp, gp, bp = wp + person, rp + person * red, gp + person * green, bp + person * blue
            wr, rr, gr, br = wr + room, rr + room * red, gr + room * green, br + room * blue
            r, g, b = r + red, g + green, b + blue
    pixels = np.float32((last_row - CELL * j) * (last_column - CELL * i))
    sums = (wp, bp, gp, rp, wr, br, gr, rr, pixels, b, g, r)
    for q in range(12):
        cells[q, i] = sums[q]


@kernel
def _mean_colour(out, c, near, weight, own, pixels, scale, shift):
    """The mean within REACH, the cell's own colour where there is none; `near` and `weight` have a border."""
    for i in range(own.shape[0]):
        colour_sum, weight_sum = np.float32(TRACE) * own[i], np.float32(TRACE) * pixels[i]
        for d in range(2 * REACH + 1):
            colour_sum += near[i + d]
            weight_sum += weight[i + d]
        out[i, c] = colour_sum / weight_sum * scale + shift


@kernel
def _gather_colours(image, scale, shift, alpha, out, row, column, cells, near):
    height, width, rows, columns = row.shape[0], column.shape[0], cells.shape[0], cells.shape[2]
    for j in range(rows):
        last_row = min(CELL * (j + 1), height)
        for i in range(columns):
            _sum_cell(cells[j], image, alpha, row, column, j, i, last_row, min(CELL * (i + 1), width))
    for j in range(rows):
        for q in range(8):
            inner = near[q, REACH : REACH + columns]
            _fill(inner, np.float32(0))
            for k in range(max(j - REACH, 0), min(j + REACH, rows - 1) + 1):
                _add(inner, cells[k, q])
        for kind in range(2):
            weight, colours, own = near[4 * kind], near[4 * kind + 1 : 4 * kind + 4], cells[j, 8:]
            for c in range(3):
                _mean_colour(out[kind, j], c, colours[c], weight, own[c + 1], own[0], scale[c], shift[c])


@kernel
def _add(total, row):
    for i in range(total.shape[0]):
        total[i] += row[i]


@kernel
def _unmix_pixel(out, alpha, grid, at, pixel):
    share = np.float32(alpha) * np.float32(1 / 255)
    rest = np.float32(1) - share
    for c in range(3):
        person, room = grid[0, at + uint32(c)], grid[1, at + uint32(c)]
        byte = uint32(3) * uint32(pixel) + uint32(c)
        estimate = person + share * (np.float32(out[byte]) - share * person - rest * room)
        out[byte] = uint8(np.int32(min(max(estimate, np.float32(0)), np.float32(255)) + np.float32(0.5)))


@kernel
def _unmix(out, alpha, words, grid, row, column):
    """Most pixels are pure, eight of them at a look."""
    width, pixels = column.shape[0], alpha.shape[0]
    for k in range(words.shape[0] + 1):
        if k < words.shape[0] and (words[k] == 0 or words[k] == ALL):
            continue
        for pixel in range(8 * k, min(8 * k + 8, pixels)):
            if 0 < alpha[pixel] < 255:
                y = pixel // width
                _unmix_pixel(out, alpha[pixel], grid, row[y] + column[pixel - y * width], pixel)


# -- composite -------------------------------------------------------------------------------------------------------


@kernel
def _thrice(out, alpha):
    for i in range(alpha.shape[0]):
        byte = uint32(3) * uint32(i)
        out[byte] = alpha[i]
        out[byte + uint32(1)] = alpha[i]
        out[byte + uint32(2)] = alpha[i]


@kernel
def _mix(out, person, background, weight):
    for i in range(out.shape[0]):
        alpha = uint16(weight[i])
        rest = uint16(uint16(255) - alpha)
        both = uint16(uint16(uint16(person[i]) * alpha) + uint16(uint16(background[i]) * rest))
        both = uint16(both + uint16(128))
        out[i] = uint8(uint16(both + uint16(both >> uint16(8))) >> uint16(8))  # = rint(both / 255)


@kernel
def _blend(person, background, out, alpha, weight):
    pixels = alpha.shape[0]
    for first in range(0, pixels, CHUNK):
        last = min(first + CHUNK, pixels)
        p, q = 3 * first, 3 * last
        _thrice(weight, alpha[first:last])
        _mix(out[p:q], person[p:q], background[p:q], weight)


# -- steady ----------------------------------------------------------------------------------------------------------


@kernel
def _brighten(change, seen, red, green, blue, column, scale, shift):
    for i in range(seen.shape[0]):
        at = column[i]
        brightness = red[at] * scale[0] + green[at] * scale[1] + blue[at] * scale[2] + shift
        change[i] = brightness - seen[i]
        seen[i] = brightness


@kernel
def _mean_of_nine(out, above, here, below):
    for i in range(out.shape[0]):
        columns = (above[i] + here[i] + below[i]) + (above[i + 1] + here[i + 1] + below[i + 1])
        out[i] = abs(columns + (above[i + 2] + here[i + 2] + below[i + 2])) * np.float32(1 / 9)


@kernel
def _larger(out, other):
    for i in range(out.shape[0]):
        out[i] = max(out[i], other[i])


@kernel
def _follow(alpha, shown, motion):
    for i in range(alpha.shape[0]):
        change = alpha[i] - shown[i]
        moves = (motion[i] - np.float32(QUIET)) * np.float32(1 / (LOUD - QUIET))
        jumps = (abs(change) - np.float32(SMALL)) * np.float32(1 / (LARGE - SMALL))
        weight = min(max(max(moves, jumps), np.float32(CALM)), np.float32(1))
        alpha[i] = shown[i] + weight * change
        shown[i] = alpha[i]


@kernel
def _replicate(row, border):
    """The pixels of `row` inside a border, copied into the border."""
    last = row.shape[0] - border
    for k in range(border):
        row[k] = row[border]
        row[last + k] = row[last - 1]


@kernel
def _hold(image, scale, shift, alpha, seen, shown, row, column, change, motion, line, nearby):
    height, width = alpha.shape
    for j in range(height):
        at = row[j]
        _brighten(change[j + 1, 1 : width + 1], seen[j], image[0, at], image[1, at], image[2, at], column, scale, shift)
        _replicate(change[j + 1], 1)
    _copy(change[0], change[1])
    _copy(change[height + 1], change[height])
    for j in range(height):
        _mean_of_nine(motion[j + NEAR, NEAR : width + NEAR], change[j], change[j + 1], change[j + 2])
        _replicate(motion[j + NEAR], NEAR)
    for k in range(NEAR):
        _copy(motion[k], motion[NEAR])
        _copy(motion[height + NEAR + k], motion[height + NEAR - 1])
    for j in range(height):
        _copy(line, motion[j])
        for k in range(1, 2 * NEAR + 1):
            _larger(line, motion[j + k])
        _copy(nearby, line)
        for k in range(1, 2 * NEAR + 1):
            _larger(nearby[:width], line[k:])
        _follow(alpha[j], shown[j], nearby)
