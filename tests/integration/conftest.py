"""One embedded PostgreSQL for the session; each test gets a database of its own, cloned from a template."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina
from cli_site import Site
from db2_server import Db2Server, db2_server
from payload_blocks import SCHEMA

from paylog.connections import Connection, parse, use_resolver
from paylog.data_mart import DataMart
from paylog.data_mart.registry import Registry
from paylog.testing.exactly_once.served_model import DATA_MART, LOGS, LogFolder
from paylog.testing.postgres import FAST_UNSAFE, EmbeddedPostgres

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The server; not durable, so not for crash tests."""
    with EmbeddedPostgres(port=0, settings=FAST_UNSAFE | {"max_connections": "60"}) as server:
        yield server


@pytest.fixture(scope="session")
def db2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Db2Server]:
    """A Db2, or what stands in for one; skips where there is neither."""
    with db2_server(tmp_path_factory.mktemp("db2")) as server:
        yield server


@pytest.fixture
def one_attempt() -> Iterator[None]:
    """No second attempt: a closed port costs Db2's driver five seconds each time."""
    stamina.set_testing(True, attempts=1)
    yield
    stamina.set_testing(False)


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, int]]:
    """An S3 server that asks for no signature: where it listens."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """A database with the control tables in place."""
    postgres.create_database("template_paylog")
    with DataMart(parse("template", postgres.url("template_paylog", "postgres")), SCHEMA) as mart:
        mart.setup()
    return "template_paylog"


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> Iterator[Connection]:
    """A database without anything of paylog."""
    name = f"test_{next(_numbers)}"
    postgres.create_database(name)
    yield parse("paylog_data_mart", postgres.url(name, "postgres"))
    postgres.drop_database(name)


@pytest.fixture
def database(postgres: EmbeddedPostgres, template: str) -> Iterator[Connection]:
    """A database with the control tables in schema ``SCHEMA``."""
    name = f"test_{next(_numbers)}"
    postgres.create_database(name, template)
    yield parse("paylog_data_mart", postgres.url(name, "postgres"))
    postgres.drop_database(name)


@pytest.fixture
def data_mart(database: Connection) -> Iterator[DataMart]:
    """A data mart that is set up."""
    with DataMart(database, SCHEMA) as mart:
        yield mart


@pytest.fixture
def folder(empty_database: Connection, tmp_path: Path) -> Iterator[LogFolder]:
    """An empty folder of logs beside an empty data mart, under the names of ``exactly_once``."""
    found = LogFolder(tmp_path)
    use_resolver({DATA_MART: empty_database, LOGS: found.connection}.__getitem__)
    yield found
    use_resolver(None)


@pytest.fixture
def site(tmp_path: Path, empty_database: Connection) -> Site:
    """A subscription to an empty folder of logs, and the command line."""
    made = Site(tmp_path, empty_database)
    made.subscribe()
    return made


@pytest.fixture
def registry_queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the registry."""
    asked: list[str] = []

    def noted(self: Registry, name: str) -> Any:
        asked.extend([name] if not name.startswith("_") else [])
        return object.__getattribute__(self, name)

    monkeypatch.setattr(Registry, "__getattribute__", noted)
    return asked
