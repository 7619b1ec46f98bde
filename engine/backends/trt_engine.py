"""One TensorRT engine on the GPU: its buffers, its replay as a CUDA graph, its refit. Knows no other engine."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kernels.ownership import read_private

from ..errors import CandidateRejected, GpuFault, ModelError
from .atomic_file import write_atomically
from .cuda_device import Device
from .trt_plan import TensorRT

log = logging.getLogger("jit_masker")

FORMAT = 1  # of the files that `PlanFile` writes; counted up when older ones must not be read


class TrtEngine:
    """See `cuda_device.GpuEngine`. Runs one plan; used by one thread at a time."""

    def __init__(self, plan: bytes, fp16: bool, tensorrt: TensorRT, device: Device):
        """Load a plan and run it once.

        Raises
        ------
        ModelError
            TensorRT cannot load it on this card.
        GpuFault
            CUDA refuses memory or work.
        """
        self.fp16, self.device, self._tensorrt = fp16, device, tensorrt
        self._runtime = tensorrt.api.Runtime(tensorrt.logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        self._context: Any = self._engine.create_execution_context() if self._engine is not None else None
        if self._context is None:
            raise ModelError(f"{tensorrt.name} {tensorrt.version} cannot load this plan: {tensorrt.take_errors()}")
        self.stream = device.stream(self)
        self.image, self.logits = (
            device.array(tuple(self._engine.get_tensor_shape(name)), np.float32) for name in ("image", "logits")
        )
        for name, array in (("image", self.image), ("logits", self.logits)):
            self._context.set_tensor_address(name, array.address)
        self._replay: Callable[[int], None] = self._execute
        self.uses_cuda_graph = False
        device.upload(self.image, np.zeros(self.image.shape, np.float32), self.stream)
        self._capture()

    def enqueue(self, stream: int) -> None:
        """Put `logits` = student(`image`) on `stream`; does not wait."""
        self._replay(stream)

    def refit(self, weights: Mapping[str, np.ndarray]) -> None:
        """Replace the engine's weights, all of them, by these: name -> array.

        Raises
        ------
        ModelError
            A name, a size or a type is not the engine's, or one is missing: the engine must not be used after that.
        """
        refitter = self._tensorrt.api.Refitter(self._engine, self._tensorrt.logger)
        kept = []  # until the refit is done, TensorRT reads these arrays
        for name, value in weights.items():
            array = np.ascontiguousarray(value, np.float16 if self.fp16 else np.float32)
            kept.append(array)
            if not refitter.set_named_weights(name, self._tensorrt.api.Weights(array)):
                raise ModelError(f"{self._tensorrt.name} refuses the weights {name}: {self._tensorrt.take_errors()}")
        missing = refitter.get_missing_weights()
        if missing:
            raise ModelError(f"{self._tensorrt.name} misses {len(missing)} weights, {missing[0]} among them")
        if not refitter.refit_cuda_engine_async(self.stream):
            raise ModelError(f"{self._tensorrt.name} cannot refit: {self._tensorrt.take_errors()}")
        self.device.synchronize(self.stream)
        self._capture()  # the old graph may hold the old weights

    def _execute(self, stream: int) -> None:
        if not self._context.execute_async_v3(stream):
            raise GpuFault(f"{self._tensorrt.name} cannot run: {self._tensorrt.take_errors()}")

    def _capture(self) -> None:
        """Run once, then capture the same work as a CUDA graph; where that cannot be done, go on without, said once."""
        self._replay = self._execute
        self._execute(self.stream)
        self.device.synchronize(self.stream)
        if not self.device.graphs:
            return
        try:
            self._replay = self.device.capture(self._execute, self.stream)
            self._replay(self.stream)
            self.device.synchronize(self.stream)
            self.uses_cuda_graph = True
        except GpuFault as error:
            self._replay, self.uses_cuda_graph = self._execute, False
            _warn_once(str(error))


@functools.cache
def _warn_once(why: str) -> None:
    log.warning("the student runs without a CUDA graph: %s", why)


def require_finite(weights: Mapping[str, np.ndarray]) -> None:
    """CandidateRejected where a weight is NaN or infinite: asked before an engine is touched."""
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise CandidateRejected(f"the weights {name} hold NaN or infinity")


class PlanFile:
    """A plan on disk: its sha256, then its bytes. One for each structure, card, precision and version of TensorRT."""

    def __init__(self, folder: Path, *key: object):
        """`key`: everything that a plan depends on, besides the weights, which a refit brings."""
        digest = hashlib.sha256("\n".join(map(str, (FORMAT, *key))).encode()).hexdigest()
        self.path = folder / f"{digest[:32]}.plan"

    def read(self) -> bytes | None:
        """The plan; None where there is none, it is damaged, or another user could have written it."""
        try:
            data = read_private(self.path)  # a plan holds machine code
        except OSError:
            return None
        digest, plan = data[:32], data[32:]
        return plan if hashlib.sha256(plan).digest() == digest else None

    def write(self, plan: bytes) -> None:
        """Whole or not at all. A disk that cannot be written costs the next start its time, and nothing else."""
        try:
            write_atomically(self.path, hashlib.sha256(plan).digest() + plan)
        except OSError as error:
            log.warning("the engine is not kept for the next start: %s", error)

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
