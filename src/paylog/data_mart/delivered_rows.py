"""The payload rows that a committed batch loaded, in the order of their places, for delivery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, and_, column, func, select, table, true, tuple_
from sqlalchemy import types as sql
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from paylog.data_mart.control_tables import GONE, objects
from paylog.data_mart.payload_table import payload_table_name, read_columns

Place: TypeAlias = tuple[int, int, int]
"""(object id, position of the record in it, row of the record from 1; 0: the id names no row)."""

_ROWS_A_FETCH = 2000


@dataclass(frozen=True, slots=True)
class PayloadRow:
    """One row; ``cells`` by column, paylog's own left out."""

    place: Place
    scoring_id: str
    scoring_timestamp: datetime
    asset_revision: str | None
    response_time: int | None
    cells: dict[str, Any]

    @property
    def event(self) -> tuple[int, int]:
        """Object and position: what the rows of one scoring request share."""
        return self.place[:2]


def read(
    connection: Connection,
    schema: str,
    subscription_id: str,
    receipt_id: int,
    between: tuple[Place, Place] | None = None,
) -> Iterator[PayloadRow]:
    """Rows of a receipt's live objects, streamed; in the order of object, position and row.

    :param between: only those from one place to another, both included.
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
        return
    name = payload_table_name(subscription_id)
    present = [*read_columns(connection, schema, name)]
    typed = {"scoring_timestamp": sql.DateTime(timezone=True)}
    payload = table(name, *(column(c, typed.get(c)) for c in present), schema=schema)
    c = payload.c
    query = (
        select(*(c[name] for name in present))
        .where(c.scoring_timestamp.between(first, last), c._object_id.in_(ids))
        .where(true() if between is None else _within(c, *between))
        .order_by(c._object_id, c._position, func.length(c.scoring_id), c.scoring_id)
    )
    streamed = connection.execution_options(stream_results=True, yield_per=_ROWS_A_FETCH).execute(query)
    at = {name: place for place, name in enumerate(present)}
    shown = [(name, place) for name, place in at.items() if not name.startswith("_")]
    for found in streamed:
        row = _row(tuple(found), at, shown)
        if between is None or between[0] <= row.place <= between[1]:
            yield row


def _within(c: ReadOnlyColumnCollection[str, Any], first: Place, last: Place) -> ColumnElement[bool]:
    """Rows of the records from one place to another."""
    event = tuple_(c._object_id, c._position)
    return and_(event >= first[:2], event <= last[:2])


def _row(cells: tuple[Any, ...], at: dict[str, int], shown: Sequence[tuple[str, int]]) -> PayloadRow:
    scoring_id = cells[at["scoring_id"]]
    _, dash, number = scoring_id.rpartition("-")
    row = int(number) if dash and number.isdigit() and len(number) < 10 else 0
    return PayloadRow(
        (cells[at["_object_id"]], cells[at["_position"]], row),
        scoring_id,
        cells[at["scoring_timestamp"]],
        cells[at["asset_revision"]],
        cells[at["_response_time"]],
        {name: cells[place] for name, place in shown},
    )
