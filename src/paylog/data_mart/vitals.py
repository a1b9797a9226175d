"""What PostgreSQL says of itself and of the rights of the role that asks, for ``paylog doctor``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

from paylog.data_mart import partition_function
from paylog.data_mart.control_tables import OWNED, metadata
from paylog.data_mart.payload_table import payload_table_name
from paylog.data_mart.session import Sessions, quoted, raw

if TYPE_CHECKING:
    from paylog.data_mart.payload_table import PayloadTable
    from paylog.subscription import Subscription

SETTINGS = (
    "fsync", "full_page_writes", "synchronous_commit", "idle_in_transaction_session_timeout",
    "statement_timeout", "transaction_timeout", "shared_buffers", "max_wal_size", "max_connections",
    "superuser_reserved_connections", "server_encoding", "data_directory", "default_transaction_read_only",
)  # fmt: skip

_SETTINGS = text("SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(:names)")
_SERVER = text(
    "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), clock_timestamp(), "
    "pg_database_size(current_database()), (SELECT count(*) FROM pg_catalog.pg_stat_activity "
    "WHERE backend_type = 'client backend'), current_user, r.rolsuper, r.rolconnlimit, d.datconnlimit "
    "FROM pg_catalog.pg_roles r, pg_catalog.pg_database d "
    "WHERE r.rolname = current_user AND d.datname = current_database()"
)
_RIGHTS = text(
    "SELECT has_database_privilege(current_database(), 'TEMPORARY'), "
    "has_database_privilege(current_database(), 'CREATE'), has_schema_privilege(n.oid, 'USAGE'), "
    "has_schema_privilege(n.oid, 'CREATE') FROM (VALUES (:schema)) AS wanted (name) "
    "LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.name"
)
_TABLE_RIGHTS = text(
    "SELECT c.relname, p.privilege FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, "
    "unnest(CAST(:rights AS text[])) AS p (privilege) "
    "WHERE n.nspname = :schema AND c.relname = ANY(:tables) AND NOT has_table_privilege(c.oid, p.privilege)"
)
_MAY_MAKE_PARTITIONS = text("SELECT has_function_privilege(to_regprocedure(:function), 'EXECUTE')")
_NOT_OWNED = text(
    "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND c.relname = ANY(:tables) AND NOT pg_has_role(c.relowner, 'USAGE')"
)
_SEES_RAW = text("SELECT has_column_privilege(to_regclass(:table), 'raw', 'SELECT')")


@dataclass(frozen=True, slots=True)
class Server:
    """One look at the server.

    :param ahead: its clock less this machine's; exact to half of the time that asking took.
    :param connections: that are open now, of everybody that the role may see.
    :param connection_limit: the least of what server, database and role allow this role.
    """

    version: int
    standby: bool
    ahead: timedelta
    database_bytes: int
    connections: int
    connection_limit: int
    role: str
    superuser: bool
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Rights:
    """What the role may do in database and schema; ``usage`` and ``create`` are None without the schema."""

    temporary: bool
    create_schema: bool
    usage: bool | None
    create: bool | None


class Vitals:
    """Part of a ``DataMart``, which says what every method raises."""

    def __init__(
        self, sessions: Sessions, owner: Callable[[], Sessions], table: Callable[[Subscription], PayloadTable]
    ) -> None:
        self._sessions = sessions
        self._owner = owner
        self._table = table

    def server(self) -> Server:
        """The server's state and settings."""
        with self._sessions.transaction("look at the server") as connection:
            settings: dict[str, str] = dict(connection.execute(_SETTINGS, {"names": list(SETTINGS)}).all())
            before = datetime.now(UTC)
            version, standby, clock, size, used, role, superuser, *limits = connection.execute(_SERVER).one()
            asked = datetime.now(UTC) - before
        free = int(settings["max_connections"]) - int(settings["superuser_reserved_connections"])
        least = min(limit for limit in (free, *limits) if limit >= 0)
        ahead = clock - before - asked / 2
        return Server(version, standby, ahead, size, used, least, role, superuser, settings)

    @property
    def is_here(self) -> bool:
        """Whether the server is on this machine."""
        return self._sessions.is_here

    def encrypted(self) -> bool:
        """Whether the link to the server is under TLS."""
        with self._sessions.transaction("look at the link") as connection:
            return bool(raw(connection).pgconn.ssl_in_use)

    def rights(self) -> Rights:
        """Rights on database and schema."""
        with self._sessions.transaction("look at the rights") as connection:
            return Rights(*connection.execute(_RIGHTS, {"schema": self._sessions.schema}).one())

    def missing_for_load(self, subscription_id: str) -> list[str]:
        """Rights that loading needs and the role lacks, like ``INSERT on paylog_object``."""
        payload = payload_table_name(subscription_id)
        changed = [name for name in metadata.tables if name not in OWNED]
        function = quoted(self._sessions.schema, partition_function.NAME)
        lacking = self._lacking(["SELECT"], [*OWNED, *changed, payload])
        lacking += self._lacking(["INSERT", "DELETE"], [*changed, payload])
        lacking += self._lacking(["UPDATE"], changed)
        with self._sessions.transaction("look at the rights") as connection:
            values = {"function": f"{function}(text,date)"}
            if connection.execute(_MAY_MAKE_PARTITIONS, values).scalar() is False:
                lacking.append(f"EXECUTE on {partition_function.NAME}")
        return lacking

    def excessive_for_reading(self, subscription_id: str) -> list[str]:
        """Rights that reading does not need and the role has."""
        tables = [*metadata.tables, payload_table_name(subscription_id)]
        found = []
        for right in ("INSERT", "UPDATE", "DELETE"):
            lacked = set(self._lacking([right], tables))
            found += [f"{right} on {t}" for t in self._present(tables) if f"{right} on {t}" not in lacked]
        with self._sessions.transaction("look at the rights") as connection:
            table = quoted(self._sessions.schema, "paylog_quarantine")
            if connection.execute(_SEES_RAW, {"table": table}).scalar():
                found.append("SELECT on paylog_quarantine.raw")
        return found

    def not_owned(self, subscription_id: str) -> list[str]:
        """Tables that the owner's role does not own."""
        tables = [*metadata.tables, payload_table_name(subscription_id)]
        with self._owner().transaction("look at the owner of the tables") as connection:
            values = {"schema": self._sessions.schema, "tables": tables}
            return list(connection.execute(_NOT_OWNED, values).scalars())

    def drift(self, subscription: Subscription) -> list[str]:
        """Statements that would bring the payload table to the model schema.

        :raises SchemaMismatch: no statement can.
        """
        with self._sessions.transaction(f"compare the table of {subscription.id!r}") as connection:
            return self._table(subscription).changes(connection)

    def _lacking(self, rights: list[str], tables: list[str]) -> list[str]:
        values = {"rights": rights, "schema": self._sessions.schema, "tables": tables}
        with self._sessions.transaction("look at the rights") as connection:
            return [f"{right} on {name}" for name, right in connection.execute(_TABLE_RIGHTS, values)]

    def _present(self, tables: list[str]) -> list[str]:
        query = text(
            "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
            "ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = ANY(:tables)"
        )
        with self._sessions.transaction("look for the tables") as connection:
            values = {"schema": self._sessions.schema, "tables": tables}
            return list(connection.execute(query, values).scalars())
