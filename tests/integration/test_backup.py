"""docs/backup.md, tried: a dump while loads go on, restored elsewhere; the next run loads what is missing."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cli_site import WINDOW, Site, expected_fates, log
from payload_blocks import SCHEMA, block, capture_object, load, query, subscription
from payload_blocks import WINDOW as WINDOW_OF_BLOCKS

from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.testing.postgres import EmbeddedPostgres, binaries

LATER = datetime(2025, 2, 1, tzinfo=UTC)
VALUES = 'scoring_id, scoring_timestamp, _record_id, _position, "LoanDuration", prediction'


@pytest.fixture
def spare(postgres: EmbeddedPostgres, empty_database: Connection) -> Iterator[Connection]:
    """A second database, empty."""
    name = f"{empty_database.schema}_restored"
    postgres.create_database(name)
    yield replace(empty_database, schema=name)
    postgres.drop_database(name)


def client(postgres: EmbeddedPostgres, program: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs, as the documentation calls it."""
    where = ["-h", str(postgres.socket_dir), "-p", str(postgres.port), "-U", "postgres"]
    done = subprocess.run([str(binaries() / program), *where, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def dump(postgres: EmbeddedPostgres, database: Connection, schema: str, file: Path) -> None:
    client(postgres, "pg_dump", "-Fc", "-n", f'"{schema}"', "-f", str(file), "-d", database.schema)


def restore(postgres: EmbeddedPostgres, database: Connection, file: Path) -> None:
    client(
        postgres, "pg_restore", "--exit-on-error", "--single-transaction", "-d", database.schema, str(file)
    )


def test_a_dump_while_loads_go_on_is_whole(
    tmp_path: Path, postgres: EmbeddedPostgres, empty_database: Connection, spare: Connection
) -> None:
    site = Site(tmp_path, empty_database)
    site.subscribe(error_budget={"share": None})
    written = log(records=2400, objects=24)
    site.write(written)
    running = site.start("run", "credit-risk", *WINDOW, "--batch-size", "20KB")
    while running.poll() is None and not committed(empty_database):
        time.sleep(0.02)
    dump(postgres, empty_database, "payload", tmp_path / "mart.dump")
    assert running.wait(60) == 0

    restore(postgres, spare, tmp_path / "mart.dump")
    there = Site(tmp_path, spare)
    before = query(spare, 'SELECT count(*) FROM payload."Payload_credit-risk"')[0][0]
    known = query(spare, "SELECT count(*) FROM payload.paylog_object")[0][0]
    assert 0 < known <= 24
    assert there.json("plan", "credit-risk", *WINDOW)["objects"] == 24 - known
    run = there.json("run", "credit-risk", *WINDOW)
    total = expected_fates(written)["loaded"]
    assert (run["loaded"], before + run["loaded"]) == (total - before, total)
    assert rows(there) == rows(site)
    assert there.json("run", "credit-risk", *WINDOW)["read"] == 0


def committed(database: Connection) -> bool:
    """Whether the first batch is in; before that, the tables may not be there."""
    if query(database, "SELECT to_regclass('payload.paylog_receipt')") == [(None,)]:
        return False
    return bool(query(database, "SELECT 1 FROM payload.paylog_receipt LIMIT 1"))


def rows(site: Site) -> list[tuple[Any, ...]]:
    return site.query(f'SELECT {VALUES} FROM payload."Payload_credit-risk" ORDER BY 1, 2')


def test_a_batch_that_was_not_committed_is_loaded_once_after_the_restore(
    tmp_path: Path, data_mart: DataMart, database: Connection, postgres: EmbeddedPostgres, spare: Connection
) -> None:
    owner = subscription()
    first, second = capture_object("a"), capture_object("b")
    data_mart.ensure(owner)
    load(data_mart, owner, {first: [block(owner, range(5))]})
    with data_mart.load(owner, "1", "run-2", WINDOW_OF_BLOCKS) as batch, batch.object(second) as target:
        assert target is not None
        target.add(block(owner, range(5, 12)))
        batch._write([target])
        dump(postgres, database, SCHEMA, tmp_path / "mart.dump")
    restore(postgres, spare, tmp_path / "mart.dump")
    with DataMart(spare, SCHEMA) as restored:
        assert restored.payload.count("credit") == 5
        again = {first: [block(owner, range(5))], second: [block(owner, range(5, 12))]}
        receipt = load(restored, owner, again, "run-3")
        assert (receipt.objects, receipt.counts.loaded) == (1, 7)
        assert restored.ensure(owner) == []
        later = {capture_object("c"): [block(owner, range(1), start=LATER)]}
        assert load(restored, owner, later, "run-4").counts.loaded == 1  # a month without a partition
