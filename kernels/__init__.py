"""Pixels: arrays in, arrays out, written into `out`. Imports none of ours.

A frame goes through them in this order: `preprocess` makes the student's input of it, `steady` and `refine` work on
the student's alpha, `matte` brings that to the frame's resolution, `colours` and `foreground` take the room out of the
pixels at the edge, `composite` blends. The implementations:

    reference.py  the specification: plain NumPy in floating point, slow, the oracle of every test
    fused/        Numba: one pass over the pixels, allocates nothing, releases the GIL
    fallback.py   NumPy and OpenCV, where Numba is missing or broken
    device/       Numba on an NVIDIA GPU, for arrays that are there already; see `engine.painting.gpu_painter`

`load()` chooses one for the CPU and says why.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

import numpy as np

from .reference import colour_grid

__all__ = ["LEVELS_OF_STATUS", "STATUS", "UNSEEN", "Kernels", "colour_grid", "load"]

UNSEEN = -1e6  # a brightness that no picture has: what `steady` is to remember before the first frame
STATUS = 2  # int32 in which a device says how a mask went: the sum of alpha, and how many logits are no number
LEVELS_OF_STATUS = 255  # that alpha 1 counts there; the largest mask, 1024x1024, stays within int32


class Preprocess(Protocol):
    """See `kernels.reference.preprocess`."""

    def __call__(
        self, bgr: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], out: np.ndarray
    ) -> np.ndarray: ...


class Steady(Protocol):
    """See `kernels.reference.steady`."""

    def __call__(
        self, image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, seen: np.ndarray,
        shown: np.ndarray,
    ) -> np.ndarray: ...  # fmt: skip


class Refine(Protocol):
    """See `kernels.reference.refine`."""

    def __call__(self, grey: np.ndarray, alpha: np.ndarray, edges: np.ndarray) -> np.ndarray: ...


class Matte(Protocol):
    """See `kernels.reference.matte`."""

    def __call__(self, bgr: np.ndarray, edges: np.ndarray, out: np.ndarray) -> np.ndarray: ...


class Colours(Protocol):
    """See `kernels.reference.colours`."""

    def __call__(
        self, image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, out: np.ndarray
    ) -> np.ndarray: ...


class Foreground(Protocol):
    """See `kernels.reference.foreground`."""

    def __call__(self, bgr: np.ndarray, alpha: np.ndarray, colours: np.ndarray, out: np.ndarray) -> np.ndarray: ...


class Composite(Protocol):
    """See `kernels.reference.composite`."""

    def __call__(self, bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Kernels:
    """A chosen implementation."""

    name: str  # "fused" or "fallback"
    reason: str  # why this one, for the user
    preprocess: Preprocess
    steady: Steady
    refine: Refine
    matte: Matte
    colours: Colours
    foreground: Foreground
    composite: Composite


def load() -> Kernels:
    """The fused kernels, compiled and warm; the fallback where Numba cannot be used, with its reason."""
    try:
        fused = importlib.import_module(".fused", __name__)
        fused.warm()
    except Exception as error:  # Numba fails in many ways: missing, a NumPy too new, no LLVM for the CPU
        why = f"Numba cannot be used ({type(error).__name__}: {error})"
        return _kernels("fallback", why, importlib.import_module(".fallback", __name__))
    return _kernels("fused", "Numba compiled them", fused)


def _kernels(name: str, reason: str, m: ModuleType) -> Kernels:
    return Kernels(name, reason, m.preprocess, m.steady, m.refine, m.matte, m.colours, m.foreground, m.composite)
