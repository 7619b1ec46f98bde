"""A still picture behind the person."""

from __future__ import annotations

import numpy as np

from ..media.stills import read_image


class StillPicture:
    """Background: a still picture, cut to fill the frame."""

    transparent, still = False, True

    def __init__(self, path: str) -> None:
        self._image = read_image(path)
        self._out = np.empty((0, 0, 3), np.uint8)

    def picture(self, bgr: np.ndarray, alpha: np.ndarray | None, position: float) -> np.ndarray:
        if self._out.shape != bgr.shape:
            self._out = cover(self._image, bgr.shape[:2])
        return self._out

    def close(self) -> None:
        pass


def cover(image: np.ndarray, size: tuple[int, ...], out: np.ndarray | None = None) -> np.ndarray:
    """`image` uint8 (h, w, 3), scaled to fill `size` (H, W) with its centre: not distorted, but cut."""
    import cv2

    H, W = size
    h, w = image.shape[:2]
    scale = max(H / h, W / w)
    crop_h, crop_w = min(h, max(1, round(H / scale))), min(w, max(1, round(W / scale)))
    top, left = (h - crop_h) // 2, (w - crop_w) // 2
    kept = image[top : top + crop_h, left : left + crop_w]
    return cv2.resize(kept, (W, H), dst=out, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
