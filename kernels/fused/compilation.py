"""How all kernels are compiled, and for what arrays. Knows none of them.

Numba compiles a kernel once and for good: what it makes is kept as an object file (cache.py), and a later start runs
that (machine_code.py) without importing Numba.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import cache, machine_code

OPTIONS: dict[str, Any] = {
    "nogil": True, "boundscheck": False, "error_model": "numpy", "fastmath": True,
    # nothing but the machine code itself: no way in from Python, and no memory of Numba's (`_nrt`), so that a kernel
    # that allocates is refused when it is compiled
    "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False,
}  # fmt: skip


class NotCompiledError(Exception):
    """A kernel would have to be compiled."""


class _Mode(threading.local):
    compiles = True


_mode = _Mode()


@contextlib.contextmanager
def compiling_nothing() -> Iterator[None]:
    """While inside, a kernel that this thread would have to compile raises NotCompiledError."""
    _mode.compiles = False
    try:
        yield
    finally:
        _mode.compiles = True


class Kernel:
    """A function that writes into its arrays, called as machine code. The GIL is released meanwhile.

    There is one machine code per kind of arrays, (dtype, dimensions) of each. It is loaded or compiled at their first
    call; `warm` makes that call for all that occur. Kernels that are called by kernels take anything that Numba does.
    """

    inlined = False  # always, into kernels that call it; else where LLVM thinks so

    def __init__(self, function: Callable[..., None]):
        self.function = function
        self._codes: dict[tuple, Callable[..., int]] = {}

    def __call__(self, *arrays: Any) -> Any:
        """Run on `arrays`: of native numbers, C-contiguous, aligned and writeable, else ValueError.

        That their sizes fit each other is the caller's business: machine code checks no index.
        """
        kinds = tuple([(a.__class__, a.dtype, a.ndim, a.flags.carray) for a in arrays])
        if (self._codes.get(kinds) or self._load(kinds))(*arrays):
            raise RuntimeError(f"{self.function.__name__} raised an exception; a kernel must not")

    def _load(self, kinds: tuple[tuple[type, np.dtype, int, bool], ...]) -> Callable[..., int]:
        for i, (array_type, dtype, ndim, plain) in enumerate(kinds):
            if not (issubclass(array_type, np.ndarray) and ndim and dtype.isbuiltin == 1 and plain):
                raise ValueError(
                    f"argument {i} of {self.function.__name__} is a {array_type.__name__}, {dtype}, {ndim} dimensions; "
                    "expected an array of native numbers, C-contiguous, aligned and writeable: give a copy"
                )
        types = [(dtype, ndim) for _, dtype, ndim, _ in kinds]
        code = cache.load(self.function, types)
        if code is None:
            if not _mode.compiles:
                raise NotCompiledError(self.function.__name__)
            code = _compile(self.compiled, types)
            cache.save(self.function, types, code)
        self._codes[kinds] = machine_code.load(code, len(kinds))
        return self._codes[kinds]

    @functools.cached_property
    def compiled(self) -> Any:
        """Numba's own form of it."""
        from numba import njit

        return njit(self.function, **OPTIONS, forceinline=self.inlined)

    @property
    def _numba_type_(self) -> Any:
        """Numba asks every value for this: to other kernels it is a function, to be compiled into them."""
        return self.compiled._numba_type_


class TileKernel(Kernel):
    """A kernel for kernels that is handed a tile (vectors.py): what is inlined keeps it in registers."""

    inlined = True


class Intrinsic:
    """A function of vectors.py, for kernels: that module imports Numba, and is loaded where something is compiled."""

    def __init__(self, name: str):
        self._name = name

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"{self._name} is a function for kernels")

    @property
    def _numba_type_(self) -> Any:
        from numba.core.registry import cpu_target

        from . import vectors

        cpu_target.typing_context.refresh()
        return cpu_target.typing_context.resolve_value_type(getattr(vectors, self._name))


def _compile(compiled: Any, types: list[tuple[np.dtype, int]]) -> bytes:
    """An object file with the machine code for these arrays, for this CPU. Takes seconds."""
    import llvmlite.binding as llvm
    from numba import from_dtype
    from numba import types as numba_types
    from numba.core.registry import cpu_target

    signature = tuple(numba_types.Array(from_dtype(dtype), ndim, "C") for dtype, ndim in types)
    compiled.compile(signature)
    native = compiled.overloads[signature].fndesc.llvm_func_name
    module = llvm.parse_assembly(compiled.inspect_llvm(signature))
    module.link_in(llvm.parse_assembly(machine_code.entry(native, [(dtype.itemsize, ndim) for dtype, ndim in types])))
    triple, cpu, features = cpu_target.target_context.codegen().magic_tuple()
    target = llvm.Target.from_triple(triple)
    # as Numba does for what it runs at once: on x86-64, absolute addresses are all that has to be put in when loaded
    relocation = "static" if triple.startswith("x86") else "default"
    machine = target.create_target_machine(cpu, features, 3, relocation, "jitdefault", jit=True)
    return machine.emit_object(module)


def plain(array: np.ndarray) -> bool:
    """Whether this is the one kind of array that `warm` compiled for; any other would be refused on a live frame."""
    return array.flags.carray


def as_rows(bgr: np.ndarray, scratch: np.ndarray) -> np.ndarray:
    """`bgr` as rows of bytes (H, 3W); strided or read-only input goes through `scratch`."""
    if not plain(bgr):
        np.copyto(scratch, bgr)
        bgr = scratch
    return bgr.reshape(bgr.shape[0], -1)
