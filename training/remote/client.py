"""A teacher on another machine, over the Open Inference Protocol v2. A failing remote teacher costs labels only.

Nothing here waits beyond the deadline of one call. The decisions are made by pure parts: circuit_breaker.py (when to
ask), privacy.py (what leaves this machine), signature.py (which tensors the model takes), oip_v2.py (bytes).
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

import numpy as np

from engine.errors import TeacherError, UsageError
from engine.teacher_options import TeacherOptions

from .circuit_breaker import ByteBudget, CircuitBreaker
from .connection import Connection, ExchangeError, HttpResponse
from .oip_v2 import HEADER, ProtocolError, decode_response, encode_request, read_json
from .privacy import THUMBNAIL, Box, box_around, grey, paste, shrink
from .signature import ModelSignature, read_signature

log = logging.getLogger("jit_masker")

STATUS_KINDS = {401: "denied", 403: "denied", 404: "not found", 429: "busy", 503: "busy"}
REMEDIES = {
    "denied": "; check JM_TEACHER_TOKEN",
    "not found": "; check the model's name in --teacher",
    "untrusted": "; check --teacher-authority",
}


class RemoteTeacher:
    """A teacher (see `training.teachers.Teacher`). The first call connects, so the server may start later."""

    def __init__(
        self,
        options: TeacherOptions,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ):
        """
        Parameters
        ----------
        clock : returns seconds, monotonic.
        draw : returns random numbers in [0, 1), for the backoff's jitter.

        Raises
        ------
        UsageError
            The URL or the token is invalid, or the authority's file cannot be read.
        """
        url, self._connection, self._headers = open_connection(options, clock)
        self._name, self._path = f"{url.scheme}://{url.netloc}{url.path}", url.path.rstrip("/")
        self._options, self._clock, self._draw = options, clock, draw
        self._breaker = CircuitBreaker()
        self._budget = ByteBudget(options.bandwidth) if options.bandwidth else None
        self._signature: ModelSignature | None = None
        self._box: Box | None = None  # where the person was, for privacy "region"
        self._numbers = itertools.count()
        self._began = clock()
        self._failures: Counter[str] = Counter()
        self._labels = 0
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            warn_unencrypted(self._name, "the pictures and the token" if options.token else "the pictures")

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        """The label of this very frame.

        Raises
        ------
        TeacherError
            The server is unreachable, late or invalid in its answer, or the byte budget is used up.
        """
        now = self._clock()
        if not self._breaker.allows(now):
            raise self._failure("away", "was not asked: it failed a moment ago")
        if self._budget is not None and not self._budget.allows(now):
            raise self._failure("over budget", f"was not asked: {self._budget.rate:g} bytes/s are used up")
        before = self._connection.sent + self._connection.received
        try:
            label = self._label_privately(bgr, now + self._options.deadline)
        except ExchangeError as error:
            self._breaker.record_failure(self._clock(), self._draw(), error.retry_after)
            raise self._failure(error.kind, str(error)) from error
        finally:
            if self._budget is not None:
                used = self._connection.sent + self._connection.received - before
                self._budget.spend(used, self._clock())
        self._labels += 1
        if self._breaker.record_success():
            log.info("%s is back", self._name)
        return label

    def traffic(self) -> dict[str, Any]:
        """Traffic statistics so far: bytes, labels and failures by kind; see docs/report.md."""
        connection = self._connection
        elapsed = max(self._clock() - self._began, 1e-9)
        return {
            "sent_bytes": connection.sent,
            "received_bytes": connection.received,
            "bytes_per_s": round((connection.sent + connection.received) / elapsed),
            "labels": self._labels,
            "failures": dict(self._failures),
        }

    # -- what is sent --------------------------------------------------------------------------------------------

    def _label_privately(self, bgr: np.ndarray, deadline: float) -> np.ndarray:
        """The label of a frame, of which only what `privacy` allows is sent."""
        if self._options.privacy == "grey":
            bgr = grey(bgr)
        if self._options.privacy != "region":
            return self._request_label(shrink(bgr, self._options.side), deadline)
        if self._box is None:
            self._box = box_around(self._request_label(shrink(bgr, THUMBNAIL), deadline))
        if self._box is None:
            return np.zeros(bgr.shape[:2], np.float32)
        box = self._box
        part = self._request_label(shrink(bgr[box.pixels(bgr.shape)], self._options.side), deadline)
        label = paste(part, box, bgr.shape)
        self._box = box_around(label)
        return label

    def _request_label(self, bgr: np.ndarray, deadline: float) -> np.ndarray:
        """The label of a picture that may leave this machine."""
        try:
            if self._signature is None:
                metadata = self._body(self._exchange("GET", self._path, b"", {}, deadline))
                self._signature = read_signature(read_json(metadata), self._options.encoding)
            number = str(next(self._numbers))
            colour = self._options.privacy != "grey"
            left = deadline - self._clock()
            request = self._signature.request(bgr, number, quality=self._options.quality, colour=colour, within=left)
            body, length = encode_request(request)
            headers = {"Content-Type": "application/octet-stream", HEADER: str(length)}
            answer = self._exchange("POST", f"{self._path}/infer", body, headers, deadline)
            response = decode_response(self._body(answer), answer.headers.get(HEADER))
            if response.id not in ("", number):
                raise ProtocolError(f"the answer belongs to the request {response.id!r}, not to {number!r}")
            return self._signature.label(response)
        except ProtocolError as error:
            self._connection.close()  # it may hold the rest of an invalid answer
            self._signature = None  # another server may be there now
            raise ExchangeError("garbage", f"answered nonsense: {error}") from error

    def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str], deadline: float) -> HttpResponse:
        return self._connection.exchange(method, path, body, {**self._headers, **headers}, deadline)

    def _body(self, answer: HttpResponse) -> bytes:
        """The body of a response with status 200; ExchangeError for any other."""
        if answer.status == 200:
            return answer.body
        self._signature = None
        kind = STATUS_KINDS.get(answer.status, "refused" if answer.status < 500 else "server error")
        try:
            why = str(read_json(answer.body).get("error", ""))[:200]
        except ProtocolError:
            why = ""
        wait = answer.headers.get("Retry-After", "")
        after = float(wait) if wait.isascii() and wait.isdecimal() else 0.0
        raise ExchangeError(kind, f"answered {answer.status}{': ' if why else ''}{why}{REMEDIES.get(kind, '')}", after)

    # -- failures ------------------------------------------------------------------------------------------------

    def _failure(self, kind: str, message: str) -> TeacherError:
        """Count a failure. Each kind is logged once; the very first by the learner, which receives the TeacherError."""
        text = f"the teacher {self._name}: {message}"
        if self._failures and not self._failures[kind] and kind != "away":
            log.warning("%s", text)
        self._failures[kind] += 1
        return TeacherError(text)

    def close(self) -> None:
        self._connection.close()


def open_connection(
    options: TeacherOptions, clock: Callable[[], float] = time.monotonic
) -> tuple[SplitResult, Connection, dict[str, str]]:
    """The URL of a teacher, a connection that connects when it is used, and the headers of each request.

    UsageError: the URL or the token is invalid, or the authority's file cannot be read.
    """
    url = urlsplit(options.name)
    if not url.path.startswith("/v2/models/") or url.query or url.username:
        raise UsageError(
            f"the teacher's URL is {url._replace(netloc=url.hostname or '').geturl()}; expected "
            "http(s)://host:port/v2/models/NAME (a token goes into JM_TEACHER_TOKEN)"
        )
    return url, Connection(url, options.authority, clock), authorization(options.token, "the teacher's token")


def authorization(token: str | None, name: str) -> dict[str, str]:
    """The HTTP header that carries `token`; none where there is none. Raises UsageError, which does not repeat it, if
    the token holds blanks or characters beyond Latin-1; `name` is what the message calls it.
    """
    if not token:
        return {}
    if not all("!" <= character <= "\xff" and character.isprintable() for character in token):
        raise UsageError(
            f"{name} cannot be sent in a header; expected one word without blanks, such as openssl rand -hex 32 gives"
        )
    return {"Authorization": f"Bearer {token}"}


@functools.cache  # once
def warn_unencrypted(name: str, what: str) -> None:
    log.warning("%s for %s travel unencrypted, and whoever is on the way can see them; use https", what, name)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: a loopback address or "localhost"."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
