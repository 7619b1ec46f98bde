"""MediaPipe's selfie segmentation, general model (Apache-2.0), on ONNX Runtime: today's free peer."""

from __future__ import annotations

import cv2
import numpy as np

from . import session, weights

FILE, SIDE = "selfie_segmentation.onnx", 256
WHERE = "github.com/google-ai-edge/mediapipe (selfie_segmentation.tflite, converted to ONNX)"


class Selfie:
    """A peer. Squashed to a square, RGB in [0, 1], as MediaPipe does."""

    settings = "256x256, every frame"
    random = False

    def __init__(self, threads: int = 1):
        self._session = session(weights(FILE, WHERE), threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        image = cv2.resize(bgr, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)[..., ::-1].astype(np.float32) / 255
        (alpha,) = self._session.run(None, {self._input: image[None]})
        return cv2.resize(alpha[0, ..., 0], bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)
