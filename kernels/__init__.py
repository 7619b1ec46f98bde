"""Pixels: arrays in, arrays out, written into `out`. Imports none of ours.

Three implementations of the same two functions, `preprocess` and `composite`:

    reference.py   the specification: plain NumPy in floating point, slow, the oracle of every test
    fused.py       Numba: one pass over the pixels, allocates nothing, releases the GIL
    fallback.py    NumPy and OpenCV, where Numba is missing or broken

`load()` chooses and says why.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["Kernels", "load"]


class Preprocess(Protocol):
    """See `kernels.reference.preprocess`."""

    def __call__(
        self, bgr: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], out: np.ndarray
    ) -> np.ndarray: ...


class Composite(Protocol):
    """See `kernels.reference.composite`."""

    def __call__(self, bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Kernels:
    """A chosen implementation."""

    name: str  # "fused" or "fallback"
    reason: str  # why this one, for the user
    preprocess: Preprocess
    composite: Composite


def load() -> Kernels:
    """The fused kernels, compiled and warm; the fallback where Numba cannot be used, with its reason."""
    try:
        fused = importlib.import_module(".fused", __name__)
        fused.warm()
    except Exception as error:  # Numba fails in many ways: missing, a NumPy too new, no LLVM for the CPU
        fallback = importlib.import_module(".fallback", __name__)
        why = f"Numba cannot be used ({type(error).__name__}: {error})"
        return Kernels("fallback", why, fallback.preprocess, fallback.composite)
    return Kernels("fused", "Numba compiled them", fused.preprocess, fused.composite)
