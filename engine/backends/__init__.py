"""BACKENDS: name -> a function that imports its class, one file per runtime. Knows no runtime itself.

A newcomer: write `engine/backends/foo.py` with a class that keeps the `Backend` protocol, add a line here and an extra
in setup.py; the tests run over this table. A class may have, besides:

    require()                       raises BackendUnavailable where its hardware or a library is missing
    place(model, threads, check)    makes a student that `check` accepts, where there is more than one way to make it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..contracts import Backend
from ..errors import BackendUnavailable, UsageError
from . import gpu_detection as gpu


def _ort_cpu() -> type:
    from .ort_cpu import OrtCpu

    return OrtCpu


def _torch_cpu() -> type:
    from .torch_cpu import TorchCpu

    return TorchCpu


def _trt() -> type:
    from .trt import Trt

    return Trt


def _ort_cuda() -> type:
    from .ort_cuda import OrtCuda

    return OrtCuda


def _torch_cuda() -> type:
    from .torch_cuda import TorchCuda

    return TorchCuda


BACKENDS: dict[str, Callable[[], Any]] = {
    "ort-cpu": _ort_cpu,
    "torch-cpu": _torch_cpu,
    "trt": _trt,
    "ort-cuda": _ort_cuda,
    "torch-cuda": _torch_cuda,
}
ON_GPU = ("trt", "ort-cuda", "torch-cuda")  # what "auto" tries where there is a GPU, the fastest first
ON_CPU = ("ort-cpu", "torch-cpu")  # and then, or where there is none


@dataclass(frozen=True)
class Choice:
    """A backend class, loaded, and why it was chosen."""

    name: str
    backend: Any  # a class that keeps the protocol
    reason: str

    def __call__(self, model: bytes, threads: int) -> Backend:
        return self.place(model, threads, lambda _: None)

    def place(self, model: bytes, threads: int, check: Callable[[Backend], None]) -> Backend:
        """A backend with this student that `check` accepts.

        Raises
        ------
        ModelError, CandidateRejected
            The student cannot be loaded, or `check` refuses it, in every way that this backend has.
        """
        if hasattr(self.backend, "place"):
            return self.backend.place(model, threads, check)
        made = self.backend(model, threads)
        check(made)
        return made


def load(name: str, failed: Mapping[str, str] = MappingProxyType({})) -> Choice:
    """The backend called `name`, or for "auto" the first that can be used: ON_GPU if there is a GPU, then ON_CPU.

    `failed`: those that "auto" passes over because they could not run the student, with the reason.

    Raises
    ------
    UsageError
        There is no backend of this name.
    BackendUnavailable
        Its runtime or its hardware is missing; for "auto", that of each.
    """
    if name != "auto":
        return Choice(name, _import(name), "asked for by name")
    missing: list[str] = []
    found = gpu.find()
    for candidate in ON_CPU if isinstance(found, str) else ON_GPU + ON_CPU:
        try:
            if candidate in failed:
                raise BackendUnavailable(f"backend {candidate!r} cannot run the student: {failed[candidate]}")
            backend = _import(candidate)
        except BackendUnavailable as error:
            missing.append(str(error))
            continue
        where = "" if isinstance(found, str) else f", on {found.name}" if candidate in ON_GPU else f", not {found.name}"
        reason = "; ".join(missing) or f"the fastest backend that is installed{where}"
        return Choice(candidate, backend, reason)
    raise BackendUnavailable("no backend can be used: " + "; ".join(missing))


def available() -> dict[str, str]:
    """Every backend by name -> "available", or why not."""
    table = {}
    for name in BACKENDS:
        try:
            _import(name)
            table[name] = "available"
        except BackendUnavailable as error:
            table[name] = str(error)
    return table


def _import(name: str) -> Any:
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}; choose one of auto, {', '.join(BACKENDS)}")
    try:
        if name in ON_GPU:
            gpu.require(name)  # before a runtime of hundreds of megabytes is imported
        backend = BACKENDS[name]()
    except ImportError as error:
        raise BackendUnavailable(f"backend {name!r} cannot be used: {error}") from error
    if hasattr(backend, "require"):
        backend.require()
    return backend
