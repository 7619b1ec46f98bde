"""What every backend expects of a student's input and output, asked before a buffer is made. Knows no runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import ModelError


class Tensor(NamedTuple):
    """An input or output of a graph, as a runtime describes it."""

    name: str
    type: str  # "float32", or whatever the runtime calls another
    shape: tuple[object, ...]  # sizes; a name, None, 0 or -1 where a size is open

    def __str__(self) -> str:
        return f"{self.name} {self.type} ({', '.join(map(str, self.shape))})"


def check_student(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of a student's image and logits.

    Raises
    ------
    ModelError
        It has other tensors than one float32 image (1, 3, h, w) and its float32 logits (1, 1, h', w'), all sizes fixed.
    """
    return _fixed("input", inputs, 3), _fixed("output", outputs, 1)


def _fixed(what: str, tensors: Sequence[Tensor], channels: int) -> tuple[int, ...]:
    if len(tensors) == 1 and tensors[0].type == "float32":
        sizes = tuple(size for size in tensors[0].shape if isinstance(size, int) and size > 0)
        if len(sizes) == len(tensors[0].shape) == 4 and sizes[:2] == (1, channels):
            return sizes
    found = " and ".join(map(str, tensors)) or "none"
    raise ModelError(
        f"this student's {what} is {found}; expected one float32 (1, {channels}, h, w) of fixed sizes. "
        "Export it for one image of one size, or use a student that jm-train made"
    )
