"""RobustVideoMatting (MobileNetV3) on ONNX Runtime. Its weights are GPL-3.0: fetched, never shipped."""

from __future__ import annotations

import cv2
import numpy as np

from engine.assets import fetch

from .onnx_segmenter import open_session

MAX_SIDE = 640  # pixels; the label is used at a quarter of that
WORKING_SIDE = 512  # pixels; downsample_ratio = min(512 / longer side, 1), as RVM's authors recommend


State = dict[str, np.ndarray]  # what the network remembers, by the names of its inputs
NOTHING: State = {f"r{i}i": np.zeros((1, 1, 1, 1), np.float32) for i in range(1, 5)}


class RobustVideoMatting:
    """A teacher (see `training.teachers.Teacher`); `with_memory`: a recurrent one."""

    def __init__(self, threads: int = 1):
        self._session = open_session(fetch("rvm"), threads)

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        return self.label(bgr, NOTHING)[0]

    def with_memory(self) -> RememberingRvm:
        return RememberingRvm(self)

    def label(self, bgr: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """(label, new state) of a frame uint8 (H, W, 3); a `state` belongs to one size of frame, NOTHING to any."""
        shrink = MAX_SIDE / max(bgr.shape[:2])
        if shrink < 1:
            bgr = cv2.resize(bgr, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        rgb = bgr[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
        ratio = np.array([min(WORKING_SIDE / max(bgr.shape[:2]), 1.0)], np.float32)
        alpha, *remembered = self._session.run(
            ["pha", "r1o", "r2o", "r3o", "r4o"], {"src": rgb, "downsample_ratio": ratio, **state}
        )
        return np.clip(alpha[0, 0], 0, 1), dict(zip(NOTHING, remembered, strict=True))


class RememberingRvm:
    """The same for the frames of one stream. They come many frames apart, and the memory helps all the same: measured
    in docs/decisions.md.
    """

    def __init__(self, rvm: RobustVideoMatting):
        self._rvm = rvm
        self._size, self._state = (0, 0), NOTHING

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        if bgr.shape[:2] != self._size:
            self._size = (bgr.shape[0], bgr.shape[1])
            self.forget()
        label, self._state = self._rvm.label(bgr, self._state)
        return label

    def forget(self) -> None:
        self._state = NOTHING
