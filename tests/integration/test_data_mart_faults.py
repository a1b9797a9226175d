"""What happens when PostgreSQL refuses, fails or goes away; and that no value is ever told."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from payload_blocks import SCHEMA, WINDOW, block, capture_object, load, payload_keys, query, subscription

from paylog.connections import Connection, parse
from paylog.data_mart import DataMart
from paylog.errors import AccessDenied, ConfigurationError, RetriableError, SchemaMismatch
from paylog.records import Counts
from paylog.testing.postgres import EmbeddedPostgres

A, B = capture_object("a"), capture_object("b")


@pytest.fixture(scope="module")
def durable() -> Iterator[EmbeddedPostgres]:
    """A server of its own, with default durability, that may be crashed."""
    with EmbeddedPostgres(port=0) as server:
        yield server


@pytest.fixture
def crashing(durable: EmbeddedPostgres, request: pytest.FixtureRequest) -> Connection:
    name = request.node.name
    durable.create_database(name)
    connection = parse("paylog_data_mart", durable.tcp_url(name, "postgres"))
    with DataMart(connection, SCHEMA) as mart:
        mart.setup()
        mart.ensure(subscription())
    return connection


def told(error: BaseException | None) -> str:
    """Everything that a logger could print of an error."""
    text = ""
    while error is not None:
        text += "".join(traceback.format_exception(error)) + repr(error)
        error = error.__cause__ or error.__context__
    return text


def test_a_crash_of_the_server_half_way_is_retriable_and_leaves_nothing(
    durable: EmbeddedPostgres, crashing: Connection
) -> None:
    owner = subscription()
    with DataMart(crashing, SCHEMA) as mart:
        load(mart, owner, {B: [block(owner, range(100, 105))]})
        with (  # noqa: PT012
            pytest.raises(RetriableError, match="connection"),
            mart.load(owner, "0", "run", WINDOW) as batch,
            batch.object(A) as target,
        ):
            assert target is not None
            target.add(block(owner, range(10)))
            durable.restart("immediate")
        receipt = load(mart, owner, {A: [block(owner, range(10))]})
    assert receipt.counts == Counts(read=10, loaded=10)
    assert len(payload_keys(crashing)) == 15


def test_a_killed_worker_leaves_nothing_and_its_claim_is_free(
    durable: EmbeddedPostgres, crashing: Connection
) -> None:
    code = textwrap.dedent(
        f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from payload_blocks import *
        owner = subscription()
        from paylog.connections import parse
        mart = DataMart(parse("dm", sys.stdin.readline()), {SCHEMA!r})
        with mart.load(owner, "0", "run", WINDOW) as batch:
            with batch.object(capture_object("a")) as target:
                target.add(block(owner, range(10)))
            batch._write_finished()
            print("written", flush=True)
            time.sleep(60)
        """
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(durable.tcp_url(crashing.schema, "postgres") + "\n")
    worker.stdin.flush()
    assert worker.stdout.readline() == "written\n"
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    owner = subscription()
    with DataMart(crashing, SCHEMA) as mart:
        assert load(mart, owner, {A: [block(owner, range(10))]}).counts == Counts(read=10, loaded=10)


def test_a_server_that_is_down_is_retriable(durable: EmbeddedPostgres, crashing: Connection) -> None:
    durable.stop()
    try:
        with DataMart(crashing, SCHEMA) as mart, pytest.raises(RetriableError, match="paylog_data_mart"):
            mart.receipts("credit")
    finally:
        durable.start()


def test_a_server_that_does_not_answer_is_retriable() -> None:
    nowhere = parse("far_away", "postgres://me:secret-canary@192.0.2.1:5432/x?connect_timeout=2")
    started = time.monotonic()
    with DataMart(nowhere, SCHEMA) as mart, pytest.raises(RetriableError) as caught:
        mart.setup()
    assert time.monotonic() - started < 20
    assert "canary" not in told(caught.value) + repr(mart)


def test_wrong_password_database_and_type(durable: EmbeddedPostgres, crashing: Connection) -> None:
    wrong = replace(crashing, password="secret-canary")
    with DataMart(wrong, SCHEMA) as mart, pytest.raises(AccessDenied, match="login and password") as caught:
        mart.setup()
    assert "canary" not in told(caught.value)
    with (
        DataMart(replace(crashing, schema="nowhere"), SCHEMA) as mart,
        pytest.raises(ConfigurationError, match="database name"),
    ):
        mart.setup()
    with pytest.raises(ConfigurationError, match="ibm_cos"):
        DataMart(replace(crashing, conn_type="ibm_cos"), SCHEMA)


@pytest.fixture
def clerk(empty_database: Connection) -> Iterator[Connection]:
    """A role without rights in a database of its own."""
    role = f"clerk_{empty_database.schema}"
    query(empty_database, f'CREATE ROLE "{role}" LOGIN')
    yield replace(empty_database, login=role)
    query(empty_database, f'DROP OWNED BY "{role}"')
    query(empty_database, f'DROP ROLE "{role}"')


def test_without_the_right_to_create_the_grant_is_told(empty_database: Connection, clerk: Connection) -> None:
    with DataMart(clerk, SCHEMA) as mart:
        with pytest.raises(AccessDenied, match="GRANT CREATE ON DATABASE") as caught:
            mart.setup()
        follow(empty_database, str(caught.value))
        mart.setup()


def test_without_the_right_to_make_tables_the_grant_is_told(
    empty_database: Connection, clerk: Connection
) -> None:
    query(empty_database, f'CREATE SCHEMA "{SCHEMA}"')
    with DataMart(clerk, SCHEMA) as mart:
        with pytest.raises(AccessDenied, match="GRANT USAGE, CREATE ON SCHEMA") as caught:
            mart.setup()
        follow(empty_database, str(caught.value))
        mart.setup()
        mart.ensure(subscription())


def test_without_rights_on_the_tables_it_is_access_denied(
    database: Connection, clerk: Connection, data_mart: DataMart
) -> None:
    data_mart.ensure(subscription())
    with DataMart(replace(clerk, schema=database.schema), SCHEMA) as mart, pytest.raises(AccessDenied):
        mart.receipts("credit")


def follow(connection: Connection, message: str) -> None:
    """Do what the message says."""
    query(connection, message.split("Run: ")[1].split(";")[0])


def test_no_value_is_told_when_postgresql_refuses(
    data_mart: DataMart, database: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL's messages repeat the row; ours must not."""
    caplog.set_level(logging.DEBUG)
    owner = subscription()
    data_mart.ensure(owner)
    table = '"paylog test"."Payload_credit"'
    refusals = {
        f"ALTER TABLE {table} ADD CONSTRAINT adults CHECK (age > 0 AND purpose <> 'secret-canary')": "adults",
        f"ALTER TABLE {table} DROP CONSTRAINT adults": None,
        f"ALTER TABLE {table} ALTER COLUMN asset_revision SET NOT NULL": "asset_revision",
        f"ALTER TABLE {table} ALTER COLUMN asset_revision DROP NOT NULL": None,
        f"ALTER TABLE {table} ADD UNIQUE (purpose, scoring_timestamp)": "Payload_credit",
    }
    canary = "secret-canary"
    rows = block(owner, range(1, 4), purpose=canary, scoring_timestamp=WINDOW[0])
    for change, named in refusals.items():
        query(database, change)
        if named:
            with pytest.raises(Exception, match=named) as caught:
                load(data_mart, owner, {A: [rows]})
            assert "canary" not in told(caught.value)
            assert caught.value.__class__.__module__ == "paylog.errors"
    assert "canary" not in caplog.text


def test_a_text_with_a_nul_is_refused_without_its_value(data_mart: DataMart) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    text = "secret-canary\x00"
    with pytest.raises(SchemaMismatch, match="22021") as caught:
        load(data_mart, owner, {A: [block(owner, [1], purpose=text)]})
    assert "canary" not in told(caught.value)


def test_without_setup_it_says_what_to_do(empty_database: Connection) -> None:
    with DataMart(empty_database, SCHEMA) as mart, pytest.raises(SchemaMismatch, match=r"setup\(\)"):
        mart.receipts("credit")
