"""A serialised ONNX model: its messages are written, and the place of its weights is found, in protobuf's wire format.

The package `onnx` would do the writing, and takes 40 ms and 15 MB to be imported and used.
https://protobuf.dev/programming-guides/encoding: a message is a row of fields, each a varint `number << 3 | wire type`
and then the value; one of wire type 2 (bytes, strings, messages) says its length first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np

# field numbers, from onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto)
MODEL_GRAPH = 7  # ModelProto.graph
GRAPH_INITIALIZER = 5  # GraphProto.initializer
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW_DATA = 1, 2, 8, 9  # TensorProto
INPUT_SHAPE = (
    MODEL_GRAPH,
    11,
    2,
    1,
    2,
)  # to GraphProto.input, ValueInfoProto.type, TypeProto.tensor_type, Tensor.shape
SHAPE_SIDE, SIDE_VALUE = 1, 1  # TensorShapeProto.dim, Dimension.dim_value
TENSOR_TYPES = {"float32": 1, "int64": 7}  # TensorProto.DataType

VARINT, LENGTH_DELIMITED, FIXED32 = 0, 2, 5  # wire types
FIXED = {1: 8, FIXED32: 4}  # wire type -> bytes of its values; 3 and 4 are groups, of which ONNX has none

Value = int | float | str | bytes  # of a field; not negative where it is an int


def model(
    nodes: Sequence[bytes], initializers: Sequence[bytes], image: bytes, answers: Sequence[bytes], **versions: int
) -> bytes:
    """A ModelProto with one graph, of what the functions below return; `versions`: `ir` and `opset`."""
    graph: list[tuple[int, Value]] = [
        *((1, node) for node in nodes),
        (2, "student"),
        *((GRAPH_INITIALIZER, tensor) for tensor in initializers),
    ]
    graph += [(11, image), *((12, answer) for answer in answers)]
    opset = _message((1, ""), (2, versions["opset"]))
    return _message((1, versions["ir"]), (2, "jit-masker"), (MODEL_GRAPH, _message(*graph)), (8, opset))


def node(
    kind: str, inputs: Sequence[str], output: str, name: str, attributes: dict[str, Value | Sequence[int]]
) -> bytes:
    """A NodeProto: one operator."""
    fields: list[tuple[int, Value]] = [*((1, value) for value in inputs), (2, output), (3, name), (4, kind)]
    return _message(*fields, *((5, _attribute(key, attributes[key])) for key in sorted(attributes)))


def tensor(name: str, array: np.ndarray) -> bytes:
    """A TensorProto: float32 or int64, as raw data."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return _message(
        *((1, side) for side in array.shape), (2, TENSOR_TYPES[array.dtype.name]), (TENSOR_NAME, name),
        (TENSOR_RAW_DATA, little.tobytes()),
    )  # fmt: skip


def value_info(name: str, shape: Sequence[int]) -> bytes:
    """A ValueInfoProto: the name and shape of a float32 input or output."""
    sides = _message(*((1, _message((1, side))) for side in shape))
    return _message((1, name), (2, _message((1, _message((1, TENSOR_TYPES["float32"]), (2, sides))))))


def _attribute(name: str, value: Value | Sequence[int]) -> bytes:
    """An AttributeProto: number of the field for a value of its type, and AttributeProto.AttributeType."""
    if isinstance(value, float):
        return _message((1, name), (2, value), (20, 1))
    if isinstance(value, int):
        return _message((1, name), (3, value), (20, 2))
    if isinstance(value, str | bytes):
        return _message((1, name), (4, value), (20, 3))
    return _message((1, name), *((8, number) for number in value), (20, 7))


def _message(*fields: tuple[int, Value]) -> bytes:
    """Fields by number, in the order of their numbers, as protobuf's own writer has them."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [_as_varint(number << 3 | VARINT), _as_varint(value)]
        elif isinstance(value, float):
            parts += [_as_varint(number << 3 | FIXED32), struct.pack("<f", value)]
        else:
            data = value.encode() if isinstance(value, str) else value
            parts += [_as_varint(number << 3 | LENGTH_DELIMITED), _as_varint(len(data)), data]
    return b"".join(parts)


def _as_varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def initializer_slices(model: bytes | bytearray) -> dict[str, slice]:
    """Name -> which bytes of `model`, a serialised ModelProto, are the raw data of that initializer.

    Raises
    ------
    ValueError
        `model` is not protobuf.
    """
    slices = {}
    for graph in _values(model, slice(0, len(model)), MODEL_GRAPH):
        for tensor in _values(model, graph, GRAPH_INITIALIZER):
            for name in _values(model, tensor, TENSOR_NAME):
                for raw_data in _values(model, tensor, TENSOR_RAW_DATA):
                    slices[model[name].decode()] = raw_data
    return slices


def weights(model: bytes) -> dict[str, np.ndarray]:
    """Name -> array, for each float32 initializer of a serialised ModelProto; views of `model`. ValueError as above."""
    arrays = {}
    for graph in _values(model, slice(0, len(model)), MODEL_GRAPH):
        for tensor in _values(model, graph, GRAPH_INITIALIZER):
            shape, kinds = list(_numbers(model, tensor, TENSOR_DIMS)), list(_numbers(model, tensor, TENSOR_TYPE))
            if kinds != [TENSOR_TYPES["float32"]]:
                continue
            for name, raw_data in zip(
                _values(model, tensor, TENSOR_NAME), _values(model, tensor, TENSOR_RAW_DATA), strict=True
            ):
                arrays[model[name].decode()] = np.frombuffer(model[raw_data], "<f4").reshape(shape)
    return arrays


def input_shape(model: bytes) -> tuple[int, ...]:
    """Of the first input of a serialised ModelProto, where its sides are fixed. ValueError as above."""
    places = [slice(0, len(model))]
    for number in INPUT_SHAPE:
        places = list(_values(model, places[0], number)) if places else []
    # each side is a message with the number in it
    sides = [side for place in places[:1] for side in _values(model, place, SHAPE_SIDE)]
    return tuple(number for side in sides for number in _numbers(model, side, SIDE_VALUE))


def _values(data: bytes | bytearray, message: slice, wanted: int) -> Iterator[slice]:
    """Where the values of the fields numbered `wanted` lie, if they have a length, in the message at `message`."""
    return (value for number, value in _fields(data, message) if number == wanted and isinstance(value, slice))


def _numbers(data: bytes | bytearray, message: slice, wanted: int) -> Iterator[int]:
    """The values of the fields numbered `wanted`, if they are whole numbers, in the message at `message`."""
    return (value for number, value in _fields(data, message) if number == wanted and isinstance(value, int))


def _fields(data: bytes | bytearray, message: slice) -> Iterator[tuple[int, slice | int]]:
    """Number and value of each field: a whole number, or where it lies if it has a length."""
    at = message.start
    while at < message.stop:
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == LENGTH_DELIMITED:
            length, at = _varint(data, at)
            if length > message.stop - at:
                raise ValueError(f"a field of {length} bytes at byte {at}; its message ends at {message.stop}")
            yield number, slice(at, at + length)
        elif wire_type in FIXED:
            length = FIXED[wire_type]
        else:
            raise ValueError(f"wire type {wire_type} before byte {at}; expected a serialised ONNX model")
        at += length


def _varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """The number that begins at byte `at`, seven bits in each byte, the lowest first; and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
