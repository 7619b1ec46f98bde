"""The values that cross between training and painting: weights on their way in, a student on its way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class StudentWeights:
    """The weights of one student, batch norm not folded."""

    student: str  # a name in export.students.STUDENTS
    size: tuple[int, int]  # (h, w) of the input it was trained at
    tensors: Mapping[str, np.ndarray]  # float32, by the names of the state dict
    card: Mapping[str, str] = field(default_factory=dict)  # data, steps, score …

    @property
    def parameters(self) -> int:
        """How many numbers are trained; the statistics of batch norm are not."""
        return sum(v.size for k, v in self.tensors.items() if not k.endswith(("running_mean", "running_var")))


@dataclass(frozen=True, slots=True)
class Probe:
    """An input and the logits that the trained student gives for it: what an exported one is held against."""

    image: np.ndarray  # float32 (1, 3, h, w) RGB, normalised
    logits: np.ndarray  # float32 (1, 1, h', w')


@dataclass(frozen=True, slots=True)
class Published:
    """A student ready to be loaded by a backend."""

    version: int  # counts up from 0; 0 = the weights as loaded
    model: bytes  # ONNX: `image` float32 (1, 3, h, w) -> `logits` float32 (1, 1, h', w')
    mean: tuple[float, float, float]  # RGB, of pixels in [0, 1]: image = (rgb - mean) / std
    std: tuple[float, float, float]
    probe: Probe | None = None  # None: nothing to compare with (the weights as loaded)
    vouched: np.ndarray | None = (
        None  # float32 (h', w') in {0, 1}, where the user wants seen what no other student sees
    )
