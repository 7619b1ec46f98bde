"""MediaPipe's selfie segmentation (ONNX, Apache-2.0) as the start of `lite`: its weights under our names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from torch import nn

from engine.errors import ModelError

from . import Student

TEMPERATURE = 12.0  # its logits reach 500, and cross entropy on portraits falls from 0.66 to 0.09 when divided by this


def tensors_from_selfie(path: str | Path) -> dict[str, np.ndarray]:
    """The weights of selfie segmentation, general model, 256x256, by the names of lite's state dict.

    Its names count the layers in the order of the network, depthwise ones apart; lite has them in that order, too.

    Raises
    ------
    ModelError
        The file is not that network.
    """
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # OSError, or protobuf's DecodeError by whichever of its implementations is in use
        raise ModelError(f"cannot read {path}: {error}; expected MediaPipe's selfie segmentation as ONNX") from error
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    found: dict[bool, list[tuple[int, np.ndarray, np.ndarray]]] = {False: [], True: []}
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) == 3:
            weight, bias = values[node.input[1]], values[node.input[2]]
            depthwise = weight.shape[1] == 1 and weight.shape[0] > 1
            found[depthwise].append((_count(node.input[2 if depthwise else 1]), weight, bias))
    for several in found.values():
        several.sort(key=lambda entry: entry[0])
    tensors = {}
    for name, module in Student("lite").named_modules():
        if not isinstance(module, nn.Conv2d) or name == "logits":
            continue
        remaining = found[module.groups > 1]
        if not remaining or remaining[0][1].shape != module.weight.shape:
            raise ModelError(f"{path} is not MediaPipe's selfie segmentation: nothing in it fits {name}")
        _, tensors[f"{name}.weight"], tensors[f"{name}.bias"] = remaining.pop(0)
    last = next(node for node in graph.node if node.op_type == "ConvTranspose")
    (bias,) = (values[n.input[1]] for n in graph.node if n.op_type == "Add" and n.input[0] == last.output[0])
    weight = values[last.input[1]]  # (16, 1, 2, 2)
    tensors["logits.weight"] = weight.reshape(16, 4).T.reshape(4, 16, 1, 1)
    tensors["logits.bias"] = np.full(4, bias.item(), np.float32)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}


def calibrated(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same network, less sure of itself: logits divided by TEMPERATURE. The mask at 0.5 stays as it is.

    A pixel that is wrong by a logit of 100 would have the say in every step: fine-tuning then unlearns more than it
    learns.
    """
    return {k: v / np.float32(TEMPERATURE) if k.startswith("logits.") else v for k, v in tensors.items()}


def _count(name: str) -> int:
    """Which layer of its kind: Conv2D_12/filter:0 -> 12, depthwise_conv2d_3/y:0 -> 3, without a number -> 0."""
    number = re.search(r"_(\d+)/", name)
    return int(number.group(1)) if number else 0
