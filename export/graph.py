"""An ONNX graph, written out by hand, layer by layer. Knows no student (`export.students`) and no torch.

By hand because every initializer then is one tensor of the student under its own name, which is what makes patching
(`export.publish`) and a later refit possible; and because a machine that only runs a student needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .errors import ModelError

OPSET = 17
IR_VERSION = 8  # what opset 17 came with; older runtimes load it
INPUT, OUTPUT = "image", "logits"

Arrays = Mapping[str, np.ndarray]


class GraphBuilder:
    """Nodes in the order they are added; values are names. Shapes are (C, h, w)."""

    def __init__(self, weights: Arrays, size: tuple[int, int]):
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.shapes: dict[str, tuple[int, int, int]] = {INPUT: (3, *size)}

    def _node(self, kind: str, inputs: list[str], shape: tuple[int, int, int], **attributes) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        self.shapes[name] = shape
        return name

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def conv(self, x: str, name: str, stride: int = 1, groups: int = 1, centred: bool = True) -> str:
        """Convolution `name` with "same" padding; kernel and channels are read off its weight.

        `centred`: a stride of 2 pads left and right alike, as torch does; else what is left over goes right and
        below, as TensorFlow does on even sides.
        """
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        channels, h, w = self.shapes[x]
        if weight.ndim != 4 or weight.shape[1] * groups != channels or bias.shape != weight.shape[:1]:
            raise ModelError(
                f"the weights do not fit this student: {name} is {weight.shape} with bias {bias.shape}, and its input "
                f"has {channels} channels; choose --student to match, or train them again"
            )
        kernel = weight.shape[2:]
        before = [k // 2 if centred else (k - stride) // 2 for k in kernel]
        after = [k // 2 if centred else (k - stride + 1) // 2 for k in kernel]
        inputs = [x] + [self._constant(f"{name}.{k}", self.weights[f"{name}.{k}"]) for k in ("weight", "bias")]
        return self._node(
            "Conv", inputs, (weight.shape[0], ceil(h / stride), ceil(w / stride)),
            kernel_shape=kernel, strides=[stride, stride], pads=[*before, *after], group=groups,
        )  # fmt: skip

    def relu(self, x: str) -> str:
        return self._node("Relu", [x], self.shapes[x])

    def sigmoid(self, x: str) -> str:
        return self._node("Sigmoid", [x], self.shapes[x])

    def hardswish(self, x: str) -> str:
        """x * clip(x / 6 + 0.5, 0, 1)"""
        return self.multiply(x, self._node("HardSigmoid", [x], self.shapes[x], alpha=1 / 6, beta=0.5))

    def add(self, a: str, b: str) -> str:
        return self._node("Add", [a, b], self.shapes[a])

    def multiply(self, a: str, b: str) -> str:
        """`a` times `b`; `b` may be one number per channel."""
        return self._node("Mul", [a, b], self.shapes[a])

    def mean(self, x: str) -> str:
        """Of each channel: (C, 1, 1)."""
        return self._node("GlobalAveragePool", [x], (self.shapes[x][0], 1, 1))

    def pixel_shuffle(self, x: str) -> str:
        """(4 C, h, w) -> (C, 2 h, 2 w), channels in torch's order."""
        channels, h, w = self.shapes[x]
        return self._node("DepthToSpace", [x], (channels // 4, 2 * h, 2 * w), blocksize=2, mode="CRD")

    def concat(self, a: str, b: str) -> str:
        channels = self.shapes[a][0] + self.shapes[b][0]
        return self._node("Concat", [a, b], (channels, *self.shapes[a][1:]), axis=1)

    def upsample_like(self, x: str, like: str) -> str:
        """Bilinear, half-pixel centres, to the size of `like`."""
        channels, h, w = self.shapes[x]
        _, target_h, target_w = self.shapes[like]
        if target_h % h == 0 and target_w % w == 0:  # ONNX Runtime keeps its blocked layout for whole factors only
            scales = self._constant(
                f"scales_{target_h // h}_{target_w // w}", np.array([1, 1, target_h // h, target_w // w], np.float32)
            )
            inputs = [x, "", scales]
        else:
            sizes = np.array([1, channels, target_h, target_w], np.int64)
            inputs = [x, "", "", self._constant(f"sizes_{channels}_{target_h}_{target_w}", sizes)]
        return self._node(
            "Resize", inputs, (channels, target_h, target_w), mode="linear", coordinate_transformation_mode="half_pixel"
        )

    def model(self, logits: str) -> onnx.ModelProto:
        """The finished graph, `logits` renamed to the output's name, checked by ONNX."""
        self.nodes[-1].output[0] = OUTPUT
        graph = helper.make_graph(
            self.nodes,
            "student",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, *self.shapes[INPUT]])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, *self.shapes[logits]])],
            list(self.initializers.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="jit-masker")
        onnx.checker.check_model(model)
        return model
