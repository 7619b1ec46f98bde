"""A student's ONNX graph: its shapes, the weights of its convolutions, a hash of its structure, its float16 version.

Knows no runtime.
"""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..errors import ModelError
from .student_tensors import Tensor, check_student


def parse(model: bytes) -> onnx.ModelProto:
    """The graph in `model`. ModelError where it is none."""
    try:
        return onnx.load_from_string(model)
    except Exception as error:  # protobuf's DecodeError, by whichever of its implementations is in use
        raise ModelError(f"this student is not an ONNX model: {error}") from error


def student_shapes(graph: onnx.GraphProto) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of image and logits. ModelError where they are not a student's: see `check_student`."""
    return check_student([_tensor(value) for value in graph.input], [_tensor(value) for value in graph.output])


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    described = value.type.tensor_type
    element = TensorProto.DataType.Name(described.elem_type).lower()
    shape = tuple(side.dim_param or side.dim_value for side in described.shape.dim)
    return Tensor(value.name, "float32" if element == "float" else element, shape)


def conv_weight_names(graph: onnx.GraphProto) -> list[str]:
    """The initializers of the convolutions, weights and biases, in the graph's order: what learning changes."""
    constants = {t.name for t in graph.initializer}
    return [name for node in graph.node if node.op_type == "Conv" for name in node.input if name in constants]


def conv_weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The values behind `conv_weight_names`: float32, or float16 after `to_half`."""
    wanted = set(conv_weight_names(model.graph))
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer if t.name in wanted}


def structure_hash(model: onnx.ModelProto) -> str:
    """A hash of everything but the weights' values: an engine can take the weights of any student with the same one."""
    bare, wanted = onnx.ModelProto(), set(conv_weight_names(model.graph))
    bare.CopyFrom(model)
    for constant in bare.graph.initializer:
        if constant.name in wanted:
            constant.ClearField("raw_data")
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, names and all, computing in float16; `image` and `logits` stay float32.

    By hand, because TensorRT's newer versions take types from the graph and no longer choose them ("strongly typed").
    """
    out, wanted = onnx.ModelProto(), set(conv_weight_names(model.graph))
    out.CopyFrom(model)
    for constant in out.graph.initializer:
        if constant.name in wanted:
            with np.errstate(over="ignore"):  # becomes infinity, and the student is refused when it is compared
                value = numpy_helper.to_array(constant).astype(np.float16)
            constant.CopyFrom(numpy_helper.from_array(value, constant.name))
    (image,), (logits,) = out.graph.input, out.graph.output
    for node in out.graph.node:
        node.input[:] = [f"{image.name}_half" if name == image.name else name for name in node.input]
        node.output[:] = [f"{logits.name}_half" if name == logits.name else name for name in node.output]
    cast_in = helper.make_node("Cast", [image.name], [f"{image.name}_half"], "cast_in", to=TensorProto.FLOAT16)
    cast_out = helper.make_node("Cast", [f"{logits.name}_half"], [logits.name], "cast_out", to=TensorProto.FLOAT)
    nodes = [cast_in, *out.graph.node, cast_out]
    del out.graph.node[:]
    out.graph.node.extend(nodes)
    return out
