"""When a learner that died is started again: soon at first, then later, then not any more. Pure."""

from __future__ import annotations

PAUSES = (0.5, 5.0, 30.0)  # s before the first restart, the second, the third; there is no fourth
WINDOW = 600.0  # s; a restart that lies further back is forgotten


class RestartBudget:
    """Counts restarts. Its clock is the caller's."""

    def __init__(self) -> None:
        self._restarts: list[float] = []  # s, when they were granted

    def died(self, now: float) -> float | None:
        """The learner died at `now`, s: seconds to wait before it is started again, None where it is not."""
        self._restarts = [at for at in self._restarts if now - at < WINDOW]
        if len(self._restarts) == len(PAUSES):
            return None
        self._restarts.append(now)
        return PAUSES[len(self._restarts) - 1]
