"""PostgreSQL's errors become paylog's, by SQLSTATE, without the server's words."""

from __future__ import annotations

import subprocess
import sys
import traceback

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError

from paylog.data_mart.faults import translate, translated
from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    PaylogError,
    RetriableError,
    SchemaMismatch,
    StopError,
)

CANARY = "Key (scoring_id)=(secret-canary)"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (pg.DeadlockDetected, RetriableError),
        (pg.SerializationFailure, RetriableError),
        (pg.AdminShutdown, RetriableError),
        (pg.CannotConnectNow, RetriableError),
        (pg.TooManyConnections, RetriableError),
        (pg.ConnectionFailure, RetriableError),
        (pg.QueryCanceled, RetriableError),
        (pg.LockNotAvailable, RetriableError),
        (pg.ReadOnlySqlTransaction, RetriableError),
        (pg.InsufficientPrivilege, AccessDenied),
        (pg.InvalidPassword, AccessDenied),
        (pg.InvalidAuthorizationSpecification, AccessDenied),
        (pg.InvalidCatalogName, ConfigurationError),
        (pg.UndefinedColumn, SchemaMismatch),
        (pg.UndefinedTable, SchemaMismatch),
        (pg.DatatypeMismatch, SchemaMismatch),
        (pg.NotNullViolation, SchemaMismatch),
        (pg.InvalidBinaryRepresentation, SchemaMismatch),
        (pg.DiskFull, StopError),
        (pg.ProgramLimitExceeded, StopError),
        (pg.NumericValueOutOfRange, StopError),
    ],
)
def test_the_type_says_what_to_do(error: type[psycopg.Error], kind: type[PaylogError]) -> None:
    for raised in (error(CANARY), DBAPIError.instance("INSERT", {"x": CANARY}, error(CANARY), psycopg.Error)):
        fault = translate(raised, "load batch '0'")
        assert type(fault) is kind
        assert "canary" not in str(fault)
        assert str(fault).startswith("load batch '0': ")
        assert str(error.sqlstate) in str(fault)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('FATAL:  password authentication failed for user "x"', AccessDenied),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', AccessDenied),
        ('FATAL:  role "x" does not exist', AccessDenied),
        ('FATAL:  database "x" does not exist', ConfigurationError),
        ('FATAL:  permission denied for database "x"', AccessDenied),
        ("FATAL:  sorry, too many clients already", RetriableError),
        ("FATAL:  the database system is starting up", RetriableError),
        ('connection to server at "database.example" failed: Connection refused', RetriableError),
        ("consuming input failed: server closed the connection unexpectedly", RetriableError),
        ("SSL error: certificate verify failed", AccessDenied),
    ],
)
def test_a_refused_connection_is_told_by_its_words(text: str, kind: type[PaylogError]) -> None:
    assert type(translate(psycopg.OperationalError(text), "read")) is kind


def test_no_value_is_in_the_traceback() -> None:
    with pytest.raises(StopError) as caught, translated("load"):  # noqa: PT012
        try:
            raise pg.UniqueViolation(CANARY)
        except psycopg.Error as error:
            raise pg.ForeignKeyViolation(CANARY) from error
    everything = "".join(traceback.format_exception(caught.value, chain=True))
    inner: BaseException | None = caught.value
    while inner is not None:
        everything += repr(inner) + str(inner)
        inner = inner.__context__
    assert "canary" not in everything
    assert "ForeignKeyViolation" in str(caught.value)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), translated("load"):
        raise KeyError("x")


def test_importing_the_data_mart_is_light() -> None:
    """pandas and alembic cost a second; a task that loads needs neither."""
    heavy = "{'pandas', 'alembic', 'airflow', 'ibm_boto3'}"
    code = f"import sys, paylog.data_mart; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
