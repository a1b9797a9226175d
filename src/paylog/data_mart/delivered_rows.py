"""The payload rows that a committed batch loaded, in the order of their places, for delivery.

PostgreSQL writes the cells as JSON: what a request is made of is then joined, not encoded cell by cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import psycopg
from sqlalchemy import Connection, func, select

from paylog.data_mart.control_tables import GONE, objects
from paylog.data_mart.payload_table import Present, payload_table_name, read_columns
from paylog.data_mart.session import quoted
from paylog.errors import SchemaMismatch

Place: TypeAlias = tuple[int, int, int]
"""(object id, position of the record in it, row of the record from 1; 0: the id names no row)."""

_ROWS_A_FETCH = 2000
_MOST_ARGUMENTS = 100
_UTC = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


class PayloadRow(NamedTuple):
    """One row.

    :param base: its scoring id without the row's number.
    :param scoring_timestamp: ISO 8601 in UTC, with ``Z``.
    :param request, response: JSON arrays of the cells that were asked for.
    """

    object_id: int
    position: int
    number: int
    base: str
    scoring_id: str
    scoring_timestamp: str
    asset_revision: str | None
    response_time: int | None
    request: str
    response: str

    @property
    def event(self) -> tuple[int, int]:
        """Object and position: what the rows of one scoring request share."""
        return self[:2]

    @property
    def place(self) -> Place:
        return self[:3]


def query(
    connection: Connection,
    schema: str,
    subscription_id: str,
    receipt_id: int,
    sides: tuple[Sequence[str], Sequence[str]],
    between: tuple[Place, Place] | None = None,
) -> str | None:
    """Chooses a receipt's live rows in the order of object, position and row; None where there are none.

    :param sides: columns of request and response.
    :param between: only those from one place to another, both included; ends may have rows beyond.
    :raises SchemaMismatch: the table lacks a column.
    """
    span = connection.execute(
        select(
            func.array_agg(objects.c.object_id),
            func.min(objects.c.min_scoring_timestamp),
            func.max(objects.c.max_scoring_timestamp),
        ).where(
            objects.c.receipt_id == receipt_id,
            objects.c.subscription_id == subscription_id,
            objects.c.state.not_in(GONE),
            objects.c.loaded > 0,
        )
    ).one()
    ids, first, last = span
    if not ids:
        return None
    name = payload_table_name(subscription_id)
    present = read_columns(connection, schema, name)
    if missing := [column for side in sides for column in side if column not in present]:
        raise SchemaMismatch(
            f"Payload table {schema}.{name} has no columns {missing}. A run brings it to the model schema."
        )
    request, response = (_json_array(side, present) for side in sides)
    where = f"scoring_timestamp BETWEEN '{first.isoformat()}' AND '{last.isoformat()}'"
    where += f" AND _object_id = ANY ('{{{','.join(map(str, ids))}}}')"
    if between is not None:
        where += "".join(
            f" AND (_object_id, _position) {sign} ({end[0]}, {end[1]})"
            for sign, end in zip((">=", "<="), between, strict=True)
        )
    return (
        f"SELECT _object_id, _position, scoring_id, {_UTC.format('scoring_timestamp')}, asset_revision, "
        f"_response_time, {request}, {response} FROM {quoted(schema, name)} WHERE {where} "
        "ORDER BY _object_id, _position, length(scoring_id), scoring_id"
    )


def read(
    link: psycopg.Connection, chosen: str, between: tuple[Place, Place] | None = None
) -> Iterator[PayloadRow]:
    """Rows of a ``query``, streamed. The server holds them, so that no transaction stays open meanwhile.

    :param link: in autocommit.
    """
    with link.cursor("paylog_delivered", withhold=True) as cursor:
        cursor.itersize = _ROWS_A_FETCH
        cursor.execute(chosen.encode())
        for object_id, position, scoring_id, *cells in cursor:
            base, row = parted(scoring_id)
            if between is None or between[0] <= (object_id, position, row) <= between[1]:
                yield PayloadRow(object_id, position, row, base, scoring_id, *cells)


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
