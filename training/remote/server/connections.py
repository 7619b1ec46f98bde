"""uvicorn's HTTP/1.1 with the limits on silent connections (slowloris) that it lacks. Knows nothing about teachers."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_TIMEOUT = 10.0  # s for a request's headers to arrive
MAX_CONNECTIONS = 512


class LimitedProtocol(H11Protocol):
    """Closes connections whose headers do not arrive in time; at the maximum, a new one replaces the longest idle."""

    idle_since = 0.0  # s, the loop's clock
    _timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is in work."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._timer = self.loop.call_later(HEADERS_TIMEOUT, self._headers_late)
        if len(self.connections) > MAX_CONNECTIONS:
            there = [c for c in self.connections if isinstance(c, LimitedProtocol) and not c.transport.is_closing()]
            if len(there) > MAX_CONNECTIONS:
                min((c for c in there if c.idle), key=lambda c: c.idle_since).transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.idle and self._timer is None:  # the beginning of a further request
            self._timer = self.loop.call_later(HEADERS_TIMEOUT, self._headers_late)
        elif not self.idle:
            self._stop_timer()

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _headers_late(self) -> None:
        if self.idle:
            self.transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
