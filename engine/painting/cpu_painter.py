"""The paint path on the CPU, in buffers that are reused: what gpu_painter.py does on a GPU, in the same two halves.

`mask`, after which it may be decided that nobody is painted; `picture`. Knows no gate, no background and no learner.
"""

from __future__ import annotations

import time

import numpy as np

from kernels import NO_BRIGHTNESS, Kernels, colour_grid

from .edge_options import EdgeOptions, Feather, LightWrap
from .loaded_student import LoadedStudent, to_alpha


class CpuPainter:
    """Paints with `kernels`; used by one thread. Students come and go, their sizes and the frames' may change."""

    def __init__(self, kernels: Kernels, look: EdgeOptions):
        self.name = kernels.name
        self.preparing = self.drawing = 0.0  # s, of the last frame: for the student's input; for the edges
        self.foreground = np.empty((0, 0, 3), np.uint8)  # the last picture's, without the room's colour at the edge
        self._kernels = kernels
        self._feather = Feather(look.feather) if look.feather else None
        self._light_wrap = LightWrap(look.light_wrap) if look.light_wrap else None
        self._last_grey = self._smoothed = np.empty((0, 0), np.float32)
        self._coefficients: np.ndarray
        self._colours: np.ndarray
        self._bgr: np.ndarray  # the frame that `mask` was given last, and who saw it
        self._student: LoadedStudent

    def mask(self, bgr: np.ndarray, student: LoadedStudent, threshold: float) -> float | None:
        """Fill `student.alpha` from a frame, steadied.

        Parameters
        ----------
        bgr : uint8 (H, W, 3); borrowed until the next one.
        threshold : a logit.

        Returns
        -------
        The share of the frame that is person, in [0, 1], before alpha was steadied; None where a logit is no number.
        """
        began = time.perf_counter()
        self._fit(bgr.shape, student.alpha.shape)
        self._bgr, self._student = bgr, student
        k, image, affine = self._kernels, student.backend.image, (student.mean, student.std)
        k.preprocess(bgr, *affine, image)
        self.preparing = time.perf_counter() - began
        area = to_alpha(student.backend.run()[0, 0], student.alpha, threshold)
        if area is not None:
            k.smooth_alpha(image, *affine, student.alpha, self._last_grey, self._smoothed)
        return area

    def forget(self, seen: bool = True, shown: bool = True) -> None:
        """Start anew what is remembered from frame to frame: the picture that was seen, the alpha that was shown."""
        if seen:
            self._last_grey.fill(NO_BRIGHTNESS)
        if shown:
            self._smoothed.fill(0)

    def matte(self, out: np.ndarray) -> None:
        """The matte of the frame that `mask` was given last, its edges where the picture has them: uint8 (H, W)."""
        self._kernels.fit_guided_filter(self._last_grey, self._student.alpha, self._coefficients)
        self._kernels.apply_guided_filter(self._bgr, self._coefficients, out)
        if self._feather is not None:
            self._feather(out)

    def picture(self, background: np.ndarray, still: bool, out: np.ndarray, matte: np.ndarray) -> None:
        """Blend the frame that `mask` was given last over `background`, all of one size.

        Parameters
        ----------
        background, out : uint8 (H, W, 3); `out` may be the frame.
        still : nothing here hangs on it.
        matte : uint8 (H, W), receives the alpha that was blended with.
        """
        began = time.perf_counter()
        k, student = self._kernels, self._student
        self.matte(matte)
        k.local_colours(student.backend.image, student.mean, student.std, student.alpha, self._colours)
        k.estimate_foreground(self._bgr, matte, self._colours, self.foreground)
        self.drawing = time.perf_counter() - began
        if self._light_wrap is not None:
            self._light_wrap(self.foreground, matte, background)
        k.composite(self.foreground, matte, background, out)

    def _fit(self, frame: tuple[int, ...], mask: tuple[int, ...]) -> None:
        """Buffers for these sizes; what was remembered goes with those of another mask."""
        if self.foreground.shape != frame:
            self.foreground = np.empty(frame, np.uint8)
        if self._last_grey.shape != mask:
            self._last_grey, self._smoothed = np.full(mask, NO_BRIGHTNESS, np.float32), np.zeros(mask, np.float32)
            self._coefficients = np.zeros((2, *mask), np.float32)
            self._colours = np.zeros((2, *colour_grid(mask), 3), np.float32)
