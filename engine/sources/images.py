"""Images as a source: one, a folder of them, or the frames of an animated one."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..contracts import Frame, Origin
from ..errors import SourceError
from ..media.animation import animation_frames
from ..media.stills import IMAGES, UnreadableImage, read_still

IN_FOLDERS = (*IMAGES, ".jpe", ".jfif", ".gif", ".jxl")  # a GIF alone is a video, in a folder its first frame

log = logging.getLogger("jit_masker")


class Images:
    """Image files, one frame each; sizes may differ. Looped they come for ever.

    Not live: they come as fast as they are asked for, with positions at `fps`. PacedSource gives them a clock. Of
    several, those that cannot be read are left out, which is said once, together with `hidden` ones that were left out
    before; their index and position stay free.
    """

    def __init__(self, paths: list[Path], fps: float, loop: bool = False, hidden: Sequence[Path] = ()):
        self._paths, self.origin = paths, Origin(images=tuple(paths))
        self._loop = loop
        self.fps, self.live = fps, False
        self.frames: int | None = None if loop else len(paths)
        self._closed = False
        self._bad: dict[Path, str] = {}  # what cannot be read, and why
        self._hidden = hidden
        first = next((path for path in paths if self._can_read(path)), None)
        if first is None:
            path, reason = next(iter(self._bad.items()))
            others = f"; none of the {len(paths)} images in {path.parent} can be read" if len(paths) > 1 else ""
            raise SourceError(f"cannot read the image {path}: {reason}{others}")

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        try:
            while not self._closed and (self._loop or index < len(self._paths)):
                path = self._paths[index % len(self._paths)]
                if self._can_read(path):
                    yield Frame(self._image, index, time.perf_counter(), index / self.fps)
                index += 1
        finally:
            self._log_left_out()

    def _log_left_out(self) -> None:
        left_out = {**self._bad, **dict.fromkeys(self._hidden, "it is a hidden file, as other systems leave them")}
        if left_out:
            (first, reason), *_ = left_out.items()
            count, total = len(left_out), len(self._paths) + len(self._hidden)
            log.warning("%d of %d images are left out; the first is %s: %s", count, total, first, reason)

    def _can_read(self, path: Path) -> bool:
        """Whether it can; it is `_image` then. One image, looped, is decoded once, and a bad one tried once."""
        if path in self._bad:
            return False
        if getattr(self, "_shown", None) != path:
            try:
                self._image: np.ndarray = read_still(path)
                self._shown = path
            except UnreadableImage as error:
                self._bad[path] = str(error)
                return False
        return True

    def close(self) -> None:
        self._closed = True


class AnimatedImage:
    """The frames of an animated image, each at its own time; looped they come for ever."""

    live = False
    origin = Origin()
    frames: int | None = None

    def __init__(self, path: Path, loop: bool = False):
        self._path, self._loop = path, loop
        self._closed = False
        try:
            _, lasts = next(animation_frames(path))
        except UnreadableImage as error:
            raise SourceError(f"cannot read the image {path}: {error}") from error
        self.fps = 1 / lasts  # of its first frame; the others may last longer or shorter

    def __iter__(self) -> Iterator[Frame]:
        index, position = 0, 0.0
        while not self._closed:
            for bgr, lasts in animation_frames(self._path):
                if self._closed:
                    return
                yield Frame(bgr, index, time.perf_counter(), position)
                index, position = index + 1, position + lasts
            if not self._loop:
                return

    def close(self) -> None:
        self._closed = True


def images_in(folder: Path) -> list[Path]:
    """The images of `folder` in natural order: 2 before 10. Hidden files, such as a Mac's ._x.jpg, are none."""
    images = [path for path in _named_as_images(folder) if not path.name.startswith(".")]
    if not images:
        raise SourceError(f"the folder {folder} holds no images; expected {', '.join(IMAGES)}")
    return sorted(images, key=lambda p: [int(s) if s.isdecimal() else s.lower() for s in re.split(r"(\d+)", p.name)])


def hidden_in(folder: Path) -> list[Path]:
    """What looks like an image there and is hidden."""
    return sorted(path for path in _named_as_images(folder) if path.name.startswith("."))


def _named_as_images(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix.lower() in IN_FOLDERS and path.is_file()]
    except OSError as error:
        raise SourceError(
            f"cannot look into the folder {folder}: {error.strerror}; expected one you may read"
        ) from error
