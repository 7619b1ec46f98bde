"""A still picture behind the person."""

from __future__ import annotations

import numpy as np

from ..errors import UsageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


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


def read_image(path: str, what: str = "the background") -> np.ndarray:
    """An image file as uint8 (H, W, 3) BGR, turned as its EXIF says; grey, 16 bit and alpha are converted."""
    import cv2

    try:
        # Not imread: it cannot tell a missing file from a damaged one, nor open every path on Windows.
        data = np.fromfile(path, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except OSError as error:
        raise UsageError(f"cannot read {what} {path}: {error.strerror}; name an image or a video") from error
    except cv2.error:
        image = None
    if image is None:
        raise UsageError(f"cannot read {what} {path}: no image that is known here; use one of {', '.join(SUFFIXES)}")
    return image


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
