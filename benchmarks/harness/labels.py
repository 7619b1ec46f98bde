"""The reference's labels, each asked for once: of a frame that comes again, or for the next bench, the label is kept.

A label depends on its frame alone, so it is kept under what the frame shows and not under the clip's name.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from training.teachers import TEACHERS, RecurrentTeacher, Teacher

TAUGHT = "kept labels"  # name in TEACHERS while a bench runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", metavar="DIR", help="folder that keeps the reference's labels for the next run")


class KeptTeacher:
    """Another teacher, in steps of 1/255, whose labels are kept as PNG: in `folder`, or in memory where there is none.

    It is itself a teacher (see `training.teachers.Teacher`), and the other one is made when it is first needed.
    """

    def __init__(self, make: Callable[[], Teacher], folder: str | Path | None):
        self._make, self._folder = make, Path(folder) if folder else None
        self._teacher: Teacher | None = None
        self._packed: dict[str, np.ndarray] = {}  # where there is no folder
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        """The label of a frame uint8 (H, W, 3), float32 (h, w) at the teacher's own size."""
        key = hashlib.blake2b(np.ascontiguousarray(bgr).data, digest_size=12, salt=b"%dx%d" % bgr.shape[:2]).hexdigest()
        kept = self._read(key)
        grey = self._ask(key, bgr) if kept is None else cv2.imdecode(kept, cv2.IMREAD_GRAYSCALE)
        return np.asarray(grey, np.float32) / 255

    def with_memory(self) -> Teacher:
        """The other one with its memory, if it can have one: of labels that depend on those before, none is kept."""
        teacher = self._loaded()
        return teacher.with_memory() if isinstance(teacher, RecurrentTeacher) else self

    def whole(self, bgr: np.ndarray) -> np.ndarray:
        """The label at the frame's size, float32 (H, W) in [0, 1]."""
        return cv2.resize(self(bgr), bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)

    def _read(self, key: str) -> np.ndarray | None:
        if self._folder is None:
            return self._packed.get(key)
        path = self._folder / f"{key}.png"
        return np.frombuffer(path.read_bytes(), np.uint8) if path.is_file() else None

    def _loaded(self) -> Teacher:
        if self._teacher is None:
            self._teacher = self._make()
        return self._teacher

    def _ask(self, key: str, bgr: np.ndarray) -> np.ndarray:
        grey = np.rint(self._loaded()(bgr) * 255).astype(np.uint8)
        packed = cv2.imencode(".png", grey, (cv2.IMWRITE_PNG_COMPRESSION, 1))[1]
        if self._folder is None:
            self._packed[key] = packed
        else:
            partial = self._folder / f"{key}.{os.getpid()}.part"  # another bench may be reading, or writing the same
            partial.write_bytes(packed.tobytes())
            partial.replace(self._folder / f"{key}.png")
        return grey


@contextmanager
def registered(teacher: Teacher, name: str = TAUGHT) -> Iterator[str]:
    """The name by which `teacher` can be asked for meanwhile, in this process alone."""
    TEACHERS[name] = lambda: lambda threads: teacher
    try:
        yield name
    finally:
        del TEACHERS[name]
