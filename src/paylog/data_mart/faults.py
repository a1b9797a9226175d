"""PostgreSQL's errors → paylog's, without a single value.

PostgreSQL repeats payload values in an error's message, detail and context ("Key (…)=(…)"), so nothing
of those is passed on: only the SQLSTATE and the names of table, column and constraint are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.errors import CheckViolation
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    PaylogError,
    RetriableError,
    SchemaMismatch,
    StopError,
)

# Whole SQLSTATE or its class (two characters) → the kind of error, and what to do.
_RETRY = "It is tried again; nothing was kept."
_KINDS: dict[str, tuple[type[PaylogError], str]] = {
    "08": (RetriableError, _RETRY),
    "25006": (RetriableError, "The server is read-only: a standby, or a failover is under way. " + _RETRY),
    "25P03": (RetriableError, "idle_in_transaction_session_timeout of the server is too short. " + _RETRY),
    "25P04": (RetriableError, "transaction_timeout of the server is too short. " + _RETRY),
    "40001": (RetriableError, _RETRY),
    "40P01": (RetriableError, "Two loads waited for each other. " + _RETRY),
    "53300": (RetriableError, "Too many connections: lower the pool of loads, or raise max_connections."),
    "53200": (RetriableError, "The server is out of memory, or of locks (max_locks_per_transaction)."),
    "55P03": (RetriableError, "Another session holds the table. " + _RETRY),
    "57": (RetriableError, "The server was stopped, or it cancelled the statement. " + _RETRY),
    "28": (AccessDenied, "Check login, password and pg_hba.conf."),
    "42501": (AccessDenied, "The role of the data mart connection lacks a right."),
    "3D000": (ConfigurationError, "Check the connection's database name (schema)."),
    "22021": (SchemaMismatch, "A text cannot be stored in the database's encoding."),
    "22P03": (SchemaMismatch, "A column's type is not that of the model schema."),
    "23502": (SchemaMismatch, "The table requires a value that the model schema does not."),
    "42703": (SchemaMismatch, "The table was changed by hand; compare it with the model schema."),
    "42804": (SchemaMismatch, "A column's type is not that of the model schema."),
    "42P01": (SchemaMismatch, "Set the data mart up first: DataMart.setup() and DataMart.ensure()."),
    "53100": (StopError, "The server's disk is full: make room there, then run again; nothing was kept."),
    "PLG01": (RetriableError, "Retention dropped that month meanwhile. " + _RETRY),
    "54": (StopError, "A value is too large for PostgreSQL."),
}
# A refused connection has no SQLSTATE, only libpq's text.
_REFUSALS: dict[str, tuple[type[PaylogError], str]] = {
    "password authentication failed": (AccessDenied, "Check the login and password of the connection."),
    "no password supplied": (AccessDenied, "The connection has no password."),
    r"pg_hba\.conf": (AccessDenied, "pg_hba.conf of the server does not let this client in."),
    "certificate": (
        AccessDenied,
        "Its certificate is not trusted, or names another host: set sslrootcert of the connection (extra) to "
        "the file with its authority; see sslmode, sslcert and sslkey too.",
    ),
    "does not support SSL": (
        AccessDenied,
        "It has no TLS, which is required unless it is on this machine: turn TLS on there, or, in a private "
        "network, set sslmode of the connection (extra) to disable.",
    ),
    "permission denied for database": (AccessDenied, "GRANT CONNECT ON DATABASE … TO the connection's role."),
    r"database .* does not exist": (ConfigurationError, "Check the connection's database name (schema)."),
    r"role .* does not exist": (AccessDenied, "The connection's login is not a role of the server."),
}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise paylog's error in place of a PostgreSQL error.

    :param what: what was being done, and to what (no values); starts the message.
    """
    try:
        yield
    except (psycopg.Error, SQLAlchemyError) as error:
        fault = translate(error, what)
        scrub(error)
        raise fault from None


def translate(error: BaseException, what: str) -> PaylogError:
    """The paylog error that stands for ``error``."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, psycopg.Error):
        return StopError(f"{what}: {type(error).__name__} in SQLAlchemy. This is a defect in paylog.")
    if original.sqlstate is None:
        return _unreachable(original, what)
    kind, advice = _kind(original)
    return kind(f"{what}: PostgreSQL says {_described(original)}. {advice}")


def scrub(error: BaseException | None) -> None:
    """Take the server's words out of ``error`` and its chain: a logger may print them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, DBAPIError):
            scrub(error.orig)
            error.params = error.detail = None  # type: ignore[assignment]
        if isinstance(error, psycopg.Error | DBAPIError):
            error.args = (f"SQLSTATE {getattr(error, 'sqlstate', None)}",)
        error = error.__cause__ or error.__context__


def _kind(error: psycopg.Error) -> tuple[type[PaylogError], str]:
    state = error.sqlstate or ""
    if isinstance(error, CheckViolation) and error.diag.constraint_name is None:
        return RetriableError, "A partition was dropped meanwhile. " + _RETRY
    default: tuple[type[PaylogError], str] = (StopError, "Retrying does not help.")
    return _KINDS.get(state) or _KINDS.get(state[:2]) or default


def _described(error: psycopg.Error) -> str:
    diagnosis = error.diag
    places = {
        "table": diagnosis.table_name,
        "column": diagnosis.column_name,
        "constraint": diagnosis.constraint_name,
    }
    named = "".join(f", {kind} {name!r}" for kind, name in places.items() if name)
    return f"{type(error).__name__} (SQLSTATE {error.sqlstate}{named})"


def _unreachable(error: psycopg.Error, what: str) -> PaylogError:
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return StopError(f"{what}: the client failed with {type(error).__name__}. Retrying does not help.")
    text = str(error)
    if any(word in text for word in ("FATAL", "certificate", "SSL")):
        for words, (kind, advice) in _REFUSALS.items():
            if re.search(words, text):
                return kind(f"{what}: PostgreSQL refused the connection. {advice}")
    return RetriableError(f"{what}: the connection to PostgreSQL failed or was lost. {_RETRY}")
