"""A student as a program for `kernels.fused.network`, written from its definition in `export.students`.

What can be done on the way is no step: an activation, a residual, a gate on what a 1x1 convolution reads belong to that
convolution. What is enlarged is convolved before, since both are linear, and its mean is that of what it was. A layer
that a depthwise convolution alone reads is made row by row, as it is read. So values are made late: see `Convolution`,
`Gated`, `Enlarged` and `Sum`.

Not every architecture can be written so: Unsupported says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import NamedTuple

import numpy as np

from export.students import architecture
from export.students.layers import Padding, pads
from kernels.fused import network
from kernels.fused.network import LANES, TILE, UNIT

MADE_BY_ROWS = 40  # columns; narrower layers are made as a whole, since they stay in the cache

Fields = dict[int, int]  # of a step, by column


class Unsupported(Exception):
    """There is no step for this layer."""


class Shape(NamedTuple):
    """Of a value, or of what it would be."""

    channels: int
    height: int
    width: int


@dataclass(eq=False)
class Value:
    """What a layer gives."""

    shape: Shape


@dataclass(eq=False)
class Plane(Value):
    """It lies in memory."""

    step: int  # that makes it; -1: the image


@dataclass(eq=False)
class Convolution(Value):
    """Not done yet: an activation or a residual may be added to it."""

    source: Value
    names: tuple[str, ...]  # of its weights; of two 1x1 convolutions without anything between, the first one's first
    fields: Fields  # of the step
    residual: Value | None = None
    low: Plane | None = None  # what is enlarged and added before the activation
    made: Plane | None = None

    @property
    def depthwise(self) -> bool:
        return self.fields[network.KIND] == network.DEPTHWISE

    @property
    def linear(self) -> bool:
        """It is 1x1, and nothing comes after it."""
        return self.fields == {network.KIND: network.POINTWISE} and self.residual is self.low is None


@dataclass(eq=False)
class Gated(Value):
    """`source` times a factor for each channel."""

    source: Plane
    gate: Plane


@dataclass(eq=False)
class Enlarged(Value):
    """Twice as high and wide as `source`."""

    source: Convolution


@dataclass(eq=False)
class Sum(Value):
    source: Plane | Gated
    enlarged: Enlarged


class Program:
    """`export.students.layers.Layers`: it notes steps, then gives every value a place."""

    def __init__(self, student: str, size: tuple[int, int]):
        """Of `student`, for an image (3, *size).

        Raises
        ------
        Unsupported
            A layer of it has no step.
        """
        self._steps: list[Fields] = []
        self._reads: list[dict[int, Plane]] = []  # of each step: what the places in these columns are to be
        self._floats: list[tuple[int, int]] = []  # of its target and of its scratch
        self._packing: list[tuple[tuple[str, ...], int, int]] = []  # names, planes, inputs of each convolution
        self.weights_floats = 0  # that they come to
        self._image = Plane(Shape(3, *size), -1)
        definition = architecture(student, size)
        logits = self._in_memory(definition.decode(self, definition.encode(self, self._image)))
        if self._steps[logits.step][network.KIND] != network.LOGITS:
            raise Unsupported("an end that is not a pixel shuffle")
        self.size, self.logits_size = size, logits.shape[1:]
        self.image_place, self.memory_floats = self._place()
        self.logits_place = self._steps[logits.step][network.TARGET]
        self.steps = np.array([[step.get(c, -1) for c in range(network.COLUMNS)] for step in self._steps], np.int64)

    def pack(self, folded: Mapping[str, np.ndarray], out: np.ndarray | None = None) -> np.ndarray:
        """The weights as the steps expect them, float32 (n,), in `out` if it is given; see `export.fold.fold`."""
        parts = []
        for names, planes, inputs in self._packing:
            weight, bias = folded[f"{names[0]}.weight"], folded[f"{names[0]}.bias"]
            for name in names[1:]:
                matrix = folded[f"{name}.weight"][:, :, 0, 0]
                weight, bias = np.tensordot(matrix, weight, 1), matrix @ bias
            parts += [_filled_up(bias[:, None, None, None], planes, 1), _filled_up(weight, planes, inputs)]
        return np.concatenate(parts, out=out)

    # -- layers ----------------------------------------------------------------------------------------------------

    def conv(
        self, x: Value, name: str, channels: int, kernel: int | tuple[int, int] = 1, stride: int = 1, groups: int = 1,
        padding: Padding = "centred",
    ) -> Value:  # fmt: skip
        shape = Shape(channels, ceil(x.shape.height / stride), ceil(x.shape.width / stride))
        if kernel == stride == groups == 1:
            low = self._in_memory(self._before_enlarging(x, name, channels)) if isinstance(x, Sum) else None
            source = x.source if isinstance(x, Sum) else x
            return Convolution(shape, source, (name,), {network.KIND: network.POINTWISE}, low=low)
        depthwise, stem = groups == channels == x.shape.channels, x is self._image and groups == 1 and stride == 2
        if not isinstance(kernel, int) or stride > 2 or not (depthwise or stem):
            raise Unsupported(f"{name}, a convolution of side {kernel} from {x.shape.channels} to {channels} channels")
        before = pads(kernel, stride, padding)[0]  # as many on the left
        kind = network.DEPTHWISE if depthwise else network.STEM
        fields = {network.KIND: kind, network.SIDE: kernel, network.STRIDE: stride, network.BEFORE: before}
        return Convolution(shape, x, (name,), fields)

    def norm(self, x: Value, name: str) -> Value:
        """Nothing: it is folded into the convolutions before it."""
        return x

    def relu(self, x: Value) -> Value:
        return self._activated(x, network.RELU)

    def hardswish(self, x: Value) -> Value:
        return self._activated(x, network.HARDSWISH)

    def sigmoid(self, x: Value) -> Value:
        return self._activated(x, network.SIGMOID)

    def add(self, a: Value, b: Value) -> Value:
        if isinstance(b, Enlarged):
            return Sum(a.shape, a if isinstance(a, Gated) else self._in_memory(a), b)
        if isinstance(b, Convolution) and b.residual is None:
            return replace(b, residual=a)
        raise Unsupported("a sum that no convolution ends in")

    def multiply(self, a: Value, b: Value) -> Value:
        if b.shape[1:] != (1, 1):
            raise Unsupported("a product of two pictures")
        return Gated(a.shape, self._in_memory(a), self._in_memory(b))

    def mean(self, x: Value) -> Value:
        shape = Shape(x.shape.channels, 1, 1)
        if isinstance(x, Sum):
            low = x.enlarged.source
            return replace(low, shape=shape, source=self.mean(low.source), residual=self.mean(x.source))
        if isinstance(x, Gated):
            return Gated(shape, self._in_memory(self.mean(x.source)), x.gate)
        source = self._in_memory(x)
        fields = {
            network.KIND: network.MEAN, network.PLANES: ceil(shape.channels / LANES),
            network.HEIGHT: source.shape.height, network.WIDTH: source.shape.width,
        }  # fmt: skip
        return self._noted(fields, shape, {network.SOURCE: source}, LANES * TILE)

    def concat(self, a: Value, b: Value) -> Value:
        raise Unsupported("a concatenation")

    def upsample_like(self, x: Value, like: Value) -> Value:
        twice = Shape(x.shape.channels, 2 * x.shape.height, 2 * x.shape.width)
        if not isinstance(x, Convolution) or not x.linear or twice[1:] != like.shape[1:]:
            raise Unsupported("an enlargement that is not twofold, or not of a 1x1 convolution")
        return Enlarged(twice, x)

    def pixel_shuffle(self, x: Value) -> Value:
        last = x.source if isinstance(x, Convolution) else None
        if not isinstance(x, Convolution) or not x.linear or x.shape.channels != 4:
            raise Unsupported("a pixel shuffle that is not of a 1x1 convolution to four channels")
        if not isinstance(last, Convolution) or not last.depthwise or last.shape.channels > LANES:
            raise Unsupported("a last convolution that does not come after a depthwise one of one plane")
        rows = self._done(last, {network.READER: 0})
        self._steps[rows.step][network.READER] = rows.step + 1
        logits = self._done(replace(x, source=rows), {network.KIND: network.LOGITS, network.PART: 1})
        return Plane(Shape(1, 2 * x.shape.height, 2 * x.shape.width), logits.step)

    # -- steps -----------------------------------------------------------------------------------------------------

    def _activated(self, x: Value, activation: int) -> Value:
        if not isinstance(x, Convolution) or x.residual is not None:
            raise Unsupported("an activation that does not come after a convolution")
        return replace(x, fields=x.fields | {network.ACTIVATION: activation})

    def _before_enlarging(self, x: Sum, name: str, channels: int) -> Convolution:
        """What a 1x1 convolution makes of the part of a sum that is enlarged, before it is; without its bias."""
        low = x.enlarged.source
        return replace(low, shape=Shape(channels, *low.shape[1:]), names=(*low.names, name))

    def _in_memory(self, x: Value) -> Plane:
        if isinstance(x, Plane):
            return x
        if not isinstance(x, Convolution):
            raise Unsupported(f"what is {type(x).__name__.lower()}, by itself")
        if x.low is not None:
            raise Unsupported("a 1x1 convolution of what was enlarged that others than a depthwise one read")
        x.made = x.made or self._done(x)
        return x.made

    def _done(self, x: Convolution, more: Fields | None = None) -> Plane:
        """Note its step, with `more` in it; and before it that of a convolution whose rows it alone reads."""
        gate, source = (x.source.gate, x.source.source) if isinstance(x.source, Gated) else (None, x.source)
        fields, reads = x.fields | (more or {}), {network.GATE: gate, network.LOW: x.low}
        if x.depthwise and isinstance(source, Convolution) and _by_rows(source) and x.residual in (None, source):
            fields[network.MAKER] = self._done(source, {network.PART: 1}).step
            fields[network.RESIDUAL] = -1 if x.residual is None else 0
        else:
            reads[network.SOURCE] = self._in_memory(source)
            reads[network.RESIDUAL] = None if x.residual is None else self._in_memory(x.residual)
        planes, units = ceil(x.shape.channels / LANES), ceil(source.shape.channels / UNIT)
        side = x.fields.get(network.SIDE, 0)
        inputs = UNIT * units if not side else 1 if x.depthwise else source.shape.channels
        fields |= {
            network.WEIGHTS: self.weights_floats, network.PLANES: planes, network.UNITS: units,
            network.HEIGHT: x.shape.height, network.WIDTH: x.shape.width,
            network.SOURCE_HEIGHT: source.shape.height, network.SOURCE_WIDTH: source.shape.width,
        }  # fmt: skip
        self._packing.append((x.names, planes, inputs))
        self.weights_floats += planes * LANES * (1 + inputs * (side * side or 1))
        scratch = planes * LANES * inputs if gate else 0
        scratch += LANES * (x.shape.width // 2 + 2) if x.low else 0
        if side:
            pixel = LANES * planes if x.depthwise else 3
            scratch += side * pixel * (source.shape.width + side) + LANES * x.shape.width
        return self._noted(fields, x.shape, {c: plane for c, plane in reads.items() if plane is not None}, scratch)

    def _noted(self, fields: Fields, shape: Shape, reads: dict[int, Plane], scratch: int) -> Plane:
        if 1 < shape.width < TILE:
            raise Unsupported(f"a layer of {shape.width} columns; expected {TILE} or more")
        floats = fields[network.PLANES] * LANES * shape.height * shape.width
        if fields[network.KIND] == network.LOGITS:
            floats = 4 * shape.height * shape.width
        elif network.PART in fields or network.READER in fields:
            floats = 0  # its rows are gone when they are read
        self._steps.append(fields)
        self._reads.append(reads)
        self._floats.append((floats, scratch))
        return Plane(shape, len(self._steps) - 1)

    # -- places ----------------------------------------------------------------------------------------------------

    def _place(self) -> tuple[int, int]:
        """Give every value a place while it is needed. Place of the image, and how many float32 there are in all.

        A step may be done by the one after it, or by the one before: what it needs is kept that long.
        """
        end = len(self._steps)
        last_reader = {-1: end, end - 1: end}  # the image and the logits are read by others, too
        for i, reads in enumerate(self._reads):
            for plane in reads.values():
                last_reader[plane.step] = max(last_reader.get(plane.step, 0), i)
        taken: list[tuple[int, int, int]] = []  # place, float32, last step

        def take(floats: int, since: int, until: int) -> int:
            """The first gap among what is needed at the same time."""
            place = 0
            for begin, size, last in sorted(taken):
                if last + 1 >= since and begin < place + floats:
                    place = max(place, ceil((begin + size) / LANES) * LANES)
            taken.append((place, floats, until))
            return place

        channels, height, width = self._image.shape
        places = {-1: take(channels * height * width, -1, end)}
        for i, (target, scratch) in enumerate(self._floats):
            if target:
                places[i] = self._steps[i][network.TARGET] = take(target, i - 1, last_reader.get(i, i))
            if scratch:
                self._steps[i][network.SCRATCH] = take(scratch, i - 1, i)
            self._steps[i] |= {c: places[plane.step] for c, plane in self._reads[i].items() if plane.step in places}
        return places[-1], max(place + floats for place, floats, _ in taken)


def _by_rows(x: Convolution) -> bool:
    """Whether it is made row by row, by the depthwise convolution that reads it."""
    free = x.made is None and x.residual is None and x.fields[network.KIND] == network.POINTWISE
    return free and (x.low is not None or x.shape.width >= MADE_BY_ROWS)


def _filled_up(weights: np.ndarray, planes: int, inputs: int) -> np.ndarray:
    """(channels, inputs, h, w) -> float32, flat, of (planes, h, w, inputs, LANES), with 0 where there is nothing."""
    channels, given, h, w = weights.shape
    full = np.zeros((planes * LANES, inputs, h, w), np.float32)
    full[:channels, :given] = weights
    return full.reshape(planes, LANES, inputs, h, w).transpose(0, 3, 4, 2, 1).reshape(-1)
