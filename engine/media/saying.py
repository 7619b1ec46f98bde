"""What is said of a file: once, however often it is read. With two passes it is read three times."""

from __future__ import annotations

import functools
import logging

log = logging.getLogger("jit_masker")

KEPT = 1000  # messages that are known to have been said


@functools.lru_cache(KEPT)
def say_once(level: int, message: str) -> None:
    """Log `message` at `level`, a number of logging's, unless this process has done so."""
    log.log(level, "%s", message)
