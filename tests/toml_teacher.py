"""A teacher that another process can load, too: a file."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_teacher(folder, background):
    """A segmenter that knows the empty scene: a person is what differs from `background`. Returns its description."""
    h, w = background.shape[:2]
    nodes = [
        helper.make_node("Sub", ["image", "background"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["distance"]),
        helper.make_node("ReduceMax", ["distance"], ["largest"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["largest", "threshold"], ["above"]),
        helper.make_node("Mul", ["above", "gain"], ["logits"]),
    ]
    constants = {"background": background.transpose(2, 0, 1)[None] / 255, "threshold": 0.08, "gain": 100.0}
    tensors = [numpy_helper.from_array(np.asarray(v, np.float32), name) for name, v in constants.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, h, w])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, h, w])
    graph = helper.make_graph(nodes, "difference", [image], [logits], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "difference.onnx")
    description = folder / "difference.toml"
    description.write_text('model = "difference.onnx"\norder = "BGR"\nactivation = "sigmoid"\n')
    return description
