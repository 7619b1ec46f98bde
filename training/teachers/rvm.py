"""RobustVideoMatting (MobileNetV3) on ONNX Runtime. Its weights are GPL-3.0: fetched, never shipped."""

from __future__ import annotations

import cv2
import numpy as np

from engine.assets import fetch

from .onnx_segmenter import open_session

MAX_SIDE = 640  # pixels; the label is used at a quarter of that
WORKING_SIDE = 512  # pixels; downsample_ratio = min(512 / longer side, 1), as RVM's authors recommend


class RobustVideoMatting:
    """A teacher (see `training.teachers.Teacher`). Its memory is cleared on every call: labels come seconds apart."""

    def __init__(self, threads: int = 1):
        self._session = open_session(fetch("rvm"), threads)
        self._state = {f"r{i}i": np.zeros((1, 1, 1, 1), np.float32) for i in range(1, 5)}

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        shrink = MAX_SIDE / max(bgr.shape[:2])
        if shrink < 1:
            bgr = cv2.resize(bgr, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        rgb = bgr[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
        ratio = np.array([min(WORKING_SIDE / max(bgr.shape[:2]), 1.0)], np.float32)
        (alpha,) = self._session.run(["pha"], {"src": rgb, "downsample_ratio": ratio, **self._state})
        return np.clip(alpha[0, 0], 0, 1)
