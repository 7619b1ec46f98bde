"""The layers of YOLOv5 and YOLOv7 for instance segmentation, and the network that an architecture's list makes of them.

Modules carry the names that they have in published weights. Batch norms are folded into their convolutions (`fold`), so
a network here has none and can only compute. Knows no file and no picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPS = 1e-3  # of the batch norms of both families
CHANNEL_STEP = 8  # scaled channel counts are multiples of it
STRIDES = (8, 16, 32)  # pixels per cell of the three maps on which boxes are found
BOX = 5  # numbers of a detection before its classes: x, y, w, h, objectness


class Conv(nn.Module):
    """Convolution and SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, padding: int | None = None):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if padding is None else padding)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.conv(x))


class Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool):
        super().__init__()
        self.cv1, self.cv2 = Conv(channels, channels), Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    """Cross-stage partial block: bottlenecks on one half of the channels, nothing on the other."""

    def __init__(self, inputs: int, outputs: int, depth: int = 1, shortcut: bool = True):
        super().__init__()
        half = outputs // 2
        self.cv1, self.cv2, self.cv3 = Conv(inputs, half), Conv(inputs, half), Conv(2 * half, outputs)
        self.m = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


def pool(x: Tensor, kernel: int) -> Tensor:
    return F.max_pool2d(x, kernel, stride=1, padding=kernel // 2)


class SPPF(nn.Module):
    """Spatial pyramid pooling, each level pooled from the one before."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 5):
        super().__init__()
        self.kernel = kernel
        self.cv1, self.cv2 = Conv(inputs, inputs // 2), Conv(inputs // 2 * 4, outputs)

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.cv1(x)]
        for _ in range(3):
            levels.append(pool(levels[-1], self.kernel))
        return self.cv2(torch.cat(levels, 1))


class SPPCSPC(nn.Module):
    """Spatial pyramid pooling inside a cross-stage partial block (YOLOv7)."""

    KERNELS = (5, 9, 13)

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.cv1, self.cv2 = Conv(inputs, outputs), Conv(inputs, outputs)
        self.cv3, self.cv4 = Conv(outputs, outputs, 3), Conv(outputs, outputs)
        self.cv5 = Conv((1 + len(self.KERNELS)) * outputs, outputs)
        self.cv6, self.cv7 = Conv(outputs, outputs, 3), Conv(2 * outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv4(self.cv3(self.cv1(x)))
        pooled = torch.cat([y, *(pool(y, kernel) for kernel in self.KERNELS)], 1)
        return self.cv7(torch.cat((self.cv6(self.cv5(pooled)), self.cv2(x)), 1))


class Concat(nn.Module):
    def forward(self, maps: list[Tensor]) -> Tensor:
        return torch.cat(maps, 1)


class Proto(nn.Module):
    """The masks of which every person's mask is a weighted sum, at twice the input's resolution."""

    def __init__(self, inputs: int, middle: int, outputs: int):
        super().__init__()
        self.cv1, self.cv2, self.cv3 = Conv(inputs, middle, 3), Conv(middle, middle, 3), Conv(middle, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(self.cv2(F.interpolate(self.cv1(x), scale_factor=2, mode="nearest")))


class Segment(nn.Module):
    """The head: boxes, objectness, classes and mask coefficients on each map, and the prototypes.

    Forward answers `(found, protos)`. found: float32 (N, boxes, BOX + classes + masks) with x, y (centre), w, h in
    pixels of the input, objectness and classes in [0, 1], coefficients as they are. protos: float32 (N, masks, h, w).
    """

    anchors: Tensor  # (maps, anchors, 2): width, height in cells of the map

    def __init__(
        self, inputs: Sequence[int], classes: int, anchors: Sequence[Sequence[float]], masks: int, middle: int
    ):
        super().__init__()
        if not len(inputs) == len(anchors) == len(STRIDES):
            raise ValueError(
                f"boxes on {len(inputs)} maps with {len(anchors)} sets of anchors; expected {len(STRIDES)}"
            )
        self.classes, self.outputs = classes, BOX + classes + masks
        sizes = torch.tensor(anchors, dtype=torch.float32).view(len(STRIDES), -1, 2)
        self.register_buffer("anchors", sizes / torch.tensor(STRIDES).view(-1, 1, 1))
        self.m = nn.ModuleList(nn.Conv2d(n, self.outputs * sizes.shape[1], 1) for n in inputs)
        self.proto = Proto(inputs[0], middle, masks)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        found = [self._decode(conv(x), i) for i, (conv, x) in enumerate(zip(self.m, maps, strict=True))]
        return torch.cat(found, 1), self.proto(maps[0])

    def _decode(self, x: Tensor, i: int) -> Tensor:
        batch, _, rows, columns = x.shape
        x = x.view(batch, -1, self.outputs, rows, columns).permute(0, 1, 3, 4, 2)
        y, right = torch.meshgrid(
            torch.arange(rows, device=x.device), torch.arange(columns, device=x.device), indexing="ij"
        )
        corner = torch.stack((right, y), -1)
        centre, size, sure, coefficients = x.split((2, 2, 1 + self.classes, self.outputs - BOX - self.classes), -1)
        centre = (centre.sigmoid() * 2 - 0.5 + corner) * STRIDES[i]
        size = (size.sigmoid() * 2) ** 2 * self.anchors[i][:, None, None] * STRIDES[i]
        return torch.cat((centre, size, sure.sigmoid(), coefficients), -1).reshape(batch, -1, self.outputs)


class Yolo(nn.Module):
    """float32 (N, 3, H, W), RGB in [0, 1], sides multiples of 32 -> what the head answers; see Segment."""

    def __init__(self, architecture: dict[str, Any]):
        """`architecture`: nc, anchors, depth_multiple, width_multiple, and backbone and head as lists of
        [from, number, kind, arguments], as the authors write it.

        Raises
        ------
        ValueError, KeyError, TypeError
            It has a layer that is not known here, or is no architecture.
        """
        super().__init__()
        self.classes: int = architecture["nc"]
        self.model = nn.ModuleList()
        self.sources: list[list[int]] = []  # of each layer: whose outputs it takes; -1: the picture
        channels: list[int] = []
        for row in (*architecture["backbone"], *architecture["head"]):
            came_from, number, kind, arguments = row
            sources = [n if n >= 0 else len(channels) + n for n in _listed(came_from)]
            inputs = [channels[n] if n >= 0 else 3 for n in sources]
            layer, outputs = make_layer(kind, inputs, number, arguments, architecture)
            self.model.append(layer)
            self.sources.append(sources)
            channels.append(outputs)
        self._wanted_later = {n for i, sources in enumerate(self.sources) for n in sources if n != i - 1}

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept: dict[int, Tensor] = {-1: x}
        y: Any = x
        for i, (layer, sources) in enumerate(zip(self.model, self.sources, strict=True)):
            inputs = [y if n == i - 1 else kept[n] for n in sources]
            y = layer(inputs if isinstance(layer, Concat | Segment) else inputs[0])
            if i in self._wanted_later:
                kept[i] = y
        return y


def _listed(value: Any) -> list[int]:
    return list(value) if isinstance(value, list | tuple) else [value]


def make_layer(
    kind: str, inputs: list[int], number: int, arguments: list[Any], architecture: dict[str, Any]
) -> tuple[nn.Module, int]:
    """One line of an architecture: the layer, and how many channels it gives."""

    def scaled(channels: int) -> int:
        return math.ceil(channels * architecture["width_multiple"] / CHANNEL_STEP) * CHANNEL_STEP

    if kind == "Concat":
        return Concat(), sum(inputs)
    if kind == "MP":
        return nn.MaxPool2d(2), inputs[0]
    if kind == "nn.Upsample":
        return nn.Upsample(scale_factor=arguments[1], mode=arguments[2]), inputs[0]
    if kind in ("Segment", "ISegment"):
        masks, middle = arguments[2:]
        return Segment(inputs, architecture["nc"], architecture["anchors"], masks, scaled(middle)), 0
    outputs = scaled(arguments[0])
    if kind == "C3":
        depth = max(round(number * architecture["depth_multiple"]), 1)
        return C3(inputs[0], outputs, depth, *arguments[1:]), outputs
    known: dict[str, type[nn.Module]] = {"Conv": Conv, "SPPF": SPPF, "SPPCSPC": SPPCSPC}
    if kind not in known:
        raise ValueError(
            f"unknown layer {kind!r}; known: Concat, MP, nn.Upsample, Segment, ISegment, C3, {', '.join(known)}"
        )
    return known[kind](inputs[0], outputs, *arguments[1:]), outputs


def fold(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A trained network's tensors as those of a `Yolo`, float32: what is constant is folded into the convolutions.

    That is each batch norm, and YOLOv7's implicit knowledge (YOLOR, arXiv 2105.04206), a vector that it adds before the
    last convolutions. The one that would multiply after them belongs to no computation of the segmentation head.
    """
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    folded = {name: tensor for name, tensor in tensors.items() if name.endswith(".anchors")}
    for name, weight in tensors.items():
        if weight.dim() != 4 or not name.endswith(".weight"):
            continue
        path = name.removesuffix(".weight")
        norm = path.removesuffix(".conv") + ".bn"
        if f"{norm}.weight" in tensors:
            factor = tensors[f"{norm}.weight"] / torch.sqrt(tensors[f"{norm}.running_var"] + NORM_EPS)
            bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * factor
            weight = weight * factor.view(-1, 1, 1, 1)
        else:
            bias = tensors[f"{path}.bias"]
        added = tensors.get(path.replace(".m.", ".ia.") + ".implicit")
        if added is not None:
            bias = bias + weight[:, :, 0, 0] @ added.flatten()
        folded[name], folded[f"{path}.bias"] = weight, bias
    return folded
