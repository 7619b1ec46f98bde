"""The labelled frames that a student learns from: the newest, and some before it."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class LabelledFrame:
    """A frame with its label, as the student sees them."""

    image: Tensor  # float32 (1, 3, h, w), normalised RGB
    label: Tensor  # float32 (1, 1, h', w') in [0, 1], at the resolution of the logits
    features: tuple[Tensor, ...] = ()  # what an encoder says of the image; kept and used by the trainer alone
    encoder: int = -1  # which encoder said so

    @property
    def image_array(self) -> np.ndarray:
        """`image` as float32 (1, 3, h, w) in C order."""
        return self.image.contiguous().cpu().numpy()

    @property
    def label_array(self) -> np.ndarray:
        """`label` as float32 (h', w')."""
        return self.label[0, 0].cpu().numpy()

    @classmethod
    def of(cls, image: np.ndarray, label: np.ndarray, device: str) -> LabelledFrame:
        """From an image float32 (1, 3, h, w), which is borrowed on the CPU, and a label float32 (h', w')."""
        on_device = torch.from_numpy(image).to(device).contiguous(memory_format=torch.channels_last)
        return cls(on_device, torch.from_numpy(label)[None, None].to(device))


class ReplayBuffer:
    """The labelled frames of one scene. The same seed chooses the same ones."""

    def __init__(self, capacity: int, seed: int = 0):
        """`capacity`: how many are remembered besides the newest; then the oldest goes."""
        self.newest: LabelledFrame | None = None
        self.older: deque[LabelledFrame] = deque(maxlen=capacity)
        self._random = random.Random(seed)

    def add(self, labelled: LabelledFrame) -> None:
        """`labelled` is the newest now, and the one that was is remembered."""
        if self.newest is not None:
            self.older.append(self.newest)
        self.newest = labelled

    def clear(self) -> None:
        self.older.clear()
        self.newest = None

    def batch(self, size: int, step: int) -> list[LabelledFrame]:
        """The frames of a step: the newest, and as many older ones as there are, `size` in all. A batch of one is the
        newest and an older one in turn: `step` counts them.
        """
        assert self.newest is not None
        if size == 1 and self.older and step % 2:
            return [self._random.choice(self.older)]
        return [self.newest, *self._random.sample(self.older, min(size - 1, len(self.older)))]
