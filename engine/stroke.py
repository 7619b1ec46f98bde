"""A stroke: the user draws over something, and says that it belongs into the picture or not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .errors import UsageError

MAX_POINTS = 200


@dataclass(frozen=True)
class Stroke:
    """Valid once built: UsageError where it says nothing that could be meant."""

    points: tuple[tuple[float, float], ...]  # (x, y) in [0, 1], shares of the frame's width and height, in order
    keep: bool  # True: what lies there is painted with the person; False: it is background

    @classmethod
    def of(cls, points: Iterable[Sequence[float]], keep: bool) -> Stroke:
        """From anything that gives pairs of numbers."""
        pairs: list[tuple[float, float]] = []
        for point in points:
            try:
                x, y = map(float, point)
            except (TypeError, ValueError):
                raise UsageError(f"a point of a stroke is {point!r:.80}; expected (x, y)") from None
            pairs.append((x, y))
        return cls(tuple(pairs), bool(keep))

    def __post_init__(self) -> None:
        if not 1 <= len(self.points) <= MAX_POINTS:
            raise UsageError(f"a stroke of {len(self.points)} points; expected 1 to {MAX_POINTS}")
        for x, y in self.points:
            if not (math.isfinite(x) and math.isfinite(y) and 0 <= x <= 1 and 0 <= y <= 1):
                raise UsageError(
                    f"a stroke goes through ({x:g}, {y:g}); expected shares of the frame's width and height, 0 to 1"
                )

    def mirrored(self) -> Stroke:
        """In the frame as a mirror shows it."""
        return Stroke(tuple((1 - x, y) for x, y in self.points), self.keep)
