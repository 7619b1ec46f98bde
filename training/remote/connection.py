"""One HTTP/1.1 connection to one server, with a deadline for each whole exchange. Knows nothing about teachers.

The standard library's timeouts begin anew with every byte received; a server that drips would never be late. Here each
read gets only what is left of the exchange's time. Redirects are not followed: a token goes where it was meant to go.
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

MAX_ANSWER = 64 << 20  # bytes, unpacked; a label of 4096x4096 in float32
GONE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


class ExchangeError(Exception):
    """No answer that can be used; `kind` is a word to count it by."""

    def __init__(self, kind: str, message: str, retry_after: float = 0.0):
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after  # s that the server asked for; 0: it did not


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes  # unpacked


class Connection:
    """Kept alive from one exchange to the next; opened when it is needed. Used by one thread at a time."""

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
        self._tls = _trusting(authority) if url.scheme == "https" else None
        self._clock = clock
        self._open: http.client.HTTPConnection | None = None
        self.sent = self.received = 0  # bytes, before encryption

    def exchange(self, method: str, path: str, body: bytes, headers: dict[str, str], until: float) -> Answer:
        """Send a request and have its answer before the clock says `until` (s).

        Raises
        ------
        ExchangeError
            "late", "unreachable" (no connection, or it broke) or "garbage" (no HTTP, or too much of it).
        """
        kept = self._open is not None
        try:
            return self._once(method, path, body, headers, until)
        except GONE as error:
            # A connection that idled may have been closed by the server meanwhile; a new one is worth one try.
            if not kept:
                raise ExchangeError("unreachable", f"the server hung up: {error or type(error).__name__}") from error
        try:
            return self._once(method, path, body, headers, until)
        except GONE as error:
            raise ExchangeError("unreachable", f"the server hung up: {error or type(error).__name__}") from error

    def _once(self, method: str, path: str, body: bytes, headers: dict[str, str], until: float) -> Answer:
        whole = False
        try:
            connection = self._connected(until)
            connection.until = until  # type: ignore[attr-defined]
            connection.sock.settimeout(self._left(until))
            connection.request(method, path, body or None, {"Accept-Encoding": "gzip", **headers})
            with connection.getresponse() as response:
                packed = response.read(MAX_ANSWER + 1)
                missing = response.length
            if missing and len(packed) <= MAX_ANSWER:
                raise http.client.IncompleteRead(packed, missing)
            answer = Answer(response.status, response.headers, _unpacked(packed, response.headers))
            whole = not response.will_close
            return answer
        except TimeoutError as error:
            raise ExchangeError("late", "no answer in time") from error
        except GONE:
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
            if not whole:
                self.close()

    def _connected(self, until: float) -> http.client.HTTPConnection:
        if self._open is None:
            host, port = self._address
            left = self._left(until)
            if self._tls is None:
                connection: Any = _Plain(host, port, timeout=left)
            else:
                connection = _Secure(host, port, timeout=left, context=self._tls)
            connection.owner = self
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open = connection
        return self._open

    def _left(self, until: float) -> float:
        left = until - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def close(self) -> None:
        """Drop the connection, if there is one; the next exchange opens another."""
        connection, self._open = self._open, None
        if connection is not None:
            connection.close()


class _Counting:
    """Mixed into http.client's connections: counts what is sent, and reads answers against the exchange's deadline."""

    owner: Connection
    until: float

    def send(self, data: Any) -> None:
        self.owner.sent += len(data)
        super().send(data)  # type: ignore[misc]

    def response_class(self, sock: Any, method: str | None = None, **_: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_Readable(sock, self.owner, self.until), method=method)  # type: ignore[arg-type]


class _Plain(_Counting, http.client.HTTPConnection):  # type: ignore[misc]
    pass


class _Secure(_Counting, http.client.HTTPSConnection):  # type: ignore[misc]
    pass


class _Readable(io.RawIOBase):
    """A socket as http.client reads it."""

    def __init__(self, sock: socket.socket, owner: Connection, until: float):
        self._sock, self._owner, self._until = sock, owner, until

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._owner._left(self._until))
        count = self._sock.recv_into(buffer)
        self._owner.received += count
        return count


def _trusting(authority: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot read the authority in {authority}: {error}; expected a PEM file") from error


def _unpacked(body: bytes, headers: http.client.HTTPMessage) -> bytes:
    """`body` as it was before its Content-Encoding; never more than MAX_ANSWER."""
    coding = headers.get("Content-Encoding", "identity")
    if coding == "gzip":
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, MAX_ANSWER + 1)
        except zlib.error as error:
            raise ExchangeError("garbage", f"what came is not the gzip it says it is: {error}") from error
    elif coding != "identity":
        raise ExchangeError("garbage", f"the answer's Content-Encoding is {coding!r}, which nobody asked for")
    if len(body) > MAX_ANSWER:
        raise ExchangeError("garbage", f"the answer is larger than {MAX_ANSWER >> 20} MB")
    return body
