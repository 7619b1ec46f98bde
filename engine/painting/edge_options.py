"""How the edge of the person looks, where a user wants it otherwise: feather and light wrap. Knows nothing of students.

Both work at the size of the frame on arrays that the masker owns. They cost time, and are off unless asked for. Light
wrap allocates a few pictures of 64 lines on each frame; nothing else here allocates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import UsageError

MAX_FEATHER = 32.0  # pixels at 480 lines; a wider edge is no edge
WRAP_SIDE = 64  # pixels, height of the picture in which light is spread
WRAP_REACH = 5  # of those pixels, how far light reaches over the person


@dataclass(frozen=True)
class EdgeOptions:
    """What a user may choose about edges."""

    threshold: float = 0.5  # of the student's certainty, in (0, 1): from where a pixel is more person than room
    feather: float = 0.0  # pixels at 480 lines, over which the edge fades: > 0 outwards, < 0 into the person
    light_wrap: float = 0.0  # share of the background's light that falls on the person's edge, in [0, 1]

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UsageError(f"threshold is {self.threshold:g}; expected above 0 and below 1, 0.5 is neutral")
        if not abs(self.feather) <= MAX_FEATHER:
            raise UsageError(f"feather is {self.feather:g}; expected from {-MAX_FEATHER:g} to {MAX_FEATHER:g} pixels")
        if not 0 <= self.light_wrap <= 1:
            raise UsageError(f"light wrap is {self.light_wrap:g}; expected from 0 (off) to 1")

    @property
    def threshold_logit(self) -> float:
        """`threshold` as a logit, 0 where it is neutral."""
        return float(np.log(self.threshold / (1 - self.threshold)))


class Feather:
    """Fades a matte at its edge: outwards nothing of the person is lost, inwards nothing of the room is seen."""

    def __init__(self, pixels: float):
        self._pixels = pixels
        levels = np.arange(256)
        self._table = np.clip(2 * levels if pixels > 0 else 2 * levels - 255, 0, 255).astype(np.uint8)
        self._blurred = np.empty((0, 0), np.uint8)

    def __call__(self, matte: np.ndarray) -> None:
        """Change `matte`, uint8 (H, W), in place."""
        import cv2

        if self._blurred.shape != matte.shape:
            self._blurred = np.empty_like(matte)
        side = 2 * max(1, round(abs(self._pixels) * matte.shape[0] / 480)) + 1
        cv2.blur(matte, (side, side), dst=self._blurred, borderType=cv2.BORDER_REPLICATE)
        cv2.LUT(self._blurred, self._table, dst=matte)


class LightWrap:
    """Lets the background's light fall on the person's edge, as it does where somebody stands before it."""

    def __init__(self, strength: float):
        self._strength = strength
        self._light = np.empty((0, 0, 3), np.uint8)

    def __call__(self, foreground: np.ndarray, matte: np.ndarray, background: np.ndarray) -> None:
        """Change `foreground`, uint8 (H, W, 3), in place; `background` of the same size, `matte` uint8 (H, W)."""
        import cv2

        if self._light.shape != foreground.shape:
            self._light = np.empty_like(foreground)
        height, width = matte.shape
        small = (max(1, round(WRAP_SIDE * width / height)), WRAP_SIDE)
        room = 1 - cv2.resize(matte, small, interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
        side = 2 * WRAP_REACH + 1
        shining = cv2.resize(background, small, interpolation=cv2.INTER_AREA) * room
        light = cv2.GaussianBlur(shining, (side, side), 0, borderType=cv2.BORDER_REPLICATE)
        cv2.resize((self._strength * light).astype(np.uint8), (width, height), dst=self._light)
        cv2.add(foreground, self._light, dst=foreground)
