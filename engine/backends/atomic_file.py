"""Write a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from kernels.ownership import make_folder


def write_atomically(target: Path, data: bytes) -> None:
    """`data` in `target`, whole or not at all; its folder is made for this user alone. OSError otherwise."""
    make_folder(target.parent)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, target)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
