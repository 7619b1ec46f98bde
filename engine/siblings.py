"""Whether the packages that are imported under our names, which are common ones, are ours."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from .errors import UsageError

PACKAGES = ("kernels", "engine", "export", "training")


def check_siblings() -> None:
    """Our packages have common names: make sure that none of them is somebody else's.

    Raises
    ------
    UsageError
        Two of them come from different places; the message names both.
    """
    home = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        place = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
        if place != home:
            raise UsageError(
                f"the package {name!r} is found in {place}, and this program lives in {home}; another distribution or "
                "folder shadows it. Install jit-masker in a virtual environment of its own"
            )
