"""`export.students.layers.Layers` in torch: a definition run on tensors, and the dry run that makes its modules."""

from __future__ import annotations

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.fold import BATCH_NORM_EPS
from export.students.layers import Padding, pads


class TorchLayers:
    """Runs a definition on tensors (N, C, h, w), with the convolutions and norms that `student` has by their names."""

    def __init__(self, student: nn.Module):
        self._student = student

    def conv(
        self, x: Tensor, name: str, channels: int, kernel: int | tuple[int, int] = 1, stride: int = 1, groups: int = 1,
        padding: Padding = "centred",
    ) -> Tensor:  # fmt: skip
        top, bottom, left, right = pads(kernel, stride, padding)
        if (top, left) != (bottom, right):  # else the convolution pads, which is faster
            x = F.pad(x, (left, right, top, bottom))
        return self._apply(name, x)

    def norm(self, x: Tensor, name: str) -> Tensor:
        return self._apply(name, x)

    def _apply(self, name: str, x: Tensor) -> Tensor:
        return reduce(getattr, name.split("."), self._student)(x)  # get_submodule takes twice as long

    def relu(self, x: Tensor) -> Tensor:
        return F.relu(x)

    def hardswish(self, x: Tensor) -> Tensor:
        return F.hardswish(x)

    def sigmoid(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def mean(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)

    def concat(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat((a, b), 1)

    def upsample_like(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)

    def pixel_shuffle(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(x, 2)


class DryRun:
    """Makes the convolutions and norms of a definition, under their names in `student`. A value is its channels."""

    def __init__(self, student: nn.Module):
        self._student = student

    def conv(
        self, x: int, name: str, channels: int, kernel: int | tuple[int, int] = 1, stride: int = 1, groups: int = 1,
        padding: Padding = "centred",
    ) -> int:  # fmt: skip
        top, bottom, left, right = pads(kernel, stride, padding)
        own = (top, left) if (top, left) == (bottom, right) else 0
        self._add(name, nn.Conv2d(x, channels, kernel, stride, own, groups=groups))
        return channels

    def norm(self, x: int, name: str) -> int:
        self._add(name, nn.BatchNorm2d(x, eps=BATCH_NORM_EPS))
        return x

    def relu(self, x: int) -> int:
        return x

    hardswish = sigmoid = mean = relu

    def add(self, a: int, b: int) -> int:
        return a

    multiply = add

    def concat(self, a: int, b: int) -> int:
        return a + b

    def upsample_like(self, x: int, like: int) -> int:
        return x

    def pixel_shuffle(self, x: int) -> int:
        return x // 4

    def _add(self, name: str, layer: nn.Module) -> None:
        """As `student.<name>`, in modules without layers of their own where the name has dots."""
        *path, last = name.split(".")
        parent = self._student
        for part in path:
            if not hasattr(parent, part):
                parent.add_module(part, nn.Module())
            parent = parent.get_submodule(part)
        parent.add_module(last, layer)
