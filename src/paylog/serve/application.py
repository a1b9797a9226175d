"""The ASGI application: both APIs, a health endpoint, and nothing without a token."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paylog import __version__
from paylog.client.data_mart import DataMartClient
from paylog.errors import PaylogError
from paylog.posted import Decoders
from paylog.serve import v1, v2
from paylog.serve.answers import answer, problem
from paylog.serve.data_sets import DataSets
from paylog.serve.engine_discovery import Discovered
from paylog.serve.guard import Guard
from paylog.serve.shared_loads import SharedLoads
from paylog.serve.tokens import Tokens


def application(client: DataMartClient, api_key: str) -> Starlette:
    """The service over one data mart.

    :param client: of a data mart, which need not be set up yet.
    """
    tokens = Tokens(api_key)
    app = Starlette(
        routes=[Route("/health", health, methods=["GET"]), *v1.routes, *v2.routes],
        middleware=[Middleware(Guard, tokens)],
        exception_handlers={404: _no_such_path, 405: _no_such_path},
    )
    app.state.client = client
    app.state.tokens = tokens
    app.state.discovered = Discovered()
    app.state.decoders = Decoders()
    app.state.loads = SharedLoads()
    app.state.data_sets = DataSets()
    return app


async def health(request: Request) -> Response:
    """200 when the data mart answers, else 503."""
    client: DataMartClient = request.app.state.client
    try:
        set_up = await run_in_threadpool(client.mart.is_set_up)
    except PaylogError:
        return answer({"status": "data mart unreachable", "version": __version__}, 503)
    return answer({"status": "ok" if set_up else "data mart not set up", "version": __version__})


async def _no_such_path(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return problem(status, f"AISCS0{status}E", "paylog serves the payload-logging part of the API only")
