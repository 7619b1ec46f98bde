"""One TensorRT engine on the GPU: its buffers, its replay as a CUDA graph, its refit. Knows no twin and no masker."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CandidateRejected, GpuFault, ModelError
from .cuda_device import Device
from .trt_plan import Toolkit

log = logging.getLogger("jit_masker")

FORMAT = 1  # of the files that `PlanFile` writes; counted up when older ones must not be read


class TrtEngine:
    """Runs one plan. `image` and `logits` are its own, on the device; used by one thread at a time."""

    def __init__(self, plan: bytes, half: bool, kit: Toolkit, device: Device):
        """Load a plan and run it once.

        Raises
        ------
        ModelError
            TensorRT cannot load it on this card.
        GpuFault
            The card refuses memory or work.
        """
        self.half, self.device, self._kit = half, device, kit
        self._runtime = kit.trt.Runtime(kit.logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        self._context: Any = self._engine.create_execution_context() if self._engine is not None else None
        if self._context is None:
            raise ModelError(f"{kit.name} {kit.version} cannot load this plan: {kit.complaints()}")
        self.stream = device.stream(self)
        self.image, self.logits = (
            device.array(tuple(self._engine.get_tensor_shape(name)), np.float32) for name in ("image", "logits")
        )
        for name, array in (("image", self.image), ("logits", self.logits)):
            self._context.set_tensor_address(name, array.address)
        self._replay: Callable[[int], None] = self._execute
        self.graph = False  # replayed as a CUDA graph
        device.upload(self.image, np.zeros(self.image.shape, np.float32), self.stream)
        self._record()

    def enqueue(self, stream: int) -> None:
        """Put `logits` = student(`image`) on `stream`; nothing is waited for."""
        self._replay(stream)

    def refit(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take the weights with these names; everything that the engine holds must be among them.

        Raises
        ------
        ModelError
            A name, a size or a type is not the engine's, or one is missing: the engine must not be used any more.
        """
        refitter = self._kit.trt.Refitter(self._engine, self._kit.logger)
        kept = []  # until the refit is done, TensorRT reads these arrays
        for name, value in weights.items():
            array = np.ascontiguousarray(value, np.float16 if self.half else np.float32)
            kept.append(array)
            if not refitter.set_named_weights(name, self._kit.trt.Weights(array)):
                raise ModelError(f"{self._kit.name} refuses the weights {name}: {self._kit.complaints()}")
        missing = refitter.get_missing_weights()
        if missing:
            raise ModelError(f"{self._kit.name} misses {len(missing)} weights, {missing[0]} among them")
        if not refitter.refit_cuda_engine_async(self.stream):
            raise ModelError(f"{self._kit.name} cannot refit: {self._kit.complaints()}")
        self.device.synchronize(self.stream)
        self._record()  # the graph of before may hold what the weights were

    def _execute(self, stream: int) -> None:
        if not self._context.execute_async_v3(stream):
            raise GpuFault(f"{self._kit.name} cannot run: {self._kit.complaints()}")

    def _record(self) -> None:
        """Run once, then capture the same work as a graph; without one where that cannot be done, said once."""
        self._replay = self._execute
        self._execute(self.stream)
        self.device.synchronize(self.stream)
        if not self.device.graphs:
            return
        try:
            self._replay = self.device.capture(self._execute, self.stream)
            self._replay(self.stream)
            self.device.synchronize(self.stream)
            self.graph = True
        except GpuFault as error:
            self._replay, self.graph = self._execute, False
            _tell_once(str(error))


@functools.cache
def _tell_once(why: str) -> None:
    log.warning("the student runs without a CUDA graph: %s", why)


def finite(weights: Mapping[str, np.ndarray]) -> None:
    """CandidateRejected where a weight is NaN or infinite: known before an engine is touched."""
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise CandidateRejected(f"the weights {name} hold NaN or infinity")


class PlanFile:
    """A plan on disk: its sha256, then its bytes. For one structure, card, precision and version of TensorRT."""

    def __init__(self, folder: Path, *facts: object):
        """`facts`: everything that a plan depends on, besides the weights, which a refit brings."""
        key = hashlib.sha256("\n".join(map(str, (FORMAT, *facts))).encode()).hexdigest()
        self.path = folder / f"{key[:32]}.plan"

    def read(self) -> bytes | None:
        """The plan; None where there is none, or it is damaged."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return None
        digest, plan = data[:32], data[32:]
        return plan if hashlib.sha256(plan).digest() == digest else None

    def write(self, plan: bytes) -> None:
        """Whole or not at all. A disk that cannot be written costs the next start its time, and nothing else."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(plan).digest() + plan)
            os.replace(temporary, self.path)
        except OSError as error:
            log.warning("the engine is not kept for the next start: %s", error)

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
