"""When to ask a teacher that may be away: a circuit breaker with backoff, and a budget of bytes.

Pure state machines: no clock, no thread, no chance. Whoever calls says what time it is (s, monotonic, from any start).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CircuitBreakerOptions:
    """How patient a CircuitBreaker is."""

    failures: int = 2  # in a row, until it opens
    first_delay: float = 0.25  # s, before the first trial
    max_delay: float = 3.0  # s; learning has to resume within 5 s of a server's return
    factor: float = 2.0  # between one delay and the next
    jitter: float = 0.5  # share of the delay that is drawn by lot, so that many callers do not return as one


class CircuitBreaker:
    """CLOSED: everybody passes. OPEN: nobody, until a delay is over; then one trial passes, which closes it or opens it
    for longer.
    """

    def __init__(self, options: CircuitBreakerOptions = CircuitBreakerOptions()):
        self.options = options
        self.failures = 0  # in a row
        self.until: float | None = None  # s; None: closed
        self._trials = 0  # that failed since it opened

    def admits(self, now: float) -> bool:
        """Whether a call may be made at `now`. Each call has to be followed by `succeeded` or `failed`."""
        return self.until is None or now >= self.until

    def succeeded(self) -> bool:
        """The call went well; returns whether that ends an absence."""
        was_open = self.until is not None
        self.failures = self._trials = 0
        self.until = None
        return was_open

    def failed(self, now: float, draw: float, at_least: float = 0.0) -> None:
        """The call failed at `now`.

        Parameters
        ----------
        draw : a number in [0, 1), drawn by lot by the caller.
        at_least : s, the delay that the server asked for (Retry-After); it is kept up to max_delay.
        """
        o = self.options
        self.failures += 1
        if self.failures < o.failures and not at_least:
            return
        delay = min(o.first_delay * o.factor**self._trials, o.max_delay)
        delay *= 1 - o.jitter * draw
        self._trials = min(self._trials + 1, 30)
        self.until = now + max(delay, min(at_least, o.max_delay))


class ByteBudget:
    """Holds the average of what is sent and received at `rate`, bytes/s. A message may overdraw it, then nothing goes
    until that is paid back: so pictures larger than one second's budget pass too, only less often.
    """

    def __init__(self, rate: float):
        self.rate = rate
        self._balance = rate  # bytes: one second's worth may be saved up
        self._at: float | None = None

    def admits(self, now: float) -> bool:
        self._fill(now)
        return self._balance > 0

    def spend(self, count: int, now: float) -> None:
        """`count` bytes went over the wire."""
        self._fill(now)
        self._balance -= count

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._balance = min(self._balance + (now - self._at) * self.rate, self.rate)
        self._at = now
