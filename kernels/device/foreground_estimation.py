"""Foreground estimation: the kernels of `local_colours` and `estimate_foreground`.

Knows no background that they are blended over.
"""

from __future__ import annotations

import numpy as np
from numba import float32

from ..reference import CELL_RADIUS, CELL_SIDE, OWN_WEIGHT, SAMPLE_STEP
from .pixel import BYTE, F0, F1, cuda, grey_level, nearest

_OWN_WEIGHT = np.float32(OWN_WEIGHT)


@cuda.jit
def sum_cells(image, alpha, cells):
    """For each cell: weight and colours (BGR) of the person, of the room, and the number and colours of all pixels."""
    i, j = cuda.grid(2)
    if i >= cells.shape[2] or j >= cells.shape[1]:
        return
    for q in range(12):
        cells[q, j, i] = F0
    height, width = alpha.shape
    for y in range(SAMPLE_STEP * CELL_SIDE * j, min(SAMPLE_STEP * CELL_SIDE * (j + 1), height), SAMPLE_STEP):
        for x in range(SAMPLE_STEP * CELL_SIDE * i, min(SAMPLE_STEP * CELL_SIDE * (i + 1), width), SAMPLE_STEP):
            a, below = alpha[y, x], nearest(y, image.shape[2], height)
            at = nearest(x, image.shape[3], width)
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
def mean_colours(cells, blue_scale, green_scale, red_scale, blue_shift, green_shift, red_shift, out):
    i, j = cuda.grid(2)
    rows, columns = cells.shape[1], cells.shape[2]
    if i >= columns or j >= rows:
        return
    for kind in range(2):
        first = 4 * kind
        weight = _OWN_WEIGHT * cells[8, j, i]
        blue, green, red = _OWN_WEIGHT * cells[9, j, i], _OWN_WEIGHT * cells[10, j, i], _OWN_WEIGHT * cells[11, j, i]
        for y in range(max(j - CELL_RADIUS, 0), min(j + CELL_RADIUS + 1, rows)):
            for x in range(max(i - CELL_RADIUS, 0), min(i + CELL_RADIUS + 1, columns)):
                weight += cells[first, y, x]
                blue += cells[first + 1, y, x]
                green += cells[first + 2, y, x]
                red += cells[first + 3, y, x]
        out[kind, j, i, 0] = blue / weight * blue_scale + blue_shift
        out[kind, j, i, 1] = green / weight * green_scale + green_shift
        out[kind, j, i, 2] = red / weight * red_scale + red_shift


@cuda.jit
def estimate(bgr, alpha, colours, out):
    i, j = cuda.grid(2)
    if i >= alpha.shape[1] or j >= alpha.shape[0]:
        return
    share = float32(alpha[j, i]) / BYTE
    y, x = j * colours.shape[1] // alpha.shape[0], i * colours.shape[2] // alpha.shape[1]
    for c in range(3):
        value = float32(bgr[j, i, c]) if share > F0 else F0
        if share > F0 and share < F1:
            person = colours[0, y, x, c]
            value = person + share * (value - share * person - (F1 - share) * colours[1, y, x, c])
        out[j, i, c] = grey_level(value)
