"""Any sensible picture as uint8 BGR. Knows nothing about files."""

from __future__ import annotations

import numpy as np

from .errors import UsageError


def as_bgr(image: np.ndarray) -> np.ndarray:
    """`image` as uint8 (H, W, 3) BGR; itself where it is that already, whatever its strides.

    Grey (H, W) or (H, W, 1) is repeated, a fourth channel is left out, 16 bits are cut to their upper 8.

    Raises
    ------
    UsageError
        It is no picture: another type, another number of dimensions or channels, or no pixel at all.
    """
    if not isinstance(image, np.ndarray) or image.dtype not in (np.uint8, np.uint16) or image.size == 0:
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UsageError(f"a frame is {what}; expected uint8 (H, W, 3) BGR, or grey, BGRA or uint16 of it")
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise UsageError(f"a frame has shape {image.shape}; expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    return image[..., :3]


def shrunk(bgr: np.ndarray, side: int) -> np.ndarray:
    """`bgr` uint8 (H, W, 3), its longer side at most `side` pixels; itself where it is that already."""
    import cv2

    H, W = bgr.shape[:2]
    scale = side / max(H, W)
    if scale >= 1:
        return bgr
    return cv2.resize(bgr, (max(1, round(W * scale)), max(1, round(H * scale))), interpolation=cv2.INTER_AREA)
