"""A link to an HTTP service on which requests go wrong as a script says, for tests of deliveries."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterable
from enum import StrEnum

import httpx


class Fault(StrEnum):
    """What happens to one request; ``AFTER``: the service has handled it."""

    NONE = "none"
    NO_CONNECTION = "no connection"
    BUSY = "429"
    SERVER_ERROR = "500"
    SERVER_ERROR_AFTER = "500 after"
    DROPPED_AFTER = "dropped after"
    TIMEOUT_AFTER = "timeout after"
    NO_LOCATION = "202 without Location"
    EXPIRED_TOKEN = "401"


class FaultyLink(httpx.BaseTransport):
    """Passes requests on, but those that post records as the script says, one entry a request, then well.

    :param script: of the posts.
    """

    def __init__(self, script: Iterable[Fault] = (), inner: httpx.BaseTransport | None = None) -> None:
        self._script = iter(script)
        self._inner = inner or httpx.HTTPTransport()
        self._lock = threading.Lock()
        self.handled: list[tuple[str, ...]] = []
        """Scoring ids of each post that reached the service."""
        self.tokens = 0
        """Sign-ins that passed."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """httpx's hook."""
        path = request.url.path
        if "/identity/token" in path or "validateAuth" in path or "authorize" in path:
            self.tokens += 1
        if request.method != "POST" or not path.endswith(("/records", "/scoring_payloads")):
            return self._inner.handle_request(request)
        with self._lock:
            fault = next(self._script, Fault.NONE)
        return self._with_fault(request, fault)

    def _with_fault(self, request: httpx.Request, fault: Fault) -> httpx.Response:
        if fault is Fault.NO_CONNECTION:
            raise httpx.ConnectError("scripted")
        if fault is Fault.BUSY:
            return httpx.Response(429, headers={"Retry-After": "0.05"}, request=request)
        if fault is Fault.SERVER_ERROR:
            return httpx.Response(500, request=request)
        if fault is Fault.EXPIRED_TOKEN:
            return httpx.Response(401, request=request)
        answer = self._passed_on(request)
        if fault is Fault.SERVER_ERROR_AFTER:
            return httpx.Response(500, request=request)
        if fault is Fault.DROPPED_AFTER:
            raise httpx.RemoteProtocolError("scripted")
        if fault is Fault.TIMEOUT_AFTER:
            raise httpx.ReadTimeout("scripted")
        if fault is Fault.NO_LOCATION:
            return httpx.Response(answer.status_code, json={"state": "preparing"}, request=request)
        return answer

    def _passed_on(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        ids = tuple(str(record["scoring_id"]) for record in json.loads(body))
        answer = self._inner.handle_request(request)
        answer.read()
        with self._lock:
            self.handled.append(ids)
        return answer

    def close(self) -> None:
        """httpx's hook."""
        self._inner.close()
