"""The running engine as the panel reaches it: through its control socket, found anew when it is gone."""

from __future__ import annotations

from typing import Any

from ..control.client import Client
from ..errors import NoEngineRunning


class Engine:
    """Any thread may ask. `pid`: which engine; None: the only one."""

    def __init__(self, pid: int | None = None):
        self._pid = pid
        self._client: Client | None = None

    def call(self, command: str, *arguments: str) -> dict[str, Any]:
        """As `Client.call`; NoEngineRunning where none is, at this moment."""
        client = self._connected()
        try:
            return client.call(command, *arguments)
        except NoEngineRunning:
            self._client = None
            raise

    def snapshot(self, *, source: bool = False) -> bytes:
        """As `Client.snapshot`."""
        client = self._connected()
        try:
            return client.snapshot(source=source)
        except NoEngineRunning:
            self._client = None
            raise

    def _connected(self) -> Client:
        client = self._client or Client.connect(self._pid)
        self._client = client
        return client
