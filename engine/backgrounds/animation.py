"""An animated image behind the person: WebP, PNG or AVIF. An animated GIF is a video."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from ..errors import UsageError
from ..media.animation import animation_frames
from ..media.stills import UnreadableImage
from .picture import cover

MAX_BYTES = 400_000_000  # of decoded frames; more are kept at half their size, then at a quarter


class AnimatedPicture:
    """Background: the frame shown hangs on the position alone. All frames are decoded beforehand, so it never waits.

    Raises
    ------
    UsageError
        It cannot be read.
    """

    transparent = still = False

    def __init__(self, path: str) -> None:
        self._frames: list[np.ndarray] = []
        self._ends: list[float] = []  # s, when each frame is over
        self._load(path)
        self._shown: int | None = None  # which frame `_out` holds
        self._out = np.empty((0, 0, 3), np.uint8)

    def picture(self, bgr: np.ndarray, alpha: np.ndarray | None, position: float) -> np.ndarray:
        """See `Background`."""
        due = min(bisect_right(self._ends, max(0.0, position) % self._ends[-1]), len(self._frames) - 1)
        if self._out.shape != bgr.shape:
            self._out, self._shown = np.empty(bgr.shape, np.uint8), None
        if self._shown != due:
            cover(self._frames[due], bgr.shape[:2], self._out)
            self._shown = due
        return self._out

    def close(self) -> None:
        pass

    def _load(self, path: str) -> None:
        halvings, end = 0, 0.0
        try:
            for frame, lasts in animation_frames(path):
                for _ in range(halvings):
                    frame = _half(frame)
                end += lasts
                self._frames.append(frame)
                self._ends.append(end)
                if len(self._frames) * frame.nbytes > MAX_BYTES and min(frame.shape[:2]) > 1:
                    halvings += 1
                    self._frames = [_half(kept) for kept in self._frames]
        except UnreadableImage as error:
            raise UsageError(f"cannot read the background {path}: {error}") from error


def _half(frame: np.ndarray) -> np.ndarray:
    import cv2

    h, w = frame.shape[:2]
    return cv2.resize(frame, (max(1, w // 2), max(1, h // 2)), interpolation=cv2.INTER_AREA)
