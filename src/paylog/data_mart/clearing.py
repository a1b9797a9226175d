"""What goes by age from the control tables, a few thousand rows a transaction, beside loads in progress."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, case, delete, exists, func, or_, select

from paylog.data_mart import retention
from paylog.data_mart.control_tables import (
    batches,
    deliveries,
    objects,
    partners,
    payload_findings,
    pending,
    quarantine,
    receipts,
)
from paylog.data_mart.plans import KEPT
from paylog.data_mart.session import Sessions, run

AT_ONCE = 5_000
_PATIENCE = "SET LOCAL lock_timeout = '5s'"


def old_rejects(subscription_id: str, before: datetime) -> ColumnElement[bool]:
    """Quarantined records from before a moment."""
    return and_(quarantine.c.subscription_id == subscription_id, quarantine.c.created_at < before)


def old_plans(subscription_id: str) -> ColumnElement[bool]:
    """Batches of plans that nobody looks at any more."""
    return and_(batches.c.subscription_id == subscription_id, batches.c.planned_at < func.now() - KEPT)


def old_entries(subscription_id: str, before: datetime, retained_from: datetime) -> ColumnElement[bool]:
    """Ledger entries that nothing hangs on: all of their rows are dropped, no reject and no half is left."""
    o = objects.c
    held = or_(
        exists().where(quarantine.c.object_id == o.object_id),
        exists().where(pending.c.object_id == o.object_id),
        exists().where(
            partners.c.partner_id == o.object_id, partners.c.max_scoring_timestamp >= retained_from
        ),
    )
    gone = or_(o.max_scoring_timestamp.is_(None), o.max_scoring_timestamp < retained_from)
    return and_(
        o.subscription_id == subscription_id, o.last_modified < before, o.loaded_at < before, gone, ~held
    )


def old_receipts(subscription_id: str, before: datetime) -> ColumnElement[bool]:
    """Receipts without a ledger entry and without a request to a service that is not settled."""
    r, d = receipts.c, deliveries.c
    open_request = exists().where(
        d.receipt_id == r.receipt_id,
        d.subscription_id == subscription_id,
        d.state.in_(("posting", "accepted")),
    )
    entry = exists().where(objects.c.receipt_id == r.receipt_id)
    return and_(r.subscription_id == subscription_id, r.finished_at < before, ~entry, ~open_request)


def count(connection: Connection, table: Table, which: ColumnElement[bool]) -> int:
    """How many rows there are of those."""
    return connection.execute(select(func.count()).select_from(table).where(which)).scalar_one()


def clear(sessions: Sessions, table: Table, key: str, which: ColumnElement[bool]) -> int:
    """Delete those rows; how many there were. Rows that a load holds stay until the next time.

    :param key: a unique column.
    """
    cleared, last = 0, -1
    # From where the last one ended: a table that is mostly young is read once, not once a transaction.
    while ids := _clear_some(sessions, table, key, and_(which, table.c[key] > last)):
        cleared, last = cleared + len(ids), ids[-1]
    return cleared


def clear_plans(sessions: Sessions, subscription_id: str) -> int:
    """Delete old plans; how many batches there were."""
    with sessions.transaction("remove old plans") as connection:
        run(connection, _PATIENCE)
        return connection.execute(delete(batches).where(old_plans(subscription_id))).rowcount


def clear_receipts(sessions: Sessions, subscription_id: str, before: datetime) -> int:
    """Delete old receipts with their deliveries and findings; their counts are carried over."""
    cleared, last = 0, -1
    while True:
        with sessions.transaction("remove old receipts") as connection:
            run(connection, _PATIENCE)
            found = connection.execute(
                select(receipts.c.receipt_id)
                .where(old_receipts(subscription_id, before), receipts.c.receipt_id > last)
                .order_by(receipts.c.receipt_id)
                .limit(AT_ONCE)
                .with_for_update(skip_locked=True)
            )
            if not (ids := list(found.scalars())):
                return cleared
            _carry(connection, subscription_id, ids)
            for table in (payload_findings, deliveries, receipts):
                connection.execute(delete(table).where(table.c.receipt_id.in_(ids)))
            cleared, last = cleared + len(ids), ids[-1]


def _clear_some(sessions: Sessions, table: Table, key: str, which: ColumnElement[bool]) -> list[int]:
    column = table.c[key]
    with sessions.transaction(f"remove old rows of {table.name}") as connection:
        run(connection, _PATIENCE)
        found = select(column).where(which).order_by(column).limit(AT_ONCE).with_for_update(skip_locked=True)
        ids = list(connection.execute(found).scalars())
        if ids and table is objects:
            linked = or_(partners.c.object_id.in_(ids), partners.c.partner_id.in_(ids))
            connection.execute(delete(partners).where(linked))
        if ids:
            connection.execute(delete(table).where(column.in_(ids)))
    return ids


def _carry(connection: Connection, subscription_id: str, ids: Sequence[int]) -> None:
    r = receipts.c
    counts: dict[str, ColumnElement[int]] = {
        name: func.sum(r[name]).filter(r.state == "committed") for name in retention.COUNTED[1:]
    }
    # The halves that a retracted batch left to wait have settled since, with the receipt that took it back.
    counts["settled"] = func.sum(
        case((r.state == "committed", r.settled), (r.state == "retracted", r.settled - r.pending), else_=0)
    )
    sums = [func.coalesce(counts[name], 0) for name in retention.COUNTED[1:]]
    row = connection.execute(select(func.count(), *sums).where(r.receipt_id.in_(ids))).one()
    retention.carry(connection, subscription_id, dict(zip(retention.COUNTED, map(int, row), strict=True)))
