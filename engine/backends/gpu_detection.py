"""Whether there is an NVIDIA GPU, and which: asked of the driver itself. Imports no runtime.

The backends for GPUs ask here before they import what is large.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from dataclasses import dataclass

from ..errors import BackendUnavailable

LIBRARIES = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "libcuda.so")
MANAGEMENT = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"  # NVML: comes with the driver
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
TEXT_LENGTH = 256  # bytes, of a buffer for a name or a version


@dataclass(frozen=True)
class Gpu:
    """The first GPU of this machine."""

    name: str  # "NVIDIA GeForce RTX 4090"
    capability: tuple[int, int]  # (8, 9)
    driver: str  # its version and the newest CUDA that it knows: "580.95.05, CUDA 13.0"


@functools.cache
def find() -> Gpu | str:
    """The first GPU, or why there is none."""
    for library in LIBRARIES:
        try:
            driver = ctypes.CDLL(library)
            break
        except OSError:
            continue
    else:
        return f"no NVIDIA driver: {LIBRARIES[0]} is not installed"
    count = ctypes.c_int()
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        return f"the NVIDIA driver finds no GPU (CUDA error {code})"
    name, device, version = ctypes.create_string_buffer(TEXT_LENGTH), ctypes.c_int(), ctypes.c_int()
    major, minor = ctypes.c_int(), ctypes.c_int()
    code = (
        driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetName(name, TEXT_LENGTH, device)
        or driver.cuDeviceGetAttribute(ctypes.byref(major), MAJOR, device)
        or driver.cuDeviceGetAttribute(ctypes.byref(minor), MINOR, device)
        or driver.cuDriverGetVersion(ctypes.byref(version))
    )
    if code:
        return f"the NVIDIA driver does not describe its GPU (CUDA error {code})"
    cuda = f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"
    return Gpu(
        name.value.decode(errors="replace"), (major.value, minor.value), ", ".join(filter(None, (_driver(), cuda)))
    )


def _driver() -> str:
    """The driver's version, as NVML tells it; "" where it does not."""
    version = ctypes.create_string_buffer(TEXT_LENGTH)
    try:
        nvml = ctypes.CDLL(MANAGEMENT)
        if nvml.nvmlInit_v2():
            return ""
        code = nvml.nvmlSystemGetDriverVersion(version, TEXT_LENGTH)
        nvml.nvmlShutdown()
    except (OSError, AttributeError):  # no library, or one without these functions
        return ""
    return "" if code else version.value.decode(errors="replace")


def require(backend: str) -> Gpu:
    """The GPU that `backend` runs on.

    Raises
    ------
    BackendUnavailable
        There is none.
    """
    found = find()
    if isinstance(found, str):
        raise BackendUnavailable(
            f"backend {backend!r} cannot be used: {found}; it needs an NVIDIA GPU and its driver. "
            "Use --backend ort-cpu, or auto"
        )
    return found
