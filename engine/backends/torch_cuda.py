"""The reference backend on the GPU: torch_cpu.py's interpreter of the exported graph, replayed as one CUDA graph.

Slower than TensorRT and always right: what `trt` is held against there, and what runs where TensorRT is missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import BackendUnavailable
from .torch_cpu import TorchCpu, torch

WARM_UPS = 3  # runs before the capture, as torch asks: libraries choose their algorithms in them


class TorchCuda(TorchCpu):
    """See `engine.contracts.Backend`."""

    name = "torch-cuda"
    DEVICE = "cuda"

    def __init__(self, model: bytes, threads: int = 1):
        super().__init__(model, threads)
        self.provider = f"torch {torch.__version__}, CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}"
        self._host = torch.zeros(self.image.shape, pin_memory=True)
        self.image = self._host.numpy()
        self._stream: Any = torch.cuda.Stream(priority=-1)  # its work goes before the learner's
        self._input_on_device = torch.zeros(self.image.shape, device=self.DEVICE)
        self._graph: Any = torch.cuda.CUDAGraph()
        self._record()
        self._answer = torch.zeros(self._logits.shape, pin_memory=True)

    @torch.inference_mode()
    def _record(self) -> None:
        # exact: a reference in TF32 would be off by as much as what it judges
        with torch.cuda.stream(self._stream), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for _ in range(WARM_UPS):
                self.logits_of(self._input_on_device)
            self._stream.synchronize()
            with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
                self._logits = self.logits_of(self._input_on_device)

    def run(self) -> np.ndarray:
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._input_on_device.copy_(self._host, non_blocking=True)
            self._graph.replay()
            self._answer.copy_(self._logits, non_blocking=True)
        self._stream.synchronize()
        return self._answer.numpy()

    @staticmethod
    def require() -> None:
        """BackendUnavailable unless torch was built with CUDA and finds a GPU."""
        if torch.version.cuda is None or not torch.cuda.is_available():
            built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
            raise BackendUnavailable(
                f"backend 'torch-cuda' cannot be used: torch {torch.__version__} is built {built}, and finds no GPU; "
                "install torch from PyTorch's own index for CUDA; or use --backend trt, ort-cuda or auto"
            )
