"""Deliveries: what was posted to an OpenScale service, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    ScalarSelect,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    or_,
    select,
    true,
    tuple_,
    update,
)

from paylog.data_mart.control_tables import GONE, deliveries, objects, receipts
from paylog.data_mart.delivered_rows import Place
from paylog.data_mart.payload_table import payload_clause, payload_table_name
from paylog.data_mart.retracted_rows import ROW_NUMBER
from paylog.data_mart.session import any_of

_MOST_ERRORS = 100
_PLACE = ("object", "position", "row")
_LIVE = timedelta(days=1)
_BACKFILL = "backfill__"  # how Airflow's ids of backfill runs begin


class DeliveryState(StrEnum):
    """``posting``: may or may not have been taken. ``accepted``: taken, not stored yet as far as is known."""

    POSTING = "posting"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeliveryEntry:
    """One request: the rows from ``first`` to ``last``, both included.

    :param attempts: 1, and 1 more each time that its failed rows were to be tried again.
    :param count_before: v1: how many records the service had before the request was sent.
    """

    delivery_id: int
    first: Place
    last: Place
    rows: int
    state: DeliveryState
    request_id: str | None
    attempts: int
    count_before: int | None

    def covers(self, place: Place) -> bool:
        """Whether a row was in the request."""
        return self.first <= place <= self.last


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is known of a request; rows by what became of them."""

    delivery_id: int
    state: DeliveryState
    confirmed: int = 0
    failed: int = 0
    request_id: str | None = None
    errors: Sequence[dict[str, Any]] = ()

    def as_parameters(self) -> dict[str, Any]:
        """For the statement that notes it."""
        final = self.state in (DeliveryState.CONFIRMED, DeliveryState.FAILED)
        return {
            "number": self.delivery_id,
            "now": self.state,
            "taken": self.confirmed,
            "refused": self.failed,
            "reasons": list(self.errors)[:_MOST_ERRORS],
            "settled": self.confirmed + self.failed if final else None,
            "request": self.request_id,
        }


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """Rows of a run, or of all runs: loaded = confirmed + failed + open.

    :param loaded: without those that were superseded before they were delivered.
    :param service: records that the service itself counts, None where it was not asked or did not say.
    """

    loaded: int = 0
    confirmed: int = 0
    failed: int = 0
    service: int | None = None

    @property
    def open(self) -> int:
        """Rows that are neither confirmed nor failed."""
        return self.loaded - self.confirmed - self.failed

    @property
    def balanced(self) -> bool:
        """Whether no more rows were delivered than loaded."""
        return self.open >= 0

    def as_dict(self) -> dict[str, int | None]:
        """Plain JSON values."""
        counts = {"loaded": self.loaded, "confirmed": self.confirmed, "failed": self.failed}
        return {**counts, "open": self.open, "counted by the service": self.service}

    def as_text(self) -> str:
        """``5,940 confirmed, 3 failed, 7 open``: without the zeros."""
        parts = [f"{n:,} {name}" for n, name in ((self.failed, "failed"), (self.open, "open")) if n]
        return ", ".join([f"{self.confirmed:,} confirmed", *parts])


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A receipt with rows that are neither confirmed nor failed.

    :param historical: of a backfill, or its window, or the newest record in it, was more than a day old
        when it was loaded.
    """

    receipt_id: int
    historical: bool


def of_receipt(connection: Connection, subscription_id: str, receipt_id: int) -> list[DeliveryEntry]:
    """The requests that a receipt's rows were posted in, in the order of their rows."""
    d = deliveries.c
    query = (
        select(d.delivery_id, d.first_object, d.first_position, d.first_row, d.last_object, d.last_position,
               d.last_row, d.rows, d.state, d.request_id, d.attempts, d.count_before)
        .where(d.subscription_id == subscription_id, d.receipt_id == receipt_id)
        .order_by(d.first_object, d.first_position, d.first_row)
    )  # fmt: skip
    return [
        DeliveryEntry(r[0], tuple(r[1:4]), tuple(r[4:7]), r[7], DeliveryState(r[8]), *r[9:12])
        for r in connection.execute(query)
    ]


def begin(
    connection: Connection,
    subscription_id: str,
    receipt_id: int,
    requests: Sequence[tuple[Place, Place, int]],
    count_before: int | None,
) -> list[int]:
    """Note that rows are about to be posted; the entries' ids in their order.

    :param requests: first and last place, and number, of the rows of each.
    """
    known = {"subscription_id": subscription_id, "receipt_id": receipt_id, "count_before": count_before}
    entries = [
        known
        | {"rows": rows, "attempts": 1}
        | dict(zip((f"first_{part}" for part in _PLACE), first, strict=True))
        | dict(zip((f"last_{part}" for part in _PLACE), last, strict=True))
        for first, last, rows in requests
    ]
    statement = deliveries.insert().returning(deliveries.c.delivery_id, sort_by_parameter_order=True)
    return [int(number) for number in connection.execute(statement, entries).scalars()]


def settle(connection: Connection, known: Sequence[Settlement]) -> None:
    """Note what is known of requests."""
    statement = (
        update(deliveries)
        .where(deliveries.c.delivery_id == bindparam("number"))
        .values(
            state=bindparam("now"),
            confirmed=bindparam("taken"),
            failed=bindparam("refused"),
            errors=bindparam("reasons", type_=deliveries.c.errors.type),
            # fewer than were posted where some were superseded since
            rows=func.coalesce(cast(bindparam("settled"), BigInteger), deliveries.c.rows),
            request_id=func.coalesce(cast(bindparam("request"), Text), deliveries.c.request_id),
            updated_at=func.now(),
        )
    )
    connection.execute(statement, [one.as_parameters() for one in known])


def reopen(connection: Connection, subscription_id: str, run_id: str | None) -> int:
    """Let requests with failed rows be tried again; how many there are. None: of every run."""
    d = deliveries.c
    of_run = select(receipts.c.receipt_id).where(_of_run(subscription_id, run_id))
    statement = (
        update(deliveries)
        .where(d.subscription_id == subscription_id, d.failed > 0, d.receipt_id.in_(of_run))
        .values(state=DeliveryState.POSTING, confirmed=0, failed=0, request_id=None, count_before=None)
        .values(attempts=d.attempts + 1, updated_at=func.now())
    )
    return connection.execute(statement).rowcount


def undelivered(
    connection: Connection, schema: str, subscription_id: str, run_id: str | None
) -> list[Undelivered]:
    """Receipts that are not wholly settled, the oldest first. None: of every run.

    Requests are noted in the order of their rows' places: only rows behind a receipt's last request are yet
    to be posted. Those that went with their object before are not waited for.
    """
    d, r = deliveries.c, receipts.c
    posted = (
        select(
            d.receipt_id,
            func.sum(d.confirmed + d.failed).label("rows"),
            func.bool_or(d.state.in_((DeliveryState.POSTING, DeliveryState.ACCEPTED))).label("open"),
            func.max(d.last_object).label("last_object"),
        )
        .where(d.subscription_id == subscription_id)
        .group_by(d.receipt_id)
        .subquery()
    )
    is_open = func.coalesce(posted.c.open, false())
    reached, last = func.coalesce(posted.c.last_object, 0), func.coalesce(_last_object(), 0)
    query = (
        select(r.receipt_id, _historical(), or_(is_open, last > reached), case((last == reached, last)))
        .outerjoin_from(receipts, posted, posted.c.receipt_id == r.receipt_id)
        .where(_of_run(subscription_id, run_id), r.loaded > 0)
        .where(or_(is_open, func.coalesce(posted.c.rows, 0) < r.loaded))
        .order_by(r.receipt_id)
    )
    found = connection.execute(query).all()
    unsure = [reached for _, _, waits, reached in found if reached and not waits]
    waiting = _posted_in_part(connection, schema, subscription_id, unsure)
    return [Undelivered(number, old) for number, old, waits, _ in found if waits or number in waiting]


def _historical() -> ColumnElement[bool]:
    r = receipts.c
    newest = select(func.max(objects.c.max_scoring_timestamp)).where(objects.c.receipt_id == r.receipt_id)
    return or_(
        r.run_id.startswith(_BACKFILL, autoescape=True),
        r.finished_at - r.window_end > _LIVE,
        func.coalesce(r.finished_at - newest.scalar_subquery() > _LIVE, false()),
    )


def _last_object() -> ScalarSelect[int]:
    """The last object of a receipt that still has rows, null without any."""
    o = objects.c
    query = select(func.max(o.object_id)).where(
        o.receipt_id == receipts.c.receipt_id, o.state.not_in(GONE), o.loaded > o.freed
    )
    return query.scalar_subquery()


def _posted_in_part(
    connection: Connection, schema: str, subscription_id: str, object_ids: Sequence[int]
) -> set[int]:
    """Receipts of those of these objects that have rows behind the last request that reaches into them."""
    if not object_ids:
        return set()
    d, o = deliveries.c, objects.c
    payload = payload_clause(schema, payload_table_name(subscription_id))
    last = (
        select(d.last_position, d.last_row)
        .where(d.subscription_id == subscription_id, d.receipt_id == o.receipt_id)
        .where(d.last_object == o.object_id)
        .order_by(d.last_position.desc(), d.last_row.desc())
        .limit(1)
        .lateral()
    )
    number = func.coalesce(cast(func.substring(payload.c.scoring_id, ROW_NUMBER), BigInteger), 0)
    behind = exists().where(
        payload.c.scoring_timestamp.between(o.min_scoring_timestamp, o.max_scoring_timestamp),
        payload.c._object_id == o.object_id,
        tuple_(payload.c._position, number) > tuple_(last.c.last_position, last.c.last_row),
    )
    query = select(o.receipt_id).join_from(objects, last, true()).where(behind)
    return set(connection.execute(query.where(o.object_id == any_of(object_ids))).scalars())


def counts(connection: Connection, subscription_id: str, run_id: str | None) -> DeliveryCounts:
    """What became of the rows that a run loaded; None: all runs."""
    of_run = _of_run(subscription_id, run_id)
    loaded = connection.execute(
        select(func.coalesce(func.sum(receipts.c.loaded), 0)).where(of_run)
    ).scalar_one()
    confirmed, failed = connection.execute(
        select(
            func.coalesce(func.sum(deliveries.c.confirmed), 0),
            func.coalesce(func.sum(deliveries.c.failed), 0),
        )
        .select_from(deliveries)
        .join(receipts, receipts.c.receipt_id == deliveries.c.receipt_id)
        .where(of_run)
    ).one()
    o = objects.c
    superseded = connection.execute(
        select(func.coalesce(func.sum(case((o.state.in_(GONE), o.loaded), else_=o.freed)), 0))
        .join_from(objects, receipts, receipts.c.receipt_id == o.receipt_id)
        .where(of_run, or_(o.state.in_(GONE), o.freed > 0))
    ).scalar_one()
    withdrawn = min(int(superseded), max(0, int(loaded) - int(confirmed) - int(failed)))
    return DeliveryCounts(int(loaded) - withdrawn, int(confirmed), int(failed))


def span(connection: Connection, subscription_id: str, run_id: str) -> tuple[datetime, datetime] | None:
    """First and last scoring time of what a run loaded, None when it loaded nothing."""
    first, last = connection.execute(
        select(func.min(objects.c.min_scoring_timestamp), func.max(objects.c.max_scoring_timestamp))
        .join_from(objects, receipts, receipts.c.receipt_id == objects.c.receipt_id)
        .where(_of_run(subscription_id, run_id), objects.c.loaded > 0)
    ).one()
    return None if first is None else (first, last)


def _of_run(subscription_id: str, run_id: str | None) -> ColumnElement[bool]:
    r = receipts.c
    committed = and_(r.subscription_id == subscription_id, r.state == "committed")
    return committed if run_id is None else and_(committed, r.run_id == run_id)
