"""Who may ask the panel: the user who started it, from its own page. Knows nothing of what is asked for.

A page of a stranger can send requests to 127.0.0.1 too. The cookie alone does not keep it out: cookies do not tell
ports apart, and for SameSite all ports of 127.0.0.1 are one site. So the browser has to name our page as the origin.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
SAFE = ("GET", "HEAD")  # methods that change nothing
OWN_FETCHES = ("same-origin", "none")  # of Sec-Fetch-Site; none: the user typed the address
HEADERS = {  # of every answer
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
}
PROC_TCP = Path("/proc/net/tcp")


class Access:
    """ASGI: passes on what the panel's user asks; everybody else gets 403 without content.

    Parameters
    ----------
    port : that the panel listens at.
    token : of this start. The printed address carries it, and it becomes a cookie.
    """

    def __init__(self, app: ASGIApp, port: int, token: str):
        self._app, self._token = app, token
        self._hosts = {f"{host}:{port}" for host in HOSTS}
        self._cookie = f"jm-panel-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # there is no WebSocket; uvicorn closes what is not answered

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if admitted and opening:
                    headers.append("Set-Cookie", f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict")
            await send(message)

        headers = Headers(scope=scope)
        opening = self._opens(scope)
        admitted = self._admits(scope["method"], headers, opening)
        await (self._app if admitted else REFUSED)(scope, receive, send_with_headers)

    def _admits(self, method: str, headers: Headers, opening: bool) -> bool:
        origin = headers.get("origin")
        if headers.get("host") not in self._hosts:  # a name of a stranger's that leads to 127.0.0.1: DNS rebinding
            return False
        if origin is None:
            if method not in SAFE:
                return False
        elif origin not in {f"http://{host}" for host in self._hosts}:
            return False
        if opening:  # from a terminal, or from a file that a browser was given: not our page yet
            return True
        if headers.get("sec-fetch-site", "none") not in OWN_FETCHES:
            return False
        return self._is_token(cookie_parser(headers.get("cookie", "")).get(self._cookie, ""))

    def _opens(self, scope: Scope) -> bool:
        """Whether this is the printed address. It can be read in the arguments of a browser, so not of other users."""
        if scope["path"] != "/" or scope["method"] not in SAFE:
            return False
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return self._is_token(token) and is_same_user(scope["client"], scope["server"])

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())


REFUSED = Response(status_code=403, headers={"Connection": "close"})  # what a stranger sends is not read


def new_token() -> str:
    return secrets.token_urlsafe(32)


def is_same_user(client: tuple[str, int] | None, server: tuple[str, int] | None) -> bool:
    """Whether a connection of this machine is ours or root's; True where the system does not say (not Linux)."""
    try:
        table = PROC_TCP.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return True
    if client is None or server is None:
        return False
    owners: Mapping[tuple[str, str], int] = {
        (fields[1], fields[2]): int(fields[7]) for fields in map(str.split, table) if len(fields) > 7
    }
    owner = owners.get((_as_in_proc(client), _as_in_proc(server)))
    return owner is None or owner in (0, os.geteuid())


def _as_in_proc(address: tuple[str, int]) -> str:
    """127.0.0.1:8643 is written 0100007F:21C3."""
    host, port = address
    number = int.from_bytes(bytes(map(int, host.split("."))), "little")
    return f"{number:08X}:{port:04X}"
