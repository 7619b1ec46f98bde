"""What is shown where there is no picture: the background, darkened, with a word on it. Never anything of the room."""

from __future__ import annotations

import logging

import numpy as np

from .backgrounds import open_background
from .backgrounds.picture import cover
from .errors import JitMaskerError
from .media.stills import read_image

log = logging.getLogger("jit_masker")

TEXT = "Back in a moment"
LIGHT = 0.45  # what is left of the background's brightness under the text
TOP, BOTTOM = (58, 50, 44), (26, 22, 20)  # BGR of a plain card: a background that is made of the room is not shown
TEXT_HEIGHT = 1 / 14  # of the picture's
WHITE = (245, 245, 245)


class Card:
    """A still picture for any size; replaced as a whole, so any thread may ask while another changes it.

    Parameters
    ----------
    background : as in `open_background`; a blur or none gives a plain card.
    own : path of a picture that is shown as it is, instead.

    Raises
    ------
    UsageError
        `own` cannot be read.
    """

    def __init__(self, background: str, own: str | None = None):
        self._own = read_image(own, "the card") if own is not None else None
        self._background = background
        self._drawn: np.ndarray = np.empty((0, 0, 3), np.uint8)

    def picture(self, size: tuple[int, int]) -> np.ndarray:
        """uint8 (H, W, 3) BGR for `size` (H, W); not to be written to. The first call for a size draws it."""
        drawn = self._drawn
        if drawn.shape[:2] != size:
            drawn = self._drawn = self._draw(size)
        return drawn

    def set_background(self, spec: str) -> None:
        """Another background; drawn here, for the size that was asked for last."""
        self._background = spec
        if self._drawn.size:
            self._drawn = self._draw(self._drawn.shape[:2])

    def _draw(self, size: tuple[int, ...]) -> np.ndarray:
        if self._own is not None:
            return cover(self._own, size)
        picture = _behind(self._background, size)
        _write(picture, TEXT)
        return picture


def _behind(spec: str, size: tuple[int, ...]) -> np.ndarray:
    H, W = size
    shade = np.linspace(TOP, BOTTOM, H)[:, None].astype(np.uint8).repeat(W, axis=1)
    if spec == "none" or spec.partition(":")[0] == "blur":
        return shade
    try:
        background = open_background(spec)
        try:
            shown = background.picture(np.zeros((H, W, 3), np.uint8), None, 0.0)
            return (shown * LIGHT).astype(np.uint8)
        finally:
            background.close()
    except JitMaskerError as error:  # it was there a moment ago
        log.warning("the card is plain: %s", error)
        return shade


def _write(picture: np.ndarray, text: str) -> None:
    """`text` in the middle of `picture`."""
    import cv2

    H, W = picture.shape[:2]
    font, thickness = cv2.FONT_HERSHEY_DUPLEX, max(1, round(H / 360))
    (width, height), _ = cv2.getTextSize(text, font, 1.0, thickness)
    scale = min(H * TEXT_HEIGHT / height, 0.8 * W / width)
    corner = round((W - width * scale) / 2), round((H + height * scale) / 2)
    cv2.putText(picture, text, corner, font, scale, WHITE, thickness, cv2.LINE_AA)
