"""The embedded PostgreSQL itself: start, stop, crash, addresses."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text

from paylog.connections import parse, postgres_dsn
from paylog.errors import StopError
from paylog.testing.postgres import FAST_UNSAFE, EmbeddedPostgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not ``tmp_path`` of pytest: another session of pytest closes that one to PostgreSQL's user."""
    with tempfile.TemporaryDirectory(prefix="paylog-") as path:
        yield Path(path)


def ask(url: str, statement: str = "SELECT 1") -> object:
    with psycopg.connect(url, autocommit=True) as link:
        cursor = link.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def test_data_outlive_a_stop_and_a_crash(folder: Path) -> None:
    data = folder / "pg"
    with EmbeddedPostgres(data, port=0) as server:
        ask(server.url(), "CREATE TABLE kept AS SELECT 7 AS n")
        first = server.pid
        server.restart("immediate")
        assert server.pid not in (None, first)
        assert ask(server.url(), "SELECT n FROM kept") == 7
    assert server.pid is None
    with EmbeddedPostgres(data) as again:
        assert ask(again.url(), "SELECT n FROM kept") == 7
        with pytest.raises(StopError, match="no TCP port"):
            again.tcp_url()
    assert data.exists()


def test_a_server_left_over_is_taken_over(folder: Path) -> None:
    left = EmbeddedPostgres(folder / "pg", settings=FAST_UNSAFE)
    left.start()
    with EmbeddedPostgres(folder / "pg", settings=FAST_UNSAFE) as server:
        assert ask(server.url()) == 1
    assert left.pid is None


def test_every_form_of_address(postgres: EmbeddedPostgres) -> None:
    postgres.create_database("ad dress")
    for url in (postgres.url("ad dress"), postgres.tcp_url("ad dress")):
        assert ask(url, "SELECT current_database()") == "ad dress"
    for url in (postgres.url("ad dress", "postgres"), postgres.tcp_url("ad dress", "postgres")):
        assert ask(postgres_dsn(parse("x", url)), "SELECT current_database()") == "ad dress"
    with create_engine(postgres.url("ad dress", "postgresql+psycopg")).connect() as connection:
        assert connection.execute(text("SELECT current_database()")).scalar() == "ad dress"
    postgres.drop_database("ad dress")


def test_tcp_needs_the_password(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(postgres.tcp_url().replace(postgres.password, "guess"))


def test_a_path_too_long_for_a_socket(folder: Path) -> None:
    with EmbeddedPostgres(folder / ("deep" * 20) / "pg", settings=FAST_UNSAFE) as server:
        assert server.socket_dir != server.data_dir
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
        assert ask(server.url()) == 1


def test_a_temporary_folder_is_removed() -> None:
    with EmbeddedPostgres(settings=FAST_UNSAFE) as server:
        folder = server.data_dir
        assert folder.exists()
    assert not folder.exists()


def test_a_server_that_cannot_start_says_where_its_log_is(folder: Path) -> None:
    broken = EmbeddedPostgres(folder / "pg", settings={"max_connections": "none"})
    with pytest.raises(StopError, match=r"(?s)pg_ctl failed.*server\.log"):
        broken.start()
    assert broken.pid is None
