"""The kernels on an NVIDIA GPU, in Numba: the meanings of reference.py, on arrays that are on the device already.

One thread computes one pixel; nothing is copied to or from the host and nothing is waited for. `DeviceKernels` launches
on one stream and owns the scratch. The same code runs without a GPU in Numba's simulator (NUMBA_ENABLE_CUDASIM=1),
where the tests hold it against reference.py. Knows no engine and no frame.

    resample.py                preprocess
    logits.py                  alpha
    temporal_smoothing.py      smooth_alpha
    guided_filter.py           fit_guided_filter, apply_guided_filter
    foreground_estimation.py   local_colours, estimate_foreground
    compositing.py             composite
    pixel.py                   what they share
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .. import STATUS
from ..reference import colour_grid
from .compositing import blend
from .foreground_estimation import estimate, mean_colours, sum_cells
from .guided_filter import evaluate, fit_coefficients, mean_coefficients
from .logits import alpha_of_logits, clear
from .pixel import cuda
from .resample import preprocess
from .temporal_smoothing import grey_change, mean_3x3, smooth

BLOCK = (32, 8)  # threads of a block, along x and y: a warp reads neighbouring pixels

DeviceArray = Any  # of Numba, or anything with __cuda_array_interface__ that went through cuda.as_cuda_array


for _place in ("numba.core.config", "numba.cuda.core.config"):  # Numba's own, and that of numba-cuda
    if _place in sys.modules:  # a mask does not fill a card, and need not be told so for each of its sizes
        setattr(sys.modules[_place], "CUDA_LOW_OCCUPANCY_WARNINGS", 0)  # noqa: B010 (mypy knows no such attribute)


class DeviceKernels:
    """Every kernel of `kernels.reference` with its signature, launched on `stream`.

    Arrays are C-contiguous on the device, with the shapes and dtypes of the reference; `bgr` may not be `out` in
    `estimate_foreground`. Everything is asynchronous: whoever reads a result synchronises the stream. Scratch is
    allocated at the first call with a size and then kept, so that a second call can be captured into a CUDA graph.
    """

    def __init__(self, stream: Any = 0):
        self._stream = stream
        self._scratch: dict[tuple, DeviceArray] = {}

    def preprocess(self, bgr: DeviceArray, mean: tuple, std: tuple, out: DeviceArray) -> DeviceArray:
        """See `kernels.reference.preprocess`. ValueError where the arrays are of another kind, here and below."""
        _expect("bgr", bgr, np.uint8, (None, None, 3))
        _expect("out", out, np.float32, (1, 3, None, None))
        scale, shift = [1 / (255 * s) for s in std], [-m / s for m, s in zip(mean, std, strict=True)]
        self._launch(preprocess, out.shape[2:], bgr, *_floats(*scale, *shift), out)
        return out

    def alpha(
        self, logits: DeviceArray, threshold: float, levels: tuple[float, float], limit: float, out: DeviceArray,
        status: DeviceArray,
    ) -> DeviceArray:  # fmt: skip
        """`engine.painting.contrast.stretched_sigmoid` on the device: the stretched sigmoid of `logits` - `threshold`.

        Parameters
        ----------
        logits, out : float32 (h, w).
        threshold : subtracted from the logits.
        levels : of the sigmoid, that become 0 and 1.
        limit : a logit beyond it, or NaN, is a fault.
        status : int32 (STATUS,), overwritten: the sum of alpha in 1/LEVELS_OF_STATUS, and the number of faults.
        """
        _expect("out", out, np.float32, logits.shape)
        _expect("status", status, np.int32, (STATUS,))
        clear[1, STATUS, self._stream](status)
        low, high = levels
        self._launch(alpha_of_logits, out.shape, logits, *_floats(threshold, low, 1 / (high - low), limit), out, status)
        return out

    def smooth_alpha(
        self, image: DeviceArray, mean: tuple, std: tuple, alpha: DeviceArray, last_grey: DeviceArray,
        smoothed: DeviceArray,
    ) -> DeviceArray:  # fmt: skip
        """See `kernels.reference.smooth_alpha`."""
        for name, array in (("last_grey", last_grey), ("smoothed", smoothed)):
            _expect(name, array, np.float32, alpha.shape)
        change, motion = self._buffer("change", alpha.shape), self._buffer("motion", alpha.shape)
        scale = _floats(*(s / 3 for s in std), sum(mean) / 3)
        self._launch(grey_change, alpha.shape, image, *scale, last_grey, change)
        self._launch(mean_3x3, alpha.shape, change, motion)
        self._launch(smooth, alpha.shape, motion, alpha, smoothed)
        return alpha

    def fit_guided_filter(self, grey: DeviceArray, alpha: DeviceArray, coefficients: DeviceArray) -> DeviceArray:
        """See `kernels.reference.fit_guided_filter`."""
        _expect("grey", grey, np.float32, alpha.shape)
        _expect("coefficients", coefficients, np.float32, (2, *alpha.shape))
        fit = self._buffer("fit", coefficients.shape)
        self._launch(fit_coefficients, alpha.shape, grey, alpha, fit)
        self._launch(mean_coefficients, alpha.shape, fit, coefficients)
        return coefficients

    def apply_guided_filter(self, bgr: DeviceArray, coefficients: DeviceArray, out: DeviceArray) -> DeviceArray:
        """See `kernels.reference.apply_guided_filter`."""
        _expect("coefficients", coefficients, np.float32, (2, None, None))
        _expect("out", out, np.uint8, bgr.shape[:2])
        self._launch(evaluate, out.shape, bgr, coefficients, out)
        return out

    def local_colours(
        self, image: DeviceArray, mean: tuple, std: tuple, alpha: DeviceArray, out: DeviceArray
    ) -> DeviceArray:
        """See `kernels.reference.local_colours`."""
        rows, columns = colour_grid(alpha.shape)
        _expect("out", out, np.float32, (2, rows, columns, 3))
        cells = self._buffer("cells", (12, rows, columns))
        self._launch(sum_cells, (rows, columns), image, alpha, cells)
        affine = _floats(*(255 * s for s in reversed(std)), *(255 * m for m in reversed(mean)))
        self._launch(mean_colours, (rows, columns), cells, *affine, out)
        return out

    def estimate_foreground(
        self, bgr: DeviceArray, alpha: DeviceArray, colours: DeviceArray, out: DeviceArray
    ) -> DeviceArray:
        """See `kernels.reference.estimate_foreground`."""
        _expect("alpha", alpha, np.uint8, bgr.shape[:2])
        _expect("colours", colours, np.float32, (2, None, None, 3))
        _expect("out", out, np.uint8, bgr.shape)
        self._launch(estimate, alpha.shape, bgr, alpha, colours, out)
        return out

    def composite(self, bgr: DeviceArray, alpha: DeviceArray, background: DeviceArray, out: DeviceArray) -> DeviceArray:
        """See `kernels.reference.composite`."""
        _expect("alpha", alpha, np.uint8, bgr.shape[:2])
        _expect("background", background, np.uint8, bgr.shape)
        _expect("out", out, np.uint8, bgr.shape)
        self._launch(blend, alpha.shape, bgr, alpha, background, out)
        return out

    def _launch(self, kernel: Any, size: tuple[int, ...], *arguments: Any) -> None:
        """One thread for every pixel of `size` (rows, columns)."""
        grid = (-(-size[1] // BLOCK[0]), -(-size[0] // BLOCK[1]))
        kernel[grid, BLOCK, self._stream](*arguments)

    def _buffer(self, name: str, shape: tuple[int, ...]) -> DeviceArray:
        """Scratch float32 of this shape, one for each name: a changed size replaces it."""
        if (name, shape) not in self._scratch:
            self._scratch = {key: value for key, value in self._scratch.items() if key[0] != name}
            self._scratch[name, shape] = cuda.device_array(shape, np.float32)
        return self._scratch[name, shape]


def _floats(*values: float) -> tuple:
    return tuple(np.float32(value) for value in values)


def _expect(name: str, array: DeviceArray, dtype: type, shape: tuple[int | None, ...]) -> None:
    fits = len(array.shape) == len(shape) and all(map(lambda is_, want: want in (None, is_), array.shape, shape))
    if array.dtype != dtype or not fits or 0 in array.shape:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(f"{name} is {array.dtype} {array.shape}; expected {np.dtype(dtype)} ({wanted})")
