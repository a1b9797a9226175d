"""What the page shows of a data mart: coverage, what was loaded by day, receipts, rejects by place.

Only control tables are read, never a payload table: it may hold any number of rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import Date, Row, cast, func, literal, select

from paylog.data_mart import quarantine as records
from paylog.data_mart import setup
from paylog.data_mart.control_columns import COUNT_NAMES
from paylog.data_mart.control_tables import (
    GONE,
    HEAD,
    batches,
    objects,
    pending,
    quarantine,
    receipts,
    watermarks,
)
from paylog.data_mart.quarantine import QuarantinedRecord
from paylog.data_mart.session import Sessions
from paylog.errors import Reason, SchemaMismatch
from paylog.records import Counts

Interval = tuple[datetime, datetime]
_ROLLED_BACK = ("over_budget", "refused")
_FAILURES_KEPT = 200


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which windows of a subscription's logs are in the data mart, in order, without overlap.

    :param since: where completeness begins.
    """

    since: datetime
    covered: tuple[Interval, ...]
    complete_through: datetime
    late_objects: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Activity:
    """The last day of work on a subscription."""

    last_finished: datetime | None = None
    loaded: int = 0
    rejected: int = 0
    failed_batches: int = 0


@dataclass(frozen=True, slots=True)
class DayCounts:
    """What was read of the objects of one UTC day."""

    day: date
    objects: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """A batch that was rolled back, with its rejects by reason.

    :param folders: URIs of the folders of its objects, where those are still known.
    """

    run_id: str
    batch_id: str
    state: str
    window: Interval
    finished_at: datetime
    reasons: dict[str, int]
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DatedReceipt:
    """A receipt as it stands in the list of the newest ones."""

    receipt_id: int
    run_id: str
    batch_id: str
    state: str
    window: Interval
    objects: int
    bytes: int
    counts: Counts
    reasons: dict[str, int]
    seconds: float
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Rejects:
    """What of one reason lies in quarantine, and what did until it was replayed.

    :param columns: rows by column, where one is to blame.
    :param settled: rows that a replay has taken out of quarantine.
    """

    reason: str
    records: int
    rows: int
    settled: int
    newest: datetime
    columns: dict[str, int] = field(default_factory=dict)


class Overview:
    """Part of a ``DataMart``, which says what every method raises. Nothing is written."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def usable(self) -> bool:
        """Whether there is anything to look at: False before the first run.

        :raises SchemaMismatch: the control tables are of another version than this paylog's.
        """
        schema = self._sessions.schema
        with self._sessions.transaction("look for the control tables") as connection:
            version = setup.installed_version(connection, schema)
        if version not in (None, HEAD):
            raise SchemaMismatch(
                f"Schema {schema!r} has control tables of revision {version}, this paylog knows {HEAD}: "
                "a run migrates older ones; for newer ones, upgrade paylog here too."
            )
        return version is not None

    def coverage(self, subscription_ids: Collection[str]) -> dict[str, Coverage]:
        """By subscription id, of those that have run."""
        w = watermarks.c
        columns = (w.since, w.covered, w.complete_through, w.late_objects, w.updated_at)
        query = select(w.subscription_id, *columns).where(w.subscription_id.in_(subscription_ids))
        with self._sessions.transaction("read the coverage") as connection:
            return {
                row.subscription_id: Coverage(row.since, _intervals(row.covered), *row[3:])
                for row in connection.execute(query)
            }

    def activity(self, subscription_ids: Collection[str], since: datetime) -> dict[str, Activity]:
        """What was done since a moment, by subscription id."""
        r = receipts.c
        recent = (r.subscription_id.in_(subscription_ids), r.finished_at >= since)
        query = (
            select(
                r.subscription_id,
                func.max(r.finished_at),
                func.coalesce(func.sum(r.loaded).filter(r.state == "committed"), 0),
                func.coalesce(func.sum(r.rejected).filter(r.state == "committed"), 0),
                func.count().filter(r.state.in_(_ROLLED_BACK)),
            )
            .where(*recent)
            .group_by(r.subscription_id)
        )
        with self._sessions.transaction("read recent receipts") as connection:
            return {
                name: Activity(last, int(loaded), int(rejected), failed)
                for name, last, loaded, rejected, failed in connection.execute(query)
            }

    def days(self, subscription_id: str) -> list[DayCounts]:
        """Objects and rows by UTC day of their scoring, in order; what is gone left out.

        A replayed record was read once: it is what the replay made of it, and no longer rejected.
        """
        o, r = objects.c, receipts.c
        # An object of which nothing was loaded has no scoring time: then its own, inside its window.
        of_window = (
            select(func.least(o.last_modified, r.window_end - timedelta(microseconds=1)))
            .where(r.receipt_id == o.receipt_id)
            .correlate(objects)
            .scalar_subquery()
        )
        # Twice as fast as date_trunc, of some 100,000 objects.
        day = cast(func.timezone("UTC", func.coalesce(o.min_scoring_timestamp, of_window)), Date).label("day")
        again = o.state == "replayed"
        first = {name: func.coalesce(func.sum(o[name]).filter(~again), 0) for name in ("read", "rejected")}
        others = [name for name in COUNT_NAMES if name not in first]
        settled = func.coalesce(func.sum(sum((o[name] for name in others), literal(0))).filter(again), 0)
        sums = {
            **{name: func.sum(o[name]) for name in others},
            "read": first["read"],
            "rejected": func.greatest(first["rejected"] - settled, 0),
        }
        query = (
            select(day, func.count().filter(~again), *(sums[name] for name in COUNT_NAMES))
            .where(o.subscription_id == subscription_id, o.state.not_in(GONE))
            .group_by(day)
            .order_by(day)
        )
        with self._sessions.transaction(f"count the days of {subscription_id!r}") as connection:
            return [
                DayCounts(row[0], row[1], Counts(*map(int, row[2:]))) for row in connection.execute(query)
            ]

    def failed_batches(self, subscription_id: str, since: datetime | None = None) -> list[FailedBatch]:
        """The newest batches that were rolled back, recovered since or not.

        :param since: only those whose windows end after it.
        """
        r, b = receipts.c, batches.c
        item = func.jsonb_array_elements(b.objects).table_valued("value")
        folder = func.regexp_replace(item.c.value.op("->>")("uri"), "[^/]*$", "")
        # Of a batch's thousands of objects, which are of a few folders.
        folders = func.array(select(folder).distinct().correlate(batches).scalar_subquery())
        query = (
            select(
                r.run_id, r.batch_id, r.state, r.window_start, r.window_end, r.finished_at, r.reasons, folders
            )
            .outerjoin_from(
                receipts,
                batches,
                (b.subscription_id == r.subscription_id)
                & (b.run_id == r.run_id)
                & (b.batch_id == r.batch_id),
            )
            .where(r.subscription_id == subscription_id, r.state.in_(_ROLLED_BACK))
            .order_by(r.receipt_id.desc())
            .limit(_FAILURES_KEPT)
        )
        if since is not None:
            query = query.where(r.window_end > since)
        with self._sessions.transaction(f"read failed batches of {subscription_id!r}") as connection:
            return [
                FailedBatch(row[0], row[1], row[2], (row[3], row[4]), row[5], row[6], tuple(row[7] or ()))
                for row in connection.execute(query)
            ]

    def planned_windows(self, subscription_id: str, run_ids: Collection[str]) -> dict[str, Interval]:
        """The window of those of these runs that came as far as a plan."""
        b = batches.c
        query = (
            select(b.run_id, func.min(b.window_start), func.max(b.window_end))
            .where(b.subscription_id == subscription_id, b.run_id.in_(run_ids))
            .group_by(b.run_id)
        )
        with self._sessions.transaction(f"read plans of {subscription_id!r}") as connection:
            return {run_id: (start, end) for run_id, start, end in connection.execute(query)}

    def receipts(
        self, subscription_id: str, before: int | None = None, limit: int = 20, run_id: str | None = None
    ) -> list[DatedReceipt]:
        """The newest first, older than receipt ``before``."""
        r = receipts.c
        query = select(receipts).where(r.subscription_id == subscription_id)
        if before is not None:
            query = query.where(r.receipt_id < before)
        if run_id is not None:
            query = query.where(r.run_id == run_id)
        with self._sessions.transaction(f"read receipts of {subscription_id!r}") as connection:
            found = connection.execute(query.order_by(r.receipt_id.desc()).limit(limit)).all()
        return [
            DatedReceipt(
                row.receipt_id, row.run_id, row.batch_id, row.state, (row.window_start, row.window_end),
                row.objects, row.bytes, Counts(*(row._mapping[name] for name in COUNT_NAMES)),
                row.reasons, row.seconds, row.finished_at,
            )
            for row in found
        ]  # fmt: skip

    def rejects(self, subscription_id: str) -> list[Rejects]:
        """What lies in quarantine by reason, the most rows first."""
        q = quarantine.c
        is_open = (q.state == "open").label("is_open")
        query = (
            select(q.reason, q.column_name, is_open, func.count(), func.sum(q.rows))
            .add_columns(func.max(q.created_at))
            .where(q.subscription_id == subscription_id)
            .group_by(q.reason, q.column_name, is_open)
        )
        with self._sessions.transaction(f"count the quarantine of {subscription_id!r}") as connection:
            return _by_reason(connection.execute(query).all())

    def rejected_records(
        self, subscription_id: str, reason: Reason | None = None, before: int | None = None, limit: int = 50
    ) -> list[QuarantinedRecord]:
        """Records in quarantine without their raw bytes, the newest first, older than record ``before``."""
        with self._sessions.transaction(f"read quarantine of {subscription_id!r}") as connection:
            return records.read(connection, subscription_id, reason, limit, before)

    def raw_record(self, subscription_id: str, quarantine_id: int) -> bytes | None:
        """The raw bytes of a rejected record of the subscription: payload values, for those who may."""
        with self._sessions.transaction(f"read quarantined record {quarantine_id}") as connection:
            found = records.read_one(connection, quarantine_id)
        return found.raw if found is not None and found.subscription_id == subscription_id else None

    def waiting(self, subscription_id: str) -> int:
        """Halves of request/response pairs that wait for the other half."""
        query = select(func.count()).where(pending.c.subscription_id == subscription_id)
        with self._sessions.transaction(f"count waiting halves of {subscription_id!r}") as connection:
            return int(connection.execute(query).scalar_one())


def _intervals(covered: Any) -> tuple[Interval, ...]:
    return tuple((span.lower, span.upper) for span in covered)


def _by_reason(groups: Sequence[Row[*tuple[Any, ...]]]) -> list[Rejects]:
    found: dict[str, Rejects] = {}
    for reason, column, is_open, count, rows, newest in groups:
        old = found.get(reason, Rejects(reason, 0, 0, 0, newest))
        newest = max(old.newest, newest)
        if not is_open:
            found[reason] = replace(old, settled=old.settled + int(rows), newest=newest)
            continue
        columns = old.columns | ({column: int(rows)} if column else {})
        found[reason] = Rejects(
            reason, old.records + count, old.rows + int(rows), old.settled, newest, columns
        )
    return sorted(found.values(), key=attrgetter("rows"), reverse=True)
