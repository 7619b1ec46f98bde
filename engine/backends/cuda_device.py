"""Memory, streams and graphs of the GPU: through PyCUDA, or through cuda-python where PyCUDA is absent.

One small interface (`Device`) to both, in the primary context that torch, Numba and TensorRT share. Memory, streams and
graphs are freed with the Python object that stands for them. Knows nothing about students.
"""

from __future__ import annotations

import functools
import importlib
import logging
import math
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..errors import BackendUnavailable, GpuFault

log = logging.getLogger("jit_masker")


class DeviceArray:
    """A C-contiguous array on the device, which Numba and torch read and write by its `__cuda_array_interface__`."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: Any, owner: Any = None):
        self.address, self.shape, self.dtype = address, tuple(shape), np.dtype(dtype)
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize
        self._owner = owner  # frees the memory when it is collected

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.address, False), "version": 3}


class Device(Protocol):
    """The first GPU. Used from several threads; streams are numbers, as the driver hands them out."""

    binding: str  # "PyCUDA 2026.1"
    graphs: bool  # CUDA graphs can be captured through this binding

    def array(self, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        """New memory on the device, not initialised."""
        ...

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """New page-locked memory on the host, zeros: the device copies from and to it asynchronously."""
        ...

    def stream(self, owner: object) -> int:
        """A stream of the highest priority, which lives as long as `owner`."""
        ...

    def upload(self, target: DeviceArray, source: np.ndarray, stream: int) -> None: ...

    def download(self, target: np.ndarray, source: DeviceArray, stream: int) -> None: ...

    def copy(self, target: DeviceArray, source: DeviceArray, stream: int) -> None: ...

    def synchronize(self, stream: int) -> None:
        """Wait until everything on `stream` is done. GpuFault where something on it failed."""
        ...

    def capture(self, work: Callable[[int], None], stream: int) -> Callable[[int], None]:
        """What `work` puts on `stream`, as one CUDA graph: a function that launches it. Nothing runs yet."""
        ...

    def milliseconds(self, work: Callable[[], None], stream: int) -> float:
        """How long the device takes for what `work` puts on `stream`."""
        ...


class GpuEngine(Protocol):
    """A student whose input and output are on the GPU."""

    @property
    def device(self) -> Device: ...

    @property
    def stream(self) -> int:
        """One of its own, for whoever has none."""
        ...

    @property
    def image(self) -> DeviceArray:
        """float32 (1, 3, h, w)."""
        ...

    @property
    def logits(self) -> DeviceArray:
        """float32 (1, 1, h', w')."""
        ...

    def enqueue(self, stream: int) -> None:
        """Put `logits` = student(`image`) on `stream`; does not wait."""
        ...


@runtime_checkable
class GpuBackend(Protocol):
    """A backend whose student can be run without its tensors leaving the GPU: see `engine.painting.gpu_painter`."""

    @property
    def engine(self) -> GpuEngine: ...


class CudaPython:
    """See `Device`. NVIDIA's own binding (cuda.bindings.runtime)."""

    graphs = True

    def __init__(self) -> None:
        self._cuda: Any = importlib.import_module("cuda.bindings.runtime")
        self.binding = f"cuda-python {importlib.import_module('cuda.bindings').__version__}"
        self._call(self._cuda.cudaFree(0))  # makes the primary context

    def _call(self, result: tuple) -> Any:
        code, *values = result
        if code != self._cuda.cudaError_t.cudaSuccess:
            _, text = self._cuda.cudaGetErrorString(code)
            raise GpuFault(f"CUDA error {int(code)}: {text.decode(errors='replace')}")
        return values[0] if len(values) == 1 else values or None

    def array(self, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        array = DeviceArray(0, shape, dtype)
        array.address = int(self._call(self._cuda.cudaMalloc(max(array.nbytes, 1))))
        weakref.finalize(array, self._cuda.cudaFree, array.address)
        return array

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        nbytes = max(math.prod(shape) * np.dtype(dtype).itemsize, 1)
        address = int(self._call(self._cuda.cudaHostAlloc(nbytes, 0)))
        memory = _HostMemory(address, nbytes)
        weakref.finalize(memory, self._cuda.cudaFreeHost, address)
        flat = np.asarray(memory)
        flat.fill(0)
        return flat[: math.prod(shape) * np.dtype(dtype).itemsize].view(dtype).reshape(shape)

    def stream(self, owner: object) -> int:
        _, first = self._call(self._cuda.cudaDeviceGetStreamPriorityRange())
        stream = int(self._call(self._cuda.cudaStreamCreateWithPriority(self._cuda.cudaStreamNonBlocking, first)))
        weakref.finalize(owner, self._cuda.cudaStreamDestroy, stream)
        return stream

    def upload(self, target: DeviceArray, source: np.ndarray, stream: int) -> None:
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call(self._cuda.cudaMemcpyAsync(target.address, source.ctypes.data, target.nbytes, kind, stream))

    def download(self, target: np.ndarray, source: DeviceArray, stream: int) -> None:
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call(self._cuda.cudaMemcpyAsync(target.ctypes.data, source.address, source.nbytes, kind, stream))

    def copy(self, target: DeviceArray, source: DeviceArray, stream: int) -> None:
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self._call(self._cuda.cudaMemcpyAsync(target.address, source.address, target.nbytes, kind, stream))

    def synchronize(self, stream: int) -> None:
        self._call(self._cuda.cudaStreamSynchronize(stream))

    def capture(self, work: Callable[[int], None], stream: int) -> Callable[[int], None]:
        # thread-local: what other threads do with the GPU meanwhile neither enters the graph nor breaks it
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call(self._cuda.cudaStreamBeginCapture(stream, mode))
        try:
            work(stream)
        finally:
            ended = self._cuda.cudaStreamEndCapture(stream)
        graph = self._call(ended)
        ready = self._call(self._cuda.cudaGraphInstantiate(graph, 0))
        self._call(self._cuda.cudaGraphDestroy(graph))

        def launch(on: int) -> None:
            self._call(self._cuda.cudaGraphLaunch(ready, on))

        weakref.finalize(launch, self._cuda.cudaGraphExecDestroy, ready)
        return launch

    def milliseconds(self, work: Callable[[], None], stream: int) -> float:
        began, ended = (self._call(self._cuda.cudaEventCreate()) for _ in range(2))
        self._call(self._cuda.cudaEventRecord(began, stream))
        work()
        self._call(self._cuda.cudaEventRecord(ended, stream))
        self._call(self._cuda.cudaEventSynchronize(ended))
        taken = float(self._call(self._cuda.cudaEventElapsedTime(began, ended)))
        for event in (began, ended):
            self._call(self._cuda.cudaEventDestroy(event))
        return taken


class _HostMemory:
    """Pinned bytes, for NumPy."""

    def __init__(self, address: int, nbytes: int):
        self.__array_interface__ = {"shape": (nbytes,), "typestr": "|u1", "data": (address, False), "version": 3}


class PyCuda:
    """See `Device`. PyCUDA has a stack of contexts for each thread: ours is pushed once on each that calls."""

    def __init__(self) -> None:
        self._cuda: Any = importlib.import_module("pycuda.driver")
        self._cuda.init()
        self._context = self._cuda.Device(0).retain_primary_context()
        self._threads = threading.local()
        self._streams: dict[int, Any] = {}
        self.binding = f"PyCUDA {importlib.import_module('pycuda').VERSION_TEXT}"
        self.graphs = hasattr(self._cuda.Stream, "begin_capture")  # not in every release

    def _enter(self) -> Any:
        if not getattr(self._threads, "entered", False):
            self._context.push()
            self._threads.entered = True
        return self._cuda

    def array(self, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        nbytes = max(math.prod(shape) * np.dtype(dtype).itemsize, 1)
        memory = self._call(lambda cuda: cuda.mem_alloc(nbytes))
        return DeviceArray(int(memory), shape, dtype, memory)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return self._call(lambda cuda: cuda.pagelocked_zeros(shape, dtype))

    def stream(self, owner: object) -> int:
        stream = self._call(lambda cuda: cuda.Stream())  # PyCUDA's streams have no priority
        self._streams[int(stream.handle)] = stream
        weakref.finalize(owner, self._streams.pop, int(stream.handle))
        return int(stream.handle)

    def upload(self, target: DeviceArray, source: np.ndarray, stream: int) -> None:
        self._call(lambda cuda: cuda.memcpy_htod_async(target.address, source, self._streams[stream]))

    def download(self, target: np.ndarray, source: DeviceArray, stream: int) -> None:
        self._call(lambda cuda: cuda.memcpy_dtoh_async(target, source.address, self._streams[stream]))

    def copy(self, target: DeviceArray, source: DeviceArray, stream: int) -> None:
        on = self._streams[stream]
        self._call(lambda cuda: cuda.memcpy_dtod_async(target.address, source.address, target.nbytes, on))

    def synchronize(self, stream: int) -> None:
        self._call(lambda _: self._streams[stream].synchronize())

    def capture(self, work: Callable[[int], None], stream: int) -> Callable[[int], None]:
        on = self._streams[stream]
        self._call(lambda _: on.begin_capture())
        try:
            work(stream)
        finally:
            graph = self._call(lambda _: on.end_capture())
        ready = self._call(lambda _: graph.instantiate())
        return lambda where: self._call(lambda _: ready.launch(self._streams[where]))

    def milliseconds(self, work: Callable[[], None], stream: int) -> float:
        began, ended = (self._call(lambda cuda: cuda.Event()) for _ in range(2))
        self._call(lambda _: began.record(self._streams[stream]))
        work()
        self._call(lambda _: ended.record(self._streams[stream]))
        self._call(lambda _: ended.synchronize())
        return float(began.time_till(ended))

    def _call(self, call: Callable[[Any], Any]) -> Any:
        try:
            return call(self._enter())
        except self._cuda.Error as error:
            raise GpuFault(f"CUDA error: {error}") from error


@functools.cache
def open_device() -> Device:
    """The GPU, through PyCUDA if it is installed and works, else through cuda-python; which one and why is said once.

    Raises
    ------
    BackendUnavailable
        Neither binding can be used.
    """
    reasons = []
    for name, binding in (("PyCUDA", PyCuda), ("cuda-python", CudaPython)):
        try:
            device = binding()
        except Exception as error:  # missing, built for another CUDA, no GPU: each fails in its own way
            reasons.append(f"{name}: {error}")
            continue
        why = f" ({'; '.join(reasons)})" if reasons else ""
        log.info("GPU memory and streams through %s%s", device.binding, why)
        return device
    raise BackendUnavailable(
        f'no binding to CUDA can be used ({"; ".join(reasons)}); pip install "jit-masker[gpu]", or use '
        "--backend ort-cpu"
    )
