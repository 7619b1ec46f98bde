"""Lite, the default student: a MobileNetV3-like encoder and a light decoder, 106 k parameters.

The architecture of MediaPipe's selfie segmentation (Apache-2.0), so that its weights can be the start; see
`training.students.selfie`. It has no batch norm left: what is trained is what is exported.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from . import Student, upsample


class Conv(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding on even sides: what is odd goes right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1):
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        self.same = (before, after, before, after) if kernel > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.same is None else F.pad(x, self.same))


class Gate(nn.Module):
    """Squeeze and excitation: a factor in (0, 1) for each channel, from what the whole picture shows."""

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.squeeze = Conv(channels, squeezed)
        self.excite = Conv(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))).sigmoid()


class Bottleneck(nn.Module):
    """MobileNetV3's inverted residual: widen, depthwise, gate, narrow; plus the input where the shapes agree."""

    def __init__(
        self, inputs: int, wide: int, outputs: int, kernel: int, stride: int = 1, squeezed: int = 0, hard: bool = False
    ):
        super().__init__()
        self.expand = Conv(inputs, wide)
        self.depthwise = Conv(wide, wide, kernel, stride, groups=wide)
        self.gate = Gate(wide, squeezed) if squeezed else None
        self.project = Conv(wide, outputs)
        self.activation = F.hardswish if hard else F.relu
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = self.activation(self.depthwise(self.activation(self.expand(x))))
        if self.gate is not None:
            wide = wide * self.gate(wide)
        narrow = self.project(wide)
        return x + narrow if self.residual else narrow


class Up(nn.Module):
    """Twice the size, joined with what the encoder saw there: the skip passes a gate that both open."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.narrow = Conv(inputs, outputs)
        self.gate = Gate(outputs, outputs)
        self.mix = Conv(outputs, outputs)
        self.depthwise = Conv(outputs, outputs, 3, groups=outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = upsample(self.narrow(x), (skip.shape[2], skip.shape[3]))  # 1x1 first: equal algebra, a quarter of the work
        x = F.relu(self.mix(skip * self.gate(skip + x) + x))
        return x + F.relu(self.depthwise(x))


class Lite(Student):
    """(N, 3, h, w) RGB in [0, 1] -> logits (N, 1, h, w), person > 0; h and w divide by 16."""

    def __init__(self, name: str = "lite"):
        super().__init__()
        self.name = name
        self.stem = Conv(3, 16, 3, stride=2)
        self.enc1 = Bottleneck(16, 16, 16, 3, stride=2, squeezed=8)
        self.enc2 = Bottleneck(16, 72, 24, 3, stride=2)
        self.enc3 = Bottleneck(24, 88, 24, 3)
        self.enc4 = Bottleneck(24, 96, 32, 5, stride=2, squeezed=24, hard=True)
        self.enc5 = Bottleneck(32, 128, 32, 5, squeezed=32, hard=True)
        self.enc6 = Bottleneck(32, 128, 32, 5, squeezed=32, hard=True)
        self.enc7 = Bottleneck(32, 96, 32, 5, squeezed=24, hard=True)
        self.enc8 = Bottleneck(32, 96, 32, 5, squeezed=24, hard=True)
        self.context = Conv(32, 128)
        self.context_gate = Conv(32, 128)
        self.dec3 = Up(128, 24)
        self.dec2 = Up(24, 16)
        self.dec1 = Up(16, 16)
        self.logits = Conv(16, 4)  # the four pixels of each cell: a 2x2 transposed convolution, written as 1x1

    def forward(self, image: Tensor) -> Tensor:
        # at 256x256; other sizes in proportion
        half = F.hardswish(self.stem(image))  # (N,  16, 128, 128)
        quarter = self.enc1(half)  # (N,  16,  64,  64)
        eighth = self.enc3(self.enc2(quarter))  # (N,  24,  32,  32)
        x = self.enc6(self.enc5(self.enc4(eighth)))  # (N,  32,  16,  16)
        x = self.enc8(self.enc7(x))  # (N,  32,  16,  16)
        everywhere = self.context_gate(x.mean((2, 3), keepdim=True)).sigmoid()  # (N, 128, 1, 1)
        x = F.relu(self.context(x)) * everywhere  # (N, 128,  16,  16)
        x = self.dec3(x, eighth)  # (N,  24,  32,  32)
        x = self.dec2(x, quarter)  # (N,  16,  64,  64)
        x = self.dec1(x, half)  # (N,  16, 128, 128)
        return F.pixel_shuffle(self.logits(x), 2)  # (N,   1, 256, 256)
