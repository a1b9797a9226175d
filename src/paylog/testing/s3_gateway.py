"""A gate in front of an S3 server: bearer tokens checked as COS does, failures on demand."""

from __future__ import annotations

import http.client
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_BUFFER = 1 << 16


@dataclass(frozen=True)
class Request:
    """One request that came by."""

    method: str
    path: str
    range: str | None
    status: int


class S3Gateway:
    """Forwards to an S3 server and records what it forwards; a context manager.

    :param upstream: ``(host, port)``.
    :param authorise: decides by the ``Authorization`` header; 403 AccessDenied when it says no.
    """

    def __init__(
        self, upstream: tuple[str, int], authorise: Callable[[str | None], bool] | None = None
    ) -> None:
        self.upstream = upstream
        self.authorise = authorise
        self.requests: list[Request] = []
        self._failures: deque[tuple[int, str]] = deque()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._server.server_address[1]

    @property
    def endpoint(self) -> str:
        return "http://{}:{}".format(*self.address)

    def fail_next(self, times: int, status: int = 503, code: str = "SlowDown") -> None:
        """Answer the next ``times`` requests with this error."""
        self._failures.extend([(status, code)] * times)

    def refusal(self, authorization: str | None) -> tuple[int, str] | None:
        """Status and code of the error that this request gets, None when it goes through."""
        if self._failures:
            return self._failures.popleft()
        if self.authorise and not self.authorise(authorization):
            return 403, "AccessDenied"
        return None

    def address_of(self, path: str) -> str:
        """Path and query that the upstream gets for those of a request."""
        return path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> S3Gateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news here."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _handler(gateway: S3Gateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            refusal = gateway.refusal(self.headers.get("Authorization"))
            try:
                if refusal:
                    self._refuse(*refusal)
                else:
                    self._forward(body)
            except OSError:  # either side hung up
                self.close_connection = True

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

        def _refuse(self, status: int, code: str) -> None:
            content = (
                f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
            )
            self._record(status)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _forward(self, body: bytes) -> None:
            upstream = http.client.HTTPConnection(*gateway.upstream)
            try:
                address = gateway.address_of(self.path)
                upstream.putrequest(self.command, address, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():  # with the Host that was signed
                    upstream.putheader(name, value)
                upstream.endheaders(body or None)
                self._answer(upstream.getresponse())
            finally:
                upstream.close()

        def _answer(self, answer: http.client.HTTPResponse) -> None:
            self._record(answer.status)
            self.send_response_only(answer.status)
            chunked = answer.headers.get("Content-Length") is None
            for name, value in answer.headers.items():
                if name.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            content = answer.read() if chunked else b""
            if chunked:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            while piece := answer.read(_BUFFER):
                self.wfile.write(piece)

        def _record(self, status: int) -> None:
            gateway.requests.append(Request(self.command, self.path, self.headers.get("Range"), status))

        def log_message(self, *arguments: object) -> None:
            """Silent: the headers hold credentials."""

    return Handler
