"""The PostgreSQL that every contestant loads into, and what it costs in CPU."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from paylog.testing.postgres import EmbeddedPostgres, binaries

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A running embedded PostgreSQL.

    :param dsn: libpq connection string of the database that is loaded into.
    :param psql: the client that came with this server.
    """

    dsn: str
    psql: Path
    postmaster: int

    def execute(self, *statements: str) -> None:
        """Run statements, each in its own transaction."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def value(self, query: str) -> object:
        """First column of the first row."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(query).fetchone()
            return row[0] if row else None

    def cpu_seconds(self) -> float:
        """CPU seconds spent so far by every process of this server, dead ones included.

        A backend that has exited is in the postmaster's own cutime and cstime, because the postmaster waited
        for it; one that lives (checkpointer, WAL writer, I/O workers, open sessions) is counted by itself.
        A backend that ends between the two readings could be missed, hence the wait until sessions are gone.
        """
        self._wait_for_sessions()
        postmaster = psutil.Process(self.postmaster)
        total = _cpu(postmaster.pid, with_dead_children=True)
        for child in postmaster.children(recursive=True):
            total += _cpu(child.pid, with_dead_children=False)
        return total

    def _wait_for_sessions(self) -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        deadline = time.monotonic() + 10
        while self.value(query) != 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)


def _cpu(pid: int, *, with_dead_children: bool) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    fields = text.rpartition(")")[2].split()  # the command name may hold spaces: count from behind it
    utime, stime, cutime, cstime = map(int, fields[11:15])
    return (utime + stime + (cutime + cstime if with_dead_children else 0)) / _TICKS


@contextmanager
def running(folder: Path, *, autovacuum: bool = False) -> Iterator[Server]:
    """PostgreSQL 18 with its default, durable settings in the data directory ``folder``.

    Only autovacuum is off: it would fall into one contestant's run or another's by chance.
    """
    settings = {} if autovacuum else {"autovacuum": "off"}
    with EmbeddedPostgres(folder, settings=settings) as postgres:
        yield Server(postgres.url(), binaries() / "psql", postgres.pid or 0)
