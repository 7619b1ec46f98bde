"""What a student is written in: the layers it may use, and what there is to say of it besides.

A student is defined once, by two functions that call these layers. `export.graph` reads them to write an ONNX graph,
`training.students` to build and run a torch module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

T = TypeVar("T")  # a value inside the network: a name in an ONNX graph, a tensor in torch
Padding = Literal["centred", "same"]  # see `pads`


class Layers(Protocol[T]):
    """The operations of a student. Shapes are (channels, h, w), of one image.

    `name` is what the weights are called in the state dict: `<name>.weight`, `<name>.bias` and so on.
    """

    def conv(
        self, x: T, name: str, channels: int, kernel: int | tuple[int, int] = 1, stride: int = 1, groups: int = 1,
        padding: Padding = "centred",
    ) -> T:  # fmt: skip
        """Convolution with bias: (C, h, w) -> (channels, ceil(h / stride), ceil(w / stride)).

        `kernel`: odd sides, one or (height, width). `padding`: zeros around, see `pads`.
        """

    def norm(self, x: T, name: str) -> T:
        """Batch norm `<block>.norm`, after convolution `<block>.conv` or the sum of `.conv3x1` and `.shortcut`.

        It must follow its convolutions at once, because `export.fold` folds it into them.
        """

    def relu(self, x: T) -> T: ...

    def hardswish(self, x: T) -> T:
        """x * clip(x / 6 + 0.5, 0, 1)"""

    def sigmoid(self, x: T) -> T: ...

    def add(self, a: T, b: T) -> T: ...

    def multiply(self, a: T, b: T) -> T:
        """`a` times `b`; `b` may be (C, 1, 1)."""

    def mean(self, x: T) -> T:
        """Of each channel: (C, h, w) -> (C, 1, 1)."""

    def concat(self, a: T, b: T) -> T:
        """The channels of `a`, then those of `b`."""

    def upsample_like(self, x: T, like: T) -> T:
        """Bilinear, half-pixel centres, to the height and width of `like`."""

    def pixel_shuffle(self, x: T) -> T:
        """(4 C, h, w) -> (C, 2 h, 2 w): each four channels are the pixels of a 2x2 cell, row by row."""


def pads(kernel: int | tuple[int, int], stride: int, padding: Padding) -> tuple[int, int, int, int]:
    """Zeros above, below, left and right of the picture.

    "centred": as many on both sides, as is the custom in torch. "same": TensorFlow's, where the picture's sides divide
    by the stride; what is odd goes below and right. They differ with a stride of 2.
    """
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    if padding == "centred":
        return height // 2, height // 2, width // 2, width // 2
    return (height - stride) // 2, (height - stride + 1) // 2, (width - stride) // 2, (width - stride + 1) // 2


@dataclass(frozen=True)
class Architecture:
    """One kind of student. `decode(layers, encode(layers, image))` is the whole network."""

    encode: Callable[[Layers[Any], Any], tuple[Any, ...]]  # image (3, h, w) -> features, the finest first
    decode: Callable[[Layers[Any], tuple[Any, ...]], Any]  # features -> logits (1, h', w'), person > 0
    size: tuple[int, int]  # (h, w) of the input in pixels, if nothing else is asked for
    multiple: int = 1  # pixels; the input's sides divide by it
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # RGB, of pixels in [0, 1]: image = (rgb - mean) / std
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
