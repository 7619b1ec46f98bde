"""When a remote teacher may be asked: a circuit breaker with exponential backoff, and a token bucket of bytes.

Pure state machines, without clock, thread or randomness: the caller passes the time (s, monotonic, from any start).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CircuitBreakerOptions:
    """When a CircuitBreaker opens, and for how long."""

    failures: int = 2  # in a row, until it opens
    first_delay: float = 0.25  # s, before the first trial
    max_delay: float = 3.0  # s; learning has to resume within 5 s of a server's return
    factor: float = 2.0  # between one delay and the next
    jitter: float = 0.5  # share of the delay that is random, so that many callers do not return at once


class CircuitBreaker:
    """Closed: calls are allowed. Open: none is until a delay is over; then one trial, whose success closes it and whose
    failure opens it for longer.
    """

    def __init__(self, options: CircuitBreakerOptions = CircuitBreakerOptions()):
        self.options = options
        self.failures = 0  # in a row
        self.open_until: float | None = None  # s; None: closed
        self._trials = 0  # that failed since it opened

    def allows(self, now: float) -> bool:
        """Whether a call may be made at `now`; the caller then reports `record_success` or `record_failure`."""
        return self.open_until is None or now >= self.open_until

    def record_success(self) -> bool:
        """A call succeeded; returns whether the breaker was open."""
        was_open = self.open_until is not None
        self.failures = self._trials = 0
        self.open_until = None
        return was_open

    def record_failure(self, now: float, draw: float, at_least: float = 0.0) -> None:
        """A call failed at `now`.

        Parameters
        ----------
        draw : a random number in [0, 1), for the jitter.
        at_least : s, the delay that the server asked for (Retry-After); respected up to max_delay.
        """
        o = self.options
        self.failures += 1
        if self.failures < o.failures and not at_least:
            return
        delay = min(o.first_delay * o.factor**self._trials, o.max_delay)
        delay *= 1 - o.jitter * draw
        self._trials = min(self._trials + 1, 30)
        self.open_until = now + max(delay, min(at_least, o.max_delay))


class ByteBudget:
    """A token bucket of `rate` bytes/s that holds one second's worth. A message may overdraw it, and the next waits
    until that is repaid: a picture larger than one second's budget passes too, only less often.
    """

    def __init__(self, rate: float):
        self.rate = rate
        self._balance = rate  # bytes
        self._filled_at: float | None = None

    def allows(self, now: float) -> bool:
        self._fill(now)
        return self._balance > 0

    def spend(self, count: int, now: float) -> None:
        """`count` bytes were sent or received."""
        self._fill(now)
        self._balance -= count

    def _fill(self, now: float) -> None:
        if self._filled_at is not None:
            self._balance = min(self._balance + (now - self._filled_at) * self.rate, self.rate)
        self._filled_at = now
