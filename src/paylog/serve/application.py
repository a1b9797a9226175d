"""The ASGI application: both APIs, a health endpoint, and nothing without a token."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paylog import __version__
from paylog.client.data_mart import DataMartClient
from paylog.errors import PaylogError
from paylog.serve import v1, v2
from paylog.serve.answers import answer, problem
from paylog.serve.engine_discovery import Discovered
from paylog.serve.tokens import Tokens

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health", "/v1/preauth/validateAuth", "/v2/fairness/heartbeat"})
"""Paths that need no token: they tell nothing of the data mart, or give the token."""


def application(client: DataMartClient, api_key: str) -> Starlette:
    """The service over one data mart.

    :param client: of a data mart, which need not be set up yet.
    """
    app = Starlette(
        routes=[Route("/health", health, methods=["GET"]), *v1.routes, *v2.routes],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_guarded)],
        exception_handlers={404: _no_such_path, 405: _no_such_path},
    )
    app.state.client = client
    app.state.tokens = Tokens(api_key)
    app.state.discovered = Discovered()
    return app


async def health(request: Request) -> Response:
    """200 when the data mart answers, else 503."""
    client: DataMartClient = request.app.state.client
    try:
        set_up = await run_in_threadpool(client.mart.is_set_up)
    except PaylogError:
        return answer({"status": "data mart unreachable", "version": __version__}, 503)
    return answer({"status": "ok" if set_up else "data mart not set up", "version": __version__})


async def _guarded(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    started = time.monotonic()
    path = request.url.path
    tokens: Tokens = request.app.state.tokens
    if path in OPEN_PATHS or tokens.accepts(request.headers.get("authorization", "")):
        response = await call_next(request)
    else:
        response = problem(401, "AISCS0401E", "a bearer token is needed", {"WWW-Authenticate": "Bearer"})
    milliseconds = (time.monotonic() - started) * 1000
    log.info("%s %s %d %.1f ms", request.method, path, response.status_code, milliseconds)
    return response


async def _no_such_path(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return problem(status, f"AISCS0{status}E", "paylog serves the payload-logging part of the API only")
