"""What an output of one size and layout needs: pictures at the first one's size, colour and alpha together."""

from __future__ import annotations

import logging

import numpy as np

from ..backgrounds.picture import cover
from ..contracts import Picture
from ..errors import UsageError

log = logging.getLogger("jit_masker")

FALLBACK_FPS = 30.0  # frames per second, where the source does not say; only the last picture's length hangs on it


class FixedSize:
    """Gives every array the size of the first one: where the size is fixed once, as in a file.

    `cut`: what has another shape is cut to fill it; else it is distorted. `even` adds one row or column, a copy of the
    last, to a first size that is odd: 4:2:0 video has no odd sizes.
    """

    def __init__(self, where: str, even: bool = False, cut: bool = False) -> None:
        self._where = where
        self._cut = cut
        self._even = even
        self._first: tuple[int, ...] | None = None
        self._warned = False

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """`pixels` uint8 (H, W) or (H, W, C), any size -> C-contiguous, of the first one's size."""
        if self._first is None:
            self._first = pixels.shape[:2]
        if pixels.shape[:2] != self._first:
            pixels = self._scaled(pixels, self._first)
        H, W = self._first
        if self._even and (H % 2 or W % 2):
            pixels = np.pad(pixels, ((0, H % 2), (0, W % 2), (0, 0))[: pixels.ndim], mode="edge")
        return np.ascontiguousarray(pixels)

    def _scaled(self, pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        import cv2

        H, W = size
        if not self._warned:
            self._warned = True
            log.warning(
                "%s: began at %dx%d; pictures of another size (now %dx%d) are scaled to it",
                self._where, W, H, pixels.shape[1], pixels.shape[0],
            )  # fmt: skip
        if self._cut:
            return cover(pixels, size)
        shrinks = pixels.shape[1] > W or pixels.shape[0] > H
        return cv2.resize(pixels, (W, H), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def as_bgra(picture: Picture, out: np.ndarray | None) -> np.ndarray:
    """Straight BGRA of `picture`, uint8 (H, W, 4), written into `out` where it fits, else into a new array.

    Colour is black where alpha is 0: what stood there must not be readable from the file.

    Raises
    ------
    UsageError
        The picture has no alpha.
    """
    alpha = alpha_of(picture)
    if out is None or out.shape[:2] != alpha.shape:
        out = np.empty((*alpha.shape, 4), np.uint8)
    np.multiply(picture.bgr, (alpha > 0)[:, :, None], out=out[:, :, :3])
    out[:, :, 3] = alpha
    return out


def alpha_of(picture: Picture) -> np.ndarray:
    """The alpha of `picture`, uint8 (H, W); UsageError where it has none, or one of another size."""
    if picture.alpha is None:
        raise UsageError(f"picture {picture.index} has no alpha; paint it for a sink whose needs_alpha is True")
    if picture.alpha.shape != picture.bgr.shape[:2]:
        raise UsageError(
            f"picture {picture.index} is {picture.bgr.shape[:2]} but its alpha {picture.alpha.shape}; "
            "give an alpha of the picture's size"
        )
    return picture.alpha
