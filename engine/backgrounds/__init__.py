"""What stands behind the person: `open_background` turns a user's words into a Background. Knows nothing of students.

A background is as large as the frame it is asked for, whatever that is, and may be asked for another size at any time.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import UsageError
from .blur import DEFAULT_STRENGTH, Blur
from .looping_video import SUFFIXES as VIDEO_SUFFIXES
from .looping_video import LiveVideo, RepeatableVideo, cover

COLOURS = {
    "black": "#000000",
    "white": "#ffffff",
    "grey": "#808080",
    "gray": "#808080",
    "green": "#00b140",  # of a green screen, for programs that key it out
    "blue": "#0047bb",
}
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

POSSIBLE = (
    f"none, blur, blur:STRENGTH, a colour ({', '.join(COLOURS)}, #rgb, #rrggbb), "
    f"an image ({', '.join(IMAGE_SUFFIXES)}) or a video ({', '.join(VIDEO_SUFFIXES)})"
)


class Background(Protocol):
    """Used by one thread. `close()` may be called twice."""

    transparent: bool  # True: there is to be nothing behind the person
    still: bool  # True: an array that was given once always holds the same picture

    def picture(self, bgr: np.ndarray, alpha: np.ndarray | None, position: float) -> np.ndarray:
        """The background of one frame.

        Parameters
        ----------
        bgr : uint8 (H, W, 3), BGR, the frame. Not written to.
        alpha : float32 (h, w) in [0, 1], 1 = person, at the student's resolution; None while there is no mask.
        position : s, of the frame in its source.

        Returns
        -------
        uint8 (H, W, 3), BGR, C-contiguous; not to be written to, and valid until the next call. Once called for a size,
        a call for the same size allocates no picture.
        """
        ...

    def close(self) -> None: ...


def open_background(spec: str, *, lossless: bool = False) -> Background:
    """The background that `spec` names.

    Parameters
    ----------
    spec : "none", "blur", "blur:STRENGTH" with 0 < STRENGTH <= 1, a colour ("#rrggbb", "#rgb", "green"), or the path of
        an image or of a video, which is looped.
    lossless : True where frames come from a file: a video is then a function of the position alone, and may be waited
        for. False: it shows the newest frame that is due and never waits.

    Raises
    ------
    UsageError
        Unknown, or a file that cannot be read.
    """
    kind, given, strength = spec.partition(":")
    if spec == "none":
        return Plain((0, 0, 0), transparent=True)
    if kind == "blur":
        return Blur(_strength(spec, strength) if given else DEFAULT_STRENGTH)
    if spec in COLOURS or spec.startswith("#"):
        return Plain(_colour(spec))
    suffix = Path(spec).suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return RepeatableVideo(spec) if lossless else LiveVideo(spec)
    if suffix in IMAGE_SUFFIXES or os.path.isfile(spec):
        return Image(spec)
    raise UsageError(f"unknown background {spec!r}; choose one of {POSSIBLE}")


def _strength(spec: str, text: str) -> float:
    try:
        strength = float(text)
    except ValueError:
        strength = float("nan")
    if not 0 < strength <= 1:
        raise UsageError(f"background {spec!r}: the strength must be above 0 and at most 1, as in blur:0.6")
    return strength


def _colour(spec: str) -> tuple[int, int, int]:
    """BGR of a name, "#rgb" or "#rrggbb"."""
    digits = COLOURS.get(spec, spec)[1:]
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    try:
        red, green, blue = bytes.fromhex(digits)
    except ValueError as error:
        raise UsageError(f"background {spec!r} is no colour; write #rrggbb or #rgb, as in #00b140") from error
    return blue, green, red


class Plain:
    """One colour, BGR. Transparent, it is black: whoever forgets the alpha then shows no room."""

    still = True

    def __init__(self, colour: tuple[int, int, int], transparent: bool = False) -> None:
        self.transparent = transparent
        self._colour = colour
        self._out = np.empty((0, 0, 3), np.uint8)

    def picture(self, bgr: np.ndarray, alpha: np.ndarray | None, position: float) -> np.ndarray:
        if self._out.shape != bgr.shape:
            self._out = np.empty(bgr.shape, np.uint8)
            self._out[:] = self._colour
        return self._out

    def close(self) -> None:
        pass


class Image:
    """A still picture, cut to fill the frame."""

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


def read_image(path: str) -> np.ndarray:
    """An image file as uint8 (H, W, 3) BGR, upright: grey, 16 bit and alpha are brought to that, EXIF is obeyed."""
    import cv2

    try:
        # Not imread: it cannot tell a missing file from a damaged one, nor open every path on Windows.
        data = np.fromfile(path, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except OSError as error:
        raise UsageError(f"cannot read the background {path}: {error.strerror}; name an image or a video") from error
    except cv2.error:
        image = None
    if image is None:
        raise UsageError(
            f"cannot read the background {path}: no image that is known here; use one of {', '.join(IMAGE_SUFFIXES)}"
        )
    return image
