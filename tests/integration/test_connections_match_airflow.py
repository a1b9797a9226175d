"""``paylog.connections.parse`` reads what Airflow's own connections read, the same way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paylog.connections import Connection, parse

airflow = pytest.importorskip("airflow.sdk.definitions.connection", reason="Airflow is not installed")

URIS = [
    "postgres://user:pass@host:5432/db",
    "postgresql://user:pass@host/db?sslmode=require&connect_timeout=5",
    "postgres://u%40x:p%2F%3A%23@HOST.Example.com:1/d%20b",
    "postgres://u@%2Fvar%2Frun%2FPg/db",
    "postgres://u:p@%2Fvar%2Frun%2FPg:6543/db",
    "postgres://@:5433/db",
    "postgres:///db?host=/run/Pg",
    "postgres://h",
    "postgres://h/?a=&b=x%26y",
    "ibm-cos://key:sec@/?endpoint_url=http%3A%2F%2Fcos%3A9000&region=eu-de",
    "ibm-cos://http://key:sec@cos.example.com:9000/bucket",
    'ibm-cos://k:s@h/?__extra__=%7B%22api_key%22%3A+%22x%22%2C+%22n%22%3A+%7B%22m%22%3A+1%7D%7D',
    "paylog-folder://%2Fdata%2FLogs",
    "paylog-folder:///?path=%2Fdata",
    "postgres://u:p@[::1]:5432/db",
]  # fmt: skip
JSONS: list[dict[str, Any]] = [
    {"conn_type": "postgresql", "host": "h", "login": "u", "password": "p", "port": "5432", "schema": "d"},
    {"conn_type": "ibm-cos", "extra": {"endpoint_url": "http://h:1", "retries": 3}},
    {"conn_type": "ibm_cos", "extra": '{"region": "eu"}', "description": "logs"},
    {"conn_type": "paylog_folder", "host": "/data", "port": None, "extra": None},
]


def as_paylog(theirs: Any) -> Connection:
    """Airflow's connection in paylog's shape: absent values are empty."""
    return Connection(
        conn_id=theirs.conn_id,
        conn_type=theirs.conn_type,
        host=theirs.host or "",
        login=theirs.login or "",
        password=theirs.password or "",
        port=theirs.port,
        schema=theirs.schema or "",
        extra=json.loads(theirs.extra) if theirs.extra else {},
    )


@pytest.mark.parametrize("uri", URIS)
def test_uris(uri: str) -> None:
    assert parse("c", uri) == as_paylog(airflow.Connection(conn_id="c", uri=uri))


@pytest.mark.parametrize("document", JSONS, ids=lambda d: str(d["conn_type"]))
def test_json(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert parse("c", text) == as_paylog(airflow.Connection.from_json(text, conn_id="c"))


WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@settings(max_examples=200, deadline=None)
@given(login=WORD, password=WORD, schema=WORD, extra=st.dictionaries(WORD, WORD | st.integers(), max_size=3))
def test_what_airflow_writes(login: str, password: str, schema: str, extra: dict[str, Any]) -> None:
    theirs = airflow.Connection(
        conn_id="c",
        conn_type="ibm_cos",
        host="cos.example.com",
        login=login,
        password=password,
        port=9000,
        schema=schema,
        extra=json.dumps(extra) if extra else None,
    )
    ours = as_paylog(theirs)
    assert parse("c", theirs.as_json()) == ours
    if "://" not in login + password + schema + json.dumps(extra):
        assert parse("c", theirs.get_uri()) == as_paylog(
            airflow.Connection(conn_id="c", uri=theirs.get_uri())
        )
