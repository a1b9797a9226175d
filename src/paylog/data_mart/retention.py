"""What retention has dropped for good, and the account of it.

Two marks a subscription, which only ever move forward, keep what was dropped from coming back:

- rows scored before ``retained_from`` are filtered, whichever object they come from;
- objects last modified before ``forgotten_before`` whose ledger entry may be gone are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from paylog.data_mart.control_columns import COUNT_NAMES
from paylog.data_mart.object_load import EARLIEST, EPOCH
from paylog.data_mart.operation_tables import retention

COUNTED = ("receipts", *COUNT_NAMES, "settled")


@dataclass(frozen=True, slots=True)
class Marks:
    """How far retention has come; None: it never dropped anything."""

    retained_from: datetime | None = None
    forgotten_before: datetime | None = None


def marks(connection: Connection, subscription_id: str) -> Marks:
    """The marks of a subscription."""
    query = select(retention.c.retained_from, retention.c.forgotten_before)
    row = connection.execute(query.where(retention.c.subscription_id == subscription_id)).one_or_none()
    return Marks(*row) if row else Marks()


def retained_from(connection: Connection, subscription_id: str) -> int:
    """From when on rows are kept, in µs since 1970."""
    moment = marks(connection, subscription_id).retained_from
    return EARLIEST if moment is None else (moment - EPOCH) // timedelta(microseconds=1)


def advance(connection: Connection, subscription_id: str, to: Marks) -> Marks:
    """Move the marks; neither ever goes back."""
    statement = insert(retention).values(
        subscription_id=subscription_id,
        retained_from=to.retained_from,
        forgotten_before=to.forgotten_before,
    )
    old, new = retention.c, statement.excluded
    moved = statement.on_conflict_do_update(
        index_elements=["subscription_id"],
        set_={
            "retained_from": func.greatest(old.retained_from, new.retained_from),
            "forgotten_before": func.greatest(old.forgotten_before, new.forgotten_before),
            "updated_at": func.now(),
        },
    )
    return Marks(*connection.execute(moved.returning(old.retained_from, old.forgotten_before)).one())


def carry(connection: Connection, subscription_id: str, counts: Mapping[str, int]) -> None:
    """Add the counts of receipts that are deleted."""
    statement = insert(retention).values(subscription_id=subscription_id, **counts)
    added = {name: retention.c[name] + statement.excluded[name] for name in COUNTED}
    connection.execute(statement.on_conflict_do_update(index_elements=["subscription_id"], set_=added))


def month_of(moment: datetime) -> datetime:
    """The start of its month, UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
