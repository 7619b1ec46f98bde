"""How long things took. Fixed memory, nothing allocated while measuring."""

from __future__ import annotations

import numpy as np


class Durations:
    """The last `capacity` durations of one kind, in milliseconds."""

    def __init__(self, capacity: int = 1 << 15):
        self._ms = np.zeros(capacity, np.float32)
        self.count = 0  # all that were ever added

    def add(self, seconds: float) -> None:
        self._ms[self.count % len(self._ms)] = seconds * 1e3
        self.count += 1

    def summary(self, *keys: str) -> dict[str, float | None]:
        """Values by key, ms: "p50" is the median, "p95" the 95th percentile, "max" the largest; None without data."""
        kept = self._ms[: min(self.count, len(self._ms))]
        if not len(kept):
            return dict.fromkeys(keys)
        return {k: round(float(kept.max() if k == "max" else np.percentile(kept, float(k[1:]))), 4) for k in keys}
