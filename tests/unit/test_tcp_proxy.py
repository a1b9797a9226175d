"""The proxy that stands for a bad network."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paylog.testing.tcp_proxy import TcpProxy


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while piece := self.request.recv(65536):
            self.request.sendall(piece)


@pytest.fixture(params=["tcp", "unix"])
def upstream(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, int] | Path]:
    path = tmp_path / "echo.sock"
    server: socketserver.BaseServer
    if request.param == "tcp":
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
        address: tuple[str, int] | Path = server.server_address[:2]
    else:
        server, address = socketserver.ThreadingUnixStreamServer(str(path), Echo), path
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield address
    server.shutdown()
    server.server_close()


def dial(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=5)


def echoed(link: socket.socket, content: bytes) -> bytes:
    link.sendall(content)
    out = b""
    while len(out) < len(content) and (piece := link.recv(65536)):
        out += piece
    return out


def is_dead(link: socket.socket) -> bool:
    try:
        return echoed(link, b"x") == b""
    except ConnectionError:
        return True


def is_refused(proxy: TcpProxy) -> bool:
    try:
        with dial(proxy) as link:
            return is_dead(link)
    except ConnectionError:  # the reset may overtake the handshake
        return True


def test_forwards_both_ways(upstream) -> None:
    with TcpProxy(upstream) as proxy, dial(proxy) as one, dial(proxy) as other:
        assert echoed(one, b"x" * 200_000) == b"x" * 200_000
        assert echoed(other, b"y") == b"y"
        assert proxy.connections == 2


def test_cut_resets_what_is_open_and_takes_new_connections(upstream) -> None:
    with TcpProxy(upstream) as proxy:
        with dial(proxy) as link:
            assert echoed(link, b"x") == b"x"
            assert proxy.cut() == 1
            assert is_dead(link)
        with dial(proxy) as link:
            assert echoed(link, b"z") == b"z"


def test_cut_after_so_many_bytes_so_many_times(upstream) -> None:
    with TcpProxy(upstream) as proxy:
        proxy.cut_after(10_000, times=1)
        with dial(proxy) as link:
            assert echoed(link, b"x" * 9_999) == b"x" * 9_999
            assert not is_dead(link)  # this byte still passes, and is the last
            assert is_dead(link)
        with dial(proxy) as link:
            assert echoed(link, b"x" * 20_000) == b"x" * 20_000
        assert proxy.cuts == 1


def test_refuses_and_accepts_again(upstream) -> None:
    with TcpProxy(upstream) as proxy:
        proxy.refuse()
        assert is_refused(proxy)
        proxy.refuse(False)
        with dial(proxy) as link:
            assert echoed(link, b"x") == b"x"


def test_latency_and_throttle(upstream) -> None:
    with TcpProxy(upstream, latency=0.05) as proxy, dial(proxy) as link:
        start = time.monotonic()
        echoed(link, b"x")
        assert time.monotonic() - start >= 0.05
    with TcpProxy(upstream, bytes_per_second=200_000) as proxy, dial(proxy) as link:
        start = time.monotonic()
        echoed(link, b"x" * 40_000)
        echoed(link, b"x")
        assert time.monotonic() - start >= 0.15


def test_close_ends_it(upstream) -> None:
    proxy = TcpProxy(upstream)
    proxy.close()
    with pytest.raises(ConnectionRefusedError):
        dial(proxy)
