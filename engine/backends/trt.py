"""The student on TensorRT, or TensorRT-RTX: in half precision where that is exact enough, refitted with new weights.

engine_pair.py decides, trt_plan.py builds, trt_engine.py runs; here they are put together.
"""

from __future__ import annotations

import functools
import logging
import threading

import numpy as np
import onnx

from ..assets import cache_folder
from ..errors import CandidateRejected, ModelError
from ..painting.contrast import PROBE_TOLERANCE, alpha_difference
from . import gpu_detection as gpu
from . import onnx_graph
from .backend_class import Check
from .cuda_device import open_device
from .engine_pair import EnginePair, RefitPolicy
from .trt_engine import PlanFile, TrtEngine, require_finite
from .trt_plan import TensorRT, build, find_tensorrt

log = logging.getLogger("jit_masker")

TrtPair = EnginePair[TrtEngine, onnx.ModelProto, "Trt"]


class Trt:
    """See `engine.contracts.Backend`. `image` is pinned; a run copies it up, replays the engine, copies logits down.

    Also a `cuda_device.GpuBackend`.
    """

    name = "trt"

    def __init__(self, engine: TrtEngine, provider: str):
        self.engine, self.provider = engine, provider
        self.image = engine.device.pinned(engine.image.shape, np.float32)
        self._logits = engine.device.pinned(engine.logits.shape, np.float32)

    def run(self) -> np.ndarray:
        device, stream = self.engine.device, self.engine.stream
        device.upload(self.engine.image, self.image, stream)
        self.engine.enqueue(stream)
        device.download(self._logits, self.engine.logits, stream)
        device.synchronize(stream)
        return self._logits

    @staticmethod
    def require() -> None:
        """BackendUnavailable unless there is a GPU, a TensorRT that knows it, and a binding to its memory."""
        find_tensorrt(gpu.require("trt").capability)
        open_device()

    @staticmethod
    def create(model: bytes, threads: int, check: Check) -> Trt:
        """See `BackendClass.create`. An engine that paints meanwhile is not touched.

        Raises
        ------
        ModelError, CandidateRejected
            Neither a refit nor a new engine, in half or in single precision, passes.
        """
        graph = onnx_graph.parse(model)
        onnx_graph.student_shapes(graph.graph)
        require_finite(onnx_graph.conv_weights(graph))
        return _pair_for(onnx_graph.structure_hash(graph)).create(graph, check)


_pairs: dict[str, TrtPair] = {}  # by the structure of the graph
_lock = threading.Lock()


def _pair_for(structure: str) -> TrtPair:
    """The engines of one structure; those of structures that nobody uses any more are freed."""
    with _lock:
        for other in [other for other, pair in _pairs.items() if other != structure and not pair.in_use]:
            del _pairs[other]
        if structure not in _pairs:
            tensorrt = find_tensorrt(gpu.require("trt").capability)
            _pairs[structure] = EngineBuilder(tensorrt, structure).pair
        return _pairs[structure]


class EngineBuilder:
    """Builds, refits and loads the engines of one structure, and keeps their plans on disk."""

    def __init__(self, tensorrt: TensorRT, structure: str):
        self._tensorrt, self._device, self._card = tensorrt, open_device(), gpu.require("trt")
        self.pair: TrtPair = EnginePair(RefitPolicy(), self._build, self._refit, self._backend, self._load_cached)
        key = (structure, self._card.name, self._card.capability, tensorrt.name, tensorrt.version)
        self._plan_files = {
            fp16: PlanFile(cache_folder() / "trt", *key, "half" if fp16 else "single") for fp16 in (True, False)
        }

    def _build(self, graph: onnx.ModelProto, fp16: bool) -> TrtEngine:
        model = (onnx_graph.to_half(graph) if fp16 else graph).SerializeToString()
        plan, refittable = self._plan(model)
        if refittable:
            self._plan_files[fp16].write(plan)
        engine = TrtEngine(plan, fp16, self._tensorrt, self._device)
        verify(self._backend(engine), graph)
        return engine

    def _plan(self, model: bytes) -> tuple[bytes, bool]:
        """The plan, and whether its engine can be refitted; where none can, each student is built anew, said once."""
        if self.pair.policy.refits:
            try:
                return build(self._tensorrt, model, refit=True), True
            except ModelError as error:
                plan = build(self._tensorrt, model, refit=False)  # if this fails, too, it is not for the refit
                log.warning("engines cannot be refitted here (%s); each new student is built anew", error)
                self.pair.policy.refits = False
                return plan, False
        return build(self._tensorrt, model, refit=False), False

    def _refit(self, engine: TrtEngine, graph: onnx.ModelProto) -> None:
        engine.refit(onnx_graph.conv_weights(graph))

    def _load_cached(self) -> TrtEngine | None:
        """An engine of an earlier run, with whatever weights it had."""
        fp16 = self.pair.policy.fp16
        file = self._plan_files[fp16]
        plan = file.read()
        if plan is None:
            return None
        try:
            return TrtEngine(plan, fp16, self._tensorrt, self._device)
        except ModelError as error:
            log.info("%s is of no use here and is made anew: %s", file.path.name, error)
            file.delete()
            return None

    def _backend(self, engine: TrtEngine) -> Trt:
        precision = "float16" if engine.fp16 else "float32"
        replay = "CUDA graph" if engine.uses_cuda_graph else "no CUDA graph"
        return Trt(engine, f"{self._tensorrt.name} {self._tensorrt.version}, {precision}, {replay}, {self._card.name}")


def verify(backend: Trt, graph: onnx.ModelProto) -> None:
    """Compare a new engine with ONNX Runtime on the CPU: the first student comes without a probe of its own.

    Raises
    ------
    CandidateRejected
        They differ by more than PROBE_TOLERANCE of alpha.
    """
    from .ort_cpu import OrtCpu

    reference = OrtCpu(graph.SerializeToString())
    reference.image[:] = backend.image[:] = _test_image(*reference.image.shape[2:])
    difference = alpha_difference(backend.run(), reference.run())
    if not difference <= PROBE_TOLERANCE:
        raise CandidateRejected(
            f"it differs from ONNX Runtime by {difference:.3g} of alpha; at most {PROBE_TOLERANCE} is allowed"
        )


@functools.cache
def _test_image(height: int, width: int) -> np.ndarray:
    """A person in a room, float32 (3, h, w) RGB in [0, 1]: within the range that every student was trained on."""
    from ..sources.synthetic import SyntheticPerson

    bgr = SyntheticPerson(width=width, height=height).picture(0)
    return np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1), np.float32) / 255
