"""Images as a source: one, or a folder of them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..contracts import Frame
from ..errors import SourceError
from ..media.bad_file import describe_bad_file
from ..pixels import as_bgr

IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


class Images:
    """Image files, one frame each; sizes may differ. Looped they come for ever.

    Not live: they come as fast as they are asked for, with positions at `fps`. PacedSource gives them a clock.
    """

    sound: str | None = None

    def __init__(self, paths: list[Path], fps: float, loop: bool = False):
        self._paths, self._loop = paths, loop
        self.fps, self.live = fps, False
        self.frames: int | None = None if loop else len(paths)
        self._closed = False
        self._last = paths[0], self._read(paths[0])

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self._closed and (self._loop or index < len(self._paths)):
            path = self._paths[index % len(self._paths)]
            if self._last[0] != path:  # one image, looped, is decoded once
                self._last = path, self._read(path)
            yield Frame(self._last[1], index, time.perf_counter(), index / self.fps)
            index += 1

    def _read(self, path: Path) -> np.ndarray:
        import cv2

        try:
            # imread cannot open every path on Windows; IMREAD_UNCHANGED would leave a phone's photos lying down
            image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        except (OSError, cv2.error):
            image = None
        if image is None:
            expected = f"one of {', '.join(sorted(IMAGES))}"
            raise SourceError(f"cannot read the image {path}: {describe_bad_file(path, expected)}")
        return as_bgr(image)

    def close(self) -> None:
        self._closed = True


def images_in(folder: Path) -> list[Path]:
    """The images of `folder` in natural order: 2 before 10."""
    try:
        paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGES]
    except OSError as error:
        raise SourceError(
            f"cannot look into the folder {folder}: {error.strerror}; expected one you may read"
        ) from error
    if not paths:
        raise SourceError(f"the folder {folder} holds no images; expected {', '.join(sorted(IMAGES))}")
    return sorted(paths, key=lambda p: [int(s) if s.isdecimal() else s.lower() for s in re.split(r"(\d+)", p.name)])
