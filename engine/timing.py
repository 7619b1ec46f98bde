"""How long things took. Fixed memory, nothing allocated while measuring."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np


class Durations:
    """The last `capacity` durations of one kind, in milliseconds."""

    def __init__(self, capacity: int = 1 << 15):
        self._ms = np.zeros(capacity, np.float32)
        self.count = 0  # all that were ever added

    def add(self, seconds: float) -> None:
        self._ms[self.count % len(self._ms)] = seconds * 1e3
        self.count += 1

    def clear(self) -> None:
        """As if nothing had been added."""
        self.count = 0

    def since(self, count: int) -> list[float]:
        """Those that were added after the first `count`, as far as they are kept, ms."""
        added = range(max(count, self.count - len(self._ms)), self.count)
        return [float(self._ms[i % len(self._ms)]) for i in added]

    def recent(self, count: int = 50) -> float | None:
        """The median of the last `count`, ms; None without data."""
        kept = self.since(self.count - count)
        return float(np.median(kept)) if kept else None

    def summary(self, *keys: str) -> dict[str, float | None]:
        """Values by key, ms: "p50" is the median, "p95" the 95th percentile, "max" the largest; None without data."""
        kept = self._ms[: min(self.count, len(self._ms))]
        if not len(kept):
            return dict.fromkeys(keys)
        return {k: round(float(kept.max() if k == "max" else np.percentile(kept, float(k[1:]))), 4) for k in keys}


class Stages:
    """The stages of one piece of work that is done again and again, and the whole: the stages add up to it."""

    def __init__(self, names: Iterable[str]):
        self.total = Durations()
        self.stages = {name: Durations() for name in names}
        self._taken = dict.fromkeys(self.stages, 0.0)  # s, of the piece at hand
        self._began = self._lapped = 0.0

    def clear(self) -> None:
        """As if nothing had been timed."""
        for durations in (self.total, *self.stages.values()):
            durations.clear()

    def begin(self) -> None:
        self._began = self._lapped = time.perf_counter()
        for name in self._taken:
            self._taken[name] = 0.0

    def lap(self, name: str) -> None:
        """What was done since the last lap belongs to the stage `name`."""
        now = time.perf_counter()
        self._taken[name] += now - self._lapped
        self._lapped = now

    def end(self) -> None:
        self.total.add(self._lapped - self._began)
        for name, durations in self.stages.items():
            durations.add(self._taken[name])
