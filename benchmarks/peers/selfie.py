"""MediaPipe's selfie segmentation (Apache-2.0) on ONNX Runtime, the free peers: the general and the landscape model."""

from __future__ import annotations

import cv2
import numpy as np

from . import session, weights

WHERE = "github.com/google-ai-edge/mediapipe ({file}, converted to ONNX)"


class Selfie:
    """A peer. Squashed to the net's input, RGB in [0, 1], as MediaPipe does."""

    file, size = "selfie_segmentation", (256, 256)  # (h, w)
    random = False

    def __init__(self, threads: int = 1):
        self.settings = f"{self.size[1]}x{self.size[0]}, every frame"
        self._session = session(weights(f"{self.file}.onnx", WHERE.format(file=f"{self.file}.tflite")), threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        squashed = cv2.resize(bgr, self.size[::-1], interpolation=cv2.INTER_LINEAR)
        (alpha,) = self._session.run(None, {self._input: squashed[None, ..., ::-1].astype(np.float32) / 255})
        return cv2.resize(alpha[0, ..., 0], bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)


class SelfieLandscape(Selfie):
    """The model for frames of 16:9, which video calls in a browser run; any other frame is squashed, too."""

    file, size = "selfie_segmentation_landscape", (144, 256)
