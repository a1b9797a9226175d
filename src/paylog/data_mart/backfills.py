"""What a backfill asks of the data mart: what it shall replace, how fast it will go, how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Select, Text, any_, cast, func, select

from paylog.data_mart.control_tables import GONE, batches, objects, quarantine, receipts
from paylog.data_mart.ledger import URIS_AT_ONCE
from paylog.data_mart.session import Sessions
from paylog.forecast import duration

_RECEIPTS_OF_A_PACE = 50
_RECENT = timedelta(minutes=10)
_REMEMBERED = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Pace:
    """What the last batches of a subscription came to, all in all.

    :param bytes: as stored.
    :param seconds: of one worker.
    """

    batches: int
    records: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RunState:
    """How far a planned run is.

    :param planned: batches that are not loaded yet; the others were committed, refused or retracted since.
    :param active: it was planned, or a batch was loaded, in the last ten minutes.
    :param seconds_left: by the pace of the last ten minutes; None when nothing was loaded in them.
    """

    run_id: str
    window: tuple[datetime, datetime]
    batches: int
    planned: int
    committed: int
    refused: int
    bytes: int
    bytes_committed: int
    active: bool
    seconds_left: float | None

    @property
    def share(self) -> float:
        return self.bytes_committed / self.bytes if self.bytes else 1.0

    def as_text(self) -> str:
        """``37 of 120 batches, 31%, 4 min left``."""
        left = f", {duration(self.seconds_left)} left" if self.seconds_left else ""
        refused = f", {self.refused:,} refused" if self.refused else ""
        return f"{self.committed:,} of {self.batches:,} batches, {self.share:.0%}{left}{refused}"


class Backfills:
    """What is known of past and present runs."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def replaceable(
        self, subscription_id: str, uris: Iterable[str], *, rejected_only: bool, not_of_run: str | None
    ) -> dict[str, int]:
        """Ledger entry by URI of those objects, among these, that may be loaded again.

        :param rejected_only: only objects of which records are in quarantine.
        :param not_of_run: leave out what this run has loaded itself: it goes on where it was stopped.
        """
        with self._sessions.transaction(f"read the ledger of subscription {subscription_id!r}") as connection:
            found: dict[str, int] = {}
            remaining = iter(uris)
            while some := list(islice(remaining, URIS_AT_ONCE)):
                query = _entries(subscription_id, some, rejected_only, not_of_run)
                found |= dict(connection.execute(query).all())
            return found

    def pace(self, subscription_id: str) -> Pace | None:
        """Of the newest receipts; None before the first one."""
        r = receipts.c
        newest = (
            select(r.read, r.bytes, r.seconds)
            .where(r.subscription_id == subscription_id, r.state == "committed", r.bytes > 0, r.read > 0)
            .order_by(r.receipt_id.desc())
            .limit(_RECEIPTS_OF_A_PACE)
            .subquery()
        )
        sums = [func.coalesce(func.sum(column), 0) for column in newest.c]
        with self._sessions.transaction(f"read receipts of subscription {subscription_id!r}") as connection:
            count, records, size, seconds = connection.execute(select(func.count(), *sums)).one()
        return Pace(count, int(records), int(size), float(seconds)) if count else None

    def state(self, subscription_id: str, run_id: str) -> RunState | None:
        """How far one run is; None when it has no stored plan."""
        with self._sessions.transaction(f"read the plan of run {run_id!r}") as connection:
            return next(_states(connection, subscription_id, batches.c.run_id == run_id), None)

    def unfinished(self, subscription_id: str) -> list[RunState]:
        """Runs of the last two days that have batches left to load, the newest first."""
        with self._sessions.transaction(f"read the plans of {subscription_id!r}") as connection:
            recent = batches.c.planned_at > func.now() - _REMEMBERED
            states = list(_states(connection, subscription_id, recent))
        return [state for state in states if state.planned]

    def resumable(
        self, subscription_id: str, prefix: str, window: tuple[datetime, datetime], schema_version: str
    ) -> str | None:
        """The newest run over this window whose id begins so, that was not finished and used this schema."""
        b, r = batches.c, receipts.c
        other_schema = select(r.run_id).where(
            r.subscription_id == subscription_id,
            r.run_id.startswith(prefix, autoescape=True),
            r.schema_version != schema_version,
        )
        query = (
            select(b.run_id)
            .where(
                b.subscription_id == subscription_id,
                b.run_id.startswith(prefix, autoescape=True),
                b.window_start == window[0],
                b.window_end == window[1],
                b.state.in_(("planned", "over_budget", "refused")),
                b.run_id.not_in(other_schema),
            )
            .order_by(b.planned_at.desc())
        )
        with self._sessions.transaction(f"read the plans of {subscription_id!r}") as connection:
            return connection.execute(query.limit(1)).scalar()


def _entries(
    subscription_id: str, uris: Sequence[str], rejected_only: bool, not_of_run: str | None
) -> Select[Any]:
    o = objects.c
    query = select(o.uri, o.object_id).where(
        o.subscription_id == subscription_id,
        o.state.in_(("loaded", "partial", "stale")),
        o.uri == any_(cast(uris, ARRAY(Text))),
    )
    if not_of_run is not None:
        own = select(receipts.c.receipt_id).where(
            receipts.c.subscription_id == subscription_id, receipts.c.run_id == not_of_run
        )
        query = query.where(o.receipt_id.not_in(own))
    if rejected_only:
        # By URI: the rejects may be those of an earlier part of an object that grows.
        parts = objects.alias("parts")
        rejected = (
            select(parts.c.uri)
            .join(quarantine, quarantine.c.object_id == parts.c.object_id)
            .where(
                parts.c.subscription_id == subscription_id,
                parts.c.state.not_in(GONE),
                quarantine.c.state == "open",
            )
        )
        query = query.where(o.uri.in_(rejected))
    return query


def _states(connection: Connection, subscription_id: str, which: ColumnElement[bool]) -> Iterator[RunState]:
    b, r = batches.c, receipts.c
    committed = b.state == "committed"
    runs = (
        select(
            b.run_id,
            func.min(b.window_start).label("start"),
            func.max(b.window_end).label("end"),
            func.count().label("batches"),
            func.count().filter(b.state == "planned").label("planned_batches"),
            func.count().filter(committed).label("committed"),
            func.count().filter(b.state.in_(("over_budget", "refused"))).label("refused"),
            func.sum(b.bytes).label("bytes"),
            func.coalesce(func.sum(b.bytes).filter(committed), 0).label("done"),
            func.max(b.planned_at).label("planned_at"),
        )
        .where(b.subscription_id == subscription_id, which)
        .group_by(b.run_id)
        .subquery()
    )
    recent = (
        select(
            func.sum(r.bytes).label("bytes"),
            func.min(r.finished_at - func.make_interval(0, 0, 0, 0, 0, 0, r.seconds)).label("since"),
        )
        .where(
            r.subscription_id == subscription_id,
            r.run_id == runs.c.run_id,
            r.state == "committed",
            r.finished_at > func.now() - _RECENT,
        )
        .lateral()
    )
    elapsed = func.extract("epoch", func.clock_timestamp() - recent.c.since)
    planned = runs.c.planned_at > func.now() - _RECENT
    query = select(runs, recent.c.bytes.label("lately"), elapsed.label("elapsed"), planned.label("planned"))
    for row in connection.execute(query.order_by(runs.c.planned_at.desc())):
        left = float(row.elapsed * (row.bytes - row.done) / row.lately) if row.lately else None
        yield RunState(
            row.run_id,
            (row.start, row.end),
            row.batches,
            row.planned_batches,
            row.committed,
            row.refused,
            int(row.bytes),
            int(row.done),
            row.planned or row.lately is not None,
            left,
        )
