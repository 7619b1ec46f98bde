"""What all kernels share: how they are compiled, and what arrays they are given. Knows none of them.

Numba's cache knows a function by its own file; what is compiled into it from elsewhere may change unseen, and then the
old machine code runs. So a kernel calls kernels of its own file only (two small loops stand in two files), and what
does come from elsewhere, the constants of reference.py and the options, is part of its name. Tests keep both.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numba import njit

from .. import reference

OPTIONS: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy", "fastmath": True}
CONSTANTS = {name: value for name, value in vars(reference).items() if name.isupper()}
COMPILED_IN = f"{zlib.crc32(repr((OPTIONS, CONSTANTS)).encode()):08x}"  # what no kernel's own file says


def kernel(function: Any) -> Any:
    """Compile `function` at its first call, or load it from Numba's cache, whose files are named by `__qualname__`."""
    function.__qualname__ += f"_{COMPILED_IN}"
    return njit(function, cache=True, **OPTIONS)


def plain(array: np.ndarray) -> bool:
    """Whether Numba sees the one type of array that `warm` compiled for; any other would compile on a live frame."""
    return array.flags.c_contiguous and array.flags.writeable


def as_rows(bgr: np.ndarray, scratch: np.ndarray) -> np.ndarray:
    """`bgr` as rows of bytes (H, 3W); strided or read-only input goes through `scratch`."""
    if not plain(bgr):
        np.copyto(scratch, bgr)
        bgr = scratch
    return bgr.reshape(bgr.shape[0], -1)
