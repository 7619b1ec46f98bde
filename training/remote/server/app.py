"""The Open Inference Protocol v2 over HTTP, as an ASGI application. Knows nothing about the teacher behind `label`."""

from __future__ import annotations

import asyncio
import hmac
import json
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

from .. import oip_v2
from .metrics import Metrics
from .model import VERSION, Limits, model_metadata, picture_of, response_of, server_metadata, timeout_of
from .worker import Busy

log = logging.getLogger("jit_masker")

# uint8 (H, W, 3) BGR, s that the caller waits -> float32 (h, w); raises Busy, TeacherError
Label = Callable[[np.ndarray, float], Awaitable[np.ndarray]]
RETRY_AFTER = "1"  # s, for callers that find the queue full
MAX_ERROR = 500  # characters; a message may quote what was sent
MIN_GZIP_SIZE = 1024  # bytes; smaller answers are sent as they are


class Service:
    """One model behind the protocol's paths."""

    def __init__(
        self,
        name: str,
        label: Label,
        limits: Limits,
        token: str | None,
        metrics: Metrics,
        healthy: Callable[[], bool] = lambda: True,
    ):
        """`healthy` says whether the teacher still answers; if not, this process should be restarted."""
        self._healthy = healthy
        self.name, self._label, self._limits = name, label, limits
        self._expected = f"Bearer {token}".encode() if token else None
        self.metrics = metrics
        self.ready = True

    # -- authorization -------------------------------------------------------------------------------------------

    def _authorize(self, request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if self._expected is not None and not hmac.compare_digest(given, self._expected):
            raise HTTPException(401, "a valid token is needed", {"WWW-Authenticate": "Bearer"})
        model, version = request.path_params.get("model", self.name), request.path_params.get("version", VERSION)
        if (model, version) != (self.name, VERSION):
            raise HTTPException(404, f"there is no model {model!r} in version {version}; this server has {self.name!r}")

    # -- paths ---------------------------------------------------------------------------------------------------

    async def live(self, _: Request) -> Response:
        healthy = self._healthy()
        return JSONResponse({"live": healthy}, 200 if healthy else 503)

    async def server_ready(self, _: Request) -> Response:
        return JSONResponse({"ready": self.ready}, 200 if self.ready else 503)

    async def server(self, request: Request) -> Response:
        self._authorize(request)
        return JSONResponse(server_metadata(__version__))

    async def model(self, request: Request) -> Response:
        self._authorize(request)
        return JSONResponse(model_metadata(self.name))

    async def model_ready(self, request: Request) -> Response:
        self._authorize(request)
        return JSONResponse({"name": self.name, "ready": self.ready}, 200 if self.ready else 503)

    async def metrics_page(self, request: Request) -> Response:
        self._authorize(request)
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
        except ClientDisconnect:  # the caller has left
            status = 499
            return Response(status_code=400)
        finally:
            self.metrics.requests.labels(status).inc()
            self.metrics.request_seconds.observe(time.perf_counter() - began)

    async def _infer(self, request: Request) -> Response:
        self._authorize(request)
        body = await self._body(request)
        self.metrics.received.inc(len(body))
        try:
            inference = oip_v2.decode_request(body, request.headers.get(oip_v2.HEADER))
            within = timeout_of(inference)
            bgr = picture_of(inference, self._limits)
            began = time.perf_counter()
            label = await self._label(bgr, within)
            self.metrics.label_seconds.observe(time.perf_counter() - began)
            answer, binary = response_of(inference, label, self.name)
        except oip_v2.ProtocolError as error:
            raise HTTPException(400, str(error)) from error
        except Busy as error:
            raise HTTPException(503, str(error), {"Retry-After": RETRY_AFTER}) from error
        except TeacherError as error:
            log.warning("a request failed: %s", error)
            raise HTTPException(500, str(error)) from error
        payload, length = oip_v2.encode_response(answer, binary)
        self.metrics.sent.inc(len(payload))
        if not binary:
            return Response(payload, media_type="application/json")
        return Response(payload, media_type="application/octet-stream", headers={oip_v2.HEADER: str(length)})

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
        Route("/v2/health/ready", service.server_ready),
        Route("/metrics", service.metrics_page),
    ]
    for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            Route(prefix, service.model),
            Route(f"{prefix}/ready", service.model_ready),
            Route(f"{prefix}/infer", service.infer, methods=["POST"]),
        ]
    gzip = Middleware(GZipMiddleware, minimum_size=MIN_GZIP_SIZE, compresslevel=1)
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[gzip],
        exception_handlers={HTTPException: error_response, Exception: internal_error},
    )


async def error_response(_: Request, error: Exception) -> Response:
    """An error in the protocol's form."""
    assert isinstance(error, HTTPException)
    body = json.dumps({"error": error.detail[:MAX_ERROR]})  # JSONResponse would fail on a lone surrogate
    return Response(body, error.status_code, error.headers, "application/json")


async def internal_error(_: Request, error: Exception) -> Response:
    """A defect of ours: Starlette logs it, and the caller is told no details."""
    return JSONResponse({"error": "the server failed; its log says why"}, 500)
