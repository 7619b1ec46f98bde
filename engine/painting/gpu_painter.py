"""The paint path on the GPU: a frame goes up once, its picture comes down once, and all between stays on the device.

What cpu_painter.py does with the CPU's kernels, with `kernels.device`, in two halves: the student's answer, after which
the host knows the area and may decide that nobody is painted; the picture. Each half is replayed as a CUDA graph once
its sizes are known.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from kernels import LEVELS_OF_STATUS, NO_BRIGHTNESS, STATUS, colour_grid

from ..backends.cuda_device import GpuBackend
from ..backgrounds import Background
from ..contracts import Backend, Canvas
from ..errors import GpuFault, StudentFault
from ..timing import Stages
from .contrast import MAX_LOGIT
from .edge_options import EdgeOptions
from .guard import Guard
from .loaded_student import LoadedStudent
from .painter import Painted
from .presence import PresenceGate

log = logging.getLogger("jit_masker")

Shape = tuple[int, ...]


def gpu_painter_for(
    backend: Backend, guard: Guard, edges: EdgeOptions, stages: Stages, transparent: bool = False
) -> GpuPainter | None:
    """The painter for students on `backend`; None where the CPU's kernels paint, which is said where it is a loss.

    `transparent`: the foreground alone is asked for, before it is blended, and the device does not send that down.
    """
    if not isinstance(backend, GpuBackend):
        return None
    if edges.feather or edges.light_wrap:
        log.info("feather and light wrap are the CPU's work: frames are painted there, the student alone is on the GPU")
        return None
    if transparent:
        log.info("a transparent picture is the CPU's work: frames are painted there, the student alone is on the GPU")
        return None
    try:
        return GpuPainter(backend.engine.device, guard, edges, stages)
    except Exception as error:  # Numba fails in many ways: no CUDA part, a toolkit that does not fit the driver
        log.warning("the kernels run on the CPU, the student alone on the GPU: %s: %s", type(error).__name__, error)
        return None


class GpuPainter:
    """Paints on one stream of `device`; used by one thread. Students come and go, their sizes may change.

    No still gate: the student runs on every frame; a look at the picture would have to wait for the device.
    """

    name = "device"
    foreground = None  # it stays on the device

    def __init__(
        self,
        device: Any,
        guard: Guard,
        edges: EdgeOptions,
        stages: Stages,
        kernels: Any = None,
        view: Callable[[Any], Any] | None = None,
    ):
        """`kernels` and `view` (an array of `device`, as the kernels take it): those of `kernels.device` and Numba.

        Raises
        ------
        ImportError
            Numba's part for CUDA is not installed.
        GpuFault
            The card refuses.
        """
        self._device, self._stream = device, device.stream(self)
        self._guard, self._stages, self._threshold = guard, stages, edges.threshold_logit
        if kernels is None or view is None:
            from numba import cuda

            from kernels.device import DeviceKernels

            kernels, view = DeviceKernels(cuda.external_stream(self._stream)), cuda.as_cuda_array
        self._kernels, self._view = kernels, view
        self._prepare: _Replayed
        self._judge: _Replayed
        self._paint: _Replayed
        self._sizes: tuple[object, ...] = ()
        self._b: _Buffers
        self._affine: tuple[tuple[float, float, float], ...] = ()  # mean and std of the student that saw the last frame
        self._lost = (True, True)  # what the next frame must not remember: last_grey, smoothed
        self._uploaded: object = None  # the background that is on the device, if it stays the same

    def paint(
        self,
        bgr: np.ndarray,
        student: LoadedStudent,
        presence: PresenceGate,
        background: Background,
        position: float,
        canvas: Canvas,
    ) -> Painted:
        self._guard.begin(bgr, position)
        try:
            area = self._answer(bgr, student)
        except Exception as error:  # a driver can fail in any way
            self._forget(last_grey=True)
            if isinstance(error, StudentFault):
                raise
            raise StudentFault(f"{type(error).__name__}: {error}") from error
        self._stages.lap("student")  # the device does not tell its stages apart
        b = self._b
        objection = self._guard.objection(bgr, student, b.logits.host, b.alpha.host, area)
        if objection is not None:
            area = float(b.alpha.host.mean())
            self._device.upload(b.alpha.array, b.alpha.host, self._stream)
            self._forget(smoothed=True)  # what was not believed is not blended into the next frame
        person = presence.admits(area)
        if person:
            behind = background.picture(bgr, b.alpha.host, position)
            self._paint_person(behind, background.still, canvas)
        else:
            self._forget(smoothed=True)  # so that a returning person is not blended with the old mask
            b.alpha.host.fill(0)
            canvas.alpha.fill(0)
            np.copyto(canvas.picture, background.picture(bgr, b.alpha.host, position))
        self._stages.lap("composite")
        return Painted(b.logits.host, person, objection)

    def reset(self) -> None:
        self._forget(last_grey=True, smoothed=True)

    # -- the student's answer ------------------------------------------------------------------------------------

    def _answer(self, bgr: np.ndarray, student: LoadedStudent) -> float:
        """The share of the frame that is person, in [0, 1], before alpha was smoothed; logits and smoothed alpha are on
        the host then. StudentFault where a logit is no number.
        """
        engine = cast(GpuBackend, student.backend).engine
        self._fit(bgr.shape, engine.image.shape, student.mask_size)
        k, device, b, affine = self._kernels, self._device, self._b, (student.mean, student.std)
        stretch = self._guard.stretch
        self._forget_now()
        np.copyto(b.frame.host, bgr)

        def prepare(stream: int) -> None:
            device.upload(b.frame.array, b.frame.host, stream)
            k.preprocess(b.frame.view, *affine, b.image.view)

        def judge(stream: int) -> None:
            k.alpha(b.logits.view, self._threshold, stretch, MAX_LOGIT, b.alpha.view, b.status.view)
            k.smooth_alpha(b.image.view, *affine, b.alpha.view, b.last_grey.view, b.smoothed.view)
            device.download(b.status.host, b.status.array, stream)
            device.download(b.alpha.host, b.alpha.array, stream)
            device.download(b.logits.host, b.logits.array, stream)

        self._affine = affine
        self._prepare(affine, prepare)
        # outside the graphs: the engine changes with every swap, and recording anew would stall a frame
        device.copy(engine.image, b.image.array, self._stream)
        engine.enqueue(self._stream)
        device.copy(b.logits.array, engine.logits, self._stream)
        self._judge((affine, stretch), judge)
        device.synchronize(self._stream)
        total, faults = (int(number) for number in b.status.host)
        if faults:
            raise StudentFault("the student answered NaN")
        return total / LEVELS_OF_STATUS / b.alpha.host.size

    def _forget(self, last_grey: bool = False, smoothed: bool = False) -> None:
        """Start anew, with the next frame, what is remembered from frame to frame."""
        # not at once: this may be called because the device failed
        self._lost = (self._lost[0] or last_grey, self._lost[1] or smoothed)

    def _forget_now(self) -> None:
        for lost, buffer, value in zip(
            self._lost, (self._b.last_grey, self._b.smoothed), (NO_BRIGHTNESS, 0.0), strict=True
        ):
            if lost:
                buffer.host.fill(value)
                self._device.upload(buffer.array, buffer.host, self._stream)
        self._lost = (False, False)

    # -- the picture -----------------------------------------------------------------------------------------------

    def _paint_person(self, background: np.ndarray, still: bool, canvas: Canvas) -> None:
        """Blend over `background`, uint8 (H, W, 3); `still`: the same array always holds the same picture."""
        k, device, b = self._kernels, self._device, self._b
        if not still or self._uploaded is not background:
            np.copyto(b.background.host, background)
            device.upload(b.background.array, b.background.host, self._stream)
            self._uploaded = background if still else None

        def paint(stream: int) -> None:
            k.fit_guided_filter(b.last_grey.view, b.alpha.view, b.coefficients.view)
            k.apply_guided_filter(b.frame.view, b.coefficients.view, b.matte.view)
            k.local_colours(b.image.view, *self._affine, b.alpha.view, b.colours.view)
            k.estimate_foreground(b.frame.view, b.matte.view, b.colours.view, b.foreground.view)
            k.composite(b.foreground.view, b.matte.view, b.background.view, b.picture.view)
            device.download(b.picture.host, b.picture.array, stream)
            device.download(b.matte.host, b.matte.array, stream)

        self._paint(self._affine, paint)
        device.synchronize(self._stream)
        np.copyto(canvas.picture, b.picture.host)
        np.copyto(canvas.alpha, b.matte.host)

    def _fit(self, frame: tuple[int, ...], image: tuple[int, ...], mask: tuple[int, ...]) -> None:
        """Buffers for these sizes; what was remembered, and the graphs, go with the old ones."""
        if self._sizes == (frame, image, mask):
            return
        # all three: a graph of a size that comes back would write into memory that is no longer ours
        self._prepare, self._judge, self._paint = (_Replayed(self._device, self._stream) for _ in range(3))
        self._b = _Buffers(self._device, self._view, frame, image, mask)
        self._sizes, self._uploaded = (frame, image, mask), None
        self.reset()


class _Buffer:
    """An array on the device, as the kernels see it, and pinned on the host."""

    def __init__(self, device: Any, view: Callable[[Any], Any], shape: tuple[int, ...], dtype: type):
        self.array = device.array(shape, dtype)
        self.view = view(self.array)
        self.host: np.ndarray = device.pinned(shape, dtype)


class _Buffers:
    """Everything that a frame touches, for one size of frame, of the student's input and of its mask."""

    def __init__(self, device: Any, view: Callable[[Any], Any], frame: Shape, image: Shape, mask: Shape):
        make = functools.partial(_Buffer, device, view)
        self.frame, self.background, self.foreground, self.picture = (make(frame, np.uint8) for _ in range(4))
        self.matte = make(frame[:2], np.uint8)
        self.image = make(image, np.float32)
        self.logits, self.alpha, self.last_grey, self.smoothed = (make(mask, np.float32) for _ in range(4))
        self.coefficients = make((2, *mask), np.float32)
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
