"""The student on ONNX Runtime's CUDA provider, where onnxruntime-gpu is installed in place of onnxruntime."""

from __future__ import annotations

from typing import Any, ClassVar

import onnxruntime as ort

from ..errors import BackendUnavailable
from .ort_cpu import OrtCpu

PROVIDER = "CUDAExecutionProvider"
REMEDY = "pip uninstall onnxruntime, then pip install onnxruntime-gpu; or use --backend trt, torch-cuda or auto"


class OrtCuda(OrtCpu):
    """See `engine.contracts.Backend`. Input and output stay on the host: ONNX Runtime copies them."""

    name = "ort-cuda"
    # without TF32: its ten bits of mantissa cost more agreement than half precision's do here
    PROVIDERS: ClassVar[list[Any]] = [(PROVIDER, {"use_tf32": "0"})]

    def __init__(self, model: bytes, threads: int = 1):
        super().__init__(model, threads)
        if self.provider != PROVIDER:  # a missing library makes ONNX Runtime go on with the CPU, without a word
            raise BackendUnavailable(
                f"backend {self.name!r} cannot be used: ONNX Runtime chose {self.provider}, a library of CUDA or cuDNN "
                f"is missing or of another version; {REMEDY}"
            )

    @staticmethod
    def require() -> None:
        """BackendUnavailable unless this build of ONNX Runtime has the provider."""
        if PROVIDER not in ort.get_available_providers():
            raise BackendUnavailable(
                f"backend 'ort-cuda' cannot be used: this ONNX Runtime has only "
                f"{', '.join(ort.get_available_providers())}; {REMEDY}"
            )
