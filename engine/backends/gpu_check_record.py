"""Where gpu-check has passed: the record that it leaves on this machine, and that "auto" asks before it takes a GPU.

One JSON file in the user's folder. A record holds for one backend on one card with one driver, one set of libraries and
one version of ours: where any of them is another, gpu-check has not passed. Imports no runtime.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import JitMaskerError
from .atomic_file import write_atomically
from .gpu_detection import Gpu

log = logging.getLogger("jit_masker")

COMMAND = "run python -m benchmarks.gpu.check (in a checkout: make gpu-check)"
# the distributions that a backend runs on, where they are installed; those of the paint path's kernels with trt
LIBRARIES = {
    "trt": (
        *("tensorrt-rtx-cu13", "tensorrt-rtx", "tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
        *("numba-cuda", "cuda-python", "cuda-bindings", "pycuda"),
    ),
    "ort-cuda": ("onnxruntime-gpu", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13"),
    "torch-cuda": ("torch", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13"),
}


@dataclass(frozen=True)
class GpuSetup:
    """Everything that a passed gpu-check depends on."""

    backend: str  # "trt"
    gpu: str  # "NVIDIA GeForce RTX 4090"
    driver: str  # "580.95.05, CUDA 13.0"
    runtime: str  # "tensorrt-rtx-cu13 1.7.1.116, numba-cuda 0.30.4"; "" where no library says its version
    version: str  # ours

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not isinstance(getattr(self, field.name), str):
                raise TypeError(f"{field.name} is {getattr(self, field.name)!r}; expected a string")


def this_setup(backend: str, card: Gpu) -> GpuSetup:
    """What is installed here for `backend` on `card`. Reads the metadata of packages and imports none."""
    from importlib import metadata  # late, 20 ms: nobody without a GPU asks

    from .. import __version__

    found = []
    for name in LIBRARIES[backend]:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return GpuSetup(backend, card.name, card.driver, ", ".join(found), __version__)


def unchecked(backends: Iterable[str], card: Gpu) -> dict[str, str]:
    """Those of `backends` that gpu-check has not passed for on `card`, as they are installed here, with the reason."""
    records = read()
    reasons = {backend: why_unchecked(records, this_setup(backend, card)) for backend in backends}
    return {backend: why for backend, why in reasons.items() if why}


def why_unchecked(records: Collection[GpuSetup], here: GpuSetup) -> str | None:
    """None where one of `records` is of `here`; else why none of them counts. Pure."""
    if not here.runtime:
        return "no installed package tells the version of its libraries"
    if here in records:
        return None
    for record in records:
        if (record.backend, record.gpu) == (here.backend, here.gpu):
            return "; ".join(
                f"it passed with {what} {getattr(record, field)}, and here is {getattr(here, field)}"
                for what, field in (("driver", "driver"), ("libraries", "runtime"), ("jit-masker", "version"))
                if getattr(record, field) != getattr(here, field)
            )
    return "it has not passed on this machine"


def path() -> Path:
    """`gpu-check.json` in `$JM_HOME`, else in the platform's cache folder."""
    from ..assets import cache_folder  # late, 10 ms

    return cache_folder().parent / "gpu-check.json"


def read() -> list[GpuSetup]:
    """What has passed here; [] where there is no record, or it cannot be read or is damaged, which is said."""
    try:
        return [GpuSetup(**entry) for entry in json.loads(path().read_text(encoding="utf-8"))["passed"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        log.warning("%s counts as absent, because it cannot be read: %s: %s", path(), type(error).__name__, error)
        return []


def write(verdicts: Mapping[GpuSetup, bool]) -> None:
    """Record those that passed, and forget what was recorded of those that did not. Whole or not at all.

    Raises
    ------
    JitMaskerError
        The folder cannot be written.
    """
    checked = {(setup.backend, setup.gpu) for setup in verdicts}
    kept = [record for record in read() if (record.backend, record.gpu) not in checked]
    passed = kept + [setup for setup, good in verdicts.items() if good]
    text = json.dumps({"passed": [dataclasses.asdict(record) for record in passed]}, indent=1) + "\n"
    try:
        write_atomically(path(), text.encode())
    except OSError as error:
        raise JitMaskerError(
            f"cannot write {path()}: {error.strerror}; set JM_HOME to a folder that can be written"
        ) from error
