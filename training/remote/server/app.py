"""The Open Inference Protocol v2 over HTTP, as an ASGI application. Knows nothing about the teacher behind `label`."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine import __version__
from engine.errors import TeacherError

from .. import oip_v2 as wire
from .metrics import Metrics
from .model import VERSION, Limits, model_metadata, patience_of, picture_of, response_of, server_metadata
from .worker import Busy

log = logging.getLogger("jit_masker")

# uint8 (H, W, 3) BGR, s that the caller waits -> float32 (h, w); Busy, TeacherError
Label = Callable[[np.ndarray, float], Awaitable[np.ndarray]]
RETRY_AFTER = "1"  # s, for whoever comes while the line is full
SMALLEST_PACKED = 1024  # bytes; smaller answers are not worth packing


class Service:
    """One model behind the protocol's paths."""

    def __init__(
        self,
        name: str,
        label: Label,
        limits: Limits,
        token: str | None,
        metrics: Metrics,
        well: Callable[[], bool] = lambda: True,
    ):
        """`well` says whether the teacher still comes back; if not, this process wants to be restarted."""
        self._well = well
        self.name, self._label, self._limits = name, label, limits
        self._expected = f"Bearer {token}".encode() if token else None
        self.metrics = metrics
        self.ready = True

    # -- who may ask ---------------------------------------------------------------------------------------------

    def _admit(self, request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if self._expected is not None and not hmac.compare_digest(given, self._expected):
            raise HTTPException(401, "a valid token is needed", {"WWW-Authenticate": "Bearer"})
        model, version = request.path_params.get("model", self.name), request.path_params.get("version", VERSION)
        if (model, version) != (self.name, VERSION):
            raise HTTPException(404, f"there is no model {model!r} in version {version}; this server has {self.name!r}")

    # -- what can be asked ---------------------------------------------------------------------------------------

    async def live(self, _: Request) -> Response:
        well = self._well()
        return JSONResponse({"live": well}, 200 if well else 503)

    async def ready_(self, _: Request) -> Response:
        return JSONResponse({"ready": self.ready}, 200 if self.ready else 503)

    async def server(self, request: Request) -> Response:
        self._admit(request)
        return JSONResponse(server_metadata(__version__))

    async def model(self, request: Request) -> Response:
        self._admit(request)
        return JSONResponse(model_metadata(self.name))

    async def model_ready(self, request: Request) -> Response:
        self._admit(request)
        return JSONResponse({"name": self.name, "ready": self.ready}, 200 if self.ready else 503)

    async def numbers(self, request: Request) -> Response:
        self._admit(request)
        return Response(self.metrics.page(), media_type=self.metrics.content_type)

    async def infer(self, request: Request) -> Response:
        began = time.perf_counter()
        status = 500
        try:
            response = await self._infer(request)
            status = response.status_code
            return response
        except HTTPException as error:
            status = error.status_code
            raise
        except ClientDisconnect:  # nobody is there to hear it
            status = 499
            return Response(status_code=400)
        finally:
            self.metrics.requests.labels(status).inc()
            self.metrics.request_seconds.observe(time.perf_counter() - began)

    async def _infer(self, request: Request) -> Response:
        self._admit(request)
        body = await self._body(request)
        self.metrics.received.inc(len(body))
        try:
            asked = wire.decode_request(body, request.headers.get(wire.HEADER))
            within = patience_of(asked)
            bgr = picture_of(asked, self._limits)
            began = time.perf_counter()
            label = await self._label(bgr, within)
            self.metrics.label_seconds.observe(time.perf_counter() - began)
            answer, binary = response_of(asked, label, self.name)
        except wire.WireError as error:
            raise HTTPException(400, str(error)) from error
        except Busy as error:
            raise HTTPException(503, str(error), {"Retry-After": RETRY_AFTER}) from error
        except TeacherError as error:
            log.warning("a request failed: %s", error)
            raise HTTPException(500, str(error)) from error
        payload, length = wire.encode_response(answer, binary)
        self.metrics.sent.inc(len(payload))
        if not binary:
            return Response(payload, media_type="application/json")
        return Response(payload, media_type="application/octet-stream", headers={wire.HEADER: str(length)})

    async def _body(self, request: Request) -> bytes:
        """The request's body; 413 if it is too large, 408 if it does not come."""
        most = self._limits.body
        promised = request.headers.get("content-length", "0")
        if promised.isdecimal() and int(promised) > most:
            raise HTTPException(413, f"the body has {promised} bytes; at most {most} are taken")
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > most:
                        raise HTTPException(413, f"the body has more than {most} bytes")
        except TimeoutError as error:
            raise HTTPException(408, f"the body did not come within {self._limits.seconds:g} s") from error
        return bytes(body)


def build(service: Service, on_stop: Callable[[], None] = lambda: None) -> Starlette:
    """The application that serves `service`; `on_stop` is called when it ends, after the last answer."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        service.ready = False
        on_stop()

    routes = [
        Route("/v2", service.server),
        Route("/v2/health/live", service.live),
        Route("/v2/health/ready", service.ready_),
        Route("/metrics", service.numbers),
    ]
    for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            Route(prefix, service.model),
            Route(f"{prefix}/ready", service.model_ready),
            Route(f"{prefix}/infer", service.infer, methods=["POST"]),
        ]
    packing = Middleware(GZipMiddleware, minimum_size=SMALLEST_PACKED, compresslevel=1)
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[packing],
        exception_handlers={HTTPException: tell, Exception: fail},
    )


async def tell(_: Request, error: Exception) -> Response:
    """An error as the protocol writes it."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def fail(_: Request, error: Exception) -> Response:
    """A defect of ours: its name is for the log, not for the caller. Starlette logs it."""
    return JSONResponse({"error": "the server failed; its log says why"}, 500)
