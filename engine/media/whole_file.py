"""A file that is there whole or not at all. What is no regular file, a device or a pipe, is written through."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def is_written_through(path: str | Path) -> bool:
    """Whether what is at `path` is no file to be replaced: a device, a pipe, an open descriptor (/dev/stdout)."""
    if not os.path.exists(path):
        return False
    return not os.path.isfile(path) or os.path.abspath(path).startswith(("/dev/std", "/dev/fd/", "/proc/"))


def write_whole(path: str | Path, data: bytes) -> None:
    """`data` at `path`; of a link, at what it leads to. OSError where that fails: what was there is there still."""
    if is_written_through(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    target = Path(path).resolve()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
