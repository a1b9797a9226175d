"""Named connections: Airflow's URI and JSON forms, and the libpq string."""

from __future__ import annotations

import json
from urllib.parse import quote

import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylog import connections
from paylog.connections import Connection, from_environment, parse, postgres_dsn
from paylog.errors import ConfigurationError

CANARY = "s3cret/c@nary:%#?"
CONNECTION_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def test_uri_form_is_decoded() -> None:
    uri = f"postgres://us%20er:{quote(CANARY, safe='')}@db.example.com:6543/my%2Fmart?sslmode=require"
    assert parse("mart", uri) == Connection(
        conn_id="mart",
        conn_type="postgres",
        host="db.example.com",
        login="us er",
        password=CANARY,
        port=6543,
        schema="my/mart",
        extra={"sslmode": "require"},
    )


@pytest.mark.parametrize(
    ("uri", "conn_type"),
    [
        ("postgresql://h/db", "postgres"),
        ("postgres://h/db", "postgres"),
        ("ibm-cos://k:s@/?region=eu", "ibm_cos"),
        ("paylog-folder://%2Fdata%2FLogs", "paylog_folder"),
    ],
)
def test_scheme_becomes_the_connection_type(uri: str, conn_type: str) -> None:
    assert parse("c", uri).conn_type == conn_type


def test_path_as_host_keeps_its_case() -> None:
    assert parse("c", "postgres://u@%2Frun%2FPgData/db").host == "/run/PgData"


def test_protocol_stays_with_the_host() -> None:
    connection = parse("c", "ibm-cos://http://key:word@cos.example.com:9000/")
    assert (connection.host, connection.port, connection.login) == ("http://cos.example.com", 9000, "key")


def test_extra_in_one_parameter_is_json() -> None:
    extra = {"endpoint_url": "http://cos.example.com:1?a=b", "retries": 3}
    uri = "ibm-cos://k:s@/?__extra__=" + quote(json.dumps(extra), safe="")
    assert parse("c", uri).extra == extra


@pytest.mark.parametrize("extra", [{"region": "eu-de"}, '{"region": "eu-de"}'])
def test_json_form(extra: object) -> None:
    text = json.dumps({"conn_type": "ibm-cos", "login": "k", "password": CANARY, "port": "9", "extra": extra})
    connection = parse("c", f"  {text}\n")
    assert connection == Connection(
        "c", "ibm_cos", login="k", password=CANARY, port=9, extra={"region": "eu-de"}
    )


@pytest.mark.parametrize(
    "text",
    [
        f"postgres://u:{CANARY}@h/db",
        f"postgres://u:p@h:{CANARY}/db",
        f'{{"conn_type": "postgres", "password": "{CANARY}"',
        f'{{"conn_type": "postgres", "port": "{CANARY}"}}',
        f'{{"conn_type": "postgres", "extra": "{CANARY}"}}',
        f'{{"conn_type": "postgres", "extra": ["{CANARY}"]}}',
        f'{{"password": "{CANARY}"}}',
        f'{{"conn_type": "postgres", "pasword": "{CANARY}"}}',
        CANARY,
        "a://b://c://d",
        f"postgres://x:{CANARY}@h://p/db",
    ],
)
def test_unreadable_text_is_named_but_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError, match="AIRFLOW_CONN_MART") as caught:
        parse("mart", text)
    assert "c@nary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_secrets_are_not_in_the_repr() -> None:
    connection = Connection("c", "ibm_cos", login="k", password=CANARY, extra={"api_key": CANARY})
    assert "c@nary" not in repr(connection)


def test_environment_is_asked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MY_MART", "postgres://u@h/db")
    assert connections.resolve("my_mart").schema == "db"


@pytest.mark.parametrize("environ", [{}, {"AIRFLOW_CONN_MY_MART": " "}])
def test_absent_connection_says_how_to_define_it(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"AIRFLOW_CONN_MY_MART.*postgres://.*conn_type.*Airflow"):
        from_environment("my_mart", environ)


def test_another_resolver_can_be_installed_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_A", "postgres://u@from-environment/db")
    connections.use_resolver(lambda conn_id: Connection(conn_id, "postgres", host="from-resolver"))
    try:
        assert connections.resolve("a").host == "from-resolver"
    finally:
        connections.use_resolver(None)
    assert connections.resolve("a").host == "from-environment"


@given(login=CONNECTION_TEXT, password=CONNECTION_TEXT, database=CONNECTION_TEXT)
def test_dsn_quotes_whatever_the_values_hold(login: str, password: str, database: str) -> None:
    connection = Connection("c", "postgres", host="h", login=login, password=password, schema=database)
    settings = psycopg.conninfo.conninfo_to_dict(postgres_dsn(connection))
    expected = {"host": "h", "user": login, "password": password, "dbname": database}
    assert settings == {key: value for key, value in expected.items() if value}


def test_dsn_takes_options_and_socket_from_extra() -> None:
    extra = {"host": "/run/postgresql", "sslmode": "disable", "connect_timeout": 5, "sqlalchemy_scheme": "x"}
    dsn = postgres_dsn(Connection("c", "postgres", host="ignored", port=5433, schema="db", extra=extra))
    assert psycopg.conninfo.conninfo_to_dict(dsn) == {
        "host": "/run/postgresql",
        "port": "5433",
        "dbname": "db",
        "sslmode": "disable",
        "connect_timeout": "5",
    }


def test_dsn_refuses_a_misspelt_option() -> None:
    with pytest.raises(ConfigurationError, match="'sslmod'"):
        postgres_dsn(Connection("c", "postgres", extra={"sslmod": "require"}))


def test_dsn_refuses_another_type() -> None:
    with pytest.raises(ConfigurationError, match="'ibm_cos'"):
        postgres_dsn(Connection("c", "ibm_cos"))
