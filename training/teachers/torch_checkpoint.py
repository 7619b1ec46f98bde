"""Reads the tensors out of a .pt file that pickles a whole network, without importing or executing what it names.

Its classes become empty stand-ins; what is neither a tensor, a plain value nor a class of a network is refused.
Knows nothing about any network.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from engine.errors import ModelError

NETWORK_PACKAGES = ("models", "utils", "torch.nn")  # their classes become stand-ins
STORAGES = {"FloatStorage": torch.float32, "HalfStorage": torch.float16, "LongStorage": torch.int64}


@dataclass(frozen=True)
class SavedModule:
    """A network as it was saved."""

    attributes: dict[str, Any]  # of its outermost module; plain values, or stand-ins where they were objects
    tensors: dict[str, Tensor]  # parameters and buffers by path: "model.0.conv.weight"


def read_module(path: Path) -> SavedModule:
    """The network that `path` holds under "model".

    Raises
    ------
    ModelError
        It names something else than what a network is made of, or is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (index,) = (name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl")
            with archive.open(index) as file:
                root = _Reader(file, archive, index.removesuffix("data.pkl")).load()["model"]
        tensors: dict[str, Tensor] = {}
        _collect(root, "", tensors)
    except ModelError as error:
        raise ModelError(f"{path} is refused: {error}") from error
    except Exception as error:  # a file can be wrong in as many ways as pickle and zip have exceptions
        raise ModelError(
            f"{path} is not a network saved by torch: {type(error).__name__}: {error}. Delete it and pull it again"
        ) from error
    return SavedModule(vars(root), tensors)


class _StandIn:
    """An object of a class that is not imported: its attributes, and nothing else."""

    def __init__(self, *_: Any):
        """Whatever it was made from."""


class _Reader(pickle.Unpickler):
    """Resolves names by an allow-list; imports nothing."""

    def __init__(self, file: IO[bytes], archive: zipfile.ZipFile, folder: str):
        super().__init__(file)
        self._archive, self._folder = archive, folder
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module in ("builtins", "__builtin__") and name == "set":
            return set
        if module in ("builtins", "__builtin__") and name == "getattr":
            return self._no_attribute  # how a method is saved
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return self._parameter
        if any(module == package or module.startswith(f"{package}.") for package in NETWORK_PACKAGES):
            return type(name, (_StandIn,), {})
        raise ModelError(
            f"it names {module}.{name}, which is no part of a network; expected tensors and modules. Nothing of it "
            "was executed. Delete it, and take it from where it was published"
        )

    def persistent_load(self, pid: Any) -> Tensor:
        """A storage, as a flat tensor."""
        kind, dtype, key, _, length = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise ModelError(f"it refers to a {kind!r} outside; expected a storage of numbers")
        if key not in self._storages:
            content = bytearray(self._archive.read(f"{self._folder}data/{key}"))
            self._storages[key] = torch.frombuffer(content, dtype=dtype, count=length)
        return self._storages[key]

    def _tensor(self, storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
        return torch.as_strided(storage, size, stride, offset)

    def _parameter(self, tensor: Tensor, *_: Any) -> Tensor:
        return tensor

    def _no_attribute(self, *_: Any) -> None:
        return None


def _collect(module: _StandIn, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Add the tensors of `module` and of all modules in it."""
    own = vars(module)
    for name, tensor in (*own.get("_parameters", {}).items(), *own.get("_buffers", {}).items()):
        if isinstance(tensor, Tensor):
            tensors[prefix + name] = tensor
    for name, child in own.get("_modules", {}).items():
        if isinstance(child, _StandIn):
            _collect(child, f"{prefix}{name}.", tensors)
