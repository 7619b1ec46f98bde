"""Weights -> Published: the graph is built once, then only the bytes of its initializers are replaced.

Patching takes a few milliseconds where torch.onnx.export takes more than a hundred (docs/decisions.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from .contracts import Probe, Published, StudentWeights
from .errors import ModelError
from .fold import fold
from .store import load_weights, shipped
from .students import architecture, build


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
        self._data, self._places = _patchable(build(weights.student, fold(weights.tensors), self.size))
        self._version = -1

    def publish(self, tensors: dict[str, np.ndarray], probe: Probe | None = None) -> Published:
        """The student with these weights (batch norm not folded), one version later. Versions count from 0."""
        folded = fold(tensors)
        for name, place in self._places.items():
            np.copyto(place, folded[name].reshape(-1).view(np.uint8))
        self._version += 1
        return Published(self._version, bytes(self._data), self.mean, self.std, probe)


def _patchable(model: onnx.ModelProto) -> tuple[bytearray, dict[str, np.ndarray]]:
    """The serialised model, and for each of its weights the bytes (a uint8 view) that hold it.

    Patched as bytes and not as protobuf: a message never gives back the memory of a field that is overwritten, three
    megabytes with each student. The places are found by writing noise into every weight and looking where it comes
    out, which assumes nothing but that raw data is stored as it is.
    """
    data = bytearray(model.SerializeToString())
    noise = np.random.default_rng(0)
    marks = {}
    for initializer in model.graph.initializer:
        if initializer.data_type == initializer.FLOAT and not initializer.name.startswith("scales_"):
            marks[initializer.name] = initializer.raw_data = noise.bytes(len(initializer.raw_data))
    marked, memory = model.SerializeToString(), np.frombuffer(data, np.uint8)
    places = {}
    for name, mark in marks.items():
        at = marked.find(mark)
        places[name] = memory[at : at + len(mark)]
    return data, places


def first(weights: StudentWeights, size: tuple[int, int] | None = None) -> Published:
    """`weights` as they are, version 0."""
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
