"""The payload rows that a committed batch loaded, in the order of their places, for delivery.

PostgreSQL writes the cells as JSON: what a request is made of is then joined, not encoded cell by cell.
A large batch is read in slices, so that its first rows are posted while later ones are read and sorted.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, cycle
from typing import NamedTuple, TypeAlias

import psycopg
from sqlalchemy import Connection, select

from paylog.data_mart.control_tables import GONE, objects
from paylog.data_mart.payload_table import Present, payload_table_name, read_columns
from paylog.data_mart.session import quoted, run
from paylog.errors import SchemaMismatch

Place: TypeAlias = tuple[int, int, int]
"""(object id, position of the record in it, row of the record from 1; 0: the id names no row)."""

_ROWS_A_FETCH = 2000
_ROWS_A_SLICE = 10_000
_MOST_LOOKS = 8
"""At a row of a large object, by the slices that its scoring time falls into."""
_MOST_ARGUMENTS = 100
_UTC = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


class PayloadRow(NamedTuple):
    """One row.

    :param scoring_timestamp: ISO 8601 in UTC, with ``Z``.
    :param request, response: JSON arrays of the cells that were asked for.
    """

    object_id: int
    position: int
    scoring_id: str
    scoring_timestamp: str
    asset_revision: str | None
    response_time: int | None
    request: str
    response: str

    @property
    def base(self) -> str:
        """Its scoring id without the row's number."""
        return parted(self.scoring_id)[0]

    @property
    def place(self) -> Place:
        return self.object_id, self.position, parted(self.scoring_id)[1]


@dataclass(frozen=True, slots=True)
class _Slice:
    """Some objects, or one object from one position to another, and the time of their rows."""

    objects: Sequence[int]
    first: datetime
    last: datetime
    positions: tuple[int, int] | None = None

    @property
    def condition(self) -> str:
        condition = f"scoring_timestamp BETWEEN '{self.first.isoformat()}' AND '{self.last.isoformat()}'"
        condition += f" AND _object_id = ANY ('{{{','.join(map(str, self.objects))}}}')"
        if self.positions:
            condition += " AND _position BETWEEN {} AND {}".format(*self.positions)
        return condition


def queries(
    connection: Connection,
    schema: str,
    subscription_id: str,
    receipt_id: int,
    sides: tuple[Sequence[str], Sequence[str]],
    between: tuple[Place, Place] | None = None,
) -> list[str]:
    """Choose a receipt's live rows in the order of object, position and row, one slice after the other.

    :param sides: columns of request and response.
    :param between: only those from one place to another, both included; ends may have rows beyond.
    :raises SchemaMismatch: the table lacks a column.
    """
    chosen = select(
        objects.c.object_id,
        objects.c.loaded,
        objects.c.min_scoring_timestamp,
        objects.c.max_scoring_timestamp,
    ).where(
        objects.c.receipt_id == receipt_id,
        objects.c.subscription_id == subscription_id,
        objects.c.state.not_in(GONE),
        objects.c.loaded > 0,
    )
    if between is not None:
        chosen = chosen.where(objects.c.object_id.between(between[0][0], between[1][0]))
    entries = [_Entry(*row) for row in connection.execute(chosen.order_by(objects.c.object_id))]
    if not entries:
        return []
    name = payload_table_name(subscription_id)
    table, present = quoted(schema, name), read_columns(connection, schema, name)
    if missing := [column for side in sides for column in side if column not in present]:
        raise SchemaMismatch(
            f"Payload table {schema}.{name} has no columns {missing}. A run brings it to the model schema."
        )
    request, response = (_json_array(side, present) for side in sides)
    columns = (
        f"SELECT _object_id, _position, scoring_id, {_UTC.format('scoring_timestamp')}, asset_revision, "
        f"_response_time, {request}, {response} FROM {table} WHERE "
    )
    order = " ORDER BY _object_id, _position, length(scoring_id), scoring_id"
    if between is not None:
        ends = "".join(
            f" AND (_object_id, _position) {sign} ({end[0]}, {end[1]})"
            for sign, end in zip((">=", "<="), between, strict=True)
        )
        order = ends + order
    return [columns + one.condition + order for one in _slices(connection, table, entries)]


class _Entry(NamedTuple):
    """An object in the ledger."""

    object_id: int
    loaded: int
    first: datetime
    last: datetime


def _slices(connection: Connection, table: str, entries: Iterable[_Entry]) -> Iterator[_Slice]:
    """Small objects together, a large one in parts."""
    group: list[_Entry] = []
    rows = 0
    for entry in entries:
        if group and rows + entry.loaded > _ROWS_A_SLICE:
            yield _together(group)
            group, rows = [], 0
        if entry.loaded >= 2 * _ROWS_A_SLICE:
            yield from _parts(connection, table, entry)
        else:
            group.append(entry)
            rows += entry.loaded
    if group:
        yield _together(group)


def _together(group: Sequence[_Entry]) -> _Slice:
    ids = [one.object_id for one in group]
    return _Slice(ids, min(one.first for one in group), max(one.last for one in group))


def _parts(connection: Connection, table: str, entry: _Entry) -> list[_Slice]:
    """Each with the time of its own rows: those of an object mostly lie in the order of time."""
    query = (
        "SELECT min(_position), max(_position), count(*), min(scoring_timestamp), max(scoring_timestamp) "
        f"FROM {table} WHERE {_together([entry]).condition} "
        f"GROUP BY _position / {max(1, _ROWS_A_SLICE // 10)} ORDER BY 1"
    )
    steps = [_Step(*row) for row in run(connection, query)]
    parts = list(_grouped(entry.object_id, steps, _ROWS_A_SLICE))
    looks = sum((part.last - part.first for part in parts), timedelta())
    if looks > _MOST_LOOKS * (entry.last - entry.first):  # not in that order: each looks at the rows of all
        parts = list(_grouped(entry.object_id, steps, entry.loaded // _MOST_LOOKS))
    return parts


class _Step(NamedTuple):
    """Some consecutive records of an object."""

    start: int
    end: int
    rows: int
    first: datetime
    last: datetime


def _grouped(object_id: int, steps: Iterable[_Step], size: int) -> Iterator[_Slice]:
    group: list[_Step] = []
    rows = 0
    for step in chain(steps, [None]):
        if step is not None:
            group.append(step)
            rows += step.rows
        if group and (step is None or rows >= size):
            first, last = min(one.first for one in group), max(one.last for one in group)
            yield _Slice([object_id], first, last, (group[0].start, group[-1].end))
            group, rows = [], 0


def read(
    links: Sequence[psycopg.Connection], slices: Iterable[str], between: tuple[Place, Place] | None = None
) -> Generator[PayloadRow, None, None]:
    """Rows of ``queries``, streamed. The server holds them, so that no transaction stays open meanwhile.

    :param links: in autocommit; on the second, a slice is made ready while rows of the one before are taken.
    """
    ahead: Future[psycopg.ServerCursor] | None = None
    with ThreadPoolExecutor(1, "delivered-rows") as pool:
        for link, chosen in zip(cycle(links), slices, strict=False):
            following = pool.submit(_opened, link, chosen)
            if ahead is not None:
                yield from _rows(ahead.result(), between)
            ahead = following
        if ahead is not None:
            yield from _rows(ahead.result(), between)


def _opened(link: psycopg.Connection, chosen: str) -> psycopg.ServerCursor:
    cursor = link.cursor("paylog_delivered", withhold=True)
    cursor.itersize = _ROWS_A_FETCH
    return cursor.execute(chosen.encode())


def _rows(cursor: psycopg.ServerCursor, between: tuple[Place, Place] | None) -> Iterator[PayloadRow]:
    with cursor:
        rows = map(PayloadRow._make, cursor)
        if between is None:
            yield from rows
        else:
            yield from (row for row in rows if between[0] <= row.place <= between[1])


def parted(scoring_id: str) -> tuple[str, int]:
    """A scoring id without its row's number, and that number; 0: the id names no row."""
    base, dash, number = scoring_id.rpartition("-")
    # As the pattern of ``retracted_rows``: other digits than these are a part of somebody's own id.
    if not (dash and number.isascii() and number.isdigit()):
        return scoring_id, 0
    return base, int(number) if len(number) < 10 else 0


def _json_array(names: Sequence[str], present: Mapping[str, Present]) -> str:
    """SQL of a JSON array of columns."""
    cells = [
        _UTC.format(quoted(name)) if present[name].pg_type.startswith("timestamp") else quoted(name)
        for name in names
    ]
    parts = [f"json_build_array({', '.join(some)})::text" for some in _batched(cells)]
    text = parts[0]
    for more in parts[1:]:
        text = f"left({text}, -1) || ', ' || substr({more}, 2)"
    return text


def _batched(cells: Sequence[str]) -> list[Sequence[str]]:
    return [cells[i : i + _MOST_ARGUMENTS] for i in range(0, len(cells), _MOST_ARGUMENTS)] or [()]
