"""Deliveries: what was posted to an OpenScale service, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, select, update

from paylog.data_mart.control_tables import deliveries, receipts
from paylog.data_mart.delivered_rows import Place

_MOST_ERRORS = 100


class DeliveryState(StrEnum):
    """``posting``: may or may not have been taken. ``accepted``: taken, not stored yet as far as is known."""

    POSTING = "posting"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeliveryEntry:
    """One request: the rows from ``first`` to ``last``, both included."""

    delivery_id: int
    first: Place
    last: Place
    rows: int
    state: DeliveryState
    request_id: str | None
    attempts: int

    def covers(self, place: Place) -> bool:
        """Whether a row was in the request."""
        return self.first <= place <= self.last


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """Rows of a run: loaded = confirmed + failed + open."""

    loaded: int = 0
    confirmed: int = 0
    failed: int = 0

    @property
    def open(self) -> int:
        """Rows that are neither confirmed nor failed."""
        return self.loaded - self.confirmed - self.failed


def of_receipt(connection: Connection, subscription_id: str, receipt_id: int) -> list[DeliveryEntry]:
    """The requests that a receipt's rows were posted in, in the order of their rows."""
    d = deliveries.c
    query = (
        select(d.delivery_id, d.first_object, d.first_position, d.first_row, d.last_object, d.last_position,
               d.last_row, d.rows, d.state, d.request_id, d.attempts)
        .where(d.subscription_id == subscription_id, d.receipt_id == receipt_id)
        .order_by(d.first_object, d.first_position, d.first_row)
    )  # fmt: skip
    return [
        DeliveryEntry(r[0], tuple(r[1:4]), tuple(r[4:7]), r[7], DeliveryState(r[8]), r[9], r[10])
        for r in connection.execute(query)
    ]


def begin(
    connection: Connection, subscription_id: str, receipt_id: int, first: Place, last: Place, rows: int
) -> int:
    """Note that rows are about to be posted; the entry's id."""
    values = {"subscription_id": subscription_id, "receipt_id": receipt_id, "rows": rows, "attempts": 1}
    for end, place in (("first", first), ("last", last)):
        values |= dict(zip((f"{end}_object", f"{end}_position", f"{end}_row"), place, strict=True))
    statement = deliveries.insert().values(values).returning(deliveries.c.delivery_id)
    return int(connection.execute(statement).scalar_one())


def settle(
    connection: Connection,
    delivery_id: int,
    state: DeliveryState,
    *,
    confirmed: int = 0,
    failed: int = 0,
    request_id: str | None = None,
    errors: Sequence[dict[str, Any]] = (),
) -> None:
    """Note what is known of a request."""
    values: dict[str, Any] = {"state": state, "confirmed": confirmed, "failed": failed}
    values |= {"errors": list(errors)[:_MOST_ERRORS], "updated_at": func.now()}
    if confirmed or failed:
        values["rows"] = confirmed + failed  # fewer than were posted where some were superseded since
    if request_id is not None:
        values["request_id"] = request_id
    connection.execute(update(deliveries).where(deliveries.c.delivery_id == delivery_id).values(values))


def counts(connection: Connection, subscription_id: str, run_id: str) -> DeliveryCounts:
    """What became of the rows that a run loaded."""
    of_run = (receipts.c.subscription_id == subscription_id, receipts.c.run_id == run_id)
    loaded = connection.execute(
        select(func.coalesce(func.sum(receipts.c.loaded), 0)).where(*of_run, receipts.c.state == "committed")
    ).scalar_one()
    confirmed, failed = connection.execute(
        select(
            func.coalesce(func.sum(deliveries.c.confirmed), 0),
            func.coalesce(func.sum(deliveries.c.failed), 0),
        )
        .select_from(deliveries)
        .join(receipts, receipts.c.receipt_id == deliveries.c.receipt_id)
        .where(*of_run)
    ).one()
    return DeliveryCounts(int(loaded), int(confirmed), int(failed))
