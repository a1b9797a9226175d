"""Create the schema and its control tables, or bring them up to date. Nothing is ever dropped."""

from __future__ import annotations

import logging
from pathlib import Path

import psycopg
from sqlalchemy import Connection, column, select, table, text

from paylog.data_mart import partition_function, rights
from paylog.data_mart.control_tables import HEAD, VERSION_TABLE
from paylog.data_mart.operation_tables import metadata
from paylog.data_mart.session import Sessions, quoted, run
from paylog.errors import AccessDenied, SchemaMismatch

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"


def set_up(sessions: Sessions) -> None:
    """Make the schema and control tables current; safe when several processes do it at once.

    :raises AccessDenied: the role may not create the schema or tables; the message holds the GRANT.
    :raises SchemaMismatch: a newer paylog set this schema up.
    """
    with sessions.transaction("set up the control tables") as connection:
        if installed_version(connection, sessions.schema) == HEAD:
            return
        lock(connection, "setup", sessions.schema)
        _create_schema(connection, sessions.schema)
        run(connection, f"SET LOCAL search_path TO {quoted(sessions.schema)}")
        _install(connection.execution_options(schema_translate_map={}), sessions.schema)


def lock(connection: Connection, *subject: str) -> None:
    """Hold an advisory lock on ``subject`` until the transaction ends."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:subject, 0))"), {"subject": _locked(subject)}
    )


def lock_session(link: psycopg.Connection, *subject: str) -> None:
    """Hold an advisory lock on ``subject`` until the session ends, without a transaction."""
    link.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [_locked(subject)])


def try_lock_session(link: psycopg.Connection, *subject: str) -> bool:
    """As ``lock_session``, without waiting: whether it is held now."""
    query = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
    return link.execute(query, [_locked(subject)]).fetchone() == (True,)


def _locked(subject: tuple[str, ...]) -> str:
    return "\x1f".join(("paylog", *subject))


def installed_version(connection: Connection, schema: str) -> str | None:
    """Revision of the control tables, None when there are none."""
    found = connection.execute(
        text(
            "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = :schema AND c.relname = :name"
        ),
        {"schema": schema, "name": VERSION_TABLE},
    ).scalar()
    if not found:
        return None
    version: str | None = connection.execute(
        select(column("version_num")).select_from(table(VERSION_TABLE, schema=schema))
    ).scalar()
    return version


def _create_schema(connection: Connection, schema: str) -> None:
    rights = connection.execute(
        text(
            "SELECT has_database_privilege(current_database(), 'CREATE'), current_database(), current_user, "
            "(SELECT has_schema_privilege(oid, 'CREATE') FROM pg_catalog.pg_namespace "
            "WHERE nspname = :schema)"
        ),
        {"schema": schema},
    ).one()
    may_create_schema, database, role, may_create_tables = rights
    if may_create_tables:
        return
    if may_create_tables is False:
        grant = f"GRANT USAGE, CREATE ON SCHEMA {quoted(schema)} TO {quoted(role)}"
        raise AccessDenied(f"Role {role!r} may not create tables in schema {schema!r}. Run: {grant};")
    if not may_create_schema:
        grant = f"GRANT CREATE ON DATABASE {quoted(database)} TO {quoted(role)}"
        owned = f"CREATE SCHEMA {quoted(schema)} AUTHORIZATION {quoted(role)}"
        raise AccessDenied(
            f"Schema {schema!r} does not exist and role {role!r} may not create it in database {database!r}. "
            f"Run: {grant}; or: {owned};"
        )
    run(connection, f"CREATE SCHEMA {quoted(schema)}")
    log.info("created schema %r in database %r", schema, database)


def _install(connection: Connection, schema: str) -> None:
    version = installed_version(connection, schema)
    if version is None:
        metadata.create_all(connection, checkfirst=False)
        partition_function.create(connection)
        migrate(connection, stamp=True)
    elif version < HEAD:
        migrate(connection)
    elif version > HEAD:
        raise SchemaMismatch(
            f"Schema {schema!r} has control tables of revision {version}, this paylog knows {HEAD}. "
            "A newer paylog set it up: upgrade paylog here too."
        )
    run(connection, rights.tightened(schema))
    log.info("control tables of schema %r: revision %s → %s", schema, version or "none", HEAD)


def migrate(connection: Connection, revision: str = HEAD, *, stamp: bool = False) -> None:
    """Run Alembic in the connection's transaction and ``search_path``.

    :param stamp: only record the revision.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    (command.stamp if stamp else command.upgrade)(config, revision)
