"""Where the machine code of the kernels is kept from one start to the next: a folder that this user alone can write.

Numba's own cache has to import Numba, compiles nothing where it finds no folder to write to, fails at every later start
once a file of it is damaged, and runs what it finds. Here every file begins with a checksum of what it holds and of
what that was made from. A file that does not fit is stale or damaged: the kernel is compiled anew and written over it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from platformdirs import user_cache_dir

from ..ownership import BY_OTHERS, check_folder, make_folder, read_private, write_private

log = logging.getLogger("jit_masker")

HERE = Path(__file__).parent
REMEDY = "Set JM_HOME to a folder that you alone can write."
FOLDER = "NUMBA_CACHE_DIR"  # the variable that names it
CHECKSUM_BYTES = hashlib.sha256().digest_size
CPU_LINES = (b"vendor", b"cpu family", b"model", b"stepping", b"flags", b"CPU ", b"Features")  # of /proc/cpuinfo

Types = Sequence[tuple[np.dtype, int]]  # of arrays: what one item is, and the number of dimensions


def load(function: Callable[..., None], types: Types) -> bytes | None:
    """The machine code of a kernel for arrays of these types; None where it has to be compiled. Never raises."""
    place = folder()
    if place is None:
        return None
    name, made_from = _identity(function, types)
    try:
        kept = read_private(place / name)  # it is mapped and run
    except OSError as error:
        log.debug("%s is not loaded: %s", place / name, error)
        return None
    checksum, code = kept[:CHECKSUM_BYTES], kept[CHECKSUM_BYTES:]
    if checksum == hashlib.sha256(made_from + code).digest():
        return code
    log.debug("%s is stale or damaged", place / name)
    return None


def save(function: Callable[..., None], types: Types, code: bytes) -> None:
    """Keep it, written whole or not at all: several processes may start at once. Never raises: it runs all the same."""
    place = folder()
    if place is None:
        return
    name, made_from = _identity(function, types)
    part = place / f"{name}.{os.getpid()}.part"
    try:
        write_private(part, hashlib.sha256(made_from + code).digest() + code)
        if (place / name).is_dir():
            shutil.rmtree(place / name)
        part.replace(place / name)
    except OSError as error:  # a full disk
        with contextlib.suppress(OSError):
            part.unlink()
        _announce(f"{place} cannot take them: {error.strerror}")


def _identity(function: Callable[..., None], types: Types) -> tuple[str, bytes]:
    """The file that holds it, and what it was made from and for."""
    file = Path(function.__code__.co_filename)
    arrays = " ".join(f"{dtype.str}:{ndim}" for dtype, ndim in types).encode()
    return f"{file.stem}.{function.__name__}-{zlib.crc32(arrays):08x}", b"\0".join([arrays, _machine(), _source(file)])


@functools.cache
def _machine() -> bytes:
    """What else decides which machine code is made: versions, settings and the CPU."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("NUMBA_") and name != FOLDER}
    given = [_version("numba"), _version("llvmlite"), sys.version, str(sorted(settings.items()))]
    return b"\0".join([*map(os.fsencode, given), _cpu()])


def _version(package: str) -> str:
    """What is installed, without importing it or `importlib.metadata`, which takes 40 ms; "" where it is not."""
    spec = find_spec(package)
    file = Path(spec.origin).with_name("_version.py") if spec and spec.origin else None
    return file.read_text() if file and file.is_file() else ""


def _cpu() -> bytes:
    """The CPU and what it can do, from Linux where it tells: LLVM takes 20 ms and 40 MB to be asked."""
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_bytes().split(b"\n\n")[0].splitlines()
        if lines := [line for line in first if line.startswith(CPU_LINES)]:
            return b"\0".join(lines)
    import llvmlite.binding as llvm

    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}".encode()


@functools.cache
def _source(file: Path) -> bytes:
    """Checksum of all that may be compiled into a kernel of `file`: that, our own kernels, options and constants."""
    files = [file, HERE.parent / "reference.py", HERE.parent / "hdr.py", *sorted(HERE.glob("*.py"))]
    try:
        return hashlib.sha256(b"\0".join(f.read_bytes() for f in files)).digest()
    except OSError:  # installed without sources: nothing that is kept can be known to be of these
        return os.urandom(CHECKSUM_BYTES)


@functools.cache
def folder() -> Path | None:
    """The first of these that is private and can be written; None, and nothing is kept, where there is none.

    NUMBA_CACHE_DIR where it is set; $JM_HOME, else the platform's cache folder; the folder for temporary files. Any
    other than the first is announced, with the reason.
    """
    name, refused = f"kernels-{zlib.crc32(bytes(HERE)):08x}", []  # two installations do not write over each other
    home = os.environ.get("JM_HOME") or user_cache_dir("jit-masker")
    user = os.geteuid() if hasattr(os, "geteuid") else "user"
    given = os.environ.get(FOLDER, "")
    for base, inside in ((given, name), (home, name), (None, f"jit-masker-{user}-{name}")):
        if base == "":
            continue
        try:
            place = Path(base or tempfile.gettempdir()).expanduser() / inside
            _make_private(place)
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
            refused.append(str(error))
            continue
        if refused:
            log.warning("compiled kernels are kept in %s: %s. %s", place, "; ".join(refused), REMEDY)
        return place
    _announce("; ".join(refused))
    return None


@functools.cache  # once
def _announce(reason: str) -> None:
    log.warning("kernels are compiled anew at every start: %s. %s", reason, REMEDY)


def _make_private(place: Path) -> None:
    """Create `place` if need be. OSError unless it can be written, and by this user alone: what lies there is run."""
    make_folder(place)
    if place.is_symlink():
        raise PermissionError(f"{place} is a link; expected a folder that this user alone can write")
    check_folder(place, BY_OTHERS)
    tempfile.TemporaryFile(dir=place).close()
