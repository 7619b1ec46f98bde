"""`local_colours` and `estimate_foreground`: the room's colour, taken out of the pixels in which it is mixed.

Knows no background that they are blended over."""

from __future__ import annotations

import numpy as np
from numpy import uint8, uint32

from ..checks import check_float, check_foreground, check_local_colours
from ..reference import CELL_RADIUS, CELL_SIDE, OWN_WEIGHT, SAMPLE_STEP, colour_grid
from .compilation import Kernel, as_rows, plain
from .plan import EstimateForegroundPlan, LocalColoursPlan, plans
from .rows import copy, fill, thrice

WORD = 8  # pixels that are looked at together
WORD = 8  # pixels of alpha that are looked at together
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)  # eight pixels of alpha 255


# -- local_colours -----------------------------------------------------------------------------------------------------


def local_colours(
    image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """See `kernels.reference.local_colours`."""
    check_local_colours(image, alpha)
    check_float(out, (2, *colour_grid(alpha.shape), 3), "out")
    key = (image.shape, mean, std, alpha.shape)
    if plans.local_colours is None or plans.local_colours[0] != key:
        affine = (255 * np.array([std[::-1], mean[::-1]])).astype(np.float32)  # scale and shift, per BGR channel
        plans.local_colours = (key, LocalColoursPlan(image.shape[2:], affine, alpha.shape))
    plan = plans.local_colours[1]
    _local_colours(image[0], plan.affine, alpha, out, plan.row, plan.column, plan.cells, plan.near)
    return out


@Kernel
def _sum_cell(cells, image, alpha, row, column, j, i, last_row, last_column):
    """Sums over one cell: weight and colours of the person, of the room, and of all pixels. Colours as in the image."""
    wp = rp = gp = bp = wr = rr = gr = br = r = g = b = np.float32(0)
    for y in range(CELL_SIDE * j, last_row):
        for x in range(CELL_SIDE * i, last_column):
            a, at, below = alpha[SAMPLE_STEP * y, SAMPLE_STEP * x], column[x], row[y]
            red, green, blue = image[0, below, at], image[1, below, at], image[2, below, at]
            person, room = a * a, (np.float32(1) - a) * (np.float32(1) - a)
            wp, rp, gp, bp = wp + person, rp + person * red, gp + person * green, bp + person * blue
            wr, rr, gr, br = wr + room, rr + room * red, gr + room * green, br + room * blue
            r, g, b = r + red, g + green, b + blue
    pixels = np.float32((last_row - CELL_SIDE * j) * (last_column - CELL_SIDE * i))
    sums = (wp, bp, gp, rp, wr, br, gr, rr, pixels, b, g, r)
    for q in range(12):
        cells[q, i] = sums[q]


@Kernel
def _clear(rows):
    for q in range(rows.shape[0]):
        fill(rows[q], np.float32(0))


@Kernel
def _add_pixels(cells, red, green, blue, alpha):
    """To the sums of a row of whole cells, one pixel each: that at 0, the next one SAMPLE_STEP * CELL_SIDE further."""
    for i in range(cells.shape[1]):
        at = uint32(SAMPLE_STEP * CELL_SIDE) * uint32(i)
        a, r, g, b = alpha[at], red[at], green[at], blue[at]
        person, room = a * a, (np.float32(1) - a) * (np.float32(1) - a)
        cells[0, i] += person
        cells[1, i] += person * b
        cells[2, i] += person * g
        cells[3, i] += person * r
        cells[4, i] += room
        cells[5, i] += room * b
        cells[6, i] += room * g
        cells[7, i] += room * r
        cells[8, i] += np.float32(1)
        cells[9, i] += b
        cells[10, i] += g
        cells[11, i] += r


@Kernel
def _sum_row_of_cells(cells, image, alpha, row, j, last_row):
    """`_sum_cell` for whole cells, of an image that has the size of the mask: no column is looked up."""
    _clear(cells)
    for y in range(CELL_SIDE * j, last_row):
        for x in range(CELL_SIDE):
            at = SAMPLE_STEP * x
            _add_pixels(
                cells, image[0, row[y], at:], image[1, row[y], at:], image[2, row[y], at:], alpha[SAMPLE_STEP * y, at:]
            )


@Kernel
def _add(total, row):
    for i in range(total.shape[0]):
        total[i] += row[i]


@Kernel
def _subtract(total, row):
    for i in range(total.shape[0]):
        total[i] -= row[i]


@Kernel
def _mean_colour(out, c, near, weight, own, pixels, scale, shift):
    """The mean within CELL_RADIUS, the cell's own colour where there is none; `near` and `weight` have a border."""
    for i in range(own.shape[0]):
        colour_sum, weight_sum = np.float32(OWN_WEIGHT) * own[i], np.float32(OWN_WEIGHT) * pixels[i]
        for d in range(2 * CELL_RADIUS + 1):
            colour_sum += near[i + d]
            weight_sum += weight[i + d]
        out[i, c] = colour_sum / weight_sum * scale + shift


@Kernel
def _local_colours(image, affine, alpha, out, row, column, cells, near):
    height, width, rows, columns = row.shape[0], column.shape[0], cells.shape[0], cells.shape[2]
    for j in range(rows):
        last_row = min(CELL_SIDE * (j + 1), height)
        summed = 0
        if image.shape[2] == alpha.shape[1]:
            summed = width // CELL_SIDE
            _sum_row_of_cells(cells[j, :, :summed], image, alpha, row, j, last_row)
        for i in range(summed, columns):
            _sum_cell(cells[j], image, alpha, row, column, j, i, last_row, min(CELL_SIDE * (i + 1), width))
    for j in range(rows):
        for q in range(8):
            inner = near[q, CELL_RADIUS : CELL_RADIUS + columns]
            if j == 0:
                fill(inner, np.float32(0))
                for k in range(min(CELL_RADIUS, rows)):
                    _add(inner, cells[k, q])
            if j + CELL_RADIUS < rows:
                _add(inner, cells[j + CELL_RADIUS, q])
            if j - CELL_RADIUS > 0:
                _subtract(inner, cells[j - CELL_RADIUS - 1, q])
        for kind in range(2):
            weight, colours, own = near[4 * kind], near[4 * kind + 1 : 4 * kind + 4], cells[j, 8:]
            for c in range(3):
                _mean_colour(out[kind, j], c, colours[c], weight, own[c + 1], own[0], affine[0, c], affine[1, c])


# -- estimate_foreground -----------------------------------------------------------------------------------------------


def estimate_foreground(bgr: np.ndarray, alpha: np.ndarray, colours: np.ndarray, out: np.ndarray) -> np.ndarray:
    """See `kernels.reference.estimate_foreground`."""
    check_foreground(bgr, alpha, colours, out)
    key = (colours.shape, bgr.shape)
    if plans.estimate_foreground is None or plans.estimate_foreground[0] != key:
        plans.estimate_foreground = (key, EstimateForegroundPlan(colours.shape[1:3], bgr.shape[:2]))
    plan = plans.estimate_foreground[1]
    words = None
    if plain(alpha) and alpha.shape[1] % WORD == 0:
        words = alpha.view(np.uint64)
    if words is None or not words.flags.aligned:
        plan.alpha[:, : alpha.shape[1]] = alpha
        alpha, words = plan.alpha, plan.words
    grid = colours if plain(colours) else np.array(colours)
    _estimate(
        out.reshape(out.shape[0], -1), as_rows(bgr, plan.contiguous), alpha, words, grid.reshape(2, -1), plan.row,
        plan.column, plan.weight,
    )  # fmt: skip
    return out


@Kernel
def _estimate_bytes(out, bgr, weight, person, room, column):
    for i in range(out.shape[0]):
        alpha, at = weight[i], column[i]
        share = np.float32(alpha) * np.float32(1 / 255)
        p, r, value = person[at], room[at], np.float32(bgr[i])
        estimate = p + share * (value - share * p - (np.float32(1) - share) * r)
        level = uint8(np.int32(min(max(estimate, np.float32(0)), np.float32(255)) + np.float32(0.5)))
        level = bgr[i] if alpha == 255 else level
        out[i] = uint8(0) if alpha == 0 else level


@Kernel
def _estimate(out, bgr, alpha, words, grid, row, column, weight):
    """Most pixels are pure, eight of them at a look."""
    width = out.shape[1]
    for y in range(out.shape[0]):
        person, room = grid[0, row[y] :], grid[1, row[y] :]
        k = 0
        while k < words.shape[1]:
            pure = words[y, k] == 0 or words[y, k] == ALL
            end = k + 1
            while end < words.shape[1] and (
                words[y, end] == words[y, k] if pure else words[y, end] != 0 and words[y, end] != ALL
            ):
                end += 1
            p, q = 3 * WORD * k, min(3 * WORD * end, width)
            if not pure:
                thrice(weight, alpha[y, WORD * k : WORD * end])
                _estimate_bytes(out[y, p:q], bgr[y, p:q], weight, person, room, column[p:q])
            elif words[y, k] == 0:
                fill(out[y, p:q], uint8(0))
            else:
                copy(out[y, p:q], bgr[y, p:q])
            k = end
