"""A student's ONNX graph, written out by hand, layer by layer, from its definition in `export.students`.

By hand because every initializer then is one tensor of the student under its own name, which is what makes patching
(`export.publish`) and a later refit possible; and because a machine that only runs a student needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import numpy as np

from . import onnx_bytes
from .errors import ModelError
from .students import architecture
from .students.layers import Padding, pads

OPSET = 17
IR_VERSION = 8  # what opset 17 came with; older runtimes load it
INPUT, OUTPUT = "image", "logits"

Arrays = Mapping[str, np.ndarray]


def build(student: str, folded: Arrays, size: tuple[int, int]) -> bytes:
    """The graph of `student`, a serialised ModelProto, for input (1, 3, *size): `image` float32 -> `logits` float32.

    Parameters
    ----------
    folded : what `export.fold.fold` returns.
    size : (h, w).

    Raises
    ------
    UsageError
        The student is unknown, or cannot take this size.
    ModelError
        `folded` is not its weights.
    """
    definition = architecture(student, size)
    layers = OnnxLayers(student, folded, size)
    return layers.model(definition.decode(layers, definition.encode(layers, INPUT)))


def build_with_features(student: str, folded: Arrays, size: tuple[int, int], level: int) -> bytes:
    """The same with a second output, `features`: what its encoder says at `level`, of those that its `encode` gives."""
    definition = architecture(student, size)
    layers = OnnxLayers(student, folded, size)
    features = definition.encode(layers, INPUT)
    return layers.model(definition.decode(layers, features), features[level])


class OnnxLayers:
    """`export.students.layers.Layers` as nodes, in the order they are called. Values are names, shapes (C, h, w)."""

    def __init__(self, student: str, folded: Arrays, size: tuple[int, int]):
        self.student, self.weights = student, folded
        self.nodes: list[
            tuple[str, list[str], str, dict]
        ] = []  # kind, inputs, name of the node and its output, attributes
        self.initializers: dict[str, bytes] = {}
        self.shapes: dict[str, tuple[int, int, int]] = {INPUT: (3, *size)}

    def _node(self, kind: str, inputs: list[str], shape: tuple[int, int, int], **attributes) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append((kind, inputs, name, attributes))
        self.shapes[name] = shape
        return name

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.initializers[name] = onnx_bytes.tensor(name, value)
        return name

    def _weight(self, name: str, shape: tuple[int, ...]) -> str:
        """The initializer with the weights called `name`; ModelError unless they have this shape."""
        value = self.weights.get(name)
        if value is None or value.shape != shape:
            raise ModelError(
                f"the weights do not fit {self.student}: {name} is {'missing' if value is None else value.shape}, "
                f"expected {shape}; choose the --student they are for, or train them again"
            )
        return self._constant(name, value)

    def conv(
        self, x: str, name: str, channels: int, kernel: int | tuple[int, int] = 1, stride: int = 1, groups: int = 1,
        padding: Padding = "centred",
    ) -> str:  # fmt: skip
        inputs, h, w = self.shapes[x]
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        weight = self._weight(f"{name}.weight", (channels, inputs // groups, *sides))
        bias = self._weight(f"{name}.bias", (channels,))
        top, bottom, left, right = pads(kernel, stride, padding)
        return self._node(
            "Conv", [x, weight, bias], (channels, ceil(h / stride), ceil(w / stride)),
            kernel_shape=sides, strides=[stride, stride], pads=[top, left, bottom, right], group=groups,
        )  # fmt: skip

    def norm(self, x: str, name: str) -> str:
        """Nothing: it is folded into the convolutions before it."""
        return x

    def relu(self, x: str) -> str:
        return self._node("Relu", [x], self.shapes[x])

    def sigmoid(self, x: str) -> str:
        return self._node("Sigmoid", [x], self.shapes[x])

    def hardswish(self, x: str) -> str:
        return self.multiply(x, self._node("HardSigmoid", [x], self.shapes[x], alpha=1 / 6, beta=0.5))

    def add(self, a: str, b: str) -> str:
        return self._node("Add", [a, b], self.shapes[a])

    def multiply(self, a: str, b: str) -> str:
        return self._node("Mul", [a, b], self.shapes[a])

    def mean(self, x: str) -> str:
        return self._node("GlobalAveragePool", [x], (self.shapes[x][0], 1, 1))

    def pixel_shuffle(self, x: str) -> str:
        channels, h, w = self.shapes[x]
        return self._node("DepthToSpace", [x], (channels // 4, 2 * h, 2 * w), blocksize=2, mode="CRD")

    def concat(self, a: str, b: str) -> str:
        channels = self.shapes[a][0] + self.shapes[b][0]
        return self._node("Concat", [a, b], (channels, *self.shapes[a][1:]), axis=1)

    def upsample_like(self, x: str, like: str) -> str:
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

    def model(self, logits: str, *more: str) -> bytes:
        """The finished graph, `logits` renamed to the output's name; `more` values are given out after it."""
        nodes = [
            onnx_bytes.node(kind, inputs, OUTPUT if name == logits else name, name, attributes)
            for kind, inputs, name, attributes in self.nodes
        ]
        image = onnx_bytes.value_info(INPUT, [1, *self.shapes[INPUT]])
        answers = [onnx_bytes.value_info(OUTPUT, [1, *self.shapes[logits]])]
        answers += [onnx_bytes.value_info(name, [1, *self.shapes[name]]) for name in more]
        return onnx_bytes.model(nodes, list(self.initializers.values()), image, answers, ir=IR_VERSION, opset=OPSET)
