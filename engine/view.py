"""How the person stands in the picture: turned as in a mirror, followed by the frame. Used by the paint thread.

A frame is mirrored before it is painted, so that the person turns and the background does not. The painted picture is
cut to the person, so that nothing is shown that was not shown before.
"""

from __future__ import annotations

import numpy as np

from .contracts import Canvas

STRIDE = 8  # pixels; the person's box is looked for on every so manieth
SURE = 128  # of 255: alpha that belongs to the box
MARGIN_SIDE, MARGIN_TOP, MARGIN_BOTTOM = 0.35, 0.25, 0.10  # of the box's size, left free around the person
MAX_ZOOM = 2.0  # a picture enlarged more looks soft
TIME_CONSTANT_S = 0.8  # of the movement towards where the person is
DEAD_ZONE = 0.04  # of the frame: as long as the person moves less, the frame stands still


class View:
    """`mirrored` and `follows` may be set from any thread; they count from the next frame."""

    def __init__(self, mirrored: bool = False, follows: bool = False):
        self.mirrored, self.follows = mirrored, follows
        self._turned = self._cut = np.empty((0, 0, 3), np.uint8)
        self._cut_alpha = np.empty((0, 0), np.uint8)
        self._framing = Framing()

    def before(self, bgr: np.ndarray) -> np.ndarray:
        """The frame to paint, for a frame uint8 (H, W, 3); borrowed until the next call."""
        if not self.mirrored:
            return bgr
        import cv2

        if self._turned.shape != bgr.shape:
            self._turned = np.empty(bgr.shape, np.uint8)
        return cv2.flip(bgr, 1, dst=self._turned)

    def after(self, canvas: Canvas, position: float) -> None:
        """Cut what was painted at `position` (s) to the person, in place."""
        if not self.follows:
            self._framing.reset()
            return
        x, y, zoom = self._framing.next(person_box(canvas.alpha), position)
        if zoom <= 1.0:
            return
        import cv2

        H, W = canvas.alpha.shape
        if self._cut.shape != canvas.picture.shape:
            self._cut, self._cut_alpha = np.empty_like(canvas.picture), np.empty_like(canvas.alpha)
        # from a pixel of the cut to one of the picture, pixel centres at .5
        half = 0.5 / zoom - 0.5
        to_picture = np.array([[1 / zoom, 0, x * W + half], [0, 1 / zoom, y * H + half]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_REPLICATE
        cv2.warpAffine(canvas.picture, to_picture, (W, H), dst=self._cut, flags=flags, borderMode=border)
        cv2.warpAffine(canvas.alpha, to_picture, (W, H), dst=self._cut_alpha, flags=flags, borderMode=border)
        canvas.picture, self._cut = self._cut, canvas.picture
        canvas.alpha, self._cut_alpha = self._cut_alpha, canvas.alpha


def person_box(alpha: np.ndarray) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom of the person in shares of the frame, for alpha uint8 (H, W); None for nobody."""
    seen = alpha[::STRIDE, ::STRIDE] >= SURE
    columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    if not len(columns):
        return None
    h, w = seen.shape
    return columns[0] / w, rows[0] / h, (columns[-1] + 1) / w, (rows[-1] + 1) / h


class Framing:
    """Which part of the frame is shown. Pure: positions in, parts out; always inside the frame, of its own shape."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The whole frame again."""
        self._now, self._goal = np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0])  # left, top, side; shares
        self._position: float | None = None

    def next(self, box: tuple[float, float, float, float] | None, position: float) -> tuple[float, float, float]:
        """Left and top in shares of the frame, and the zoom, at least 1; `box` as `person_box` gives it."""
        elapsed = 0.0 if self._position is None else min(max(0.0, position - self._position), 1.0)
        self._position = position
        goal = _around(box)
        if np.abs(goal - self._goal).max() > DEAD_ZONE:
            self._goal = goal
        self._now += (self._goal - self._now) * (1 - np.exp(-elapsed / TIME_CONSTANT_S))
        left, top, side = self._now
        return float(left), float(top), float(1 / side)


def _around(box: tuple[float, float, float, float] | None) -> np.ndarray:
    """Left, top and side of the part that holds `box` and its margins."""
    if box is None:
        return np.array([0.0, 0.0, 1.0])
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    wide, high = width * (1 + 2 * MARGIN_SIDE), height * (1 + MARGIN_TOP + MARGIN_BOTTOM)
    side = min(1.0, max(wide, high, 1 / MAX_ZOOM))
    # the head stays in the picture where not all of the person fits
    x = (left + right) / 2 - side / 2
    y = top - height * MARGIN_TOP
    return np.array([min(max(0.0, x), 1 - side), min(max(0.0, y), 1 - side), side])
