"""Who is asked about next: first come, first served, as long as somebody still waits for the answer.

Pure: no clock, no thread, no frame. Whoever calls says what time it is (s, monotonic, from any start). Without this an
overloaded teacher would work for callers only who have just given up.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """Questions with the time until which their callers wait; learns how long a batch takes from those before."""

    def __init__(self, together: int = 1):
        """`together`: how many may be taken at once, at most."""
        self._together = together
        self._waiting: deque[tuple[float, T]] = deque()
        self._took: dict[int, float] = {}  # s of the last batch of each size

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: T, until: float) -> None:
        self._waiting.append((until, item))

    def take(self, now: float) -> tuple[list[T], list[T]]:
        """(those to be answered together now, those who cannot be answered in time any more)."""
        batch: list[T] = []
        late: list[tuple[float, T]] = []
        first = float("inf")  # who of the batch gives up first
        while self._waiting and len(batch) < self._together:
            until = self._waiting[0][0]
            if now + self.takes(1) > until:
                late.append(self._waiting.popleft())
                continue
            first = min(first, until)
            if batch and now + self.takes(len(batch) + 1) > first:
                break
            batch.append(self._waiting.popleft()[1])
        if not batch and late:
            longest = max(range(len(late)), key=lambda i: late[i][0])
            if late[longest][0] > now:  # perhaps it has become faster: only trying tells
                batch = [late.pop(longest)[1]]
        return batch, [item for _, item in late]

    def takes(self, count: int) -> float:
        """Seconds that `count` together will take; nothing is known before the first, which is taken alone."""
        known = max((size for size in self._took if size <= count), default=None)
        if known is None:
            return 0.0 if count == 1 else float("inf")
        return self._took[known] * count / known

    def took(self, seconds: float, count: int) -> None:
        """A batch of `count` is answered."""
        self._took[count] = seconds
