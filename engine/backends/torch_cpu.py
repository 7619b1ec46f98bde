"""The reference backend: the exported graph itself, node by node, in torch. Slow; shares no code with what it checks.

It reads the same ONNX bytes as every backend, so that a difference between backends is a difference of runtimes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

try:
    import onnx
    import torch
    import torch.nn.functional as F
    from onnx import helper, numpy_helper
except ImportError as error:
    raise ImportError(f'{error.name} is missing; pip install "jit-masker[learn]"') from error

from ..errors import ModelError
from . import onnx_graph
from .backend_class import LoadsModel

Tensors = list[Any]  # torch.Tensor, or None for an input that is left out


def _conv(x: Tensors, node: dict) -> torch.Tensor:
    top, left, bottom, right = node["pads"]
    return F.conv2d(F.pad(x[0], (left, right, top, bottom)), x[1], x[2], node["strides"], groups=node["group"])


def _depth_to_space(x: Tensors, node: dict) -> torch.Tensor:
    if node["mode"] != "CRD":
        raise ModelError(f"DepthToSpace in mode {node['mode']} is not one this backend knows")
    return F.pixel_shuffle(x[0], node["blocksize"])


def _resize(x: Tensors, node: dict) -> torch.Tensor:
    if (node["mode"], node["coordinate_transformation_mode"]) != ("linear", "half_pixel"):
        raise ModelError(f"Resize in mode {node} is not one this backend knows")
    if len(x) > 3:
        size = tuple(int(v) for v in x[3][2:])
    else:
        size = tuple(round(s * float(f)) for s, f in zip(x[0].shape[2:], x[2][2:], strict=True))
    return F.interpolate(x[0], size=size, mode="bilinear", align_corners=False)


TYPES = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.FLOAT16: torch.float16}

OPERATORS: dict[str, Callable[[Tensors, dict], torch.Tensor]] = {
    "Conv": _conv,
    "Resize": _resize,
    "DepthToSpace": _depth_to_space,
    "GlobalAveragePool": lambda x, node: x[0].mean((2, 3), keepdim=True),
    "HardSigmoid": lambda x, node: (node["alpha"] * x[0] + node["beta"]).clamp(0, 1),
    "Sigmoid": lambda x, node: x[0].sigmoid(),
    "Mul": lambda x, node: x[0] * x[1],
    "Relu": lambda x, node: F.relu(x[0]),
    "Add": lambda x, node: x[0] + x[1],
    "Cast": lambda x, node: x[0].to(TYPES[node["to"]]),
    "Concat": lambda x, node: torch.cat(x, node["axis"]),
}


class TorchCpu(LoadsModel):
    """See `engine.contracts.Backend`."""

    name = "torch-cpu"
    provider = f"torch {torch.__version__}"
    DEVICE = "cpu"

    def __init__(self, model: bytes, threads: int = 1):
        graph = onnx_graph.parse(model).graph
        image_shape, _ = onnx_graph.student_shapes(graph)
        unknown = sorted({node.op_type for node in graph.node} - OPERATORS.keys())
        if unknown:
            raise ModelError(f"torch-cpu cannot run {', '.join(unknown)}; it knows {', '.join(OPERATORS)}")
        torch.set_num_threads(threads)
        constants = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
        weights = set(
            onnx_graph.conv_weight_names(graph)
        )  # sizes and scales stay on the host: they are read while a layer is set up
        self._constants = {k: v.to(self.DEVICE) if k in weights else v for k, v in constants.items()}
        self._nodes = [
            (OPERATORS[n.op_type], list(n.input), n.output[0], {a.name: _attribute(a) for a in n.attribute})
            for n in graph.node
        ]
        self.image = np.zeros(image_shape, np.float32)
        self._input, self._output = graph.input[0].name, graph.output[0].name

    @torch.inference_mode()
    def run(self) -> np.ndarray:
        return self.logits_of(torch.from_numpy(self.image)).numpy()

    def logits_of(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (1, 1, h', w') of an image (1, 3, h, w), on the device of both."""
        values: dict[str, Any] = {"": None, self._input: image, **self._constants}
        for operator, inputs, output, attributes in self._nodes:
            values[output] = operator([values[name] for name in inputs], attributes)
        return values[self._output]


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else value
