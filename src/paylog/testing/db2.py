"""A Db2 to try things on: a real one, or a stand-in that speaks its protocol to IBM's own driver.

The stand-in (Apache Derby behind a relay) is no part of paylog: it is looked for beside the repository.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from paylog.connections import Connection
from paylog.errors import StopError
from paylog.testing.ports import free_port
from paylog.training_data.db2_credentials import db2_credentials

REPOSITORY = Path(__file__).parents[3]
STANDIN = REPOSITORY.parent / "shared/tools/db2-standin/db2standin"
_ATTEMPTS = 5
_DERBY = Path("/usr/share/java/derbynet.jar")


class Db2Server:
    """Makes tables, and says how to reach them.

    :param uri: ``db2+ibm_db://user:password@host:port/DATABASE``, with ``;Authentication=SERVER`` if needed.
    """

    def __init__(self, uri: str) -> None:
        self.connection = Connection("db2", "ibm_db2", extra={"uri": uri})

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        credentials = db2_credentials(self.connection)
        return credentials.host, credentials.port

    def as_user(self, login: str, password: str, port: int | None = None) -> Connection:
        """The connection of somebody else, or through another port."""
        host, real = self.address
        given = db2_credentials(self.connection)
        extra = {"authentication": given.authentication} if given.authentication else {}
        return replace(
            self.connection,
            host=host,
            port=port or real,
            login=login,
            password=password,
            schema=given.database,
            extra=extra,
        )

    def through(self, port: int) -> Connection:
        """The connection through another port."""
        given = db2_credentials(self.connection)
        return self.as_user(given.user, given.password, port)

    def make(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]] = ()) -> None:
        """A table in the schema of the login, in place of one of that name.

        :param columns: ``NAME TYPE``.
        """
        with self._cursor() as cursor:
            if self.has(table):
                cursor.execute(f"DROP TABLE {table}")
            cursor.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            if rows:
                marks = ",".join("?" * len(columns))
                cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", [tuple(row) for row in rows])

    def has(self, table: str) -> bool:
        """Whether there is a table of that name, in any schema."""
        with self._cursor() as cursor:
            cursor.execute("SELECT tabname FROM syscat.tables WHERE tabname = ?", (table.strip('"'),))
            return bool(cursor.fetchall())

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        import ibm_db_dbi

        try:
            with closing(ibm_db_dbi.connect(db2_credentials(self.connection).connection_string())) as link:
                yield link.cursor()
                link.commit()
        except ibm_db_dbi.Error as error:
            raise StopError(f"Db2 at {self.address[0]}:{self.address[1]}: {error}") from None


def missing_for_standin() -> str | None:
    """What keeps the stand-in from starting, in words; None when it can."""
    if not STANDIN.exists():
        return "there is no Db2 stand-in beside the repository"
    if shutil.which("java") is None or not _DERBY.exists():
        return "the Db2 stand-in is not installed: run its 'install' once, as root"
    return None


def answering(server: Db2Server) -> Db2Server:
    """The server, once it answers: a process's first statement to the stand-in fails now and then (CLI0108E).

    :raises StopError: it does not answer.
    """
    for attempt in range(_ATTEMPTS):
        try:
            server.has("NOTHING")
            break
        except StopError:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.2)
    return server


@contextmanager
def standin(folder: Path) -> Iterator[Db2Server]:
    """The stand-in on a free port, while the block runs.

    :param folder: of its files; emptied first.
    :raises StopError: it cannot be started.
    """
    home = str(folder)
    try:
        yield _started(home)
    finally:
        subprocess.run([STANDIN, "stop", "--dir", home], check=True)


def _started(home: str) -> Db2Server:
    command = [str(STANDIN), "start", "--port", str(free_port()), "--dir", home]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise StopError(f"The Db2 stand-in did not start: {done.stderr.strip()[-500:]}")
    return answering(Db2Server(done.stdout.strip()))
