"""TEACHERS: name -> a function that imports its class, one file per teacher.

A teacher is called with a frame and returns a label. To add one: write `training/teachers/foo.py`, add a line to the
table and an extra in setup.py; the tests run over the table. Besides names there are files (.toml: any ONNX segmenter)
and URLs (a teacher on another machine).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from engine.errors import BackendUnavailable, TeacherError, UsageError
from engine.teacher_options import TeacherOptions, Who, as_teacher_options

from .subjects import SubjectSelector, split_people


def _rvm() -> type:
    from .rvm import RobustVideoMatting

    return RobustVideoMatting


def _u2net() -> type:
    from .u2net import U2NetFull

    return U2NetFull


def _u2netp() -> type:
    from .u2net import U2NetSmall

    return U2NetSmall


def _mrcnn50() -> type:
    from .mrcnn50 import MaskRcnn50

    return MaskRcnn50


def _yolo_seg() -> type:
    from .yolo_seg import YoloSeg

    return YoloSeg


def _yolo_seg_small() -> type:
    from .yolo_seg import YoloSegSmall

    return YoloSegSmall


TEACHERS: dict[str, Callable[[], Any]] = {
    "rvm": _rvm,
    "u2net": _u2net,
    "u2netp": _u2netp,
    "mrcnn50": _mrcnn50,
    "yolo-seg": _yolo_seg,
    "yolo-seg-small": _yolo_seg_small,
}
URL_SCHEMES = ("http://", "https://")


class Teacher(Protocol):
    """The constructor takes `(threads: int)` and raises ModelError where its weights are not available."""

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        """Label of a frame uint8 (H, W, 3): float32 (h, w) in [0, 1], 1 = person, at any resolution."""
        ...


@runtime_checkable
class InstanceTeacher(Protocol):
    """A teacher that separates people (instance segmentation)."""

    def people(self, bgr: np.ndarray) -> np.ndarray:
        """float32 (N, h, w) in [0, 1]: one mask for each person in a frame uint8 (H, W, 3)."""
        ...


@runtime_checkable
class BatchTeacher(Protocol):
    """A teacher that labels several frames faster together than one by one."""

    def many(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One label for each frame uint8 (H, W, 3), whose sizes may differ; see Teacher."""
        ...


@runtime_checkable
class RecurrentTeacher(Protocol):
    """A teacher whose labels are better for what it saw before. Called as it is, it sees each frame alone."""

    def with_memory(self) -> RememberingTeacher:
        """The same network with a memory, for the frames of one stream."""
        ...


@runtime_checkable
class RememberingTeacher(Protocol):
    """A teacher (see Teacher) with a memory: labels fused over time."""

    def __call__(self, bgr: np.ndarray) -> np.ndarray: ...

    def forget(self) -> None:
        """What comes next has nothing to do with what was: another scene, or long after. Called where it is called."""
        ...


@runtime_checkable
class Closable(Protocol):
    """A teacher that holds something open."""

    def close(self) -> None:
        """Release it; may be called twice. Called by the thread that calls the teacher."""
        ...


@runtime_checkable
class NetworkTeacher(Protocol):
    """A teacher on another machine."""

    def traffic(self) -> dict[str, Any]:
        """Traffic statistics so far: bytes, labels and failures; see docs/report.md."""
        ...


class SubjectFilter:
    """A teacher whose labels keep only the selected people; see subjects.py."""

    def __init__(self, teacher: Teacher, who: Who):
        self.inner = teacher
        self._select = SubjectSelector(who)

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        if isinstance(self.inner, InstanceTeacher):
            return self._select(self.inner.people(bgr), bgr)
        return self._select(split_people(np.asarray(self.inner(bgr), np.float32)), bgr)

    def forget(self) -> None:
        if isinstance(self.inner, RememberingTeacher):
            self.inner.forget()

    def close(self) -> None:
        if isinstance(self.inner, Closable):
            self.inner.close()


def load(teacher: str | TeacherOptions, threads: int, remembers: bool = False) -> Teacher:
    """The teacher asked for by name, file or URL; `remembers`: for one stream, with its memory if it can have one.

    Raises
    ------
    UsageError
        There is none of this name, or its description is invalid.
    BackendUnavailable
        It needs a package that is not installed.
    ModelError
        Its weights are not available.
    """
    options = as_teacher_options(teacher)
    found = _load(options, threads)
    if remembers and isinstance(found, RecurrentTeacher):
        found = found.with_memory()
    return found if options.who == "all" else SubjectFilter(found, options.who)


def check(options: TeacherOptions) -> None:
    """What can be known of a teacher without loading it.

    Raises
    ------
    UsageError, ModelError
        As `load`.
    """
    name = options.name
    if name.startswith(URL_SCHEMES):
        from ..remote import client

        client.open_connection(options)
    elif name.endswith(".toml"):
        from . import onnx_segmenter

        onnx_segmenter.find_model(Path(name))
    elif name not in TEACHERS:
        raise UsageError(
            f"unknown teacher {name!r}; choose one of none, {', '.join(TEACHERS)}, a .toml that describes an ONNX "
            "segmenter, or the http(s) URL of a v2 model"
        )


def _load(options: TeacherOptions, threads: int) -> Teacher:
    check(options)
    name = options.name
    if name.startswith(URL_SCHEMES):
        from ..remote.client import RemoteTeacher

        return RemoteTeacher(options)
    if name.endswith(".toml"):
        from .onnx_segmenter import OnnxSegmenter

        return OnnxSegmenter(Path(name), threads)
    try:
        factory = TEACHERS[name]()
    except ImportError as error:
        raise BackendUnavailable(
            f"the teacher {name} needs {error.name or error}, which is not installed; see docs/teachers.md"
        ) from error
    return factory(threads)


def traffic_of(teacher: Teacher) -> dict[str, Any] | None:
    """Traffic statistics of a teacher on another machine; None for one on this machine."""
    inner = teacher.inner if isinstance(teacher, SubjectFilter) else teacher
    return inner.traffic() if isinstance(inner, NetworkTeacher) else None


def checked(label: np.ndarray) -> np.ndarray:
    """`label` as float32, itself if it is that already; a valid label may have another precision.

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
    return np.asarray(label, np.float32)  # OpenCV resizes neither half precision nor foreign bytes
