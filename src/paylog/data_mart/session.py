"""Sessions on the data mart's database: how they connect, and the schema that they work in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import ARRAY, BigInteger, CollectionAggregate, Connection, Engine, any_, cast, create_engine

from paylog.connections import Connection as NamedConnection
from paylog.connections import postgres_dsn
from paylog.data_mart.faults import translated
from paylog.transport import is_here, verified_tls

# Both ends notice a cut link within a minute, so that a dead worker's locks do not outlive it for hours.
_CLIENT = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
_SERVER = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
# Who only looks must not burden the loads either.
_ONLY_LOOKING = "SET statement_timeout = '15s'; SET default_transaction_read_only = on"


class Sessions:
    """Transactions of one connection in one schema. Threads may share it; processes may not.

    :param read_only: PostgreSQL refuses every change, and statements that take 15 s.
    """

    def __init__(self, connection: NamedConnection, schema: str, *, read_only: bool = False) -> None:
        self.conn_id = connection.conn_id
        self.schema = schema
        self._set_up = f"{_SERVER}; {_ONLY_LOOKING}" if read_only else _SERVER
        self._dsn = postgres_dsn(connection)
        self._engine = self._create_engine()

    def __repr__(self) -> str:
        return f"Sessions({self.conn_id!r}, schema={self.schema!r})"

    @contextmanager
    def transaction(self, what: str) -> Iterator[Connection]:
        """One transaction, committed at the end; errors of PostgreSQL become paylog's.

        :param what: what is done in it, for messages.
        """
        where = f"Data mart {self.conn_id!r}, schema {self.schema!r}"
        with translated(f"{where}: {what}"), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def session(self, what: str) -> Iterator[psycopg.Connection]:
        """A session of its own in autocommit; at the end it is closed, and its locks and cursors go with it.

        :param what: what is done in it, for messages.
        """
        where = f"Data mart {self.conn_id!r}, schema {self.schema!r}"
        with translated(f"{where}: {what}"), closing(self._connect()) as link:
            link.autocommit = True
            yield link

    @property
    def is_here(self) -> bool:
        """Whether the server is on this machine."""
        return is_here(conninfo_to_dict(self._dsn))

    def close(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()

    def _create_engine(self) -> Engine:
        engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            pool_size=8,  # more than that at once connect anew each time
            pool_pre_ping=True,
            hide_parameters=True,
            use_native_hstore=False,  # saves asking for a type that paylog has no use for
        )
        return engine.execution_options(schema_translate_map={None: self.schema})

    def _connect(self) -> psycopg.Connection:
        given = conninfo_to_dict(self._dsn)
        options = {**_CLIENT, "application_name": "paylog", **verified_tls(given), **given}
        link = psycopg.connect(**options)  # type: ignore[arg-type]
        link.execute(self._set_up)
        link.commit()
        return link


def raw(connection: Connection) -> psycopg.Connection:
    """The psycopg connection of the same transaction, for COPY."""
    link = connection.connection.driver_connection
    assert isinstance(link, psycopg.Connection)
    return link


def run(connection: Connection, statement: str) -> psycopg.Cursor:
    """Run a statement without parameters: quoted names in it may hold any character, ``%`` and ``:`` too."""
    return raw(connection).execute(statement.encode())


def quoted(*names: str) -> str:
    """A quoted, possibly dotted identifier for statements without parameters."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def any_of(ids: Iterable[int]) -> CollectionAggregate[bool]:
    """One parameter for any number of ids: there may be more than a statement has parameters."""
    return any_(cast(list(ids), ARRAY(BigInteger)))
