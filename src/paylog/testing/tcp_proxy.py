"""A TCP proxy that cuts, delays, throttles or refuses: what networks do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_BUFFER = 1 << 16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpProxy:
    """Forwards connections to ``upstream``; a context manager. Faults may be set at any moment.

    :param upstream: ``(host, port)``, or the path of a Unix socket.
    :param latency: seconds added to each piece that a client sends (about one a request).
    :param bytes_per_second: to the client, for each connection; None is as fast as it goes.
    :param watch: sees each piece before it is passed on, and whether a client sent it; raising
        ``ConnectionError`` resets the connection in its place.
    :param listen: where; port 0 takes a free one.
    """

    def __init__(
        self,
        upstream: tuple[str, int] | Path,
        latency: float = 0.0,
        bytes_per_second: float | None = None,
        watch: Callable[[bytes, bool], None] | None = None,
        listen: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.upstream = upstream
        self.latency = latency
        self.bytes_per_second = bytes_per_second
        self.watch = watch
        self.connections = 0
        self.cuts = 0
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._refusing = False
        self._cut_after: int | None = None
        self._cuts_left = 0
        self._listener = socket.create_server(listen)
        self.host, self.port = self._listener.getsockname()[:2]
        threading.Thread(target=self._accept, name=f"tcp-proxy-{self.port}", daemon=True).start()

    def cut(self) -> int:
        """Reset every connection now; how many there were. New ones are accepted."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.reset()
        self.cuts += len(links)
        return len(links)

    def cut_after(self, size: int, times: int = 1) -> None:
        """Reset each of the next ``times`` connections that carries ``size`` bytes to its client."""
        self._cut_after, self._cuts_left = size, times

    def refuse(self, refusing: bool = True) -> None:
        """Close new connections at once (and cut those there are), until ``refuse(False)``."""
        self._refusing = refusing
        if refusing:
            self.cut()

    def close(self) -> None:
        # A plain close leaves the kernel accepting while another thread waits in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self._refusing:
                _reset(client)
                continue
            try:
                server = self._dial()
            except OSError:
                _reset(client)
                continue
            link = _Link(self, client, server)
            with self._lock:
                self._links.add(link)
            link.start()

    def _dial(self) -> socket.socket:
        if isinstance(self.upstream, tuple):
            return socket.create_connection(self.upstream, timeout=None)
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self.upstream))
        return server

    def _ended(self, link: _Link) -> None:
        with self._lock:
            self._links.discard(link)

    def _must_cut(self, sent: int) -> bool:
        with self._lock:
            if self._cut_after is None or self._cuts_left <= 0 or sent < self._cut_after:
                return False
            self._cuts_left -= 1
            self.cuts += 1
            return True


class _Link:
    """One connection: a thread for each direction."""

    def __init__(self, proxy: TcpProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server

    def start(self) -> None:
        for pump in (self._up, self._down):
            threading.Thread(target=self._run, args=(pump,), daemon=True).start()

    def reset(self) -> None:
        for end in (self._client, self._server):
            _reset(end)
        self._proxy._ended(self)

    def _run(self, pump: object) -> None:
        assert callable(pump)
        with contextlib.suppress(OSError):
            pump()
        self.reset()

    def _seen(self, piece: bytes, from_client: bool) -> None:
        if (watch := self._proxy.watch) is not None:
            watch(piece, from_client)

    def _up(self) -> None:
        while piece := self._client.recv(_BUFFER):
            if self._proxy.latency:
                time.sleep(self._proxy.latency)
            self._seen(piece, True)
            self._server.sendall(piece)

    def _down(self) -> None:
        sent = 0
        while piece := self._server.recv(_BUFFER):
            self._seen(piece, False)
            self._client.sendall(piece)
            sent += len(piece)
            if rate := self._proxy.bytes_per_second:
                time.sleep(len(piece) / rate)
            if self._proxy._must_cut(sent):
                return


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
