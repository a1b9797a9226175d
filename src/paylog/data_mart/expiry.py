"""Halves whose partner never comes, and the account of all that wait."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, literal, select

from paylog.data_mart import receipts
from paylog.data_mart.control_tables import pending, quarantine
from paylog.data_mart.control_tables import receipts as receipt_table
from paylog.data_mart.load import BatchName
from paylog.data_mart.setup import lock
from paylog.errors import Reason, UnbalancedReceipt
from paylog.records import Counts, Receipt

EXPIRED_BATCH = "unpaired"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Halves that wait for their other half.

    :param since: when the first of them was stored, None without any.
    """

    halves: int
    since: datetime | None


def expire(
    connection: Connection, schema: str, name: BatchName, limit: timedelta, schema_version: str
) -> Receipt | None:
    """Move halves that waited longer than ``limit`` to quarantine, and give them a receipt."""
    started = time.monotonic()
    old = pending.c.stored_at <= func.now() - limit
    mine = pending.c.subscription_id == name.subscription_id
    if connection.execute(select(pending.c.position).where(mine, old).limit(1)).first() is None:
        return None
    lock(connection, "pair", schema, name.subscription_id)
    receipt_id = receipts.next_id(connection, schema)
    gone = delete(pending).where(mine, old).returning(pending).cte("gone")
    rejects = select(
        gone.c.subscription_id,
        gone.c.object_id,
        literal(receipt_id),
        gone.c.position,
        literal(1),
        literal(Reason.UNPAIRED.value),
        func.coalesce(gone.c.raw, gone.c.body),
    ).order_by(gone.c.object_id, gone.c.position)
    columns = ("subscription_id", "object_id", "receipt_id", "position", "rows", "reason", "raw")
    count = connection.execute(insert(quarantine).from_select(columns, rejects).add_cte(gone)).rowcount
    receipt = Receipt(
        receipt_id,
        name.subscription_id,
        name.batch_id,
        name.run_id,
        name.window_start,
        name.window_end,
        objects=0,
        bytes=0,
        counts=Counts(read=count, rejected=count),
        reasons={Reason.UNPAIRED.value: count},
        seconds=time.monotonic() - started,
        settled=count,
    )
    receipts.write(connection, receipt, schema_version)
    return receipt


def waiting(connection: Connection, subscription_id: str) -> Waiting:
    """What waits; by the receipts, it is what was left to wait less what settled.

    :raises UnbalancedReceipt: it is not.
    """
    query = select(func.count(), func.min(pending.c.stored_at))
    halves, since = connection.execute(query.where(pending.c.subscription_id == subscription_id)).one()
    accounted = connection.execute(
        select(func.coalesce(func.sum(receipt_table.c.pending - receipt_table.c.settled), 0)).where(
            receipt_table.c.subscription_id == subscription_id, receipt_table.c.state == "committed"
        )
    ).scalar_one()
    if halves != accounted:
        raise UnbalancedReceipt(
            f"{subscription_id}: {accounted} halves should be waiting by the receipts, the data mart holds "
            f"{halves}. Rows were changed by hand, or paylog has a defect."
        )
    return Waiting(halves, since)
