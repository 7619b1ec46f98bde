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
        self._rgb = np.empty((*self.size, 3), np.uint8)
        self._pixels = np.empty((1, *self.size, 3), np.float32)
        self._levels = np.empty(self.size, np.uint8)

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        return cv2.resize(self._predict(bgr), bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)

    def matte(self, bgr: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Its alpha in 255 levels, uint8 (H, W), into `out`: levels first and then up, which is four times as fast."""
        cv2.convertScaleAbs(self._predict(bgr), dst=self._levels, alpha=255)
        return cv2.resize(self._levels, bgr.shape[1::-1], dst=out, interpolation=cv2.INTER_LINEAR)

    def _predict(self, bgr: np.ndarray) -> np.ndarray:
        """Alpha at the net's size, float32 (h, w)."""
        squashed = cv2.resize(bgr, self.size[::-1], interpolation=cv2.INTER_LINEAR)
        np.divide(cv2.cvtColor(squashed, cv2.COLOR_BGR2RGB, dst=self._rgb), np.float32(255), out=self._pixels[0])
        self._net.set_tensor(self._image, self._pixels)
        self._net.invoke()
        alpha: np.ndarray = self._net.get_tensor(self._mask)[0, ..., 0]
        return alpha


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
