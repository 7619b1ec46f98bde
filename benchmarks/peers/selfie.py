"""MediaPipe's selfie segmentation (Apache-2.0) on LiteRT, its makers' runtime: the general and the landscape model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engine.assets import fetch
from engine.errors import ModelError


class Selfie:
    """A peer. As MediaPipe's graph SelfieSegmentationCpu has it, with XNNPACK.

    Squashed to the net's input whatever the frame's shape, bilinearly; RGB in [0, 1]; no activation after the net; its
    mask bilinearly back to the frame's size.
    """

    asset, size = "selfie", (256, 256)  # (h, w)
    remembers = False

    def __init__(self, threads: int = 1):
        self.settings = f"{self.size[1]}x{self.size[0]}, every frame, on LiteRT"
        self._net = interpreter(self.asset, threads)
        (image,), (mask,) = self._net.get_input_details(), self._net.get_output_details()
        self._image, self._mask = image["index"], mask["index"]

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        squashed = cv2.resize(bgr, self.size[::-1], interpolation=cv2.INTER_LINEAR)
        self._net.set_tensor(self._image, squashed[None, ..., ::-1].astype(np.float32) / 255)
        self._net.invoke()
        alpha = self._net.get_tensor(self._mask)[0, ..., 0]
        return cv2.resize(alpha, bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)


class SelfieLandscape(Selfie):
    """The model for frames of 16:9, which video calls in a browser run; any other frame is squashed, too."""

    asset, size = "selfie-landscape", (144, 256)


def interpreter(asset: str, threads: int) -> Any:
    """LiteRT with the network of an asset, ready to be asked; XNNPACK is its default on a CPU.

    Raises
    ------
    ModelError
        LiteRT is not installed, or the network cannot be had.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ModelError(
            f"{asset} needs LiteRT, which cannot be imported ({error}): pip install 'jit-masker[bench]', that is "
            "ai-edge-litert"
        ) from error
    net = Interpreter(model_content=Path(fetch(asset)).read_bytes(), num_threads=threads)
    net.allocate_tensors()
    return net
