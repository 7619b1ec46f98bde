"""`export.students.layers.Layers` in torch: a definition run on tensors, and the dry run that makes its modules."""

from __future__ import annotations

from math import ceil

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
        self,
        x: Tensor,
        name: str,
        channels: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        groups: int = 1,
        padding: Padding = "centred",
    ) -> Tensor:
        top, bottom, left, right = pads(kernel, stride, padding)
        if (top, left) != (bottom, right):  # else the convolution pads, which is faster
            x = F.pad(x, (left, right, top, bottom))
        return self._student.get_submodule(name)(x)

    def norm(self, x: Tensor, name: str) -> Tensor:
        return self._student.get_submodule(name)(x)

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


class DryRun(TorchLayers):
    """Makes each convolution and norm of a definition, under its name in `student`, instead of applying it."""

    def conv(
        self,
        x: Tensor,
        name: str,
        channels: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        groups: int = 1,
        padding: Padding = "centred",
    ) -> Tensor:
        top, bottom, left, right = pads(kernel, stride, padding)
        own = (top, left) if (top, left) == (bottom, right) else 0
        self._add(name, nn.Conv2d(x.shape[1], channels, kernel, stride, own, groups=groups))
        return x.new_zeros(x.shape[0], channels, ceil(x.shape[2] / stride), ceil(x.shape[3] / stride))

    def norm(self, x: Tensor, name: str) -> Tensor:
        self._add(name, nn.BatchNorm2d(x.shape[1], eps=BATCH_NORM_EPS))
        return x

    def _add(self, name: str, layer: nn.Module) -> None:
        *path, last = name.split(".")
        parent = self._student
        for part in path:
            if not hasattr(parent, part):
                parent.add_module(part, nn.Module())
            parent = parent.get_submodule(part)
        parent.add_module(last, layer)
