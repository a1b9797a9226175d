"""The payload rows that a committed batch loaded, in the order of their places, for delivery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, column, func, select, table
from sqlalchemy import types as sql

from paylog.data_mart.control_tables import objects
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


def read(connection: Connection, schema: str, subscription_id: str, receipt_id: int) -> Iterator[PayloadRow]:
    """Rows of a receipt's live objects, streamed; in the order of object, position and row."""
    span = connection.execute(
        select(
            func.array_agg(objects.c.object_id),
            func.min(objects.c.min_scoring_timestamp),
            func.max(objects.c.max_scoring_timestamp),
        ).where(
            objects.c.receipt_id == receipt_id,
            objects.c.subscription_id == subscription_id,
            objects.c.state != "superseded",
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
        .order_by(c._object_id, c._position, func.length(c.scoring_id), c.scoring_id)
    )
    streamed = connection.execution_options(stream_results=True, yield_per=_ROWS_A_FETCH).execute(query)
    for row in streamed:
        yield _row(dict(row._mapping))


def _row(cells: dict[str, Any]) -> PayloadRow:
    scoring_id = cells["scoring_id"]
    _, dash, number = scoring_id.rpartition("-")
    row = int(number) if dash and number.isdigit() and len(number) < 10 else 0
    return PayloadRow(
        (cells["_object_id"], cells["_position"], row),
        scoring_id,
        cells["scoring_timestamp"],
        cells["asset_revision"],
        cells["_response_time"],
        {name: cell for name, cell in cells.items() if not name.startswith("_")},
    )
