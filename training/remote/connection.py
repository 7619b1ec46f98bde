"""One HTTP/1.1 connection to one server, with one total deadline for each exchange. Knows nothing about teachers.

The standard library's timeouts begin anew with every byte received; a server that drips would never be late. Here each
read gets only what is left of the exchange's time. Redirects are not followed: the token is sent to no other server.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

from engine.errors import UsageError

MAX_RESPONSE = 64 << 20  # bytes, decompressed; a label of 4096x4096 in float32
CLOSED_BY_PEER = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


class ExchangeError(Exception):
    """No usable response; failures are counted by `kind`, a short word."""

    def __init__(self, kind: str, message: str, retry_after: float = 0.0):
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after  # s that the server asked for (Retry-After); 0: it did not


@dataclass(frozen=True)
class HttpResponse:
    """A complete response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes  # decompressed


class Connection:
    """Opened when it is needed, then kept alive between exchanges. Used by one thread at a time."""

    def __init__(self, url: SplitResult, authority: str | None = None, clock: Callable[[], float] = time.monotonic):
        """
        Parameters
        ----------
        url : http or https, with a host.
        authority : PEM file of the authority that signed the server's certificate; None: the system's authorities.

        Raises
        ------
        UsageError
            The URL has no host or no valid port, or `authority` cannot be read.
        """
        try:
            self._address = (url.hostname or "", url.port)
        except ValueError as error:
            raise UsageError(f"the teacher's URL {url.geturl()} has no valid port: {error}") from error
        if not self._address[0]:
            raise UsageError(
                f"the teacher's URL {url.geturl()} has no host; expected http(s)://host:port/v2/models/NAME"
            )
        self._tls = _tls_context(authority) if url.scheme == "https" else None
        self._clock = clock
        self._open: http.client.HTTPConnection | None = None
        self.sent = self.received = 0  # bytes, before encryption

    def exchange(self, method: str, path: str, body: bytes, headers: dict[str, str], deadline: float) -> HttpResponse:
        """Send a request and return its response; the whole exchange ends by `deadline` (s, on the clock).

        Raises
        ------
        ExchangeError
            "late", "unreachable" (no connection, or it broke), "untrusted" (certificate) or "garbage" (not HTTP, or too
            large).
        """
        reused = self._open is not None
        try:
            return self._once(method, path, body, headers, deadline)
        except CLOSED_BY_PEER as error:
            if reused:  # the server may have closed an idle connection meanwhile: retry once on a new one
                return self.exchange(method, path, body, headers, deadline)
            raise ExchangeError("unreachable", f"the server hung up: {error or type(error).__name__}") from error

    def _once(self, method: str, path: str, payload: bytes, headers: dict[str, str], deadline: float) -> HttpResponse:
        reusable = False
        try:
            connection = self._connected(deadline)
            connection.deadline = deadline  # type: ignore[attr-defined]
            connection.request(method, path, payload or None, {"Accept-Encoding": "gzip", **headers})
            with connection.getresponse() as response:
                body = response.read(MAX_RESPONSE + 1)
                missing = response.length
            if missing and len(body) <= MAX_RESPONSE:
                raise http.client.IncompleteRead(body, missing)
            answer = HttpResponse(response.status, response.headers, _decompressed(body, response.headers))
            reusable = not response.will_close
            return answer
        except TimeoutError as error:
            raise ExchangeError("late", "no answer in time") from error
        except CLOSED_BY_PEER:
            raise
        except ssl.SSLCertVerificationError as error:
            raise ExchangeError("untrusted", f"the certificate is not trusted: {error.verify_message}") from error
        except http.client.IncompleteRead as error:
            raise ExchangeError("unreachable", "the answer broke off") from error
        except http.client.HTTPException as error:
            raise ExchangeError("garbage", f"what came is no HTTP: {type(error).__name__}") from error
        except OSError as error:
            raise ExchangeError("unreachable", f"no connection: {error.strerror or error}") from error
        finally:
            if not reusable:
                self.close()

    def _connected(self, deadline: float) -> http.client.HTTPConnection:
        if self._open is None:
            host, port = self._address
            left = self._remaining(deadline)
            if self._tls is None:
                connection: Any = _Plain(host, port, timeout=left)
            else:
                connection = _Secure(host, port, timeout=left, context=self._tls)
            connection.owner = self
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open = connection
        return self._open

    def _remaining(self, deadline: float) -> float:
        left = deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def close(self) -> None:
        """Drop the connection, if there is one; the next exchange opens another."""
        connection, self._open = self._open, None
        if connection is not None:
            connection.close()


class _Counting:
    """Mixed into http.client's connections: counts bytes, and sends and receives within the exchange's deadline."""

    owner: Connection
    deadline: float

    def send(self, data: Any) -> None:
        self.owner.sent += len(data)
        self.sock.settimeout(self.owner._remaining(self.deadline))  # type: ignore[attr-defined]
        super().send(data)  # type: ignore[misc]

    def response_class(self, sock: Any, method: str | None = None, **_: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_Readable(sock, self.owner, self.deadline), method=method)  # type: ignore[arg-type]


class _Plain(_Counting, http.client.HTTPConnection):  # type: ignore[misc]
    pass


class _Secure(_Counting, http.client.HTTPSConnection):  # type: ignore[misc]
    pass


class _Readable(io.RawIOBase):
    """A socket as http.client reads it.

    Reads through makefile(), which keeps the socket open until the body is read: http.client closes its connection as
    soon as it has seen "Connection: close" or no Content-Length.
    """

    def __init__(self, sock: socket.socket, owner: Connection, deadline: float):
        self._sock, self._owner, self._deadline = sock, owner, deadline
        self._stream = sock.makefile("rb", buffering=0)

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._owner._remaining(self._deadline))
        count = self._stream.readinto(buffer) or 0
        self._owner.received += count
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def _tls_context(authority: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot read the authority in {authority}: {error}; expected a PEM file") from error


def _decompressed(body: bytes, headers: http.client.HTTPMessage) -> bytes:
    """`body` as it was before its Content-Encoding; never more than MAX_RESPONSE."""
    coding = headers.get("Content-Encoding", "identity")
    if coding == "gzip":
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, MAX_RESPONSE + 1)
        except zlib.error as error:
            raise ExchangeError("garbage", f"what came is not the gzip it says it is: {error}") from error
    elif coding != "identity":
        raise ExchangeError("garbage", f"the answer's Content-Encoding is {coding!r}, which nobody asked for")
    if len(body) > MAX_RESPONSE:
        raise ExchangeError("garbage", f"the answer is larger than {MAX_RESPONSE >> 20} MB")
    return body
