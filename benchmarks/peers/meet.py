"""Google Meet's segmentation models on ONNX Runtime, as its web client was found to run them: full and lite.

The model card of 2020 says Apache-2.0, that of 2021 Google's terms of service: they are run here, and none is shipped.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.assets import fetch

from . import session


class MeetFull:
    """A peer. Squashed to the net's input, RGB in [0, 1]; the softmax of two logits, class 1 is the person."""

    asset, size = "meet-full", (144, 256)  # (h, w)
    remembers = False

    def __init__(self, threads: int = 1):
        self.settings = f"{self.size[1]}x{self.size[0]}, every frame"
        self._session = session(fetch(self.asset), threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        squashed = cv2.resize(bgr, self.size[::-1], interpolation=cv2.INTER_LINEAR)
        (logits,) = self._session.run(None, {self._input: squashed[None, ..., ::-1].astype(np.float32) / 255})
        alpha = 1 / (1 + np.exp(logits[0, ..., 0] - logits[0, ..., 1]))  # the softmax of two
        return cv2.resize(alpha, bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)


class MeetLite(MeetFull):
    """The smaller one."""

    asset, size = "meet-lite", (96, 160)
