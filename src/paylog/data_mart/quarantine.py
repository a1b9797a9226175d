"""Quarantine: the records that were not loaded, with reason, place and raw bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import Connection, Row, func, null, select

from paylog.data_mart.control_tables import objects, quarantine
from paylog.data_mart.ledger import Claimant
from paylog.data_mart.session import quoted, raw
from paylog.errors import Reason, UnbalancedReceipt
from paylog.records import Reject

_TYPES = {
    "subscription_id": "text",
    "object_id": "int8",
    "receipt_id": "int8",
    "position": "int8",
    "row": "int4",
    "rows": "int4",
    "reason": "text",
    "column_name": "text",
    "raw": "bytea",
    "partner_id": "int8",
    "partner_position": "int8",
}


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A record in quarantine. ``raw`` is None in listings.

    :param state: ``open``, or how its replay ended: ``loaded``, ``duplicate``, ``filtered``, ``pending`` (it
        waits for its other half) or ``rejected`` (row by row).
    """

    quarantine_id: int
    subscription_id: str
    uri: str
    version: str
    position: int
    row: int | None
    rows: int
    reason: Reason
    column: str | None
    state: str
    created_at: datetime
    raw: bytes | None = field(repr=False)


def write(
    connection: Connection, schema: str, claimant: Claimant, rejects: Iterable[tuple[int, Reject]]
) -> None:
    """Keep rejects of objects, given with their object ids.

    :raises UnbalancedReceipt: the server kept another number of records than it was sent.
    """
    target = quoted(schema, quarantine.name)
    statement = f"COPY {target} ({', '.join(map(quoted, _TYPES))}) FROM STDIN (FORMAT BINARY)"
    with raw(connection).cursor() as cursor:
        sent = _copy(cursor, statement, claimant, rejects)
        if cursor.rowcount != sent:
            raise UnbalancedReceipt(
                f"Quarantine: sent {sent} records, PostgreSQL kept {cursor.rowcount}. "
                "The batch was rolled back; this is a defect in paylog."
            )


def _copy(
    cursor: psycopg.Cursor, statement: str, claimant: Claimant, rejects: Iterable[tuple[int, Reject]]
) -> int:
    sent = 0
    with cursor.copy(statement.encode()) as copy:
        copy.set_types(list(_TYPES.values()))
        for object_id, reject in rejects:
            sent += 1
            copy.write_row(
                (
                    claimant.subscription_id,
                    object_id,
                    claimant.receipt_id,
                    reject.position,
                    reject.row,
                    reject.rows,
                    reject.reason.value,
                    reject.column,
                    reject.raw,
                    *(reject.partner or (None, None)),
                )
            )
    return sent


def rows_by_reason(connection: Connection, subscription_id: str) -> dict[Reason, int]:
    """Scored rows that are open in quarantine by reason, most frequent first."""
    total = func.sum(quarantine.c.rows)
    query = (
        select(quarantine.c.reason, total)
        .where(quarantine.c.subscription_id == subscription_id, quarantine.c.state == "open")
        .group_by(quarantine.c.reason)
        .order_by(total.desc(), quarantine.c.reason)
    )
    return {Reason(reason): int(rows) for reason, rows in connection.execute(query)}


def read(
    connection: Connection,
    subscription_id: str,
    reason: Reason | None,
    limit: int,
    before: int | None = None,
) -> list[QuarantinedRecord]:
    """The newest records, older than record ``before``, without their raw bytes."""
    query = _SELECT.add_columns(null().label("raw")).where(quarantine.c.subscription_id == subscription_id)
    if reason is not None:
        query = query.where(quarantine.c.reason == reason.value)
    if before is not None:
        query = query.where(quarantine.c.quarantine_id < before)
    rows = connection.execute(query.order_by(quarantine.c.quarantine_id.desc()).limit(limit))
    return [_record(row) for row in rows]


def read_one(connection: Connection, quarantine_id: int) -> QuarantinedRecord | None:
    """One record with its raw bytes."""
    query = _SELECT.add_columns(quarantine.c.raw).where(quarantine.c.quarantine_id == quarantine_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else _record(row)


_SELECT = select(
    quarantine.c.quarantine_id,
    quarantine.c.subscription_id,
    objects.c.uri,
    objects.c.version,
    quarantine.c.position,
    quarantine.c.row,
    quarantine.c.rows,
    quarantine.c.reason,
    quarantine.c.column_name.label("column"),
    quarantine.c.state,
    quarantine.c.created_at,
).join_from(quarantine, objects)


def _record(row: Row[Any]) -> QuarantinedRecord:
    values = dict(row._mapping)
    values["reason"] = Reason(values["reason"])
    return QuarantinedRecord(**values)
