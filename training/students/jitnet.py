"""JITNet, the paper's student (arXiv 2006.06185, Figure 2). Knows nothing about training or export.

The figure does not say where batch norm stands. Here every block ends in batch norm and ReLU, so that each norm has
one producer and folds exactly into it; the authors' code has them before each block (docs/decisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.fold import BATCH_NORM_EPS

from . import Student, upsample


@dataclass(frozen=True)
class Channels:
    """Output channels of each stage."""

    stem: tuple[int, int]
    encoder: tuple[int, int, int]
    decoder: tuple[int, int, int]
    head: int = 32


# Name -> channels. "jitnet" is what the authors' code builds (0.77 M parameters), "jitnet-fig2" what Figure 2 draws.
VARIANTS = {
    "jitnet": Channels(stem=(8, 32), encoder=(64, 64, 128), decoder=(128, 64, 32)),
    "jitnet-fig2": Channels(stem=(8, 8), encoder=(64, 64, 128), decoder=(64, 32, 32)),
}


class ConvNorm(nn.Module):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.norm = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Block(nn.Module):
    """Figure 2's block: 3x3 (strided), 1x3, 3x1, plus a strided 1x1 shortcut; then batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv3x3 = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.conv1x3 = nn.Conv2d(outputs, outputs, (1, 3), padding=(0, 1))
        self.conv3x1 = nn.Conv2d(outputs, outputs, (3, 1), padding=(1, 0))
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)
        self.norm = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv3x1(self.conv1x3(self.conv3x3(x))) + self.shortcut(x)))


class JITNet(Student):
    """Figure 2. (N, 3, h, w) normalised RGB -> logits (N, 1, ceil(h/2), ceil(w/2)), person > 0.

    The figure upsamples by two and then convolves 1x1. Both are linear and the 1x1 sees one pixel at a time, so they
    commute: the 1x1 runs here on a quarter of the pixels, and whoever wants full resolution upsamples its one channel.
    """

    def __init__(self, name: str = "jitnet"):
        super().__init__()
        c = VARIANTS[name]
        self.name = name
        self.stem1 = ConvNorm(3, c.stem[0], stride=2)
        self.stem2 = ConvNorm(c.stem[0], c.stem[1], stride=2)
        self.enc1 = Block(c.stem[1], c.encoder[0], stride=2)
        self.enc2 = Block(c.encoder[0], c.encoder[1], stride=2)
        self.enc3 = Block(c.encoder[1], c.encoder[2], stride=2)
        self.dec3 = Block(c.encoder[2], c.decoder[0])
        self.dec2 = Block(c.decoder[0] + c.encoder[1], c.decoder[1])
        self.dec1 = Block(c.decoder[1] + c.encoder[0], c.decoder[2])
        self.head1 = ConvNorm(c.decoder[2], c.head)
        self.head2 = ConvNorm(c.head, c.head)
        self.logits = nn.Conv2d(c.head, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        # "jitnet" at 240x240; in brackets the side at 320
        half = self.stem1(image)  # (N,   8, 120, 120)  [160]
        x = self.stem2(half)  # (N,  32,  60,  60)  [80]
        skip1 = self.enc1(x)  # (N,  64,  30,  30)  [40]
        skip2 = self.enc2(skip1)  # (N,  64,  15,  15)  [20]
        x = self.enc3(skip2)  # (N, 128,   8,   8)  [10]
        x = upsample(self.dec3(x), skip2.shape[-2:])  # (N, 128,  15,  15)  [20]
        x = torch.cat((skip2, x), 1)  # (N, 192,  15,  15)  [20]
        x = upsample(self.dec2(x), skip1.shape[-2:])  # (N,  64,  30,  30)  [40]
        x = torch.cat((skip1, x), 1)  # (N, 128,  30,  30)  [40]
        x = upsample(self.dec1(x), half.shape[-2:])  # (N,  32, 120, 120)  [160]
        x = self.head2(self.head1(x))  # (N,  32, 120, 120)  [160]
        return self.logits(x)  # (N,   1, 120, 120)  [160]
