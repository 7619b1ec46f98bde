"""MediaPipe's selfie segmentation, general model (Apache-2.0), on ONNX Runtime: today's free peer."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from engine.backends.ort_cpu import PROVIDER, session_options
from engine.errors import ModelError

FILE, SIDE = "selfie_segmentation.onnx", 256


class Selfie:
    """bgr uint8 (H, W, 3) -> alpha float32 (H, W) in [0, 1]. Squashed to a square, RGB in [0, 1], as MediaPipe does."""

    def __init__(self, threads: int = 1):
        path = Path(os.environ.get("JM_MODELS", ".")) / FILE
        if not path.is_file():
            raise ModelError(f"no {path}; set JM_MODELS to a folder that holds {FILE}")
        self._session = ort.InferenceSession(str(path), session_options(threads), providers=[PROVIDER])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        image = cv2.resize(bgr, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)[..., ::-1].astype(np.float32) / 255
        (alpha,) = self._session.run(None, {self._input: image[None]})
        return cv2.resize(alpha[0, ..., 0], bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)
