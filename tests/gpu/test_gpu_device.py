"""Memory, streams and graphs through cuda-python, against a runtime in this process that behaves like NVIDIA's."""

# ruff: noqa: N802, N815 (names as NVIDIA writes them)

import ctypes
import enum
import gc
import sys
import types

import numpy as np
import pytest

from engine.backends import cuda_device
from engine.backends.cuda_device import CudaPython, open_device
from engine.errors import BackendUnavailable, GpuFault


class Code(enum.IntEnum):
    cudaSuccess, cudaErrorMemoryAllocation, cudaErrorStreamCaptureUnsupported = 0, 2, 900


class Runtime(types.SimpleNamespace):
    """cuda.bindings.runtime: (code, values…) from every call; memory is the process's own."""

    cudaError_t, cudaStreamNonBlocking = Code, 1
    cudaMemcpyKind = types.SimpleNamespace(
        cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2, cudaMemcpyDeviceToDevice=3
    )
    cudaStreamCaptureMode = types.SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self):
        super().__init__(kept={}, freed=[], capturing=None, graphs=[], limit=1 << 20)

    def cudaMalloc(self, nbytes):
        if nbytes > self.limit:
            return Code.cudaErrorMemoryAllocation, None
        memory = ctypes.create_string_buffer(nbytes)
        self.kept[ctypes.addressof(memory)] = memory
        return Code.cudaSuccess, ctypes.addressof(memory)

    def cudaHostAlloc(self, nbytes, flags):
        return self.cudaMalloc(nbytes)

    def cudaFree(self, address):
        self.freed.append(address)
        return (Code.cudaSuccess,)

    cudaFreeHost = cudaStreamDestroy = cudaGraphDestroy = cudaGraphExecDestroy = cudaFree

    def cudaMemcpyAsync(self, target, source, nbytes, kind, stream):
        if self.capturing is None:
            ctypes.memmove(target, source, nbytes)
        else:
            self.capturing.append((target, source, nbytes))
        return (Code.cudaSuccess,)

    def cudaDeviceGetStreamPriorityRange(self):
        return Code.cudaSuccess, 0, -5

    def cudaStreamCreateWithPriority(self, flags, priority):
        return Code.cudaSuccess, 100 - priority

    def cudaStreamSynchronize(self, stream):
        return (Code.cudaSuccess,)

    def cudaStreamBeginCapture(self, stream, mode):
        self.capturing = []
        return (Code.cudaSuccess,)

    def cudaStreamEndCapture(self, stream):
        captured, self.capturing = self.capturing, None
        return Code.cudaSuccess, captured

    def cudaGraphInstantiate(self, graph, flags):
        return Code.cudaSuccess, tuple(graph)

    def cudaGraphLaunch(self, ready, stream):
        for copy in ready:
            ctypes.memmove(*copy)
        return (Code.cudaSuccess,)

    def cudaGetErrorString(self, code):
        return Code.cudaSuccess, b"out of memory"


@pytest.fixture
def runtime(monkeypatch):
    runtime = Runtime()
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", runtime)
    monkeypatch.setitem(sys.modules, "cuda.bindings", types.SimpleNamespace(__version__="13.0", runtime=runtime))
    return runtime


@pytest.fixture
def device(runtime):
    return CudaPython()


def test_what_goes_up_comes_down(device):
    stream, sent = device.stream(device), np.arange(12, dtype=np.float32).reshape(3, 4)
    there, further, back = (
        device.array((3, 4), np.float32),
        device.array((3, 4), np.float32),
        device.pinned((3, 4), "f4"),
    )
    device.upload(there, sent, stream)
    device.copy(further, there, stream)
    device.download(back, further, stream)
    device.synchronize(stream)
    assert np.array_equal(back, sent)
    assert there.__cuda_array_interface__ == {
        "shape": (3, 4), "typestr": "<f4", "data": (there.address, False), "version": 3,
    }  # fmt: skip


def test_a_capture_runs_nothing_until_it_is_launched_and_then_each_time(device):
    stream, host, there = device.stream(device), np.ones(4, np.uint8), device.array((4,), np.uint8)
    back = device.pinned((4,), np.uint8)

    def work(on):
        device.upload(there, host, on)
        device.download(back, there, on)

    launch = device.capture(work, stream)
    assert not back.any()
    for value in (3, 5):
        host[:] = value
        launch(stream)
        assert (back == value).all()


def test_a_capture_that_fails_is_ended_and_tells_why(device, runtime):
    def work(_):
        raise GpuFault("not in a capture")

    with pytest.raises(GpuFault, match="not in a capture"):
        device.capture(work, device.stream(device))
    assert runtime.capturing is None


def test_memory_goes_with_who_holds_it(device, runtime):
    array, pinned = device.array((4,), np.uint8), device.pinned((4,), np.uint8)
    view = pinned[1:]
    address = array.address
    del array, pinned
    gc.collect()
    assert address in runtime.freed
    assert view.ctypes.data - 1 not in runtime.freed  # somebody still looks into it
    del view
    gc.collect()
    assert len(runtime.freed) >= 3


def test_a_call_that_fails_says_what_cuda_says(device):
    with pytest.raises(GpuFault, match="CUDA error 2: out of memory"):
        device.array((1 << 21,), np.uint8)


def test_pycuda_comes_first_and_the_choice_is_said_with_its_reason(runtime, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    open_device.cache_clear()
    with caplog.at_level("INFO"):
        device = open_device()
        assert open_device() is device
    open_device.cache_clear()
    assert [r.message for r in caplog.records if "streams" in r.message] == [caplog.records[0].message]
    assert caplog.records[0].message.startswith("GPU memory and streams through cuda-python 13.0 (PyCUDA: ")


def test_without_a_binding_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    open_device.cache_clear()
    with pytest.raises(BackendUnavailable, match=r'PyCUDA: .*; cuda-python: .*pip install "jit-masker\[gpu\]"'):
        open_device()
    assert cuda_device.open_device.cache_info().currsize == 0  # what is missing may be installed
