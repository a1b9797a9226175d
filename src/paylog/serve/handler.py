"""One call: its path, query and body, handled in a thread; what it raises becomes an answer."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from paylog.client.data_mart import DataMartClient
from paylog.errors import InvalidInput, PaylogError
from paylog.posted import Decoders
from paylog.serve import bodies
from paylog.serve.answers import NotFoundError, problem, refusal
from paylog.serve.data_sets import DataSets
from paylog.serve.engine_discovery import Discovered
from paylog.serve.shared_loads import SharedLoads

log = logging.getLogger(__name__)

_WENT_AWAY = 499  # as proxies note it; nobody reads it


@dataclass(frozen=True)
class Call:
    """What a handler works with.

    :param client: of the server's data mart.
    :param discovered: deployments that engines listed when they were bound.
    :param decoders: of posts, kept from call to call.
    :param loads: of posts, shared by calls.
    """

    request: Request
    client: DataMartClient
    discovered: Discovered
    decoders: Decoders
    loads: SharedLoads
    data_sets: DataSets
    body: bytes

    @property
    def path(self) -> Mapping[str, str]:
        """Names in the path."""
        return self.request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        """The query, the last of each name."""
        return self.request.query_params

    @property
    def content_type(self) -> str:
        """Media type of the body, in lower case."""
        return self.request.headers.get("content-type", "").lower()

    def json(self) -> Any:
        """The body as JSON. Raises ``InvalidInput``."""
        return bodies.document(self.body)

    def members(self) -> dict[str, Any]:
        """The body, a JSON object. Raises ``InvalidInput``."""
        body = self.json()
        if not isinstance(body, dict):
            raise InvalidInput("the body is not a JSON object")
        return body

    def number(self, name: str, default: int) -> int:
        """A whole number of the query. Raises ``InvalidInput``."""
        try:
            return max(0, int(self.query.get(name, default)))
        except ValueError:
            raise InvalidInput(f"{name} is a whole number") from None


def handler(function: Callable[[Call], Response]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint of a function that works on a ``Call``."""

    async def called(request: Request) -> Response:
        body, state = await bodies.read(request), request.app.state
        kept = state.discovered, state.decoders, state.loads, state.data_sets
        call = Call(request, state.client, *kept, body)
        return await run_in_threadpool(_checked, function, call)

    called.__name__ = function.__name__
    return guarded(called)


def guarded(function: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint whose errors are answers."""

    async def endpoint(request: Request) -> Response:
        try:
            return await function(request)
        except PaylogError as error:
            log.warning("%s %s: %s", request.method, request.url.path, error)
            return refusal(error)
        except ClientDisconnect:
            log.info("%s %s: the caller went away", request.method, request.url.path)
            return Response(status_code=_WENT_AWAY)
        except Exception as error:
            # Neither its message nor its traceback: they may hold a payload value.
            where = traceback.extract_tb(error.__traceback__)[-1]
            log.error("defect: %s in %s, line %s", type(error).__name__, where.name, where.lineno)
            return problem(500, "AISCS0500E", f"a defect of paylog: {type(error).__name__}")

    endpoint.__name__ = function.__name__
    return endpoint


def _checked(function: Callable[[Call], Response], call: Call) -> Response:
    mart = call.path.get("mart")
    if mart is not None and mart != call.client.data_mart_id:
        raise NotFoundError(f"this server's data mart is {call.client.data_mart_id}")
    return function(call)
