"""Nothing without a token, and each call in the log."""

from __future__ import annotations

import logging
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paylog.serve.answers import problem
from paylog.serve.tokens import Tokens

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health", "/v1/preauth/validateAuth", "/v2/fairness/heartbeat"})
"""Paths that need no token: they tell nothing of the data mart, or give the token."""


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's hook. What is neither HTTP nor the server's own start and stop is not answered."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        started, status = time.monotonic(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._answering(scope)(scope, receive, noted)
        finally:
            milliseconds = (time.monotonic() - started) * 1000
            log.info("%s %s %d %.1f ms", scope["method"], scope["path"], status, milliseconds)

    def _answering(self, scope: Scope) -> ASGIApp:
        authorization = Headers(scope=scope).get("authorization", "")
        if scope["path"] in OPEN_PATHS or self._tokens.accepts(authorization):
            return self._app
        return problem(401, "AISCS0401E", "a bearer token is needed", {"WWW-Authenticate": "Bearer"})
