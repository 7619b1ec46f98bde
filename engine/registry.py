"""Parts by name: "module:attribute" -> the object, imported when it is asked for. Knows no part."""

from __future__ import annotations

import importlib
from typing import Any


def resolve(path: str) -> Any:
    """The attribute behind "module:attribute".

    Raises
    ------
    ImportError
        The module, or something it needs, is not installed.
    """
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
