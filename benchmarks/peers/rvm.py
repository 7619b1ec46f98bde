"""RobustVideoMatting (MobileNetV3) run on every frame, with its memory: what a user of it runs, and how we label."""

from __future__ import annotations

import cv2
import numpy as np

from engine.assets import fetch

from . import session

WORKING_SIDE = 512  # pixels; downsample_ratio = min(512 / longer side, 1), its authors' own automatic choice


class RecurrentRVM:
    """A peer. Full size in, full size out; the recurrent state goes from frame to frame."""

    settings = "full size, recurrent, downsample_ratio = 512 / longer side"
    remembers = True

    def __init__(self, threads: int = 1):
        self._session = session(fetch("rvm"), threads)
        self._state: dict[str, np.ndarray] = {}
        self._size = (0, 0)

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        if bgr.shape[:2] != self._size:  # another clip: the state has the size of the picture
            self._size = bgr.shape[:2]
            self._state = {f"r{i}i": np.zeros((1, 1, 1, 1), np.float32) for i in range(1, 5)}
        src = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)[None].astype(np.float32) / 255
        ratio = np.array([min(WORKING_SIDE / max(self._size), 1.0)], np.float32)
        alpha, *states = self._session.run(
            ["pha", "r1o", "r2o", "r3o", "r4o"], {"src": src, "downsample_ratio": ratio, **self._state}
        )
        self._state = {f"r{i}i": state for i, state in enumerate(states, start=1)}
        return np.clip(alpha[0, 0], 0, 1)
