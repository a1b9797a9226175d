"""Reading payload records back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zlib import crc32

from sqlalchemy import Connection, Select, column, func, select, table

from paylog.data_mart import retention
from paylog.data_mart.control_tables import GONE, objects, receipts
from paylog.data_mart.payload_table import KEY, payload_clause, payload_table_name, read_columns
from paylog.data_mart.session import any_of
from paylog.errors import SchemaMismatch

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class StoredCount:
    """Rows of one object: by its ledger entry less the freed, and in the table (None: not counted)."""

    object_id: int
    uri: str
    loaded: int
    stored: int | None


def stored_counts(
    connection: Connection, schema: str, subscription_id: str, run_id: str, most_rows: int
) -> list[StoredCount]:
    """The live objects that a run loaded, with PostgreSQL's own count of their rows.

    The first reader of fresh rows pays for their hint bits, so counting costs a quarter of loading: of a
    run that loaded more than ``most_rows`` only some objects are counted, and none of those that
    retention has taken rows of.
    """
    entries = connection.execute(
        select(
            objects.c.object_id,
            objects.c.uri,
            (objects.c.loaded - objects.c.freed).label("loaded"),
            objects.c.min_scoring_timestamp,
            objects.c.max_scoring_timestamp,
        )
        .join_from(objects, receipts)
        .where(
            receipts.c.subscription_id == subscription_id,
            receipts.c.run_id == run_id,
            objects.c.state.not_in(GONE),
        )
    ).all()
    since = retention.marks(connection, subscription_id).retained_from
    dated = [
        entry
        for entry in entries
        if entry.min_scoring_timestamp is not None and (since is None or entry.min_scoring_timestamp >= since)
    ]
    counted = _neighbours(dated, most_rows, run_id)
    stored: dict[int, int] = dict.fromkeys((e.object_id for e in entries if e.loaded == 0), 0)
    if counted:
        payload = payload_clause(schema, payload_table_name(subscription_id))
        query = select(payload.c._object_id, func.count()).where(
            payload.c.scoring_timestamp.between(
                min(entry.min_scoring_timestamp for entry in counted),
                max(entry.max_scoring_timestamp for entry in counted),
            ),
            payload.c._object_id == any_of([entry.object_id for entry in counted]),
        )
        stored |= dict.fromkeys((entry.object_id for entry in counted), 0)
        stored |= dict(connection.execute(query.group_by(payload.c._object_id)).all())
    return [StoredCount(e.object_id, e.uri, e.loaded, stored.get(e.object_id)) for e in entries]


def _neighbours(entries: Sequence[Any], most_rows: int, run_id: str) -> Sequence[Any]:
    """All entries, or as many as follow each other in time from a place that the run's name decides."""
    if sum(entry.loaded for entry in entries) <= most_rows:
        return entries
    ordered = sorted(entries, key=lambda entry: (entry.min_scoring_timestamp, entry.object_id))
    first = crc32(run_id.encode()) % len(ordered)
    chosen, rows = [ordered[first]], ordered[first].loaded
    for entry in ordered[first + 1 :]:
        if rows + entry.loaded > most_rows:
            break
        chosen.append(entry)
        rows += entry.loaded
    return chosen


def count(connection: Connection, schema: str, subscription_id: str) -> int:
    """Rows of the payload table; 0 when there is none."""
    name = payload_table_name(subscription_id)
    if not read_columns(connection, schema, name):
        return 0
    query = select(func.count()).select_from(payload_clause(schema, name))
    return connection.execute(query).scalar_one()


def frame(
    connection: Connection,
    schema: str,
    subscription_id: str,
    period: tuple[datetime | None, datetime | None],
    columns: Sequence[str] | None,
    limit: int | None,
) -> pd.DataFrame:
    """Payload records of [start, end) in the order of time. Without ``columns``, all but paylog's own.

    :raises SchemaMismatch: there is no such table or column.
    """
    import pandas as pd

    return pd.read_sql(_query(connection, schema, subscription_id, period, columns, limit), connection)


def rows(
    connection: Connection, schema: str, subscription_id: str, limit: int | None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and the rows that ``frame`` would hold, in Python's types."""
    found = connection.execute(_query(connection, schema, subscription_id, (None, None), None, limit))
    return list(found.keys()), [tuple(row) for row in found]


def _query(
    connection: Connection,
    schema: str,
    subscription_id: str,
    period: tuple[datetime | None, datetime | None],
    columns: Sequence[str] | None,
    limit: int | None,
) -> Select[Any]:
    name = payload_table_name(subscription_id)
    present = read_columns(connection, schema, name)
    chosen = list(columns) if columns is not None else [c for c in present if not c.startswith("_")]
    if not present:
        raise SchemaMismatch(f"There is no payload table {schema}.{name}: nothing was loaded yet.")
    if unknown := [c for c in chosen if c not in present]:
        raise SchemaMismatch(f"{schema}.{name} has no columns {unknown}; it has {list(present)}.")
    payload = table(name, *map(column, present), schema=schema)
    query = select(*(payload.c[c] for c in chosen)).order_by(*(payload.c[c] for c in KEY))
    start, end = period
    if start is not None:
        query = query.where(payload.c.scoring_timestamp >= start)
    if end is not None:
        query = query.where(payload.c.scoring_timestamp < end)
    return query.limit(limit)
