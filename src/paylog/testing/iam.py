"""IBM Cloud IAM's token endpoint, on loopback: API key in, short-lived bearer token out."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs

_API_KEY_GRANT = "urn:ibm:params:oauth:grant-type:apikey"


class TokenEndpoint:
    """Gives tokens to the API keys it knows; a context manager.

    :param lifetime: seconds until a token expires.
    """

    def __init__(self, api_keys: Collection[str], lifetime: int = 3600) -> None:
        self.api_keys = set(api_keys)
        self.lifetime = lifetime
        self.issued = 0
        self.failures = 0
        self._expiry: dict[str, float] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/identity/token"

    def accepts(self, authorization: str | None) -> bool:
        """Is this ``Authorization`` header one of our tokens, not expired?"""
        scheme, _, token = (authorization or "").partition(" ")
        return scheme == "Bearer" and self._expiry.get(token, 0.0) > time.monotonic()

    def revoke(self) -> None:
        """Expire every token now, unknown to their holders."""
        self._expiry.clear()

    def fail_next(self, times: int) -> None:
        """Answer 503 to the next ``times`` requests."""
        self.failures = times

    def answer(self, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """Status and JSON for one token request."""
        if self.failures:
            self.failures -= 1
            return 503, {"errorCode": "BXNIM0104E", "errorMessage": "Service unavailable"}
        grant = form.get("grant_type", [""])[0]
        known = form.get("apikey", [""])[0] in self.api_keys if grant == _API_KEY_GRANT else True
        if not known:
            return 400, {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
        self.issued += 1
        token = f"token-{self.issued}"
        self._expiry[token] = time.monotonic() + self.lifetime
        return 200, {
            "access_token": token,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "expiration": int(time.time()) + self.lifetime,
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> TokenEndpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _handler(endpoint: TokenEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = endpoint.answer(parse_qs(body.decode()))
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Silent: a request holds an API key."""

    return Handler
