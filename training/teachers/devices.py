"""A torch module as a function on arrays, on the GPU where torch has one. Knows nothing about any module."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def use_threads(threads: int) -> None:
    """torch's thread count belongs to the calling thread: whoever computes says it first."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Torch:
    """Calls `module` in evaluation mode, without gradients: array in, array out."""

    def __init__(self, module: nn.Module, threads: int):
        self.device = best_device()
        self._module, self._threads = module.eval().to(self.device), threads

    def __call__(self, tensor: np.ndarray) -> np.ndarray:
        use_threads(self._threads)
        with torch.inference_mode():
            return self._module(torch.from_numpy(tensor).to(self.device)).float().cpu().numpy()
