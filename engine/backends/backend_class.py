"""What BACKENDS leads to: a class that makes backends of one runtime, as a type that mypy can check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self

from ..contracts import Backend

Check = Callable[[Backend], None]  # raises CandidateRejected or ModelError where the backend must not be used


class BackendClass(Protocol):
    """A class in BACKENDS."""

    name: str  # as in BACKENDS

    def require(self) -> None:
        """Do nothing, or raise BackendUnavailable where its hardware or a library is missing."""
        ...

    def create(self, model: bytes, threads: int, check: Check) -> Backend:
        """A backend with this student that `check` has passed.

        Parameters
        ----------
        model : ONNX, see `export.contracts.Published.model`.
        threads : the CPU budget.

        Raises
        ------
        ModelError, CandidateRejected
            The student cannot be loaded, or `check` refuses it, in every way that this backend has.
        """
        ...


class LoadsModel(Backend):
    """Base of a backend that is made in one way, by its constructor. Its class is a `BackendClass`."""

    def __init__(self, model: bytes, threads: int = 1):
        raise NotImplementedError

    @staticmethod
    def require() -> None:
        """Nothing beyond what its module imports."""

    @classmethod
    def create(cls, model: bytes, threads: int, check: Check) -> Self:
        """See `BackendClass.create`."""
        backend = cls(model, threads)
        check(backend)
        return backend
