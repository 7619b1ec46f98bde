"""A teacher on another machine, over the Open Inference Protocol v2. Slow, away or mad, it costs its labels only.

Nothing here waits beyond the deadline of one call. What is asked of whom is decided by pure parts: patience.py (when),
privacy.py (what leaves), dialect.py and wire.py (how it is said).
"""

from __future__ import annotations

import ipaddress
import itertools
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from engine.errors import TeacherError, UsageError
from engine.teacher_options import TeacherOptions

from .circuit_breaker import ByteBudget, CircuitBreaker
from .connection import Answer, Connection, ExchangeError
from .oip_v2 import HEADER, WireError, decode_response, encode_request, read_json
from .privacy import THUMBNAIL, Box, box_around, grey, placed, shrink
from .signature import ModelSignature, read_signature

log = logging.getLogger("jit_masker")

STATUS_KINDS = {401: "denied", 403: "denied", 404: "not found", 429: "busy", 503: "busy"}
REMEDIES = {
    "denied": "; check --teacher-token",
    "not found": "; check the model's name in --teacher",
    "untrusted": "; check --teacher-authority",
}


class RemoteTeacher:
    """A teacher (see `training.teachers.Teacher`). The first call makes the connection; the server may come later."""

    def __init__(
        self,
        options: TeacherOptions,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ):
        """
        Parameters
        ----------
        clock : gives seconds, monotonic.
        draw : gives numbers in [0, 1), for the backoff's jitter.

        Raises
        ------
        UsageError
            The URL is none, or the authority's file cannot be read.
        """
        url = urlsplit(options.name)
        if not url.path.startswith("/v2/models/") or url.query or url.username:
            raise UsageError(
                f"the teacher's URL is {url._replace(netloc=url.hostname or '').geturl()}; expected "
                "http(s)://host:port/v2/models/NAME (a token goes into JM_TEACHER_TOKEN)"
            )
        self._name, self._path = f"{url.scheme}://{url.netloc}{url.path}", url.path.rstrip("/")
        self._options, self._clock, self._draw = options, clock, draw
        self._connection = Connection(url, options.authority, clock)
        self._headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
        self._breaker = CircuitBreaker()
        self._budget = ByteBudget(options.bandwidth) if options.bandwidth else None
        self._dialect: ModelSignature | None = None
        self._box: Box | None = None  # where the person was, for privacy "region"
        self._numbers = itertools.count()
        self._began = clock()
        self._failures: Counter[str] = Counter()
        self._labels = 0
        if options.token and url.scheme == "http" and not is_here(url.hostname or ""):
            log.warning("the token for %s travels unencrypted; use https", self._name)

    def __call__(self, bgr: np.ndarray) -> np.ndarray:
        """The label of this very frame.

        Raises
        ------
        TeacherError
            The server is away, late or mad, or the budget of bytes is used up.
        """
        now = self._clock()
        if not self._breaker.admits(now):
            raise self._fail("away", "was not asked: it failed a moment ago")
        if self._budget is not None and not self._budget.admits(now):
            raise self._fail("over budget", f"was not asked: {self._budget.rate:g} bytes/s are used up")
        before = self._connection.sent + self._connection.received
        try:
            label = self._privately(bgr, now + self._options.deadline)
        except ExchangeError as error:
            self._breaker.failed(self._clock(), self._draw(), error.retry_after)
            raise self._fail(error.kind, str(error)) from error
        finally:
            if self._budget is not None:
                used = self._connection.sent + self._connection.received - before
                self._budget.spend(used, self._clock())
        self._labels += 1
        if self._breaker.succeeded():
            log.info("%s is back", self._name)
        return label

    def wire(self) -> dict[str, Any]:
        """What went over the wire so far, for the report."""
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

    def _privately(self, bgr: np.ndarray, until: float) -> np.ndarray:
        """The label of a frame, of which only as much leaves as the options allow."""
        if self._options.privacy == "grey":
            bgr = grey(bgr)
        if self._options.privacy != "region":
            return self._ask(shrink(bgr, self._options.side), until)
        if self._box is None:
            self._box = box_around(self._ask(shrink(bgr, THUMBNAIL), until))
        if self._box is None:
            return np.zeros(bgr.shape[:2], np.float32)
        box = self._box
        part = self._ask(shrink(bgr[box.pixels(bgr.shape)], self._options.side), until)
        label = placed(part, box, bgr.shape)
        self._box = box_around(label)
        return label

    def _ask(self, bgr: np.ndarray, until: float) -> np.ndarray:
        """The label of a picture as it may leave this machine."""
        try:
            if self._dialect is None:
                metadata = self._said(self._send("GET", self._path, b"", {}, until))
                self._dialect = read_signature(read_json(metadata), self._options.encoding)
            number = str(next(self._numbers))
            colour = self._options.privacy != "grey"
            left = until - self._clock()
            request = self._dialect.request(bgr, number, quality=self._options.quality, colour=colour, within=left)
            body, length = encode_request(request)
            headers = {"Content-Type": "application/octet-stream", HEADER: str(length)}
            answer = self._send("POST", f"{self._path}/infer", body, headers, until)
            response = decode_response(self._said(answer), answer.headers.get(HEADER))
            if response.id not in ("", number):
                raise WireError(f"the answer belongs to the request {response.id!r}, not to {number!r}")
            return self._dialect.label(response)
        except WireError as error:
            self._connection.close()  # whatever else lies in it belongs to nobody
            self._dialect = None  # another server may stand there now
            raise ExchangeError("garbage", f"answered nonsense: {error}") from error

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str], until: float) -> Answer:
        return self._connection.exchange(method, path, body, {**self._headers, **headers}, until)

    def _said(self, answer: Answer) -> bytes:
        """The body of a good answer; ExchangeError for another status."""
        if answer.status == 200:
            return answer.body
        self._dialect = None
        kind = STATUS_KINDS.get(answer.status, "refused" if answer.status < 500 else "server error")
        try:
            why = str(read_json(answer.body).get("error", ""))[:200]
        except WireError:
            why = ""
        wait = answer.headers.get("Retry-After", "")
        after = float(wait) if wait.isascii() and wait.isdecimal() else 0.0
        raise ExchangeError(kind, f"answered {answer.status}{': ' if why else ''}{why}{REMEDIES.get(kind, '')}", after)

    # -- what went wrong -----------------------------------------------------------------------------------------

    def _fail(self, kind: str, message: str) -> TeacherError:
        """Count a failure; each kind is told once, the very first by the learner, who hears of it as TeacherError."""
        text = f"the teacher {self._name}: {message}"
        if self._failures and not self._failures[kind] and kind != "away":
            log.warning("%s", text)
        self._failures[kind] += 1
        return TeacherError(text)

    def close(self) -> None:
        self._connection.close()


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
