"""How all kernels are compiled, and for what arrays. Knows none of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .cache import MachineCode

OPTIONS: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy", "fastmath": True}


def kernel(function: Any) -> Any:
    """Compile `function` at its first call, or load what an earlier start has compiled."""
    compiled: Any = njit(function, **OPTIONS)
    compiled._cache = MachineCode(function)  # where cache=True puts Numba's own
    return compiled


def plain(array: np.ndarray) -> bool:
    """Whether Numba sees the one type of array that `warm` compiled for; any other would compile on a live frame."""
    return array.flags.c_contiguous and array.flags.writeable


def as_rows(bgr: np.ndarray, scratch: np.ndarray) -> np.ndarray:
    """`bgr` as rows of bytes (H, 3W); strided or read-only input goes through `scratch`."""
    if not plain(bgr):
        np.copyto(scratch, bgr)
        bgr = scratch
    return bgr.reshape(bgr.shape[0], -1)
