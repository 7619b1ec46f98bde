"""Lite, the default student: a MobileNetV3-like encoder and a light decoder, 106 k parameters.

The architecture of MediaPipe's selfie segmentation (Apache-2.0), so that its weights can be the start; see
`training.students.selfie`. It has no batch norm left: what is trained is what is exported.
"""

from __future__ import annotations

from .layers import Architecture, Layers, T


def encode(layers: Layers[T], image: T) -> tuple[T, ...]:
    """(3, h, w) RGB in [0, 1] -> features at 1/2, 1/4, 1/8 and 1/16 of its sides, which divide by 16."""
    # shapes at 256x256; other sizes in proportion
    half = layers.hardswish(layers.conv(image, "stem", 16, 3, stride=2, padding="same"))  # (16, 128, 128)
    quarter = bottleneck(layers, half, "enc1", 16, 16, kernel=3, stride=2, squeezed=8)  # (16, 64, 64)
    x = bottleneck(layers, quarter, "enc2", 72, 24, kernel=3, stride=2)  # (24, 32, 32)
    eighth = bottleneck(layers, x, "enc3", 88, 24, kernel=3)  # (24, 32, 32)
    x = bottleneck(layers, eighth, "enc4", 96, 32, kernel=5, stride=2, squeezed=24, hard=True)  # (32, 16, 16)
    x = bottleneck(layers, x, "enc5", 128, 32, kernel=5, squeezed=32, hard=True)  # (32, 16, 16)
    x = bottleneck(layers, x, "enc6", 128, 32, kernel=5, squeezed=32, hard=True)  # (32, 16, 16)
    x = bottleneck(layers, x, "enc7", 96, 32, kernel=5, squeezed=24, hard=True)  # (32, 16, 16)
    x = bottleneck(layers, x, "enc8", 96, 32, kernel=5, squeezed=24, hard=True)  # (32, 16, 16)
    return half, quarter, eighth, x


def decode(layers: Layers[T], features: tuple[T, ...]) -> T:
    """What `encode` gives -> logits (1, h, w)."""
    half, quarter, eighth, x = features
    everywhere = layers.mean(x)  # (32, 1, 1)
    x = layers.relu(layers.conv(x, "context", 128))  # (128, 16, 16)
    x = layers.multiply(x, layers.sigmoid(layers.conv(everywhere, "context_gate", 128)))  # (128, 16, 16)
    x = up(layers, x, eighth, "dec3", 24)  # (24, 32, 32)
    x = up(layers, x, quarter, "dec2", 16)  # (16, 64, 64)
    x = up(layers, x, half, "dec1", 16)  # (16, 128, 128)
    # the four pixels of each cell: a 2x2 transposed convolution, written as 1x1
    return layers.pixel_shuffle(layers.conv(x, "logits", 4))  # (1, 256, 256)


def bottleneck(
    layers: Layers[T], x: T, name: str, wide: int, channels: int, kernel: int, stride: int = 1, squeezed: int = 0,
    hard: bool = False,
) -> T:  # fmt: skip
    """MobileNetV3's inverted residual: widen, depthwise, gate, narrow; plus the input, where the size stays."""
    activation = layers.hardswish if hard else layers.relu
    y = activation(layers.conv(x, f"{name}.expand", wide))
    y = activation(layers.conv(y, f"{name}.depthwise", wide, kernel, stride, groups=wide, padding="same"))
    if squeezed:
        y = layers.multiply(y, gate(layers, y, f"{name}.gate", squeezed, wide))
    y = layers.conv(y, f"{name}.project", channels)
    return layers.add(x, y) if stride == 1 else y


def gate(layers: Layers[T], x: T, name: str, squeezed: int, channels: int) -> T:
    """Squeeze and excitation: a factor in (0, 1) for each channel, from what the whole picture shows."""
    squeeze = layers.relu(layers.conv(layers.mean(x), f"{name}.squeeze", squeezed))
    return layers.sigmoid(layers.conv(squeeze, f"{name}.excite", channels))


def up(layers: Layers[T], x: T, skip: T, name: str, channels: int) -> T:
    """Twice the size, joined with what the encoder saw there: the skip passes a gate that both open."""
    x = layers.conv(x, f"{name}.narrow", channels)  # before the upsampling: equal algebra, a quarter of the work
    x = layers.upsample_like(x, skip)
    x = layers.add(layers.multiply(skip, gate(layers, layers.add(skip, x), f"{name}.gate", channels, channels)), x)
    x = layers.relu(layers.conv(x, f"{name}.mix", channels))
    return layers.add(x, layers.relu(layers.conv(x, f"{name}.depthwise", channels, 3, groups=channels)))


LITE = Architecture(encode, decode, size=(240, 320), multiple=16)
