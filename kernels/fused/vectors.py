"""What Numba has not: sixteen float32 as one value, and tiles of such vectors that stay in registers.

A vector is sixteen channels of a pixel, a tile some neighbouring pixels, an offset a number of float32 in an array.
Where the CPU's own vectors are shorter, LLVM makes two or four of each. This module imports Numba; kernels reach it
through `compilation.Intrinsic`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic, models, register_model

from .network import LANES, TILE

LOG2_E, LN_2 = 1.4426950408889634, 0.6931471805599453
EXP2 = (1.0, LN_2, LN_2**2 / 2, LN_2**3 / 6, LN_2**4 / 24, LN_2**5 / 120, LN_2**6 / 720)  # Taylor, for |x| <= 1/2
EXPONENT_BIAS, MANTISSA_BITS = 127, 23  # of float32
CONTRACT = ("contract",)  # a product and its sum may become one instruction
FLOAT, INT = ir.FloatType(), ir.IntType(32)
FLOATS, INTS = ir.VectorType(FLOAT, LANES), ir.VectorType(INT, LANES)
UNDEFINED = ir.Constant(FLOATS, ir.Undefined)


class Vector(types.Type):
    """float32 (16,)"""

    def __init__(self) -> None:
        super().__init__("float32x16")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any):
        super().__init__(manager, numba_type, FLOATS)


VECTOR = Vector()


def tile_pixels() -> int:
    """How many pixels a tile has: as many sums as the registers hold, beside a weight and what it is multiplied by."""
    return TILE if "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2] else TILE // 2


# -- what is emitted -------------------------------------------------------------------------------------------------


class Emitter:
    """LLVM's instructions for a call, of which `values` are the arguments and `given` their types."""

    def __init__(self, context: Any, builder: ir.IRBuilder, given: Sequence[Any], values: Sequence[ir.Value]):
        self.context, self.builder, self.given, self.values = context, builder, given, values

    def address(self, array: int, offset: ir.Value, kind: ir.Type) -> ir.Value:
        """Of the float32 at `offset` of argument `array`."""
        data = self.context.make_array(self.given[array])(self.context, self.builder, self.values[array]).data
        return self.builder.bitcast(self.builder.gep(data, [offset]), kind.as_pointer())

    def load(self, array: int, offset: ir.Value, kind: ir.Type = FLOATS) -> ir.Value:
        return self.builder.load(self.address(array, offset, kind), align=4)

    def store(self, value: ir.Value, array: int, offset: ir.Value) -> None:
        self.builder.store(value, self.address(array, offset, value.type), align=4)

    def repeat(self, scalar: ir.Value) -> ir.Value:
        one = self.builder.insert_element(UNDEFINED, scalar, INT(0))
        return self.builder.shuffle_vector(one, UNDEFINED, ir.Constant(INTS, [0] * LANES))

    def multiply_add(self, total: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fadd(total, self.builder.fmul(a, b, flags=CONTRACT), flags=CONTRACT)

    def larger(self, limit: float, x: ir.Value) -> ir.Value:
        """NaN stays NaN, here and below: whoever asked has to see it."""
        return self.builder.select(self.builder.fcmp_ordered(">", constant(limit), x), constant(limit), x)

    def smaller(self, limit: float, x: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.fcmp_ordered("<", constant(limit), x), constant(limit), x)

    def relu(self, x: ir.Value) -> ir.Value:
        return self.larger(0, x)

    def hardswish(self, x: ir.Value) -> ir.Value:
        gate = self.multiply_add(constant(0.5), x, constant(1 / 6))
        return self.builder.fmul(x, self.smaller(1, self.larger(0, gate)))

    def sigmoid(self, x: ir.Value) -> ir.Value:
        """1 / (1 + 2^t): what is whole of t becomes an exponent, the rest goes through a polynomial."""
        b = self.builder
        t = b.fmul(self.smaller(80, self.larger(-80, x)), constant(-LOG2_E))
        half = b.select(b.fcmp_ordered("<", t, constant(0)), constant(-0.5), constant(0.5))
        whole = b.fptosi(b.fadd(t, half), INTS)
        rest = b.fsub(t, b.sitofp(whole, FLOATS))
        power = constant(EXP2[-1])
        for coefficient in reversed(EXP2[:-1]):
            power = self.multiply_add(constant(coefficient), power, rest)
        biased = b.add(whole, ir.Constant(INTS, [EXPONENT_BIAS] * LANES))
        scale = b.bitcast(b.shl(biased, ir.Constant(INTS, [MANTISSA_BITS] * LANES)), FLOATS)
        return b.fdiv(constant(1), self.multiply_add(constant(1), power, scale))

    def vectors(self) -> list[ir.Value]:
        """Of the tile that is the first argument."""
        return [self.builder.extract_value(self.values[0], i) for i in range(self.given[0].count)]

    def offsets(self, first: ir.Value, step: ir.Value) -> list[ir.Value]:
        """Of each of its pixels."""
        places = [first]
        for _ in range(1, self.given[0].count):
            places.append(self.builder.add(places[-1], step))
        return places

    def tile(self, vectors: Sequence[ir.Value]) -> ir.Value:
        return self.context.make_tuple(self.builder, types.UniTuple(VECTOR, len(vectors)), list(vectors))


def constant(value: float) -> ir.Constant:
    return ir.Constant(FLOATS, [value] * LANES)


def _function(returned: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """A function for kernels, of one that emits instructions; `returned` tells its type from those of its arguments."""

    def decorate(emit: Callable[..., Any]) -> Any:
        def typed(typing, *given):
            def build(context, builder, signature, values):
                made = emit(Emitter(context, builder, signature.args, values), *values)
                return context.get_dummy_value() if made is None else made

            return returned(*given)(*given), build

        names = ["typing", *list(inspect.signature(emit).parameters)[1:]]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
        setattr(typed, "__signature__", signature)  # noqa: B010 - Numba looks at it, and mypy knows no such attribute
        return intrinsic(typed)

    return decorate


def _same(tile: Any, *_: Any) -> Any:
    return tile


def _nothing(*_: Any) -> Any:
    return types.none


# -- for kernels -----------------------------------------------------------------------------------------------------


@_function(lambda array, offset: VECTOR)
def load(e, array, offset):
    return e.load(0, offset)


@_function(lambda vector: types.UniTuple(VECTOR, 1))
def single(e, vector):
    """A tile of one pixel."""
    return e.tile([vector])


@_function(lambda vector: types.UniTuple(VECTOR, tile_pixels()))
def spread(e, vector):
    """A tile that holds `vector` in each of its pixels."""
    return e.tile([vector] * tile_pixels())


@_function(_same)
def add_products(e, tile, vector, array, offset, step):
    """Each pixel, plus `vector` times its own float32: that at `offset` for the first, `step` further for the next."""
    factors = [e.repeat(e.load(2, at, FLOAT)) for at in e.offsets(offset, step)]
    return e.tile([e.multiply_add(one, vector, factor) for one, factor in zip(e.vectors(), factors, strict=True)])


@_function(_same)
def add_vector_products(e, tile, vector, array, offset, step):
    """Each pixel, plus `vector` times the vector at its own offset, lane by lane."""
    factors = [e.load(2, at) for at in e.offsets(offset, step)]
    return e.tile([e.multiply_add(one, vector, factor) for one, factor in zip(e.vectors(), factors, strict=True)])


@_function(_same)
def add(e, tile, array, offset, step):
    """Each pixel, plus the vector at its own offset."""
    return e.tile(
        [e.builder.fadd(one, e.load(1, at)) for one, at in zip(e.vectors(), e.offsets(offset, step), strict=True)]
    )


@_function(_same)
def add_enlarged(e, tile, array, offset):
    """Each pixel, plus that of a row of half as many, enlarged bilinearly; `offset`: of the one left of the first."""
    row = [e.load(1, e.builder.add(offset, offset.type(LANES * i))) for i in range(len(e.vectors()) // 2 + 2)]
    most, rest, made = constant(0.75), constant(0.25), []
    for i, one in enumerate(e.vectors()):
        here, beside = row[i // 2 + 1], row[i // 2 + i % 2 * 2]
        made.append(e.multiply_add(e.multiply_add(one, here, most), beside, rest))
    return e.tile(made)


@_function(_same)
def relu(e, tile):
    return e.tile([e.relu(one) for one in e.vectors()])


@_function(_same)
def hardswish(e, tile):
    return e.tile([e.hardswish(one) for one in e.vectors()])


@_function(_same)
def sigmoid(e, tile):
    return e.tile([e.sigmoid(one) for one in e.vectors()])


@_function(_nothing)
def store(e, tile, array, offset, step):
    """Each pixel at its own offset."""
    for one, at in zip(e.vectors(), e.offsets(offset, step), strict=True):
        e.store(one, 1, at)


@_function(_nothing)
def store_cells(e, tile, array, offset, row):
    """The first four lanes of each pixel as a cell of 2x2 float32, the next cell beside it; `row`: one row lower."""
    for one, at in zip(e.vectors(), e.offsets(offset, offset.type(2)), strict=True):
        for lanes, place in (((0, 1), at), ((2, 3), e.builder.add(at, row))):
            pair = ir.Constant(ir.VectorType(INT, 2), list(lanes))
            e.store(e.builder.shuffle_vector(one, UNDEFINED, pair), 1, place)
