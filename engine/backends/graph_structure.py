"""A student's graph as a runtime for GPUs wants it: which constants are weights, one key for its structure, and the
same graph in half precision. Knows ONNX, no runtime.
"""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..errors import ModelError


def read(model: bytes) -> onnx.ModelProto:
    """The graph in `model`. ModelError where it is none."""
    try:
        return onnx.load_from_string(model)
    except Exception as error:  # protobuf's DecodeError, by whichever of its implementations is in use
        raise ModelError(f"this student is not an ONNX model: {error}") from error


def weight_names(graph: onnx.GraphProto) -> list[str]:
    """The constants of the convolutions: what learning changes, and a refit has to bring. In the graph's order."""
    constants = {t.name for t in graph.initializer}
    return [name for node in graph.node if node.op_type == "Conv" for name in node.input if name in constants]


def weights_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The values behind `weight_names`: float32, or float16 after `half`."""
    wanted = set(weight_names(model.graph))
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer if t.name in wanted}


def structure_key(model: onnx.ModelProto) -> str:
    """A hash of everything but the weights' values: two students with one key can be refitted into one another."""
    bare, wanted = onnx.ModelProto(), set(weight_names(model.graph))
    bare.CopyFrom(model)
    for constant in bare.graph.initializer:
        if constant.name in wanted:
            constant.ClearField("raw_data")
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, names and all, computing in float16; `image` and `logits` stay float32.

    By hand, because TensorRT's newer versions take types from the graph and no longer choose them ("strongly typed").
    """
    out, wanted = onnx.ModelProto(), set(weight_names(model.graph))
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
    to_half = helper.make_node("Cast", [image.name], [f"{image.name}_half"], "to_half", to=TensorProto.FLOAT16)
    to_full = helper.make_node("Cast", [f"{logits.name}_half"], [logits.name], "to_full", to=TensorProto.FLOAT)
    nodes = [to_half, *out.graph.node, to_full]
    del out.graph.node[:]
    out.graph.node.extend(nodes)
    return out
