"""The student as machine code of ours: `kernels.fused.network`, compiled by Numba. For students with the right layers.

About twice as fast as ONNX Runtime on one thread, which is all it takes. New weights are packed, nothing is built.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from export.errors import ModelError, UsageError
from export.graph import build
from export.onnx_bytes import initializer_slices, input_shape
from export.onnx_bytes import weights as onnx_weights
from export.students import STUDENTS

from ..errors import BackendUnavailable, UnsupportedStudent
from .backend_class import LoadsModel
from .student_program import Program, Unsupported

LEARNT = (".weight", ".bias")  # how the names of weights end
ALIGNMENT = 64  # bytes, of a line of the cache


class NumbaCpu(LoadsModel):
    """See `engine.contracts.Backend`. One thread, however many are given."""

    name = "numba-cpu"
    provider = "machine code by Numba"

    def __init__(self, model: bytes, threads: int = 1):
        from kernels.fused import network

        program, weights = _read(model)
        self._run = network.run
        self._steps = program.steps
        self._weights = program.pack(weights, _aligned(program.weights_floats))
        self._memory = _aligned(program.memory_floats)
        height, width = program.size
        image = self._memory[program.image_place :][: 3 * height * width]
        self.image = image.reshape(1, 3, height, width)
        height, width = program.logits_size
        self._logits = self._memory[program.logits_place :][: height * width].reshape(1, 1, height, width)

    @staticmethod
    def require() -> None:
        """BackendUnavailable unless the kernel is there, or can be compiled."""
        from kernels.fused import network
        from kernels.fused.compilation import NotCompiledError

        try:
            network.warm()
        except NotCompiledError as error:
            raise BackendUnavailable(
                "backend 'numba-cpu' is compiled in the background, once after an installation: from the next start on"
            ) from error
        except Exception as error:  # Numba fails in many ways
            raise BackendUnavailable(
                f"backend 'numba-cpu' cannot be used: {type(error).__name__}: {error}; use --backend ort-cpu or auto"
            ) from error

    def run(self) -> np.ndarray:
        self._run(self._steps, self._weights, self._memory)
        return self._logits


def _read(model: bytes) -> tuple[Program, Mapping[str, np.ndarray]]:
    """The program for `model`, and its weights. UnsupportedStudent where another backend may run it."""
    blank = bytearray(model)
    try:
        slices = {k: v for k, v in initializer_slices(model).items() if k.endswith(LEARNT)}
        for where in slices.values():
            blank[where] = bytes(where.stop - where.start)
        program, shapes = _known(bytes(blank))
    except (ValueError, IndexError) as error:
        raise ModelError(f"numba-cpu cannot load this student: {error}") from error
    return program, {k: np.frombuffer(model[slices[k]], "<f4").reshape(shape) for k, shape in shapes.items()}


@functools.lru_cache(4)
def _known(blank: bytes) -> tuple[Program, Mapping[str, tuple[int, ...]]]:
    """The program for a student whose weights are all 0, and their shapes: for each that `export.graph` writes."""
    weights, why = onnx_weights(blank), "it is none that jm-train makes"
    h, w = input_shape(blank)[2:] or (0, 0)
    for student in STUDENTS:
        try:
            if build(student, weights, (h, w)) == blank:
                return Program(student, (h, w)), {k: v.shape for k, v in weights.items() if k.endswith(LEARNT)}
        except Unsupported as error:
            why = f"{student} has {error}"
        except (ModelError, UsageError):  # it is another one
            continue
    raise UnsupportedStudent(f"backend 'numba-cpu' cannot run the student: {why}; use --backend ort-cpu or auto")


def _aligned(floats: int) -> np.ndarray:
    """Zeros, float32 (floats,), at the beginning of a line of the cache."""
    memory = np.zeros(4 * floats + ALIGNMENT, np.uint8)
    return memory[-memory.ctypes.data % ALIGNMENT :][: 4 * floats].view(np.float32)
