"""A student's layers, one after the other, as a program says that `engine.backends.student_program` writes.

All values lie in one float32 array, `memory`: image (3, h, w), logits (h, w), and between them planes of sixteen
channels, (channels / 16, h, w, 16), so that a pixel is a vector. Knows no architecture.
"""

from __future__ import annotations

import numpy as np

from .compilation import Intrinsic, Kernel, TileKernel
from .rows import copy, fill

LANES = 16  # channels of a plane, float32 of a vector
TILE = 12  # pixels that are computed together where the CPU has the registers for it: see `vectors.tile_pixels`
UNIT = 8  # channels that are summed together; other numbers are filled up with weights of 0

# what a step does: `KIND`
STEM, POINTWISE, DEPTHWISE, MEAN, LOGITS = range(5)
# `ACTIVATION`
RELU, HARDSWISH, SIGMOID = range(3)
# A program is int64 (steps, COLUMNS). Places are offsets in `memory`, counted in float32; that of WEIGHTS in `weights`:
# biases (planes, 16), then, for each plane of the target, what its sixteen channels are multiplied with.
KIND, SOURCE, TARGET, WEIGHTS = range(4)
ACTIVATION = 4  # -1: none
RESIDUAL = 5  # place of what is added after the activation; -1: nothing
GATE = 6  # place of one factor for each channel of the source; -1: they are 1
SCRATCH = 7  # place for the weights times these factors, or for rows; -1: nothing is needed
PLANES, UNITS = 8, 9  # of the target; of the source
HEIGHT, WIDTH = 10, 11  # of the target, of the source where its pixels are averaged, of the cells of logits
SOURCE_HEIGHT, SOURCE_WIDTH = 12, 13
SIDE, STRIDE, BEFORE = 14, 15, 16  # of the window; pixels; zeros above and on the left
LOW = 17  # place of what is enlarged and added before the activation; -1: nothing
MAKER = 18  # step that makes the rows of the source as they are needed; -1: they lie there
READER = 19  # step that reads the rows of the target as they are made; -1: they are kept
PART = 20  # 1: another step does it, as that one's MAKER or READER
COLUMNS = 21

load, single, spread, store = Intrinsic("load"), Intrinsic("single"), Intrinsic("spread"), Intrinsic("store")
add, add_products, add_vector_products = Intrinsic("add"), Intrinsic("add_products"), Intrinsic("add_vector_products")
add_enlarged, store_cells = Intrinsic("add_enlarged"), Intrinsic("store_cells")
relu, hardswish, sigmoid = Intrinsic("relu"), Intrinsic("hardswish"), Intrinsic("sigmoid")


def run(program: np.ndarray, weights: np.ndarray, memory: np.ndarray) -> None:
    """One answer: the image in `memory` becomes logits there. All three as described above, C-contiguous."""
    _run(program, weights, memory)


def warm() -> None:
    """Compile (or load) it."""
    run(np.zeros((0, COLUMNS), np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32))


@TileKernel
def _finish(tile, memory, step, target, residual):
    """Activation, and what lies at `residual` if it is a place; then it is stored at `target`."""
    if step[ACTIVATION] == RELU:
        tile = relu(tile)
    elif step[ACTIVATION] == HARDSWISH:
        tile = hardswish(tile)
    elif step[ACTIVATION] == SIGMOID:
        tile = sigmoid(tile)
    if step[RESIDUAL] >= 0:
        tile = add(tile, memory, residual, LANES)
    store(tile, memory, target, LANES)


# -- 1x1 -------------------------------------------------------------------------------------------------------------


@TileKernel
def _sum_channels(tile, memory, at, plane, factors, w, units):
    """Plus all channels of the pixels at `at`, times their weights."""
    for unit in range(units):
        source = at + (unit >> 1) * plane + (unit & 1) * UNIT
        first = w + LANES * UNIT * unit
        for c in range(UNIT):
            tile = add_products(tile, load(factors, first + LANES * c), memory, source + c, LANES)
    return tile


@Kernel
def _scaled(memory, weights, step):
    """The weights times the factors of the gate, in the scratch."""
    channels, first, out = UNIT * step[UNITS], step[WEIGHTS] + LANES * step[PLANES], step[SCRATCH]
    for k in range(step[PLANES] * channels):
        factor = memory[step[GATE] + k % channels]
        for lane in range(LANES):
            memory[out + LANES * k + lane] = weights[first + LANES * k + lane] * factor


@Kernel
def _pointwise(memory, weights, factors, w, step):
    pixels, units, bias = step[HEIGHT] * step[WIDTH], step[UNITS], step[WEIGHTS]
    plane, each = LANES * pixels, LANES * UNIT * units
    whole = len(spread(load(weights, bias)))
    for first in range(0, pixels, whole if pixels >= whole else 1):
        at = LANES * (min(first, pixels - whole) if pixels >= whole else first)  # the last ones are done twice
        for k in range(step[PLANES]):
            place = k * plane + at
            if pixels >= whole:
                tile = spread(load(weights, bias + LANES * k))
                tile = _sum_channels(tile, memory, step[SOURCE] + at, plane, factors, w + k * each, units)
                _finish(tile, memory, step, step[TARGET] + place, step[RESIDUAL] + place)
            else:
                one = single(load(weights, bias + LANES * k))
                one = _sum_channels(one, memory, step[SOURCE] + at, plane, factors, w + k * each, units)
                _finish(one, memory, step, step[TARGET] + place, step[RESIDUAL] + place)


@Kernel
def _mix_rows(out, near, far):
    for i in range(out.shape[0]):
        out[i] = np.float32(0.75) * near[i] + np.float32(0.25) * far[i]


@Kernel
def _low_row(memory, row, step, k, y):
    """The row that lies under row `y` of the target, half as wide, with a pixel replicated on each side."""
    half, height = step[WIDTH] // 2, step[HEIGHT] // 2
    plane = step[LOW] + LANES * half * height * k
    near = plane + LANES * half * (y // 2)
    far = plane + LANES * half * min(max(y // 2 + 2 * (y % 2) - 1, 0), height - 1)
    _mix_rows(memory[row + LANES : row + LANES * (half + 1)], memory[near:], memory[far:])
    store(single(load(memory, row + LANES)), memory, row, LANES)
    store(single(load(memory, row + LANES * half)), memory, row + LANES * (half + 1), LANES)


@Kernel
def _pointwise_row(memory, weights, factors, w, step, y, target, apart):
    """Row `y` of a step without a residual, what is low enlarged in it; the rows of its planes lie `apart`."""
    height, width, units, bias = step[HEIGHT], step[WIDTH], step[UNITS], step[WEIGHTS]
    plane, each = LANES * height * width, LANES * UNIT * units
    row = step[SCRATCH] + each * step[PLANES]
    whole = len(spread(load(weights, bias)))
    for k in range(step[PLANES]):
        if step[LOW] >= 0:
            _low_row(memory, row, step, k, y)
        for first in range(0, width, whole):
            x = min(first, width - whole)
            tile = spread(load(weights, bias + LANES * k))
            if step[LOW] >= 0:
                tile = add_enlarged(tile, memory, row + LANES * (x // 2))
            at = step[SOURCE] + LANES * (y * width + x)
            tile = _sum_channels(tile, memory, at, plane, factors, w + k * each, units)
            _finish(tile, memory, step, target + k * apart + LANES * x, 0)


# -- windows ---------------------------------------------------------------------------------------------------------


@Kernel
def _clear(row):
    fill(row, np.float32(0))


@Kernel
def _rows_in(program, memory, weights, step, y, to):
    """Row `y` of all planes of the source, or of the three colours, with zeros around; outside of it, zeros."""
    height, width, before, side = step[SOURCE_HEIGHT], step[SOURCE_WIDTH], step[BEFORE], step[SIDE]
    floats = 1 if step[KIND] == STEM else LANES
    rows = 3 if step[KIND] == STEM else step[PLANES]
    apart = floats * (width + side)
    if y < 0 or y >= height:
        _clear(memory[to : to + rows * apart])
        return
    for k in range(rows):
        first = to + k * apart
        _clear(memory[first : first + floats * before])
        _clear(memory[first + floats * (before + width) : first + apart])
        if step[MAKER] < 0:
            at = step[SOURCE] + floats * (k * height + y) * width
            copy(memory[first + floats * before : first + floats * (before + width)], memory[at : at + floats * width])
    if step[MAKER] >= 0:
        maker = program[step[MAKER]]
        if maker[GATE] >= 0:
            _pointwise_row(memory, weights, memory, maker[SCRATCH], maker, y, to + floats * before, apart)
        else:
            w = maker[WEIGHTS] + LANES * maker[PLANES]
            _pointwise_row(memory, weights, weights, w, maker, y, to + floats * before, apart)


@TileKernel
def _sum_row(tile, memory, at, weights, w, step):
    """Plus one row under a window, times its weights. A stride that is known makes its addresses constants."""
    padded = step[SOURCE_WIDTH] + step[SIDE]
    for i in range(step[SIDE]):
        if step[KIND] == STEM:
            for c in range(3):
                weight = load(weights, w + LANES * (3 * i + c))
                tile = add_products(tile, weight, memory, at + c * padded + i, 2)
        elif step[STRIDE] == 1:
            tile = add_vector_products(tile, load(weights, w + LANES * i), memory, at + LANES * i, LANES)
        else:
            tile = add_vector_products(tile, load(weights, w + LANES * i), memory, at + LANES * i, 2 * LANES)
    return tile


@Kernel
def _windows(program, memory, weights, step):
    """Convolutions with a side: the first, of three colours, and those that keep channels apart.

    As many rows of the source as a window is high lie in the scratch, and after them one of the target for its reader.
    """
    side, stride, height, width = step[SIDE], step[STRIDE], step[HEIGHT], step[WIDTH]
    stem = step[KIND] == STEM
    floats, colours = (1, 3) if stem else (LANES, 1)
    apart = floats * (step[SOURCE_WIDTH] + side)
    rows = apart * (3 if stem else step[PLANES])
    whole = len(spread(load(weights, step[WEIGHTS])))
    copied = 0
    for y in range(height):
        while copied < y * stride + side:
            _rows_in(program, memory, weights, step, copied - step[BEFORE], step[SCRATCH] + copied % side * rows)
            copied += 1
        for k in range(step[PLANES]):
            w = step[WEIGHTS] + LANES * (step[PLANES] + k * colours * side * side)
            for first in range(0, width, whole):
                x = min(first, width - whole)  # the last ones are done twice
                tile = spread(load(weights, step[WEIGHTS] + LANES * k))
                for j in range(side):
                    at = step[SCRATCH] + (y * stride + j) % side * rows + floats * stride * x
                    at += 0 if stem else k * apart
                    tile = _sum_row(tile, memory, at, weights, w + LANES * colours * side * j, step)
                place = LANES * ((k * height + y) * width + x)
                target, residual = step[TARGET] + place, step[RESIDUAL] + place
                if step[READER] >= 0:
                    target = step[SCRATCH] + side * rows + LANES * x
                if step[MAKER] >= 0:  # whose rows are not kept: what is added is under the window
                    residual = step[SCRATCH] + (y * stride + step[BEFORE]) % side * rows + k * apart
                    residual += LANES * (x + step[BEFORE])
                _finish(tile, memory, step, target, residual)
        if step[READER] >= 0:
            _logits_row(memory, weights, program[step[READER]], y, step[SCRATCH] + side * rows)


@Kernel
def _logits_row(memory, weights, step, y, source):
    """Four to a pixel, which are the four of a cell."""
    width, bias = step[WIDTH], step[WEIGHTS]
    whole = len(spread(load(weights, bias)))
    for first in range(0, width, whole):
        x = min(first, width - whole)
        tile = spread(load(weights, bias))
        tile = _sum_channels(tile, memory, source + LANES * x, 0, weights, bias + LANES, step[UNITS])
        store_cells(tile, memory, step[TARGET] + 4 * y * width + 2 * x, 2 * width)


# -- the others ------------------------------------------------------------------------------------------------------


@Kernel
def _mean(memory, step):
    pixels = step[HEIGHT] * step[WIDTH]
    share = np.float32(1 / pixels)
    for k in range(step[PLANES]):
        source, target = step[SOURCE] + LANES * k * pixels, step[TARGET] + LANES * k
        for lane in range(LANES):
            memory[target + lane] = np.float32(0)
        whole = len(spread(load(memory, target)))
        tile = spread(load(memory, target))
        for first in range(0, pixels - whole + 1, whole):
            tile = add(tile, memory, source + LANES * first, LANES)
        store(tile, memory, step[SCRATCH], LANES)
        for i in range(whole):
            for lane in range(LANES):
                memory[target + lane] += memory[step[SCRATCH] + LANES * i + lane]
        for i in range(pixels - pixels % whole, pixels):
            for lane in range(LANES):
                memory[target + lane] += memory[source + LANES * i + lane]
        for lane in range(LANES):
            memory[target + lane] *= share


@Kernel
def _run(program, weights, memory):
    for s in range(program.shape[0]):
        step = program[s]
        kind, factors, w = step[KIND], weights, step[WEIGHTS] + LANES * step[PLANES]
        if step[GATE] >= 0:
            _scaled(memory, weights, step)
            factors, w = memory, step[SCRATCH]
        if step[PART] == 1:
            continue
        if kind == POINTWISE:
            _pointwise(memory, weights, factors, w, step)
        elif kind == MEAN:
            _mean(memory, step)
        elif kind != LOGITS:
            _windows(program, memory, weights, step)
