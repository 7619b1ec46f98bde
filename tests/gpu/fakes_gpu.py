"""A GPU and a TensorRT that do what they are told, in NumPy and ONNX Runtime: for everything around the real ones."""

import types

import numpy as np

from engine.backends import onnx_graph
from engine.backends.cuda_device import DeviceArray
from engine.backends.ort_cpu import OrtCpu
from engine.errors import GpuFault


class FakeDevice:
    """Memory in NumPy, behind addresses; work is done when it is enqueued. Counts copies; a capture may be refused."""

    binding, graphs = "fake", True

    def __init__(self, refuse_capture=False):
        self.memory, self.copies, self.captures = {}, [], 0
        self.refuse_capture = refuse_capture

    def array(self, shape, dtype):
        address = 1 + len(self.memory)
        self.memory[address] = np.zeros(shape, dtype)
        return DeviceArray(address, shape, dtype)

    def of(self, array):
        return self.memory[array.address]

    def pinned(self, shape, dtype):
        return np.zeros(shape, dtype)

    def stream(self, owner):
        return 7

    def upload(self, target, source, stream):
        self.copies.append(("up", target.nbytes))
        np.copyto(self.of(target), source)

    def download(self, target, source, stream):
        self.copies.append(("down", source.nbytes))
        np.copyto(target, self.of(source))

    def copy(self, target, source, stream):
        np.copyto(self.of(target), self.of(source))

    def synchronize(self, stream):
        pass

    def capture(self, work, stream):
        if self.refuse_capture:
            raise GpuFault("no capture in this test")
        self.captures += 1
        return work


class FakeTensorRT(types.SimpleNamespace):
    """As much of TensorRT's runtime as `TrtEngine` uses; a plan is the ONNX model itself.

    `break_refit`: None, or "refuse", "miss", "fail" (what TensorRT reports), "silent" (it reports success and computes
    with wrong weights), "crash" (the card fails).
    """

    def __init__(self, device):
        super().__init__(
            Runtime=lambda _: self, Weights=lambda array: array, Refitter=lambda engine, _: Refit(self, engine)
        )
        self.device, self.break_refit = device, None
        self.refits = self.loads = 0

    def deserialize_cuda_engine(self, plan):
        if plan == b"of another version":
            return None
        self.loads += 1
        return FakeEngine(self, plan)


class FakeEngine:
    def __init__(self, trt, plan):
        self.trt, self.addresses = trt, {}
        self.graph = onnx_graph.parse(plan)
        self.load()

    def load(self):
        self.session = OrtCpu(self.graph.SerializeToString())
        self.shapes = {"image": self.session.image.shape, "logits": self.session.run().shape}

    def get_tensor_shape(self, name):
        return self.shapes[name]

    def create_execution_context(self):
        return self

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        memory = self.trt.device.memory
        self.session.image[:] = memory[self.addresses["image"]]
        memory[self.addresses["logits"]][:] = self.session.run()
        return True


class Refit:
    def __init__(self, trt, engine):
        self.trt, self.engine, self.given = trt, engine, {}

    def set_named_weights(self, name, array):
        self.given[name] = array
        return self.trt.break_refit != "refuse"

    def get_missing_weights(self):
        missing = set(onnx_graph.conv_weight_names(self.engine.graph.graph)) - self.given.keys()
        return ["stem.bias"] if self.trt.break_refit == "miss" else sorted(missing)

    def refit_cuda_engine_async(self, stream):
        if self.trt.break_refit == "crash":
            raise GpuFault("CUDA error 700: an illegal memory access was encountered")
        self.trt.refits += 1
        for constant in self.engine.graph.graph.initializer:
            if constant.name in self.given:
                value = self.given[constant.name]
                wrong = self.trt.break_refit == "silent" and constant.name == "logits.bias"
                constant.raw_data = (np.zeros_like(value) if wrong else value).tobytes()
        self.engine.load()
        return self.trt.break_refit != "fail"
