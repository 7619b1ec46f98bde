"""The panel's paths, as an ASGI application. Who may ask is decided before: see access.py.

    GET  /            the page; /panel.css, /panel.js ... beside it
    GET  /stats       what the engine says of itself
    GET  /picture     JPEG, as it is sent; /source: the real room, only while the page's user asks to see it
    GET  /gallery     {"folder", "names"}; /thumbnail?name=
    POST /gallery     ?name=, a file as the body
    GET  /rooms       {"mode", "folder", "rooms"}: what is remembered of places
    POST /command     {"command": "mirror", "arguments": ["on"]}

An error is {"error": text}; 503 where no engine runs.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..errors import JitMaskerError, NoEngineRunning, UsageError
from . import additions
from .running import Engine
from .thumbnails import thumbnail

PAGE = {  # file of page/: its type
    "index.html": "text/html",
    "panel.css": "text/css",
    "panel.js": "text/javascript",
    "view.js": "text/javascript",
    "gallery.js": "text/javascript",
    "chart.js": "text/javascript",
    "live.js": "text/javascript",
    "pad.js": "text/javascript",
    "corrections.js": "text/javascript",
    "rooms.js": "text/javascript",
    "words.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
COMMANDS = {
    "background", "blur", "next", "previous", "pause", "resume", "mirror", "frame", "learn", "forget",
    "correct", "undo", "rooms",
}  # fmt: skip
MAX_COMMAND = 4096  # bytes
COLOUR_OR_BLUR = re.compile(r"#[0-9a-f]{6}|blur(:[0-9.]+)?", re.IGNORECASE)


def build(engine: Engine) -> Starlette:
    """The application; it asks `engine`."""
    paths = Paths(engine)
    page = {name: (files(__package__) / "page" / name).read_bytes() for name in PAGE}

    def page_file(request: Request) -> Response:
        name = request.url.path.lstrip("/") or "index.html"
        return Response(page[name], media_type=PAGE[name])

    routes = [Route(f"/{name}".replace("/index.html", "/"), page_file) for name in PAGE]
    routes += [
        Route("/stats", paths.stats),
        Route("/picture", paths.picture),
        Route("/source", paths.source),
        Route("/gallery", paths.gallery, methods=["GET"]),
        Route("/gallery", paths.add, methods=["POST"]),
        Route("/rooms", paths.rooms),
        Route("/thumbnail", paths.thumbnail),
        Route("/command", paths.command, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={JitMaskerError: refuse, ClientDisconnect: refuse})


def refuse(_: Request, error: Exception) -> Response:
    status = 503 if isinstance(error, NoEngineRunning) else 400 if isinstance(error, UsageError) else 409
    return JSONResponse({"error": str(error)}, status)


class Paths:
    """What is answered. Plain functions run on threads of their own: an engine may take its time."""

    def __init__(self, engine: Engine):
        self._engine = engine

    def stats(self, _: Request) -> Response:
        return JSONResponse(self._engine.call("stats"))

    def picture(self, _: Request) -> Response:
        return Response(self._engine.snapshot(), media_type="image/jpeg")

    def source(self, _: Request) -> Response:
        return Response(self._engine.snapshot(source=True), media_type="image/jpeg")

    def gallery(self, _: Request) -> Response:
        return JSONResponse(self._engine.call("gallery"))

    def rooms(self, _: Request) -> Response:
        return JSONResponse(self._engine.call("rooms"))

    def thumbnail(self, request: Request) -> Response:
        return Response(thumbnail(self._background(request.query_params.get("name", ""))), media_type="image/jpeg")

    def _background(self, name: str) -> Path:
        """Where a background of the gallery lies; UsageError for what is not in it, such as a path."""
        gallery = self._engine.call("gallery")
        if name not in gallery["names"]:
            raise UsageError(f"there is no {name!r:.100} in the gallery {gallery['folder']}; reload the page")
        return Path(gallery["folder"]) / name

    async def command(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_COMMAND:
                raise UsageError(f"a command of more than {MAX_COMMAND} bytes; reload the page")
        name, arguments = read_command(bytes(body))
        return JSONResponse(await run_in_threadpool(self._run, name, arguments))

    def _run(self, name: str, arguments: list[str]) -> dict[str, Any]:
        if name == "background" and not all(map(COLOUR_OR_BLUR.fullmatch, arguments)):
            arguments = [str(self._background(argument)) for argument in arguments]
        return self._engine.call(name, *arguments)

    async def add(self, request: Request) -> Response:
        length = request.headers.get("content-length", "")
        additions.check_size(int(length) if length.isdecimal() else 0)
        gallery = await run_in_threadpool(self._engine.call, "gallery")
        with additions.receive(request.query_params.get("name", ""), Path(gallery["folder"])) as addition:
            async for chunk in request.stream():
                addition.write(chunk)
            return JSONResponse({"name": await run_in_threadpool(addition.keep)}, 201)


def read_command(body: bytes) -> tuple[str, list[str]]:
    """Name and arguments. UsageError for what is no command of the panel's."""
    import json

    try:
        read = json.loads(body)
        name, arguments = read["command"], read.get("arguments", [])
        valid = name in COMMANDS and isinstance(arguments, list) and all(isinstance(a, str) for a in arguments)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        valid = False
    if not valid:
        raise UsageError(f"no command of the panel; expected one of {', '.join(sorted(COMMANDS))} as JSON")
    return name, arguments
