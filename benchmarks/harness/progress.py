"""Progress bars: on standard error, and only where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def bar(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """`items`, with a bar that says `what` while they are taken."""
    return tqdm(items, desc=what, total=total, **_options())


def counter(what: str, total: int | None = None) -> Any:
    """A bar to be moved by hand: `update()` and `close()`, or `with`."""
    return tqdm(desc=what, total=total, **_options())


def _options() -> dict[str, Any]:
    return {"file": sys.stderr, "leave": False, "disable": not sys.stderr.isatty()}
