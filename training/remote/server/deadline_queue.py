"""A queue of requests with deadlines: first come, first served, and what cannot be answered in time is given back.

Pure: no clock, no thread, no frame; the caller passes the time (s, monotonic, from any start). Without it an overloaded
teacher would label only frames whose callers have just given up.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class DeadlineQueue(Generic[T]):
    """Requests with their deadlines; estimates how long a batch takes from the batches before."""

    def __init__(self, max_batch: int = 1):
        """`max_batch`: how many may be taken at once, at most."""
        self._max_batch = max_batch
        self._waiting: deque[tuple[float, T]] = deque()
        self._seconds: dict[int, float] = {}  # of the last batch of each size

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: T, deadline: float) -> None:
        self._waiting.append((deadline, item))

    def take(self, now: float) -> tuple[list[T], list[T]]:
        """(the next batch, those that cannot be answered in time any more)."""
        batch: list[T] = []
        late: list[tuple[float, T]] = []
        earliest = float("inf")  # deadline in the batch
        while self._waiting and len(batch) < self._max_batch:
            deadline = self._waiting[0][0]
            if now + self.expected_seconds(1) > deadline:
                late.append(self._waiting.popleft())
                continue
            earliest = min(earliest, deadline)
            if batch and now + self.expected_seconds(len(batch) + 1) > earliest:
                break
            batch.append(self._waiting.popleft()[1])
        if not batch and late:
            longest = max(range(len(late)), key=lambda i: late[i][0])
            if late[longest][0] > now:  # the teacher may have become faster, which only a trial shows
                batch = [late.pop(longest)[1]]
        return batch, [item for _, item in late]

    def expected_seconds(self, count: int) -> float:
        """Seconds that a batch of `count` will take. Before the first measurement one is taken alone."""
        measured = max((size for size in self._seconds if size <= count), default=None)
        if measured is None:
            return 0.0 if count == 1 else float("inf")
        return self._seconds[measured] * count / measured

    def record(self, seconds: float, count: int) -> None:
        """A batch of `count` took `seconds`."""
        self._seconds[count] = seconds
