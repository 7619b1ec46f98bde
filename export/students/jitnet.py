"""JITNet, the paper's student (arXiv 2006.06185, Figure 2).

The figure does not say where batch norm stands. Here every block ends in batch norm and ReLU, so that each norm has
one producer and folds exactly into it; the authors' code has them before each block (docs/decisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from .layers import Architecture, Layers, T


@dataclass(frozen=True)
class JITNet:
    """The output channels of each stage, and the network that has them."""

    stem: tuple[int, int]
    encoder: tuple[int, int, int]
    decoder: tuple[int, int, int]
    head: int = 32

    def encode(self, layers: Layers[T], image: T) -> tuple[T, ...]:
        """(3, h, w) normalised RGB -> features at 1/2, 1/8, 1/16 and 1/32 of its sides, rounded up."""
        # the authors' channels at 240x240; in brackets the side at 320
        half = conv_norm(layers, image, "stem1", self.stem[0], stride=2)  # (8, 120, 120)  [160]
        x = conv_norm(layers, half, "stem2", self.stem[1], stride=2)  # (32, 60, 60)  [80]
        eighth = block(layers, x, "enc1", self.encoder[0], stride=2)  # (64, 30, 30)  [40]
        sixteenth = block(layers, eighth, "enc2", self.encoder[1], stride=2)  # (64, 15, 15)  [20]
        x = block(layers, sixteenth, "enc3", self.encoder[2], stride=2)  # (128, 8, 8)  [10]
        return half, eighth, sixteenth, x

    def decode(self, layers: Layers[T], features: tuple[T, ...]) -> T:
        """What `encode` gives -> logits (1, ceil(h/2), ceil(w/2)).

        The figure upsamples by two and then convolves 1x1. Both are linear and the 1x1 sees one pixel at a time, so
        they commute: the 1x1 runs here on a quarter of the pixels, and whoever wants full resolution upsamples its
        one channel.
        """
        half, eighth, sixteenth, x = features
        x = layers.upsample_like(block(layers, x, "dec3", self.decoder[0]), sixteenth)  # (128, 15, 15)  [20]
        x = layers.concat(sixteenth, x)  # (192, 15, 15)  [20]
        x = layers.upsample_like(block(layers, x, "dec2", self.decoder[1]), eighth)  # (64, 30, 30)  [40]
        x = layers.concat(eighth, x)  # (128, 30, 30)  [40]
        # the figure's skips end here: of `half` only the size is used
        x = layers.upsample_like(block(layers, x, "dec1", self.decoder[2]), half)  # (32, 120, 120)  [160]
        x = conv_norm(layers, x, "head1", self.head)  # (32, 120, 120)  [160]
        x = conv_norm(layers, x, "head2", self.head)  # (32, 120, 120)  [160]
        return layers.conv(x, "logits", 1)  # (1, 120, 120)  [160]


def conv_norm(layers: Layers[T], x: T, name: str, channels: int, stride: int = 1) -> T:
    """3x3 convolution, batch norm, ReLU."""
    return layers.relu(layers.norm(layers.conv(x, f"{name}.conv", channels, 3, stride), f"{name}.norm"))


def block(layers: Layers[T], x: T, name: str, channels: int, stride: int = 1) -> T:
    """Figure 2's block: 3x3 (strided), 1x3, 3x1, plus a strided 1x1 shortcut; then batch norm, ReLU."""
    y = layers.conv(x, f"{name}.conv3x3", channels, 3, stride)
    y = layers.conv(y, f"{name}.conv1x3", channels, (1, 3))
    y = layers.conv(y, f"{name}.conv3x1", channels, (3, 1))
    y = layers.add(y, layers.conv(x, f"{name}.shortcut", channels, 1, stride))
    return layers.relu(layers.norm(y, f"{name}.norm"))


def _architecture(channels: JITNet) -> Architecture:
    """With ImageNet's normalisation, as the authors have it."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return Architecture(channels.encode, channels.decode, size=(240, 240), mean=mean, std=std)


# what the authors' code builds (0.77 M parameters), and what Figure 2 draws
JITNET = _architecture(JITNet(stem=(8, 32), encoder=(64, 64, 128), decoder=(128, 64, 32)))
JITNET_FIG2 = _architecture(JITNet(stem=(8, 8), encoder=(64, 64, 128), decoder=(64, 32, 32)))
