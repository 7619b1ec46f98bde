"""U²-Net† (Qin et al., 2020), the paper's own baseline, on ONNX Runtime, at its makers' size and at the paper's 240."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx

from engine.assets import fetch

from . import session

MEAN, STD = np.array((0.485, 0.456, 0.406), np.float32), np.array((0.229, 0.224, 0.225), np.float32)


class U2NetP:
    """A peer. Squashed to a square, divided by its brightest pixel, ImageNet's normalisation; as its makers run it."""

    side = 320  # pixels
    remembers = False

    def __init__(self, threads: int = 1):
        self.settings = f"{self.side}x{self.side}, every frame"
        self._session = session(graph(fetch("u2netp"), self.side), threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        image = cv2.resize(bgr, (self.side, self.side), interpolation=cv2.INTER_LINEAR)[..., ::-1].astype(np.float32)
        normalised = (image / max(float(image.max()), 1.0) - MEAN) / STD
        saliency = self._session.run(None, {self._input: normalised.transpose(2, 0, 1)[None]})[0][0, 0]
        low, high = float(saliency.min()), float(saliency.max())
        stretched = (saliency - low) / max(high - low, 1e-6)  # theirs: the map is normalised to [0, 1]
        return cv2.resize(stretched, bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)


class U2NetP240(U2NetP):
    """The same at the size of the paper's student."""

    side = 240


def graph(path: Path, side: int) -> bytes:
    """The network of rembg's file for pictures of `side` x `side`, with its fused map alone.

    Its side outputs are for training, and cost time. It computes the size of each layer from that of the picture, so
    that the size it declares is all there is to change.
    """
    model = onnx.load(path)
    del model.graph.output[1:]
    for value in (model.graph.input[0], model.graph.output[0]):
        height, width = value.type.tensor_type.shape.dim[2:]
        height.dim_value = width.dim_value = side
    return model.SerializeToString()
