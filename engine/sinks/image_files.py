"""Pictures into image files, one each. Knows nothing about videos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..contracts import Picture
from ..errors import SinkError, UsageError
from ..media.stills import colour_profile
from ..media.whole_file import write_whole
from .frame_size import alpha_of, as_bgra

WITH_ALPHA = (".png", ".webp", ".tif", ".tiff")
FORMATS = (*WITH_ALPHA, ".jpg", ".jpeg", ".bmp")
WITH_PROFILE = (".png", ".webp", ".jpg", ".jpeg")  # where OpenCV writes one
QUALITY = 95  # of JPEG and WebP, percent; the others lose nothing


def is_image(path: str) -> bool:
    """Whether the suffix of `path` is one of FORMATS."""
    return os.path.splitext(path)[1].lower() in FORMATS


def check_image(path: str, transparent: bool) -> None:
    """UsageError where the format of `path` has no alpha and pictures are to keep theirs."""
    suffix = os.path.splitext(path)[1].lower()
    if transparent and suffix not in WITH_ALPHA:
        raise UsageError(f"{path}: {suffix} cannot hold alpha; use one of {', '.join(WITH_ALPHA)}, or a background")


def image_names(inputs: Sequence[str], transparent: bool) -> list[str]:
    """What the images of a folder are called in another one: the same, .png where their own format cannot be written
    or has no alpha; with their old suffix before it where two would have one name.
    """
    able = WITH_ALPHA if transparent else FORMATS
    kept = {name for name in inputs if os.path.splitext(name)[1].lower() in able}
    names = []
    for name in inputs:
        stem = os.path.splitext(name)[0]
        names.append(name if name in kept else f"{name if f'{stem}.png' in kept else stem}.png")
    return [f"{given}.png" if names.count(name) > 1 and name != given else name
            for name, given in zip(names, inputs, strict=True)]  # fmt: skip


class ImageFiles:
    """Sink: each picture as an image file, written under another name and renamed once it is whole.

    Parameters
    ----------
    paths : the file of each picture, by its index; one alone takes the first picture, whatever its index.
    transparent : keep alpha, straight.
    matte : write the alpha itself, grey, instead of the picture.
    origins : the image files that the pictures were, in the same order: a cut-out keeps its colour profile.

    Raises
    ------
    UsageError
        A format without alpha, and `transparent`.
    SinkError
        From `write`: it cannot be written, or is a picture too many.
    """

    wanted = True

    def __init__(
        self, paths: Sequence[str], transparent: bool = False, matte: bool = False, origins: Sequence[Path] = ()
    ) -> None:
        for path in paths:
            check_image(path, transparent)
        self.needs_alpha = transparent or matte
        self._paths, self._matte = paths, matte
        self._origins = origins if transparent else ()  # what is composited has colours of two files
        self._written = 0

    def write(self, picture: Picture) -> None:
        single = len(self._paths) == 1
        if (single and self._written) or (not single and picture.index >= len(self._paths)):
            raise SinkError(f"{self._paths[-1]} holds one picture and has it; write a video, or say --max-frames 1")
        path = self._paths[0] if single else self._paths[picture.index]
        pixels = picture.bgr
        if self.needs_alpha:
            pixels = alpha_of(picture) if self._matte else as_bgra(picture, None)
        try:
            origin = self._origins[picture.index] if picture.index < len(self._origins) else None
            write_whole(path, encode(path, pixels, colour_profile(origin) if origin is not None else None))
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error.strerror}; free space or name another file") from error
        self._written += 1

    def close(self) -> None:
        """Nothing is open between two pictures."""


def encode(path: str, pixels: np.ndarray, profile: bytes | None = None) -> bytes:
    """`pixels` uint8 (H, W), (H, W, 3) BGR or (H, W, 4) BGRA in the format of the suffix of `path`; SinkError."""
    import cv2

    suffix = Path(path).suffix.lower()
    quality = {
        ".jpg": cv2.IMWRITE_JPEG_QUALITY, ".jpeg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY
    }.get(suffix)  # fmt: skip
    try:
        parameters = [quality, QUALITY] if quality is not None else []
        if profile is not None and suffix in WITH_PROFILE:
            kinds, blocks = [cv2.IMAGE_METADATA_ICCP], [np.frombuffer(profile, np.uint8)]
            done, data = cv2.imencodeWithMetadata(suffix, pixels, kinds, blocks, parameters)
        else:
            done, data = cv2.imencode(suffix, pixels, parameters)
    except cv2.error:
        done = False
    if not done:
        H, W = pixels.shape[:2]
        raise SinkError(f"cannot write {path}: {suffix} does not take {W}x{H} pixels; use .png")
    return data.tobytes()
