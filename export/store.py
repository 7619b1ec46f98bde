"""A student's weights on disk: safetensors with a small header. Knows names and arrays, not networks.

The header says what the weights are: `student` (a name in STUDENTS), `size` ("HxW"), and the facts of the model card
(`data`, `steps`, `score`). Half precision on disk is float32 in memory.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .contracts import StudentWeights
from .errors import ModelError

SHIPPED = Path(__file__).parent / "weights"


def shipped(student: str, size: tuple[int, int]) -> Path:
    """Path of the weights that come with the package: those trained nearest to `size` (h, w).

    Raises
    ------
    ModelError
        There are none for this student; the message lists those that exist.
    """
    paths = {int(p.stem.rpartition("-")[2]): p for p in SHIPPED.glob(f"{student}-*.safetensors")
             if p.stem.rpartition("-")[0] == student}  # fmt: skip
    if not paths:
        have = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.safetensors"))) or "none"
        raise ModelError(
            f"no weights come with the package for the student {student!r} (there are: {have}); "
            "give a file with --weights, or train one with jm-train"
        )
    return paths[min(paths, key=lambda side: abs(side - max(size)))]


def save_weights(path: str | Path, weights: StudentWeights, half: bool = True, mode: int = 0o644) -> None:
    """Write to a temporary file beside `path`, then rename: a reader sees the old file or the new one."""
    path = Path(path)
    tensors = {}
    for name, value in weights.tensors.items():
        array = np.asarray(value, np.float32)
        # the statistics of batch norm outgrow half precision's range and cost nothing
        tensors[name] = np.ascontiguousarray(array.astype(np.float16) if half and ".norm." not in name else array)
    header = {"student": weights.student, "size": f"{weights.size[0]}x{weights.size[1]}", **weights.card}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(save(tensors, header))
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_weights(path: str | Path) -> StudentWeights:
    """Read what `save_weights` wrote; every tensor as float32.

    Raises
    ------
    ModelError
        The file is missing, is no safetensors file, holds NaN, or its header does not name a student.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"no weights at {path}; expected a .safetensors file made by jm-train")
    try:
        with safe_open(path, framework="numpy") as file:
            header = dict(file.metadata() or {})
            names = file.keys()  # no mapping: it has keys but cannot be iterated
            tensors = {name: file.get_tensor(name).astype(np.float32) for name in names}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a weights file ({error}); expected .safetensors made by jm-train") from error
    if bad := [name for name, value in tensors.items() if not np.isfinite(value).all()]:
        raise ModelError(f"{path} holds NaN or infinity (in {bad[0]}); train again, or take the shipped weights")
    try:
        student, (height, width) = header.pop("student"), map(int, header.pop("size").split("x"))
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path} does not say which student it is for; expected weights made by jm-train") from error
    return StudentWeights(student, (height, width), tensors, header)
