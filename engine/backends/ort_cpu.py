"""The student on ONNX Runtime's CPU provider. Knows nothing about learning; a new student is a new session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import onnxruntime as ort

from ..errors import ModelError
from .backend_class import LoadsModel
from .student_tensors import Tensor, check_student

PROVIDER = "CPUExecutionProvider"


def session_options(threads: int) -> ort.SessionOptions:
    """One CPU budget: no more threads than given, and none of them spins.

    Spinning workers starve torch and the kernels in the same process.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL  # anything less doubles the time
    options.enable_mem_pattern = False  # a second block for all that a run needs: 5 MB, and no time is gained
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; they come back as exceptions anyway
    return options


class OrtCpu(LoadsModel):
    """See `engine.contracts.Backend`. Input and output are bound to buffers of ours: a run copies nothing."""

    name = "ort-cpu"
    PROVIDERS: ClassVar[list[Any]] = [PROVIDER]

    def __init__(self, model: bytes, threads: int = 1):
        try:
            self._session = ort.InferenceSession(model, session_options(threads), providers=self.PROVIDERS)
        except Exception as error:  # the runtime's own exception classes are private
            raise ModelError(f"ONNX Runtime cannot load this student: {error}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        image_shape, logits_shape = check_student(_tensors(inputs), _tensors(outputs))
        self.provider = self._session.get_providers()[0]
        self.image = np.zeros(image_shape, np.float32)
        self._logits = np.zeros(logits_shape, np.float32)
        # both OrtValues look into the NumPy arrays, which this object keeps alive
        self._binding = self._session.io_binding()
        self._binding.bind_ortvalue_input(inputs[0].name, ort.OrtValue.ortvalue_from_numpy(self.image))
        self._binding.bind_output(
            outputs[0].name, "cpu", 0, np.float32, self._logits.shape, self._logits.ctypes.data
        )  # fmt: skip

    def run(self) -> np.ndarray:
        self._session.run_with_iobinding(self._binding)
        return self._logits


def _tensors(described: Sequence[Any]) -> list[Tensor]:
    """ONNX Runtime's inputs or outputs: it says "tensor(float)", and a name or None for a size that is open."""
    return [
        Tensor(one.name, "float32" if one.type == "tensor(float)" else one.type, tuple(one.shape)) for one in described
    ]
