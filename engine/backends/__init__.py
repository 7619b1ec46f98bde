"""BACKENDS: name -> a function that imports its class, one file per runtime. Knows no runtime itself.

A newcomer: write `engine/backends/foo.py` with a class that keeps the `Backend` protocol and derives from `LoadsModel`
(or has its own `require` and `create`, see `BackendClass`), add a line here and an extra in setup.py; the tests run
over this table.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kernels import stand_in

from ..contracts import Backend
from ..errors import BackendUnavailable, UsageError
from . import gpu_check_record
from . import gpu_detection as gpu
from .backend_class import BackendClass, Check

log = logging.getLogger("jit_masker")


def _ort_cpu() -> BackendClass:
    from .ort_cpu import OrtCpu

    return OrtCpu


def _numba_cpu() -> BackendClass:
    from .numba_cpu import NumbaCpu

    return NumbaCpu


def _torch_cpu() -> BackendClass:
    from .torch_cpu import TorchCpu

    return TorchCpu


def _trt() -> BackendClass:
    from .trt import Trt

    return Trt


def _ort_cuda() -> BackendClass:
    from .ort_cuda import OrtCuda

    return OrtCuda


def _torch_cuda() -> BackendClass:
    from .torch_cuda import TorchCuda

    return TorchCuda


BACKENDS: dict[str, Callable[[], BackendClass]] = {
    "numba-cpu": _numba_cpu,
    "ort-cpu": _ort_cpu,
    "torch-cpu": _torch_cpu,
    "trt": _trt,
    "ort-cuda": _ort_cuda,
    "torch-cuda": _torch_cuda,
}
ON_GPU = ("trt", "ort-cuda", "torch-cuda")  # what "auto" tries on a GPU that gpu-check passed on, the fastest first
ON_CPU = ("numba-cpu", "ort-cpu", "torch-cpu")  # and then, or where there is none


@dataclass(frozen=True)
class BackendChoice:
    """A backend's class, imported, and why it was chosen."""

    name: str
    backend: BackendClass
    reason: str

    def __call__(self, model: bytes, threads: int) -> Backend:
        """`create` without a check."""
        return self.create(model, threads, lambda _: None)

    def create(self, model: bytes, threads: int, check: Check) -> Backend:
        """A backend with this student that `check` has passed: see `BackendClass.create`."""
        return self.backend.create(model, threads, check)


def load(name: str, failed: Mapping[str, str] = MappingProxyType({}), wait: bool = True) -> BackendChoice:
    """The backend called `name`, or for "auto" the first that can be used.

    "auto" tries ON_GPU where there is a GPU, each only if gpu-check has passed on it here, then ON_CPU. By name a GPU
    backend runs without that, which is said once.

    Parameters
    ----------
    failed : those that "auto" passes over, with the reason: they could not run the student.
    wait : for a backend that has to be compiled, which takes seconds; False: it is not there until another process has.

    Raises
    ------
    UsageError
        There is no backend of this name.
    BackendUnavailable
        Its runtime or its hardware is missing; for "auto", that of each.
    """
    if not wait:
        with stand_in.not_waiting():
            return load(name, failed)
    if name == "auto":
        return _first_usable(failed)
    backend = import_backend(name)
    if name in ON_GPU:
        for why in gpu_check_record.unchecked([name], gpu.require(name)).values():
            _warn_once(f"backend {name!r} runs because it was asked for by name; gpu-check: {why}")
    return BackendChoice(name, backend, "asked for by name")


def _first_usable(failed: Mapping[str, str]) -> BackendChoice:
    card = gpu.find()
    unchecked = {} if isinstance(card, str) else gpu_check_record.unchecked(ON_GPU, card)
    on_gpu = () if isinstance(card, str) else tuple(name for name in ON_GPU if name not in unchecked)
    passed_over: list[str] = []
    for name in on_gpu + ON_CPU:
        try:
            if name in failed:
                raise BackendUnavailable(failed[name])
            backend = import_backend(name)
        except BackendUnavailable as error:
            passed_over.append(str(error))
            continue
        if not isinstance(card, str) and name in ON_GPU:
            passed_over.append(f"on {card.name}, where gpu-check has passed")
        elif unchecked:
            why = "; ".join(f"{other}: {why}" for other, why in unchecked.items())
            passed_over.append(f"gpu-check has to pass before a GPU is chosen ({why}); {gpu_check_record.COMMAND}")
        return BackendChoice(name, backend, "; ".join(passed_over) or "the fastest backend that is installed")
    raise BackendUnavailable("no backend can be used: " + "; ".join(passed_over))


def available() -> dict[str, str]:
    """Every backend by name -> "available", with what gpu-check says of those on a GPU; or why it is not."""
    card = gpu.find()
    unchecked = {} if isinstance(card, str) else gpu_check_record.unchecked(ON_GPU, card)
    table = {}
    for name in BACKENDS:
        try:
            import_backend(name)
            table[name] = "available"
        except BackendUnavailable as error:
            table[name] = str(error)
            continue
        if name in unchecked:
            table[name] += f", gpu-check not passed: {unchecked[name]}; {gpu_check_record.COMMAND}"
        elif name in ON_GPU:
            table[name] += ", gpu-check passed"
    return table


def import_backend(name: str) -> BackendClass:
    """The class called `name`, whose hardware and libraries are there.

    Raises
    ------
    UsageError, BackendUnavailable
        As `load`.
    """
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}; choose one of auto, {', '.join(BACKENDS)}")
    try:
        if name in ON_GPU:
            gpu.require(name)  # before a runtime of hundreds of megabytes is imported
        backend = BACKENDS[name]()
    except ImportError as error:
        raise BackendUnavailable(f"backend {name!r} cannot be used: {error}") from error
    backend.require()
    return backend


@functools.cache
def _warn_once(message: str) -> None:
    log.warning(message)
