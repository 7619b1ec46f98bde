"""BACKENDS: name -> "module:Class", one file per runtime, imported when chosen. Knows no runtime itself.

A newcomer: write `engine/backends/foo.py` with a class that keeps the `Backend` protocol, add a line here and an extra
in setup.py; the tests run over this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..contracts import Backend
from ..errors import BackendUnavailable, UsageError
from ..registry import resolve

BACKENDS = {
    "ort-cpu": "engine.backends.ort_cpu:OrtCpu",
    "torch-cpu": "engine.backends.torch_cpu:TorchCpu",
}
PREFERENCE = ("ort-cpu", "torch-cpu")  # what "auto" tries, first one that loads


@dataclass(frozen=True)
class Choice:
    """A backend class, loaded, and why it was chosen."""

    name: str
    backend: type[Backend]
    reason: str

    def __call__(self, model: bytes, threads: int) -> Backend:
        return self.backend(model, threads)  # type: ignore[call-arg]


def load(name: str) -> Choice:
    """The backend called `name`, or for "auto" the first of PREFERENCE that can be imported.

    Raises
    ------
    UsageError
        There is no backend of this name.
    BackendUnavailable
        Its runtime cannot be imported; for "auto", no runtime can.
    """
    if name != "auto":
        return Choice(name, _import(name), "asked for by name")
    missing = []
    for candidate in PREFERENCE:
        try:
            backend = _import(candidate)
        except BackendUnavailable as error:
            missing.append(str(error))
            continue
        reason = "the fastest backend that is installed" if not missing else "; ".join(missing)
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


def _import(name: str) -> type[Backend]:
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}; choose one of auto, {', '.join(BACKENDS)}")
    try:
        return resolve(BACKENDS[name])
    except ImportError as error:
        raise BackendUnavailable(f"backend {name!r} cannot be used: {error}") from error
