"""The students: their definitions, one file per architecture, and the table of them. Knows neither ONNX nor torch.

A new one is a file like `lite.py`, which ends in an Architecture, and a line in STUDENTS.
"""

from __future__ import annotations

from ..errors import UsageError
from .jitnet import JITNET, JITNET_FIG2
from .layers import Architecture
from .lite import LITE

MIN_SIDE, MAX_SIDE = 64, 1024  # pixels of the student's input: below, its inmost layer is a pixel or two

STUDENTS = {
    "lite": LITE,
    "jitnet": JITNET,
    "jitnet-fig2": JITNET_FIG2,
}


def architecture(student: str, size: tuple[int, int] | None = None) -> Architecture:
    """The architecture called `student`, for an input of `size` (h, w) where that is given.

    Raises
    ------
    UsageError
        There is none of this name, or it cannot take this size.
    """
    if student not in STUDENTS:
        raise UsageError(f"unknown student {student!r}; choose one of {', '.join(STUDENTS)}")
    found = STUDENTS[student]
    if size is not None and (
        min(size) < MIN_SIDE or max(size) > MAX_SIDE or any(side % found.multiple for side in size)
    ):
        multiple = f", in multiples of {found.multiple}" if found.multiple > 1 else ""
        raise UsageError(f"size is {size[0]}x{size[1]}; {student} takes sides from {MIN_SIDE} to {MAX_SIDE}{multiple}")
    return found


def input_size(student: str, size: int | str | tuple[int, int] | None) -> tuple[int, int]:
    """(h, w) of the input of `student`.

    Parameters
    ----------
    size : a side, "WxH", (h, w), or None: the student's own; pixels.

    Raises
    ------
    UsageError
        The student is unknown or cannot take this size.
    """
    own = architecture(student).size
    if isinstance(size, str):
        sides = size.lower().split("x")
        if not all(side.isdecimal() for side in sides) or len(sides) > 2:
            raise UsageError(f"size is {size!r}; expected a side or WxH, for example {own[1]}x{own[0]}")
        size = (int(sides[-1]), int(sides[0]))
    size = own if size is None else (size, size) if isinstance(size, int) else size
    architecture(student, size)
    return size
