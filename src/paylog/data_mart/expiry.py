"""Halves whose partner never comes, and the account of all that wait."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from paylog.data_mart import receipts
from paylog.data_mart.control_tables import pending
from paylog.data_mart.control_tables import receipts as receipt_table
from paylog.data_mart.load import BatchName
from paylog.data_mart.operation_tables import retention
from paylog.data_mart.pending import Pending
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
    lock(connection, "pair", schema, name.subscription_id)
    receipt_id = receipts.next_id(connection, schema)
    count = Pending(connection, schema, name.subscription_id).expire(receipt_id, limit)
    if not count:
        return None
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
            receipt_table.c.subscription_id == subscription_id,
            receipt_table.c.state.in_(("committed", "retracted")),
        )
    ).scalar_one()
    accounted += (
        connection.execute(
            select(retention.c.pending - retention.c.settled).where(
                retention.c.subscription_id == subscription_id
            )
        ).scalar()
        or 0
    )
    if halves != accounted:
        raise UnbalancedReceipt(
            f"{subscription_id}: {accounted} halves should be waiting by the receipts, the data mart holds "
            f"{halves}. Rows were changed by hand, or paylog has a defect."
        )
    return Waiting(halves, since)
