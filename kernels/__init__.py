"""Pixels: arrays in, arrays out, written into `out`. Imports none of ours.

A frame goes through them in this order:

    preprocess            the student's input, made of the frame
    find_motion           whether it differs from an earlier one, that was answered: see `engine.painting.still`
    alpha_of_logits       alpha at the student's size: a sigmoid, stretched
    smooth_alpha          temporal smoothing of the student's alpha: a motion-adaptive exponential moving average
    fit_guided_filter     alpha as a linear function of brightness: the coefficients of a guided filter (He, 2010)
    apply_guided_filter   alpha at the frame's size, from those coefficients
    local_colours         the colours of person and room around the edge
    estimate_foreground   the room, taken out of the mixed pixels (Forte, 2021)
    composite             the foreground over a background

The implementations:

    reference.py  the specification: plain NumPy in floating point, slow, the oracle of every test
    fused/        Numba: one pass over the pixels, allocates nothing, releases the GIL
    fallback.py   NumPy and OpenCV, where Numba is missing or broken
    stand_in.py   the fallback while Numba compiles, at the first start after an installation
    device/       Numba on an NVIDIA GPU, for arrays that are there already; see `engine.painting.gpu_painter`

`load()` chooses one for the CPU and says why. Before the first of these and after the last come the pixels of video,
which have specifications and a `load()` of their own: yuv.py and hdr.py.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Protocol

import numpy as np

from . import stand_in
from .reference import colour_grid

__all__ = ["LEVELS_OF_STATUS", "NO_BRIGHTNESS", "STATUS", "Kernels", "colour_grid", "load"]

NO_BRIGHTNESS = -1e6  # a brightness that no picture has: what `smooth_alpha` is to remember before the first frame
STATUS = 2  # int32 in which a device says how a mask went: the sum of alpha, and how many logits are no number
LEVELS_OF_STATUS = 255  # that alpha 1 counts there; the largest mask, 1024x1024, stays within int32


class Preprocess(Protocol):
    """See `kernels.reference.preprocess`."""

    def __call__(
        self, bgr: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], out: np.ndarray
    ) -> np.ndarray: ...


class FindMotion(Protocol):
    """See `kernels.reference.find_motion`."""

    def __call__(self, image: np.ndarray, std: tuple[float, ...], last: np.ndarray, begin: int) -> int: ...


class AlphaOfLogits(Protocol):
    """See `kernels.reference.alpha_of_logits`."""

    def __call__(
        self, logits: np.ndarray, threshold: float, stretch: tuple[float, float], out: np.ndarray
    ) -> tuple[float, float]: ...


class SmoothAlpha(Protocol):
    """See `kernels.reference.smooth_alpha`."""

    def __call__(
        self, image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray,
        last_grey: np.ndarray, smoothed: np.ndarray,
    ) -> np.ndarray: ...  # fmt: skip


class FitGuidedFilter(Protocol):
    """See `kernels.reference.fit_guided_filter`."""

    def __call__(self, grey: np.ndarray, alpha: np.ndarray, coefficients: np.ndarray) -> np.ndarray: ...


class ApplyGuidedFilter(Protocol):
    """See `kernels.reference.apply_guided_filter`."""

    def __call__(self, bgr: np.ndarray, coefficients: np.ndarray, out: np.ndarray) -> np.ndarray: ...


class LocalColours(Protocol):
    """See `kernels.reference.local_colours`."""

    def __call__(
        self, image: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], alpha: np.ndarray, out: np.ndarray
    ) -> np.ndarray: ...


class EstimateForeground(Protocol):
    """See `kernels.reference.estimate_foreground`."""

    def __call__(self, bgr: np.ndarray, alpha: np.ndarray, colours: np.ndarray, out: np.ndarray) -> np.ndarray: ...


class Composite(Protocol):
    """See `kernels.reference.composite`."""

    def __call__(self, bgr: np.ndarray, alpha: np.ndarray, background: np.ndarray, out: np.ndarray) -> np.ndarray: ...


@dataclass
class Kernels:
    """A chosen implementation. `stand_in` alone assigns to it."""

    name: str  # "fused" or "fallback"
    reason: str  # why this one, for the user
    preprocess: Preprocess
    find_motion: FindMotion
    alpha_of_logits: AlphaOfLogits
    smooth_alpha: SmoothAlpha
    fit_guided_filter: FitGuidedFilter
    apply_guided_filter: ApplyGuidedFilter
    local_colours: LocalColours
    estimate_foreground: EstimateForeground
    composite: Composite


def load(wait: bool = True) -> Kernels:
    """The fused kernels, compiled and warm; the fallback where Numba cannot be used, with its reason.

    `wait` False: where they have to be compiled, which takes seconds, the fallback until they are. See stand_in.py.
    """
    try:
        return _load_fused() if wait else stand_in.without_waiting(_load_fused, load_fallback)
    except Exception as error:  # Numba fails in many ways: missing, a NumPy too new, no LLVM for the CPU
        return load_fallback(f"Numba cannot be used ({type(error).__name__}: {error})")


def _load_fused() -> Kernels:
    fused = importlib.import_module(".fused", __name__)
    fused.warm()
    return _kernels("fused", "Numba compiled them", fused)


def load_fallback(reason: str) -> Kernels:
    """The kernels without Numba, and without the time and the memory that it takes to load."""
    return _kernels("fallback", reason, importlib.import_module(".fallback", __name__))


def _kernels(name: str, reason: str, module: ModuleType) -> Kernels:
    return Kernels(name, reason, *(getattr(module, field.name) for field in fields(Kernels)[2:]))
