"""Where the machine code of the kernels is kept from one start to the next: a folder that this user alone can write.

Numba's own cache compiles nothing where it finds no folder to write to, fails at every later start once a file of it is
damaged, and runs what it finds. Here every file begins with a checksum of what it holds and of what that was made from.
A file that does not fit is stale or damaged: the kernel is compiled anew and written over it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import pickle
import shutil
import stat
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from platformdirs import user_cache_dir

log = logging.getLogger("jit_masker")

HERE = Path(__file__).parent
REMEDY = "Set JM_HOME to a folder that you alone can write."
CHECKSUM_BYTES = hashlib.sha256().digest_size


class MachineCode(NullCache):
    """What Numba asks for the compiled forms of one function, and gives them to. Never raises: it can do without."""

    def __init__(self, function: Any):
        self._name = f"{Path(function.__code__.co_filename).stem}.{function.__name__}"
        self._source = _source(Path(function.__code__.co_filename))

    @property
    def cache_path(self) -> str | None:
        return None if folder() is None else str(folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled form for these types of arguments; None where it has to be compiled."""
        target_context.refresh()
        place = folder()
        if place is None:
            return None
        name, made_from = self._identity(sig, target_context.codegen())
        try:
            kept = (place / name).read_bytes()
            checksum, payload = kept[:CHECKSUM_BYTES], kept[CHECKSUM_BYTES:]
            if checksum == hashlib.sha256(made_from + payload).digest():
                return CompileResult._rebuild(target_context, *pickle.loads(payload))
            log.debug("%s is stale or damaged", place / name)
        except Exception as error:  # not there, not readable, of a Numba that packs otherwise
            log.debug("%s is not loaded: %s", place / name, error)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled form, written whole or not at all: several processes may start at once."""
        place = folder()
        if place is None:
            return
        name, made_from = self._identity(sig, data.codegen)
        part = place / f"{name}.{os.getpid()}.part"
        try:
            payload = dumps(data._reduce())
            part.write_bytes(hashlib.sha256(made_from + payload).digest() + payload)
            if (place / name).is_dir():
                shutil.rmtree(place / name)
            part.replace(place / name)
        except Exception as error:  # a full disk, a Numba that packs otherwise: what was compiled runs all the same
            with contextlib.suppress(OSError):
                part.unlink()
            _announce(f"{place} cannot take them: {getattr(error, 'strerror', None) or error}")

    def _identity(self, sig: Any, codegen: Any) -> tuple[str, bytes]:
        """The file that holds it, and what it was made from and for."""
        made_for = repr((numba.__version__, sys.version_info[:2], sig, codegen.magic_tuple())).encode()
        return f"{self._name}-{zlib.crc32(made_for):08x}", made_for + self._source


@functools.cache
def _source(file: Path) -> bytes:
    """Checksum of all that may be compiled into a kernel of `file`: that, our own kernels, options and constants."""
    files = [file, HERE.parent / "reference.py", *sorted(HERE.glob("*.py"))]
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
    given = str(numba.config.CACHE_DIR)  # type: ignore[attr-defined]
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
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=place).close()
    if not hasattr(os, "geteuid"):
        return  # Windows: the folders that are asked for are in the user's profile
    above, here = place.parent.stat(), place.lstat()
    if above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX:
        raise PermissionError(f"every user can write {place.parent}")
    if not stat.S_ISDIR(here.st_mode) or here.st_uid != os.geteuid() or here.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{place} is not a folder that this user alone can write")
