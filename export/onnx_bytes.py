"""Where the weights lie in a serialised ONNX model: a reader of protobuf's wire format, as far as that needs one.

https://protobuf.dev/programming-guides/encoding: a message is a row of fields, each a varint `number << 3 | wire type`
and then the value; one of wire type 2 (bytes, strings, messages) says its length first.
"""

from __future__ import annotations

from collections.abc import Iterator

# field numbers, from onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto)
MODEL_GRAPH = 7  # ModelProto.graph
GRAPH_INITIALIZER = 5  # GraphProto.initializer
TENSOR_NAME, TENSOR_RAW_DATA = 8, 9  # TensorProto.name, TensorProto.raw_data

VARINT, LENGTH_DELIMITED = 0, 2  # wire types
FIXED = {1: 8, 5: 4}  # wire type -> bytes of its values; 3 and 4 are groups, of which ONNX has none


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


def _values(data: bytes | bytearray, message: slice, wanted: int) -> Iterator[slice]:
    """Where the values of the fields numbered `wanted` lie, if they have a length, in the message at `message`."""
    at = message.start
    while at < message.stop:
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            _, at = _varint(data, at)
            continue
        if wire_type == LENGTH_DELIMITED:
            length, at = _varint(data, at)
            if number == wanted:
                yield slice(at, at + length)
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
