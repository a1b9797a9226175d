"""Workers on the way to PostgreSQL through a proxy, which kills them where a test wants it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paylog.connections import Connection, parse, use_resolver
from paylog.subscription import Subscription
from paylog.testing.exactly_once.served_model import DATA_MART, LogFolder
from paylog.testing.exactly_once.wire import Point, Wire
from paylog.testing.exactly_once.worker import Task, Worker
from paylog.testing.postgres import FAST_UNSAFE, EmbeddedPostgres
from paylog.testing.tcp_proxy import TcpProxy


@dataclass
class Site:
    """Logs in a folder, a data mart, and the way to it that workers take."""

    folder: LogFolder
    data_mart: Connection
    proxied: Connection
    proxy: TcpProxy

    def worker(
        self,
        subscription: Subscription,
        run_id: str,
        batch_id: str,
        point: Point | None,
        kind: type[Task] = Task,
    ) -> Worker:
        """A worker that is killed when it reaches ``point``."""
        started = threading.Event()

        def strike() -> None:
            assert started.wait(10)
            worker.kill()

        self.proxy.watch = Wire(point, strike)
        connections = {DATA_MART: self.proxied, self.folder.connection.conn_id: self.folder.connection}
        worker = Worker(kind(subscription, run_id, batch_id, connections))
        started.set()
        return worker


@contextmanager
def proxied_site(postgres: EmbeddedPostgres, database: Connection, root: Path) -> Iterator[Site]:
    """A site with an empty folder; this process goes to PostgreSQL directly."""
    folder = LogFolder(root)
    known = {DATA_MART: database, folder.connection.conn_id: folder.connection}
    use_resolver(known.__getitem__)
    assert postgres.port is not None
    with TcpProxy(("127.0.0.1", postgres.port)) as proxy:
        address = postgres.tcp_url(database.schema, "postgres", port=proxy.port)
        yield Site(folder, database, parse(DATA_MART, address), proxy)
    use_resolver(None)


def wire_of(site: Site) -> Wire:
    """What the proxy has seen of the last worker."""
    assert isinstance(site.proxy.watch, Wire)
    return site.proxy.watch


@contextmanager
def shared_data_mart(known: dict[str, Connection]) -> Iterator[None]:
    """A server of their own for the tests of a module, who put their logs into ``known`` themselves."""
    with EmbeddedPostgres(settings=FAST_UNSAFE) as server:
        known[DATA_MART] = parse(DATA_MART, server.url(scheme="postgres"))
        use_resolver(known.__getitem__)
        yield
        use_resolver(None)
