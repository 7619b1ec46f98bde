"""One CPU budget for everything in the process. Decides; `apply` tells OpenCV. Serial kernels need no share.

The paint path and the learner run at the same time, so they divide the budget between them; in lockstep they take
turns, and each has all of it. Each runtime is told its share when it is made (a session, torch in the learner).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from .errors import UsageError

DEFAULT_LIMIT = 4  # threads; a call shares the machine with the program that makes the call


@dataclass(frozen=True)
class CpuBudget:
    """Threads for each of the two who compute."""

    paint: int
    learn: int  # 0: nobody learns


def divide(threads: int | CpuBudget | None, learning: bool, taking_turns: bool = False) -> CpuBudget:
    """`threads` between the paint path and the learner.

    None: one to paint, since handing a frame of a few milliseconds to others costs more than they save (`jm-bench
    threads`), and to learn half of the cores that this process may use, of at most 4. With a single thread and learning
    on, both get one: the learner runs at low priority beside the paint path. A CpuBudget is divided already, and comes
    back as it is.

    Raises
    ------
    UsageError
        `threads` is not positive.
    """
    if isinstance(threads, CpuBudget):
        return threads
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}; expected 1 or more")
    total = threads or min(_cores(), DEFAULT_LIMIT)
    if not learning:
        return CpuBudget(threads or 1, 0)
    if taking_turns:
        return CpuBudget(threads or 1, total)
    learn = max(1, total // 2)
    return CpuBudget(max(1, threads - learn) if threads else 1, learn)


def apply(budget: CpuBudget) -> None:
    """OpenCV has one pool for the whole process: it gets the paint path's share."""
    import cv2

    cv2.setNumThreads(budget.paint)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
