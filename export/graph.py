"""The student as an ONNX graph, written out by hand from folded weights. Knows nothing about torch.

By hand because every initializer then is one tensor of the student under its own name, which is what makes patching
(`export.publish`) and a later refit possible; and because a machine that only runs a student needs no torch.
`tests/test_export.py` holds the graph to the torch module's numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.errors import ModelError

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

    def conv(self, x: str, name: str, stride: int = 1) -> str:
        """Convolution `name` with "same" padding; kernel and channels are read off its weight."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        channels, h, w = self.shapes[x]
        if weight.ndim != 4 or weight.shape[1] != channels or bias.shape != weight.shape[:1]:
            raise ModelError(
                f"the weights do not fit this student: {name} is {weight.shape} with bias {bias.shape}, and its input "
                f"has {channels} channels; choose --student to match, or train them again"
            )
        top, left = weight.shape[2] // 2, weight.shape[3] // 2
        inputs = [x] + [self._constant(f"{name}.{k}", self.weights[f"{name}.{k}"]) for k in ("weight", "bias")]
        return self._node(
            "Conv", inputs, (weight.shape[0], ceil(h / stride), ceil(w / stride)),
            kernel_shape=weight.shape[2:], strides=[stride, stride], pads=[top, left, top, left],
        )  # fmt: skip

    def relu(self, x: str) -> str:
        return self._node("Relu", [x], self.shapes[x])

    def add(self, a: str, b: str) -> str:
        return self._node("Add", [a, b], self.shapes[a])

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


def _jitnet(g: GraphBuilder) -> str:
    """JITNet as in training/student.py, line by line, batch norm folded."""

    def block(x: str, name: str, stride: int = 1) -> str:
        long = g.conv(g.conv(g.conv(x, f"{name}.conv3x3", stride), f"{name}.conv1x3"), f"{name}.conv3x1")
        return g.relu(g.add(long, g.conv(x, f"{name}.shortcut", stride)))

    half = g.relu(g.conv(INPUT, "stem1.conv", stride=2))
    x = g.relu(g.conv(half, "stem2.conv", stride=2))
    skip1 = block(x, "enc1", stride=2)
    skip2 = block(skip1, "enc2", stride=2)
    x = block(skip2, "enc3", stride=2)
    x = g.concat(skip2, g.upsample_like(block(x, "dec3"), skip2))
    x = g.concat(skip1, g.upsample_like(block(x, "dec2"), skip1))
    x = g.upsample_like(block(x, "dec1"), half)
    x = g.relu(g.conv(x, "head1.conv"))
    x = g.relu(g.conv(x, "head2.conv"))
    return g.conv(x, "logits")


# Name of a student -> how its graph is written.
STUDENTS: dict[str, Callable[[GraphBuilder], str]] = {"jitnet": _jitnet, "jitnet-fig2": _jitnet}


def build(student: str, folded: Arrays, size: tuple[int, int]) -> onnx.ModelProto:
    """The graph of `student` for input (1, 3, *size): `image` float32 -> `logits` float32.

    Parameters
    ----------
    folded : what `export.fold.fold` returns.
    size : (h, w).

    Raises
    ------
    ModelError
        The student is unknown, or `folded` is not its weights.
    """
    if student not in STUDENTS:
        raise ModelError(f"unknown student {student!r}; choose one of {', '.join(STUDENTS)}")
    builder = GraphBuilder(folded, size)
    try:
        logits = STUDENTS[student](builder)
        model = builder.model(logits)
        onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except KeyError as error:
        raise ModelError(f"the weights hold no tensor {error}; they are not those of {student}") from error
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(f"the weights do not fit {student}: {error}") from error
    return model
