"""Every student as a torch module, from its definition in `export.students`; its weights travel as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import ModelError
from export.students import STUDENTS, architecture

from .torch_layers import DryRun, TorchLayers


class Student(nn.Module):
    """(N, 3, h, w) normalised RGB -> logits (N, 1, h', w'), person > 0; see `export.students`."""

    def __init__(self, name: str):
        """The student called `name` in STUDENTS, with torch's random weights; UsageError if there is none."""
        super().__init__()
        self.name = name
        definition, layers = architecture(name), DryRun(self)
        definition.decode(layers, definition.encode(layers, 3))

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """The features of `image`, (N, C, h, w) each, the finest first."""
        return STUDENTS[self.name].encode(TorchLayers(self), image)

    def decode(self, features: tuple[Tensor, ...]) -> Tensor:
        """The logits for what `encode` gives."""
        return STUDENTS[self.name].decode(TorchLayers(self), features)

    def forward(self, image: Tensor) -> Tensor:
        return self.decode(self.encode(image))

    def load_weights(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take float arrays by the names of the state dict.

        Raises
        ------
        ModelError
            A name is missing or unknown, or a shape differs.
        """
        state = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in tensors.items()}
        own = {k: tuple(v.shape) for k, v in self.state_dict().items() if not k.endswith("num_batches_tracked")}
        given = {k: tuple(v.shape) for k, v in state.items()}
        wrong = sorted(k for k in own.keys() | given.keys() if own.get(k) != given.get(k))
        if wrong:
            name = wrong[0]
            raise ModelError(
                f"weights do not fit {self.name}: {name} is {given.get(name, 'missing')}, "
                f"expected {own.get(name, 'no such tensor')} ({len(wrong)} differ); choose the --student they are for"
            )
        self.load_state_dict(state, strict=False)


def tensors_of(student: nn.Module) -> dict[str, np.ndarray]:
    """Every weight and statistic as a float32 array, by the names of the state dict. The arrays may be views."""
    return {
        name: value.detach().cpu().numpy()
        for name, value in student.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
