"""The empty rule (section 4.1 of the paper): nobody there, nobody painted. Pure: a number in, a decision out."""

from __future__ import annotations

MIN_AREA = 0.002  # share of the frame; the paper's 5 % hides whoever stands far away (docs/decisions.md)
HYSTERESIS = 1.2  # times the smallest area: who was not painted has to show clearly more, so that nothing flutters


class PresenceGate:
    """Open while the predicted area is that of a person. The first frame is judged by the plain threshold."""

    def __init__(self, min_area: float = MIN_AREA):
        self.min_area = min_area
        self._open: bool | None = None  # None: no frame yet

    def admits(self, area: float) -> bool:
        """Whether a frame whose alpha has mean `area` (share, [0, 1]) is painted with its person."""
        threshold = self.min_area * (HYSTERESIS if self._open is False else 1.0)
        self._open = area >= threshold
        return self._open

    def reset(self) -> None:
        self._open = None
