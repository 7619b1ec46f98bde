"""Weights -> Published: the graph is built once, then only the bytes of its initializers are replaced.

Patching takes a few milliseconds where torch.onnx.export takes more than a hundred (docs/decisions.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .contracts import Probe, Published, StudentWeights
from .errors import ModelError
from .fold import fold
from .graph import build
from .onnx_bytes import initializer_slices
from .store import load_weights, shipped
from .students import architecture


class Publisher:
    """Turns the weights of one student, as they change, into one Published after another."""

    def __init__(self, weights: StudentWeights, size: tuple[int, int] | None = None):
        """Build the graph for `size` (h, w), or the size that the weights were trained at.

        Raises
        ------
        ModelError
            The weights are not those of the student they name.
        """
        self.student = weights.student
        self.size = size or weights.size
        self.mean, self.std = architecture(weights.student).mean, architecture(weights.student).std
        folded = fold(weights.tensors)
        # Patched as bytes and not as protobuf: a message never gives back the memory of a field that is overwritten,
        # three megabytes with each student.
        self._model = bytearray(build(weights.student, folded, self.size))
        memory = np.frombuffer(self._model, np.uint8)
        slices = initializer_slices(self._model)
        self._raw_data = {name: memory[where] for name, where in slices.items() if name in folded}  # views
        self._version = -1

    def publish(self, tensors: dict[str, np.ndarray], probe: Probe | None = None) -> Published:
        """The student with these weights (batch norm not folded), one version later. Versions count from 0."""
        folded = fold(tensors)
        for name, raw_data in self._raw_data.items():
            np.copyto(raw_data, folded[name].reshape(-1).view(np.uint8))
        self._version += 1
        return Published(self._version, bytes(self._model), self.mean, self.std, probe)


def publish_initial(weights: StudentWeights, size: tuple[int, int] | None = None) -> Published:
    """`weights` as they are, version 0; `size` and errors as for `Publisher`."""
    return Publisher(weights, size).publish(dict(weights.tensors))


def load_student(student: str, size: tuple[int, int], path: str | Path | None = None) -> StudentWeights:
    """The weights in `path`, or those that come with the package, for `student`.

    Raises
    ------
    UsageError
        No student has this name, or it cannot take this size.
    ModelError
        The file is missing, is not a weights file, or is another student's.
    """
    architecture(student, size)
    weights = load_weights(path or shipped(student, size))
    if weights.student != student:
        raise ModelError(f"{path} holds weights of {weights.student!r}, not of {student!r}; choose --student to match")
    return weights
