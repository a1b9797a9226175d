"""Three roles: what each may do, and that everything works with them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cli_site import WINDOW, Site, expected_fates, fates, log
from payload_blocks import SCHEMA, block, capture_object, load, query, subscription
from psycopg.errors import InsufficientPrivilege, InvalidParameterValue, UndefinedTable

from paylog.connections import Connection, parse, postgres_dsn
from paylog.data_mart import DataMart
from paylog.data_mart.roles import RolePlan, apply
from paylog.errors import AccessDenied, ConfigurationError, Reason
from paylog.records import Counts, Reject
from paylog.testing.postgres import EmbeddedPostgres

_numbers = itertools.count()
PAYLOAD = '"paylog test"."Payload_credit"'
REJECT = Reject(0, Reason.MALFORMED_JSON, b"secret bytes")


@dataclass(frozen=True)
class Mart:
    """A database, and the connections of its roles, which sign in with passwords."""

    admin: Connection
    owner: Connection
    load: Connection
    read: Connection

    def plan(self, schema: str = SCHEMA) -> RolePlan:
        return RolePlan(schema, self.owner, self.load, self.read)

    def open(self) -> DataMart:
        return DataMart(self.load, SCHEMA, lambda: self.owner)


@pytest.fixture
def mart(postgres: EmbeddedPostgres) -> Iterator[Mart]:
    number = next(_numbers)
    name = f"roles_{number}"
    postgres.create_database(name)
    admin = parse("admin", postgres.tcp_url(name, "postgres"))
    users = [
        replace(admin, conn_id=role, login=f"{role} {number}%'", password=f"pass word {role}")
        for role in ("owner", "load", "read")
    ]
    yield Mart(admin, *users)
    postgres.drop_database(name)


@pytest.fixture
def loaded(mart: Mart) -> Mart:
    """With a payload table, rows and a reject."""
    assert len(apply(mart.plan(), mart.admin)) == 3
    with mart.open() as data_mart:
        fill(data_mart)
    return mart


def fill(data_mart: DataMart) -> None:
    owner = subscription()
    data_mart.setup()
    data_mart.ensure(owner)
    load(data_mart, owner, {capture_object("a"): [block(owner, range(5), rejects=[REJECT])]})


def refused(connection: Connection, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        query(connection, statement)


def test_loads_duplicates_and_new_versions_work_with_the_role_that_loads(loaded: Mart) -> None:
    owner = subscription()
    with loaded.open() as data_mart:
        other = [
            block(owner, range(3, 10)),
            block(owner, range(20, 25), start=datetime(2023, 1, 1, tzinfo=UTC)),
        ]
        receipt = load(data_mart, owner, {capture_object("b"): other}, "run-2")
        assert receipt.counts == Counts(read=12, loaded=10, duplicate=2)
        receipt = load(data_mart, owner, {capture_object("b", "v2"): [block(owner, range(3, 8))]}, "run-3")
        assert receipt.counts == Counts(read=5, loaded=3, duplicate=2)
        assert data_mart.quarantine_counts("credit") == {Reason.MALFORMED_JSON: 1}
    assert query(
        loaded.admin, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'paylog test'"
    ) == [(loaded.owner.login,)]


def test_what_the_role_that_loads_may_not(loaded: Mart) -> None:
    query(loaded.admin, "CREATE SCHEMA strangers CREATE TABLE things (n int)")
    for statement in (
        f"DROP TABLE {PAYLOAD}",
        f"TRUNCATE {PAYLOAD}",
        f"ALTER TABLE {PAYLOAD} ADD COLUMN more text",
        f"UPDATE {PAYLOAD} SET age = 1",
        f'ALTER TABLE {PAYLOAD} DETACH PARTITION "paylog test"."Payload_credit_2024_03"',
        'DROP TABLE "paylog test".paylog_object',
        "UPDATE \"paylog test\".paylog_alembic_version SET version_num = '0001'",
        'DELETE FROM "paylog test".paylog_retention',
        "INSERT INTO \"paylog test\".paylog_retention (subscription_id) VALUES ('credit')",
        'CREATE TABLE "paylog test".mine (n int)',
        "CREATE SCHEMA mine",
        "SELECT * FROM strangers.things",
        "SELECT * FROM pg_authid",
    ):
        refused(loaded.load, statement)


def test_the_role_that_reads_sees_everything_but_raw_bytes(loaded: Mart) -> None:
    with DataMart(loaded.read, SCHEMA) as data_mart:
        assert data_mart.payload.count("credit") == 5
        assert [r.counts.loaded for r in data_mart.receipts("credit")] == [5]
        [record] = data_mart.quarantine("credit")
        assert (record.reason, record.raw) == (Reason.MALFORMED_JSON, None)
        with pytest.raises(AccessDenied):
            data_mart.quarantine_record(record.quarantine_id)
    for statement in ("SELECT raw FROM {}.paylog_quarantine", "SELECT * FROM {}.paylog_pending",
                      "DELETE FROM {}.paylog_quarantine", "INSERT INTO {}.paylog_asset DEFAULT VALUES",
                      'DELETE FROM {}."Payload_credit"', 'UPDATE {}."Payload_credit_2024_03" SET age = 1',
                      "CREATE TABLE {}.mine (n int)", "SELECT nextval('{}.paylog_receipt_receipt_id_seq')",
                      "SELECT {}.paylog_create_partition('credit', '2020-01-01')"):  # fmt: skip
        refused(loaded.read, statement.format('"paylog test"'))


def test_partitions_are_made_of_payload_tables_only(loaded: Mart) -> None:
    make = "SELECT \"paylog test\".paylog_create_partition('{}', '{}')"
    query(loaded.load, make.format("credit", "2031-02-01"))
    query(loaded.load, make.format("credit", "2031-02-01"))
    for statement, error in (
        (make.format("credit", "2031-02-02"), InvalidParameterValue),
        (make.format("credit", "9999-01-01"), InvalidParameterValue),
        (make.format("strange", "2031-02-01"), UndefinedTable),
    ):
        with pytest.raises(error):
            query(loaded.load, statement)
    query(loaded.admin, 'CREATE ROLE anybody LOGIN; GRANT USAGE ON SCHEMA "paylog test" TO anybody')
    with closing(psycopg.connect(postgres_dsn(loaded.admin))) as link:
        link.execute(b"SET ROLE anybody")
        with pytest.raises(InsufficientPrivilege):
            link.execute(make.format("credit", "2031-03-01").encode())
    query(loaded.admin, 'REVOKE ALL ON SCHEMA "paylog test" FROM anybody; DROP ROLE anybody')


def test_a_worker_without_the_owners_connection_says_what_to_do(loaded: Mart) -> None:
    def unknown() -> Connection:
        raise ConfigurationError("connection 'mart_owner' is not defined")

    with DataMart(loaded.load, SCHEMA, unknown) as data_mart:
        data_mart.setup()
        assert data_mart.ensure(subscription()) == []
        owner = subscription()
        other = {capture_object("new"): [block(owner, range(9), start=datetime(2019, 7, 1, tzinfo=UTC))]}
        assert load(data_mart, owner, other, "run-2").counts.loaded == 9
        with pytest.raises(ConfigurationError, match="mart_owner"):
            data_mart.ensure(subscription("another"))
    with DataMart(loaded.load, SCHEMA) as data_mart, pytest.raises(AccessDenied):
        data_mart.ensure(subscription("another"))


def test_a_data_mart_that_one_role_made_is_taken_over(mart: Mart) -> None:
    with DataMart(mart.admin, SCHEMA) as data_mart:
        fill(data_mart)
    query(mart.admin, 'CREATE TABLE "paylog test".mine AS SELECT 1 AS n')
    apply(mart.plan(), mart.admin)
    owners = query(mart.admin, "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'paylog test'")
    assert {name for name, owner in owners if owner != mart.owner.login} == {"mine"}
    refused(mart.load, 'SELECT * FROM "paylog test".mine')
    with mart.open() as data_mart:
        owner = subscription()
        later = block(owner, range(50, 60), start=datetime(2025, 1, 1, tzinfo=UTC))
        assert load(data_mart, owner, {capture_object("b"): [later]}, "run-2").counts.loaded == 10
        data_mart.ensure(subscription("another"))
    with DataMart(mart.read, SCHEMA) as data_mart:
        assert data_mart.payload.count("credit") == 15
        assert data_mart.payload.count("another") == 0
    refused(mart.read, 'SELECT raw FROM "paylog test".paylog_quarantine')


def test_an_administrator_need_not_be_a_superuser(mart: Mart) -> None:
    name = mart.admin.schema
    query(mart.admin, f"CREATE ROLE {name}_admin LOGIN CREATEROLE PASSWORD 'administrator'")
    query(mart.admin, f"ALTER DATABASE {name} OWNER TO {name}_admin")
    admin = replace(mart.admin, login=f"{name}_admin", password="administrator")
    assert apply(mart.plan(), admin) == [mart.owner.login, mart.load.login, mart.read.login]
    assert apply(mart.plan(), admin) == []
    with mart.open() as data_mart:
        fill(data_mart)
    assert apply(mart.plan(), admin) == []
    refused(mart.read, 'SELECT raw FROM "paylog test".paylog_quarantine')


def test_statements_hold_no_password_and_roles_must_differ(mart: Mart) -> None:
    script = mart.plan().as_sql()
    assert "pass word" not in script
    assert script.count("CREATE ROLE") == 3
    with pytest.raises(ConfigurationError, match="different roles"):
        RolePlan(SCHEMA, mart.owner, mart.owner)
    with pytest.raises(ConfigurationError, match="no login"):
        RolePlan(SCHEMA, mart.owner, replace(mart.load, login=""))
    with pytest.raises(ConfigurationError, match="names no database"):
        RolePlan(SCHEMA, replace(mart.owner, schema=""), replace(mart.load, schema=""))


def test_the_command_line_works_with_three_roles(mart: Mart, tmp_path: Path) -> None:
    site = Site(tmp_path, mart.load)
    others = {
        f"AIRFLOW_CONN_MART_{name.upper()}": document(getattr(mart, name))
        for name in ("admin", "owner", "read")
    }
    target = {"connection": "mart", "schema": "payload", "owner_connection": "mart_owner",
              "read_connection": "mart_read"}  # fmt: skip
    site.subscribe(data_mart=target, retention={"quarantine": "30d"})
    written = log()
    site.write(written)

    def paylog(*arguments: object) -> Any:
        result = site.paylog(*arguments, "--json", **others)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    (roles,) = paylog("data-mart", "roles", "--apply", "--admin", "mart_admin")
    assert roles["schema"] == "payload"
    assert len(roles["new_roles"]) == 3
    assert paylog("data-mart", "setup")["credit-risk"][0].startswith("CREATE TABLE")
    assert fates(paylog("run", "credit-risk", *WINDOW)) == expected_fates(written)
    assert [s["subscription"] for s in paylog("status")] == ["credit-risk"]  # with the role that reads
    health = {each["code"]: each["health"] for each in paylog("doctor")}
    assert {health[f"MART_{name}"] for name in ("RIGHTS", "OWNER", "READER")} == {"ok"}
    assert paylog("maintain", "--apply")[0]["applied"]
    rejected = paylog("quarantine", "list", "credit-risk")
    assert len(rejected) == expected_fates(written)["rejected"]


def test_two_data_marts_whose_schemas_have_one_name_are_both_told(mart: Mart, tmp_path: Path) -> None:
    site = Site(tmp_path, mart.load)
    assert site.environment
    others = {"AIRFLOW_CONN_MART_OWNER": document(mart.owner)}
    for name in ("there", "there_owner"):
        elsewhere = replace(mart.load, conn_id=name, login=name, schema="elsewhere")
        others[f"AIRFLOW_CONN_{name.upper()}"] = document(elsewhere)
    for name, connection in (("one", "mart"), ("two", "there")):
        target = {"connection": connection, "schema": "payload", "owner_connection": f"{connection}_owner"}
        site.subscribe(name, data_mart=target)
    result = site.paylog("data-mart", "roles", "--json", **others)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [(one["connection"], one["database"], one["schema"]) for one in found] == [
        ("mart", mart.load.schema, "payload"),
        ("there", "elsewhere", "payload"),
    ]
    assert all(one["statements"] for one in found)


def document(connection: Connection) -> str:
    return json.dumps(
        {"conn_type": "postgres", "host": connection.host, "login": connection.login, "port": connection.port,
         "password": connection.password, "schema": connection.schema, "extra": connection.extra}
    )  # fmt: skip
