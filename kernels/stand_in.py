"""The first start after an installation waits for no compiler: the fallback works at once, and is replaced in place.

Numba takes seconds, in which a thread of this process would have the interpreter, and every picture would wait for it.
So another process compiles, and keeps what it made; here it is loaded. Knows no kernel.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

log = logging.getLogger("jit_masker")

COMPILER = "kernels.fused"  # python -m ...
Chosen = TypeVar("Chosen")  # a dataclass of kernels that can be assigned to
_compiling = threading.Lock()  # held by whoever lets the compiler run: once in a process
_ran: list[float] = []  # s, that it took


def without_waiting(load: Callable[[], Chosen], load_fallback: Callable[[str], Chosen]) -> Chosen:
    """What `load` gives, where all of it was compiled before.

    Else what `load_fallback(reason)` gives, and its fields become those of `load()` once they are compiled: one by one,
    from a thread of its own, since one kernel is as good as its other. Where no other process can do that, `load()`.

    Raises
    ------
    Exception
        Whatever `load` raises.
    """
    compilation = importlib.import_module(".fused.compilation", __package__)
    try:
        with compilation.compiling_nothing():
            return load()
    except compilation.NotCompiledError:
        if not _can_compile_elsewhere():
            return load()
    chosen = load_fallback("Numba compiles the others in the background, once after an installation")
    threading.Thread(target=_replace, args=(chosen, load), name="kernels", daemon=True).start()
    return chosen


def not_waiting() -> contextlib.AbstractContextManager[None]:
    """While inside, a kernel that another process can compile raises NotCompiledError instead of being compiled."""
    compilation = importlib.import_module(".fused.compilation", __package__)
    return compilation.compiling_nothing() if _can_compile_elsewhere() else contextlib.nullcontext()


def _can_compile_elsewhere() -> bool:
    from .fused import cache

    runs_python = bool(sys.executable) and not getattr(sys, "frozen", False)
    return runs_python and find_spec("numba") is not None and cache.folder() is not None


def _replace(chosen: Chosen, load: Callable[[], Chosen]) -> None:
    with _compiling:
        if not _ran:
            began = time.monotonic()
            _compile_elsewhere()
            _ran.append(time.monotonic() - began)
    try:
        compiled = load()  # what was not compiled there, or cannot be kept, is compiled here
    except Exception as error:  # as in `kernels.load`
        log.warning("kernels: the fallback goes on, Numba cannot be used (%s: %s)", type(error).__name__, error)
        return
    vars(chosen).update(vars(compiled))
    log.info("kernels: those that Numba compiled take over, after %.1f s", _ran[0])


def _compile_elsewhere() -> None:
    """Waits for the process that compiles. It is left to its end, though this one may end before: it is of use to the
    next start."""
    # the same modules from the same places, whatever the folder that we run in
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    nothing = subprocess.DEVNULL
    try:
        subprocess.run(
            [sys.executable, "-P", "-m", COMPILER],
            env=environment, stdin=nothing, stdout=nothing, stderr=nothing, check=False,
        )  # fmt: skip
    except OSError as error:
        log.debug("no process of its own compiles: %s", error)
