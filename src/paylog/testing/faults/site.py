"""What the faults strike: PostgreSQL and an object store behind links that can be cut, and a clock."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from paylog.connections import Connection, parse
from paylog.testing.exactly_once.served_model import DATA_MART, LOGS
from paylog.testing.exactly_once.worker import Worker, start_server
from paylog.testing.faults.clock import Clock
from paylog.testing.object_store import ObjectStore
from paylog.testing.ports import free_port
from paylog.testing.postgres import EmbeddedPostgres
from paylog.testing.tcp_proxy import TcpProxy

BUCKET = "scoring-logs"


class Site:
    """A durable PostgreSQL and an object store; workers reach both through links. A context manager.

    :param folder: of the servers' files.
    """

    def __init__(self, folder: Path) -> None:
        self.clock = Clock(folder / "clock")
        self.postgres = EmbeddedPostgres(folder / "postgres", port=0)
        self.store = ObjectStore(folder / "objects", port=free_port())
        self.workers: set[Worker] = set()
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            with self.clock.preloaded():
                start_server("paylog.testing.faults.clock")
            starting.enter_context(self.postgres)
            starting.enter_context(self.store)
            self.store.create_bucket(BUCKET)
            assert self.postgres.port is not None
            self.mart_link = starting.enter_context(TcpProxy(("127.0.0.1", self.postgres.port)))
            self.store_link = starting.enter_context(TcpProxy(("127.0.0.1", self.store.port)))
            self._exit = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def connections(self, database: str, *, linked: bool) -> Mapping[str, Connection]:
        """The data mart and the logs, through the links or past them."""
        port = self.mart_link.port if linked else None
        mart = parse(DATA_MART, self.postgres.tcp_url(database, "postgres", port=port))
        logs = self.store.connection(LOGS)
        if linked:
            logs = replace(logs, extra={"endpoint_url": f"http://127.0.0.1:{self.store_link.port}"})
        return {DATA_MART: mart, LOGS: logs}

    def write(self, key: str, data: bytes) -> None:
        """Write an object past the link; an engine tries for as long as the store is down."""
        while True:
            try:
                return self.store.put(BUCKET, key, data)
            except Exception:
                time.sleep(0.1)

    def kill_a_worker(self, dice: random.Random) -> bool:
        """``kill -9`` one of those that work now; whether there was one."""
        if not (workers := sorted(self.workers, key=lambda worker: worker.pid)):
            return False
        return dice.choice(workers).kill()

    def heal(self) -> None:
        """Nothing is wrong any more."""
        self.clock.jump(0)
        for link in (self.mart_link, self.store_link):
            link.cut_after(0, times=0)
            link.refuse(False)
