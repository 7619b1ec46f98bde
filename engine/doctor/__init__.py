"""`jm-engine doctor`: what stands between this machine and a picture, and the one command that mends it.

system.py reads the machine, devices.py and checks.py judge, command.py prints. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from .system import System

Level = Literal["ok", "warn", "bad", "unknown"]


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    subject: str  # "virtual camera"
    level: Level  # warn: it works, but less well or without one part; bad: it does not
    what: str  # for people, one line
    remedy: str | None = None  # one command, or where none can help one sentence


Check = Callable[[System], Iterable[Finding]]


def examine(system: System, checks: Mapping[str, Check]) -> list[Finding]:
    """The findings of every check; one that fails is a finding of its own, and never keeps the others."""
    found: list[Finding] = []
    for subject, check in checks.items():
        try:
            found += check(system)
        except Exception as error:  # whatever this machine does to us, the page is shown
            found.append(Finding(subject, "unknown", f"{type(error).__name__}: {error}"))
    return found
