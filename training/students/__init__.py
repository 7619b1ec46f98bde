"""What every student is: a torch module with a name, whose weights travel as plain arrays. Knows no architecture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import ModelError, UsageError


class Student(nn.Module):
    """(N, 3, h, w) normalised RGB -> logits (N, 1, h', w'), person > 0. A subclass sets `name`, a key of STUDENTS."""

    name: str

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


def new_student(name: str) -> Student:
    """The student called `name`, with random weights; UsageError if there is none."""
    from .jitnet import VARIANTS, JITNet
    from .lite import Lite

    if name not in ("lite", *VARIANTS):
        raise UsageError(f"unknown student {name!r}; choose one of lite, {', '.join(VARIANTS)}")
    return Lite(name) if name == "lite" else JITNet(name)


def tensors_of(student: nn.Module) -> dict[str, np.ndarray]:
    """Every weight and statistic as a float32 array, by the names of the state dict. The arrays may be views."""
    return {
        name: value.detach().cpu().numpy()
        for name, value in student.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def upsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, half-pixel centres: (N, C, h, w) -> (N, C, *size)."""
    return nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
