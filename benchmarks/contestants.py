"""Who runs, on which input, and how each one's table is made ready."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import dlt_load, payload_table, paylog_command
from benchmarks.inputs import Input
from benchmarks.measure import Measure, measure, python
from benchmarks.payload_table import NAME, SCHEMA
from benchmarks.server import Server
from paylog.records import Counts

START = "paylog, start of a process only"
Prepare = Callable[[Server], None]
_TABLE = f'"{SCHEMA}"."{NAME}"'


class WrongResultError(AssertionError):
    """A contestant's table does not hold what it must."""


@dataclass(frozen=True)
class Contestant:
    """One way to load.

    :param rows: that must be in ``table`` when it is done.
    :param records: that it had to read, what its rate is of.
    :param counts: what paylog's receipts must add up to; others have none.
    """

    name: str
    argv: Callable[[Server], list[str]] = field(repr=False)
    prepare: Prepare = field(repr=False)
    rows: int
    records: int
    table: str = _TABLE
    counts: Counts | None = None
    environment: Callable[[Server], Mapping[str, str]] = field(default=lambda server: {}, repr=False)

    def run(self, server: Server) -> Measure:
        """Make its table anew, load, check.

        :raises WrongResultError: other rows or counts than there must be.
        """
        self.prepare(server)
        result = measure(server, self.argv(server), self.records, self.environment(server))
        found = server.value(f"SELECT count(*) FROM {self.table}")
        if found != self.rows:
            raise WrongResultError(f"{self.name}: {found} rows in {self.table}, {self.rows} expected")
        if self.counts and (wrong := _differences(self.counts, result.said)):
            raise WrongResultError(f"{self.name}: receipts say {wrong}")
        return result


def _differences(expected: Counts, said: Mapping[str, float]) -> str:
    names = [name for name in Counts.__slots__ if said[name] != getattr(expected, name)]
    return ", ".join(f"{name} {said[name]:.0f} instead of {getattr(expected, name)}" for name in names)


def copy(rows: Path, source: Input) -> Contestant:
    """``\\copy`` of ready-made rows: the least that loading can cost."""

    def argv(server: Server) -> list[str]:
        command = f"\\copy {_TABLE} FROM '{rows}' (FORMAT binary)"
        return [str(server.psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", server.dsn, "-c", command]

    loaded = source.expected.loaded
    return Contestant(r"\copy, ready-made rows", argv, _fresh_table, loaded, loaded)


def duckdb(source: Input) -> Contestant:
    """The hand-written script."""

    def argv(server: Server) -> list[str]:
        return python("benchmarks.duckdb_script", server.dsn, source.logs, source.engine, "binary")

    name = "DuckDB script" + (", gzip" if source.gzip else "")
    return Contestant(name, argv, _fresh_table, source.expected.loaded, source.expected.read)


def dlt(source: Path, kind: str, rows: int, state: Path) -> Contestant:
    """dlt, from payload records in a folder or from finished rows in a Parquet file."""

    def argv(server: Server) -> list[str]:
        return python("benchmarks.dlt_load", server.dsn, source, kind, state)

    def prepare(server: Server) -> None:
        subprocess.run(["rm", "-rf", str(state)], check=True)
        server.execute(*dlt_load.statements(kind))

    given = "Arrow batches" if kind == "arrow" else "records"
    table = f'"{SCHEMA}_dlt"."{dlt_load.NAME}"'
    return Contestant(f"dlt, {given}, upsert", argv, prepare, rows, rows, table)


def paylog(source: Input, workers: int) -> Contestant:
    """``paylog run`` from nothing."""
    marks = [m for m in ("gzip" if source.gzip else "", "1 % defective" if source.dirty else "") if m]
    name = ", ".join([f"paylog, {workers} worker{'s' if workers > 1 else ''}", *marks])

    def prepare(server: Server) -> None:
        server.execute(f'DROP SCHEMA IF EXISTS "{SCHEMA}" CASCADE')
        paylog_command.subscribe(_subscriptions(source), source.engine)
        tables = python("benchmarks.paylog_command", "prepare", _subscriptions(source))
        measure(server, tables, 0, paylog_command.environment(server.dsn, source.logs))

    return _paylog(name, source, paylog_command.argv(_subscriptions(source), workers), prepare)


def paylog_again(source: Input) -> Contestant:
    """``paylog run`` once more, after a run of one worker: everything is loaded already."""
    command = paylog_command.argv(_subscriptions(source), 1)
    return replace(_paylog("paylog, run again", source, command), counts=Counts())


def paylog_start(source: Input) -> Contestant:
    """The start of ``paylog run``, without any work; leaves the table as it is."""
    command = python("benchmarks.paylog_command", "start", _subscriptions(source))
    return replace(_paylog(START, source, command), counts=None)


def _paylog(
    name: str, source: Input, command: list[str], prepare: Prepare = lambda server: None
) -> Contestant:
    def connections(server: Server) -> dict[str, str]:
        return paylog_command.environment(server.dsn, source.logs)

    expected = source.expected
    return Contestant(
        name, lambda server: command, prepare, expected.loaded, expected.read,
        counts=expected, environment=connections,
    )  # fmt: skip


def _subscriptions(source: Input) -> Path:
    return source.folder.parent / f"{source.engine}-subscriptions"


def export(server: Server, rows: Path, parquet: Path) -> None:
    """Write the loaded table as COPY BINARY, in the order of insertion, and as Parquet for dlt."""
    command = f"\\copy (SELECT * FROM {_TABLE} ORDER BY tableoid, ctid) TO '{rows}' (FORMAT binary)"
    subprocess.run([server.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", server.dsn, "-c", command], check=True)
    subprocess.run(python("benchmarks.arrow_rows", server.dsn, parquet), check=True)


def _fresh_table(server: Server) -> None:
    server.execute(f'DROP SCHEMA IF EXISTS "{SCHEMA}" CASCADE', *payload_table.statements())
