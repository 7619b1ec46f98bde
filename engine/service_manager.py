"""What systemd is told of a run that it started: that it is ready, and that it does not hang. See sd_notify(3).

A run that was not started by systemd tells nobody. With `WatchdogSec=` in its unit, one that falls silent is restarted.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class ServiceManager:
    """Used by one thread. `environ`: where systemd left the address, and how often it wants to hear."""

    def __init__(self, environ: Mapping[str, str] = os.environ):
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        own = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        wanted = environ.get("WATCHDOG_USEC", "")
        # twice as often as it is asked for: one may come late
        self._interval = int(wanted) / 2e6 if own and wanted.isdecimal() else None  # s
        self._next = 0.0

    def ready(self) -> None:
        """It has begun."""
        self._tell("READY=1")

    def alive(self) -> None:
        """It does its work; said as often as systemd wants to hear it, however often this is called."""
        now = time.monotonic()
        if self._interval is not None and now >= self._next:
            self._next = now + self._interval
            self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """It ends, which may take its time."""
        self._tell("STOPPING=1")

    def _tell(self, what: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
                messenger.setblocking(False)  # the picture does not wait for anybody's queue
                messenger.sendto(what.encode(), self._address)
        except OSError:
            return  # nobody listens: the picture goes on
