"""The paint path on the GPU: a frame goes up once, its picture comes down once, and all between stays on the device.

What host_path.py does with the CPU's kernels, with `kernels.device`, in two halves: `mask`, after which the host knows
the area and may decide that nobody is painted; `picture`. Each half is replayed as a CUDA graph once its sizes are
known. Knows no gate, no background and no learner.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from kernels import LEVELS_OF_STATUS, STATUS, UNSEEN, colour_grid

from ..backends.cuda_device import GpuBackend
from ..contracts import Backend
from ..errors import GpuFault
from .edge_options import EdgeOptions
from .loaded_student import LEVELS, MAX_LOGIT, LoadedStudent

log = logging.getLogger("jit_masker")


def gpu_painter_for(backend: Backend, look: EdgeOptions, transparent: bool = False) -> GpuPainter | None:
    """The path for students on `backend`; None where the CPU's kernels paint, which is said where it is a loss.

    `transparent`: the foreground alone is asked for, before it is blended, and the device does not send that down.
    """
    if not isinstance(backend, GpuBackend):
        return None
    if look.feather or look.light_wrap:
        log.info("feather and light wrap are the CPU's work: frames are painted there, the student alone is on the GPU")
        return None
    if transparent:
        log.info("a transparent picture is the CPU's work: frames are painted there, the student alone is on the GPU")
        return None
    try:
        return GpuPainter(backend.engine.device)
    except Exception as error:  # Numba fails in many ways: no CUDA part, a toolkit that does not fit the driver
        log.warning("the kernels run on the CPU, the student alone on the GPU: %s: %s", type(error).__name__, error)
        return None


class GpuPainter:
    """Paints on one stream of `device`; used by one thread. Students come and go, their sizes may change."""

    name = "device"
    preparing = drawing = 0.0  # s, of the last frame: on the device they are not told apart from the rest

    def __init__(self, device: Any, kernels: Any = None, view: Callable[[Any], Any] | None = None):
        """`kernels` and `view` (an array of `device`, as the kernels take it): those of `kernels.device` and Numba.

        Raises
        ------
        ImportError
            Numba's part for CUDA is not installed.
        GpuFault
            The card refuses.
        """
        self._device, self._stream = device, device.stream(self)
        if kernels is None or view is None:
            from numba import cuda

            from kernels.device import DeviceKernels

            kernels, view = DeviceKernels(cuda.external_stream(self._stream)), cuda.as_cuda_array
        self._kernels, self._view = kernels, view
        self._prepare: _Replayed
        self._judge: _Replayed
        self._paint: _Replayed
        self._sizes: tuple = ()
        self._b: _Buffers
        self._affine: tuple = ()  # mean and std of the student that saw the last frame
        self._lost = (True, True)  # what the next frame must not remember: seen, shown
        self._uploaded: object = None  # the background that is on the device, if it stays the same

    # -- the first half --------------------------------------------------------------------------------------------

    def mask(self, bgr: np.ndarray, student: LoadedStudent, threshold: float) -> float | None:
        """Fill `student.alpha` from a frame, steadied.

        Parameters
        ----------
        bgr : uint8 (H, W, 3).
        student : on a backend that has an `engine`.
        threshold : a logit.

        Returns
        -------
        The share of the frame that is person, in [0, 1], before alpha was steadied; None where a logit is no number.
        """
        engine = cast(GpuBackend, student.backend).engine
        self._fit(bgr.shape, engine.image.shape, student.alpha.shape)
        k, device, b, affine = self._kernels, self._device, self._b, (student.mean, student.std)
        self._forget_now()
        np.copyto(b.frame.host, bgr)

        def prepare(stream: int) -> None:
            device.upload(b.frame.array, b.frame.host, stream)
            k.preprocess(b.frame.view, *affine, b.image.view)

        def judge(stream: int) -> None:
            k.alpha(b.logits.view, threshold, LEVELS, MAX_LOGIT, b.alpha.view, b.status.view)
            k.steady(b.image.view, *affine, b.alpha.view, b.seen.view, b.shown.view)
            device.download(b.status.host, b.status.array, stream)
            device.download(b.alpha.host, b.alpha.array, stream)

        self._affine = affine
        self._prepare(affine, prepare)
        # outside the graphs: the engine changes with every swap, and recording anew would stall a frame
        device.copy(engine.image, b.image.array, self._stream)
        engine.enqueue(self._stream)
        device.copy(b.logits.array, engine.logits, self._stream)
        self._judge((affine, threshold), judge)
        device.synchronize(self._stream)
        np.copyto(student.alpha, b.alpha.host)
        total, faults = (int(number) for number in b.status.host)
        return None if faults else total / LEVELS_OF_STATUS / b.alpha.host.size

    def forget(self, seen: bool = True, shown: bool = True) -> None:
        """Start anew what is remembered from frame to frame: the picture that was seen, the alpha that was shown."""
        # at the next frame: this may be called because the device failed
        self._lost = (self._lost[0] or seen, self._lost[1] or shown)

    def _forget_now(self) -> None:
        for lost, buffer, value in zip(self._lost, (self._b.seen, self._b.shown), (UNSEEN, 0.0), strict=True):
            if lost:
                buffer.host.fill(value)
                self._device.upload(buffer.array, buffer.host, self._stream)
        self._lost = (False, False)

    # -- the second half -------------------------------------------------------------------------------------------

    def matte(self, out: np.ndarray) -> None:
        """The matte of the frame that `mask` was given last, at its size: uint8 (H, W), 255 = person."""
        matte = self._b.matte
        self._draw()
        self._device.download(matte.host, matte.array, self._stream)
        self._device.synchronize(self._stream)
        np.copyto(out, matte.host)

    def picture(self, background: np.ndarray, still: bool, out: np.ndarray, matte: np.ndarray) -> None:
        """Blend the frame that `mask` was given last over `background`, all of one size.

        Parameters
        ----------
        background, out : uint8 (H, W, 3).
        still : the same array always holds the same picture: it goes up once.
        matte : uint8 (H, W), receives the alpha that was blended with.
        """
        k, device, b = self._kernels, self._device, self._b
        if not still or self._uploaded is not background:
            np.copyto(b.background.host, background)
            device.upload(b.background.array, b.background.host, self._stream)
            self._uploaded = background if still else None

        def paint(stream: int) -> None:
            self._draw()
            k.colours(b.image.view, *self._affine, b.alpha.view, b.colours.view)
            k.foreground(b.frame.view, b.matte.view, b.colours.view, b.foreground.view)
            k.composite(b.foreground.view, b.matte.view, b.background.view, b.picture.view)
            device.download(b.picture.host, b.picture.array, stream)
            device.download(b.matte.host, b.matte.array, stream)

        self._paint(self._affine, paint)
        device.synchronize(self._stream)
        np.copyto(out, b.picture.host)
        np.copyto(matte, b.matte.host)

    def _draw(self) -> None:
        self._kernels.refine(self._b.seen.view, self._b.alpha.view, self._b.edges.view)
        self._kernels.matte(self._b.frame.view, self._b.edges.view, self._b.matte.view)

    def _fit(self, frame: tuple[int, ...], image: tuple[int, ...], mask: tuple[int, ...]) -> None:
        """Buffers for these sizes; what was remembered, and the graphs, go with the old ones."""
        if self._sizes == (frame, image, mask):
            return
        # all three: a graph of a size that comes back would write into memory that is no longer ours
        self._prepare, self._judge, self._paint = (_Replayed(self._device, self._stream) for _ in range(3))
        self._b = _Buffers(self._device, self._view, frame, image, mask)
        self._sizes, self._uploaded = (frame, image, mask), None
        self.forget()


class _Buffer:
    """An array on the device, as the kernels see it, and pinned on the host."""

    def __init__(self, device: Any, view: Callable[[Any], Any], shape: tuple[int, ...], dtype: type):
        self.array = device.array(shape, dtype)
        self.view = view(self.array)
        self.host: np.ndarray = device.pinned(shape, dtype)


class _Buffers:
    """Everything that a frame touches, for one size of frame, of the student's input and of its mask."""

    def __init__(self, device: Any, view: Callable[[Any], Any], frame: tuple, image: tuple, mask: tuple):
        make = functools.partial(_Buffer, device, view)
        self.frame, self.background, self.foreground, self.picture = (make(frame, np.uint8) for _ in range(4))
        self.matte = make(frame[:2], np.uint8)
        self.image = make(image, np.float32)
        self.logits, self.alpha, self.seen, self.shown = (make(mask, np.float32) for _ in range(4))
        self.edges = make((2, *mask), np.float32)
        self.colours = make((2, *colour_grid(mask), 3), np.float32)
        self.status = make((STATUS,), np.int32)


class _Replayed:
    """Work of one kind: run as it is when its key is new, and from then on as the graph that was captured of it."""

    def __init__(self, device: Any, stream: int):
        self._device, self._stream = device, stream
        self._key: object = None
        self._graph: Callable[[int], None] | None = None

    def __call__(self, key: object, work: Callable[[int], None]) -> None:
        if key == self._key and self._graph is not None:
            self._graph(self._stream)
            return
        work(self._stream)
        if key == self._key or not self._device.graphs:
            return
        self._key, self._graph = key, None
        self._device.synchronize(self._stream)
        try:
            self._graph = self._device.capture(work, self._stream)
        except GpuFault as error:
            log.warning("the kernels run without a CUDA graph: %s", error)
