"""What stands behind the person: `open_background` turns what a user asks for into a Background.

One file per kind. A background is as large as the frame it is asked for, and may be asked for another size at any time.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import UsageError
from ..media.naming import is_pipe, local_path
from ..media.stills import IMAGES as IMAGE_SUFFIXES
from ..media.stills import is_animated, is_still, read_head
from .animation import AnimatedPicture
from .blur import Blur, parse_strength
from .colour import COLOURS, Colour, parse_colour
from .looping_video import SUFFIXES as VIDEO_SUFFIXES
from .looping_video import LiveVideo, RepeatableVideo
from .picture import StillPicture

__all__ = ["COLOURS", "Background", "open_background"]

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
    spec : "none", "blur", "blur:STRENGTH" with 0 < STRENGTH <= 1 (one below `blur.FLOOR` is painted at it, with a
        warning), a colour ("#rrggbb", "#rgb", "green"), or the path of an image or of a video, which is looped.
    lossless : True where frames come from a file: a video is then a function of the position alone, and may be waited
        for. False: it shows the newest frame that is due and never waits.

    Raises
    ------
    UsageError
        Unknown, or a file that cannot be read.
    """
    if spec == "none":
        return Colour((0, 0, 0), transparent=True)
    if spec.partition(":")[0] == "blur":
        return Blur(parse_strength(spec))
    if spec in COLOURS or spec.startswith("#"):
        return Colour(parse_colour(spec))
    path = local_path(spec)
    if is_pipe(path):
        raise UsageError(f"the background {spec} is a pipe, which can be read once only; write it to a file first")
    if is_animated(read_head(path)):
        return AnimatedPicture(path)
    suffix = Path(path).suffix.lower()
    if is_still(path):
        return StillPicture(path)
    if suffix in VIDEO_SUFFIXES or os.path.isfile(path):
        return RepeatableVideo(path) if lossless else LiveVideo(path)
    raise UsageError(f"unknown background {spec!r}; choose one of {POSSIBLE}")
