"""The student on TensorRT, or TensorRT-RTX: half precision where that agrees, new weights by refitting an idle twin.

What decides is in twins.py, what builds in trt_plan.py, what runs in trt_engine.py; here they are put together.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable

import numpy as np
import onnx

from ..assets import cache_folder
from ..errors import CandidateRejected, ModelError
from ..painting.contrast import PROBE_TOLERANCE, alpha_difference
from . import gpu_detection as gpu
from . import graph_structure as structure
from .cuda_device import open_device
from .engine_pair import EnginePair, TwinPolicy
from .trt_engine import PlanFile, TrtEngine, finite
from .trt_plan import Toolkit, build, toolkit

log = logging.getLogger("jit_masker")

Placed = EnginePair[TrtEngine, onnx.ModelProto, "Trt"]


class Trt:
    """See `engine.contracts.Backend`. `image` is pinned; a run copies it up, replays the engine, copies logits down.

    `engine` is for a paint path that stays on the device: see `engine.painting.gpu_painter`.
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
        toolkit(gpu.require("trt").capability)
        open_device()

    @staticmethod
    def place(model: bytes, threads: int, check: Callable[[Trt], None]) -> Trt:
        """A backend with this student that `check` has passed; its twin, which may paint, is not touched.

        Raises
        ------
        ModelError, CandidateRejected
            Neither a refit nor a new engine, in half or in single precision, agrees.
        """
        graph = structure.read(model)
        finite(structure.weights_of(graph))
        return _twins(structure.structure_key(graph)).place(graph, check)


_all: dict[str, Placed] = {}
_lock = threading.Lock()


def _twins(key: str) -> Placed:
    """The engines of one structure; those of structures that nobody uses any more are freed."""
    with _lock:
        for other in [other for other, twins in _all.items() if other != key and not twins.in_use]:
            del _all[other]
        if key not in _all:
            workshop = EngineBuilder(toolkit(gpu.require("trt").capability), key)
            _all[key] = workshop.twins
        return _all[key]


class EngineBuilder:
    """Makes the engines of one structure, with its plans on disk."""

    def __init__(self, kit: Toolkit, key: str):
        self._kit, self._device, self._card = kit, open_device(), gpu.require("trt")
        self.twins: Placed = EnginePair(TwinPolicy(), self._build, self._refit, self._backend, self._recall)
        facts = (key, self._card.name, self._card.capability, kit.name, kit.version)
        self._file = {
            half: PlanFile(cache_folder() / "trt", *facts, "half" if half else "single") for half in (True, False)
        }

    def _build(self, graph: onnx.ModelProto, half: bool) -> TrtEngine:
        model = (structure.half(graph) if half else graph).SerializeToString()
        plan, refittable = self._plan(model)
        if refittable:
            self._file[half].write(plan)
        engine = TrtEngine(plan, half, self._kit, self._device)
        agree(self._backend(engine), graph)
        return engine

    def _plan(self, model: bytes) -> tuple[bytes, bool]:
        """The plan, and whether its engine can be refitted; where none can, each student is built anew, said once."""
        if self.twins.policy.refits:
            try:
                return build(self._kit, model, refit=True), True
            except ModelError as error:
                plan = build(self._kit, model, refit=False)  # if this fails, too, it is not for the refit
                log.warning("engines cannot be refitted here (%s); each new student is built anew", error)
                self.twins.policy.refits = False
                return plan, False
        return build(self._kit, model, refit=False), False

    def _refit(self, engine: TrtEngine, graph: onnx.ModelProto) -> None:
        engine.refit(structure.weights_of(graph))

    def _recall(self) -> TrtEngine | None:
        """An engine of an earlier run, with whatever weights it had."""
        half = self.twins.policy.half
        file = self._file[half]
        plan = file.read()
        if plan is None:
            return None
        try:
            return TrtEngine(plan, half, self._kit, self._device)
        except ModelError as error:
            log.info("%s is of no use here and is made anew: %s", file.path.name, error)
            file.drop()
            return None

    def _backend(self, engine: TrtEngine) -> Trt:
        precision = "float16" if engine.half else "float32"
        replay = "CUDA graph" if engine.graph else "no CUDA graph"
        return Trt(engine, f"{self._kit.name} {self._kit.version}, {precision}, {replay}, {self._card.name}")


def agree(backend: Trt, graph: onnx.ModelProto) -> None:
    """Hold a new engine against ONNX Runtime on the CPU: the first student comes without a probe of its own.

    Raises
    ------
    CandidateRejected
        They differ by more than PROBE_TOLERANCE of alpha.
    """
    from .ort_cpu import OrtCpu

    oracle = OrtCpu(graph.SerializeToString())
    oracle.image[:] = backend.image[:] = _picture(*oracle.image.shape[2:])
    difference = alpha_difference(backend.run(), oracle.run())
    if not difference <= PROBE_TOLERANCE:
        raise CandidateRejected(
            f"it differs from ONNX Runtime by {difference:.3g} of alpha; at most {PROBE_TOLERANCE} is allowed"
        )


@functools.cache
def _picture(height: int, width: int) -> np.ndarray:
    """A person in a room, float32 (3, h, w) RGB in [0, 1]: within what every student is shown."""
    from ..sources.synthetic import SyntheticPerson

    bgr = SyntheticPerson(width=width, height=height).picture(0)
    return np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1), np.float32) / 255
