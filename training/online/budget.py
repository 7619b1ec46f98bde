"""What learning may cost, and what it did: CPU time. Knows nothing of learning.

The budget is in percent of one core, and kept over any minute: a bucket of tokens. Most of a minute's budget may be
spent at once, where a new scene needs it; the rest comes evenly. So no minute costs more than the budget and the
operation that crossed it, and no scene finds nothing left.
"""

from __future__ import annotations

import math
import time

MINUTE = 60.0  # s
AT_ONCE = 0.75  # share of a minute's budget


class LearningBudget:
    """CPU seconds that may be spent now."""

    def __init__(self, percent: float):
        """`percent` of one core; infinity: no limit."""
        self.limited = percent < math.inf
        self._rate = (1 - AT_ONCE) * percent / 100  # CPU seconds per second
        self._most = AT_ONCE * MINUTE * percent / 100  # CPU seconds
        self._left = self._most
        self._at: float | None = None  # s, of the caller's clock

    def allows(self, now: float) -> bool:
        """Whether something may be begun at `now`, s. What it costs is told afterwards, if need be as a debt."""
        if self._at is not None:
            self._left = min(self._left + self._rate * (now - self._at), self._most)
        self._at = now
        return self._left > 0

    def grant(self) -> None:
        """What a scene may cost at once may be spent: the user asked for it."""
        self._left = max(self._left, self._most)

    def spend(self, seconds: float) -> None:
        """So much CPU time was spent."""
        self._left -= seconds


class CpuLaps:
    """CPU time of the calling thread, by what it was spent on: a lap belongs to what ends with it."""

    def __init__(self, *names: str):
        self.seconds = dict.fromkeys(names, 0.0)
        self._at = 0.0

    def begin(self) -> None:
        self._at = time.thread_time()

    def lap(self, name: str) -> None:
        """What was spent since the last lap was spent on `name`."""
        now = time.thread_time()
        self.seconds[name] += now - self._at
        self._at = now

    @property
    def total(self) -> float:
        return sum(self.seconds.values())
