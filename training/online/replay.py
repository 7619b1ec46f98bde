"""The labelled frames that a student learns from: the newest, and some before it. Knows nothing about students."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Example:
    """A frame with its label, as the student sees them."""

    image: Tensor  # float32 (1, 3, h, w), normalised RGB
    label: Tensor  # float32 (1, 1, h', w') in [0, 1], at the resolution of the logits

    @classmethod
    def of(cls, image: np.ndarray, label: np.ndarray, device: str) -> Example:
        """From an image float32 (1, 3, h, w), which is borrowed on the CPU, and a label float32 (h', w')."""
        on_device = torch.from_numpy(image).to(device).contiguous(memory_format=torch.channels_last)
        return cls(on_device, torch.from_numpy(label)[None, None].to(device))


class ReplayBuffer:
    """Those of one scene. The same seed chooses the same ones."""

    def __init__(self, places: int, seed: int = 0):
        """`places`: how many are remembered besides the newest; then the oldest goes."""
        self.newest: Example | None = None
        self.remembered: deque[Example] = deque(maxlen=places)
        self._random = random.Random(seed)

    def add(self, example: Example) -> None:
        """`example` is the newest now, and the one that was is remembered."""
        if self.newest is not None:
            self.remembered.append(self.newest)
        self.newest = example

    def clear(self) -> None:
        self.remembered.clear()
        self.newest = None

    def choose(self, batch: int, step: int) -> tuple[Tensor, Tensor]:
        """Images (N, 3, h, w) and labels (N, 1, h', w') of a step: the newest, and as many remembered ones as there
        are, `batch` in all. A batch of one is the newest and a remembered one in turn: `step` counts them.
        """
        assert self.newest is not None
        chosen = [self.newest]
        if batch == 1 and self.remembered and step % 2:
            chosen = [self._random.choice(self.remembered)]
        more = min(batch - 1, len(self.remembered))
        chosen += self._random.sample(self.remembered, more)
        if len(chosen) == 1:
            return chosen[0].image, chosen[0].label
        return torch.cat([e.image for e in chosen]), torch.cat([e.label for e in chosen])
