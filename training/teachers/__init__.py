"""TEACHERS: name -> "module:Class", one file per teacher, imported when chosen.

A teacher is called with a frame and answers with a label. A newcomer: write `training/teachers/foo.py`, add a line here
and an extra in setup.py; the tests run over this table.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from engine.errors import TeacherError, UsageError
from engine.registry import resolve

TEACHERS = {
    "rvm": "training.teachers.rvm:RobustVideoMatting",
}


class Teacher(Protocol):
    """The constructor takes `(threads: int)` and raises ModelError where its weights cannot be had."""

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        """Label of a frame uint8 (H, W, 3): float32 (h, w) in [0, 1], 1 = person, at any resolution."""
        ...


def load(name: str, threads: int) -> Teacher:
    """The teacher called `name`.

    Raises
    ------
    UsageError
        There is none of this name.
    ModelError
        Its weights cannot be had.
    """
    if name not in TEACHERS:
        raise UsageError(f"unknown teacher {name!r}; choose one of none, {', '.join(TEACHERS)}")
    return resolve(TEACHERS[name])(threads)


def checked(label: np.ndarray) -> np.ndarray:
    """`label` itself if it is one.

    Raises
    ------
    TeacherError
        It is no float (h, w), or holds NaN, or leaves [0, 1].
    """
    if not isinstance(label, np.ndarray) or label.ndim != 2 or label.dtype.kind != "f" or not label.size:
        what = f"{label.dtype} {label.shape}" if isinstance(label, np.ndarray) else type(label).__name__
        raise TeacherError(f"the teacher answered {what}; expected a float array (h, w)")
    low, high = float(label.min()), float(label.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise TeacherError(f"the teacher answered values from {low:.3g} to {high:.3g}; expected [0, 1]")
    return label
