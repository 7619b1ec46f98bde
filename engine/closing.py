"""Parts that are closed whatever happens, and never hide the error that ended the work."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

log = logging.getLogger("jit_masker")


class Closable(Protocol):
    def close(self) -> None: ...


@contextmanager
def closing(parts: Iterable[Closable]) -> Iterator[None]:
    """Close each of `parts`, in order, at the end of the block. The first error is raised; those after it are logged.

    A list may grow inside the block.
    """
    first: BaseException | None = None
    try:
        yield
    except BaseException as error:
        first = error
    for part in parts:
        try:
            part.close()
        except Exception as error:
            if first is None:
                first = error
            else:
                log.error("closing %s failed as well: %s", type(part).__name__, error)
    if first is not None:
        raise first
