"""The empty rule: nobody there, nobody painted. Pure; knows nothing about pixels."""

from __future__ import annotations

MIN_AREA = 0.02  # share of the frame; the paper's 5 % hides who stands back to show the room (docs/decisions.md)
REOPEN = 1.2  # times MIN_AREA; once shut, the gate opens only for clearly more, so that it does not flutter


class PresenceGate:
    """Open while the predicted area is that of a person. The first frame is judged by the plain threshold."""

    def __init__(self, min_area: float = MIN_AREA):
        self.min_area = min_area
        self._open: bool | None = None  # None: no frame yet

    def admits(self, area: float) -> bool:
        """Whether a frame whose alpha has mean `area` (share, [0, 1]) is painted with its person."""
        threshold = self.min_area * (REOPEN if self._open is False else 1.0)
        self._open = area >= threshold
        return self._open
