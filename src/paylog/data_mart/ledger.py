"""The ledger: which version of which capture object is loaded, and what it became.

An entry is *loaded*, *superseded* (another version took its place), *grown* (a later entry holds what was
appended), *partial* (its last line was still being written), *stale* (its rows stand, but it must be
read again, because a row that it left out as a duplicate was removed with another object), *replayed* (it
holds records that a replay of the object's quarantine loaded) or *retracted* (taken back).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    column,
    delete,
    exists,
    func,
    select,
    table,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, insert

from paylog.data_mart import partners
from paylog.data_mart.control_columns import COUNT_NAMES
from paylog.data_mart.control_tables import GONE, objects
from paylog.data_mart.payload_table import KEY, PayloadTable
from paylog.data_mart.session import any_of, run
from paylog.data_mart.setup import lock
from paylog.records import CaptureObject, Counts, Extent

URIS_AT_ONCE = 10_000
_FREED = table("paylog_freed", *map(column, KEY), schema="pg_temp")
_HEAD = "state NOT IN ('superseded', 'grown', 'replayed', 'retracted')"


@dataclass(frozen=True, slots=True)
class LiveEntry:
    """The entry of an object that is in the data mart already."""

    object_id: int
    version: str
    state: str
    min_scoring_timestamp: datetime | None
    max_scoring_timestamp: datetime | None
    extent: Extent | None = None

    def holds(self, item: CaptureObject) -> bool:
        """Whether nothing is left to do for ``item`` as it was planned."""
        return self.state == "loaded" and self.version == item.version and self.object_id != item.replaces


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an object became, for its ledger entry."""

    object_id: int
    counts: Counts
    min_scoring_timestamp: datetime | None
    max_scoring_timestamp: datetime | None
    extent: Extent | None = None


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who writes ledger entries: one load of one subscription."""

    subscription_id: str
    receipt_id: int
    schema_version: str


def claim(connection: Connection, claimant: Claimant, item: CaptureObject) -> int | LiveEntry:
    """Make this transaction the only one that loads ``item``: its new object id.

    Waits for another transaction that is loading it. Without a new id, the entry that is there: one
    that holds what was planned, or one that is locked and must be superseded first.
    """
    while True:
        statement = _entry_for(claimant, item)
        unclaimed = statement.on_conflict_do_nothing(
            index_elements=["subscription_id", "uri"], index_where=text(_HEAD)
        )
        object_id = connection.execute(unclaimed.returning(objects.c.object_id)).scalar()
        if object_id is not None:
            return int(object_id)
        # None here: the entry was superseded, or rolled back, between the two statements.
        if (entry := _live_entry(connection, claimant.subscription_id, item)) is not None:
            return entry


def claim_beside(connection: Connection, claimant: Claimant, item: CaptureObject) -> int:
    """An entry of its own, beside the head, for records of an object that was read before."""
    statement = _entry_for(claimant, item).values(state="replayed").returning(objects.c.object_id)
    return int(connection.execute(statement).scalar_one())


def _entry_for(claimant: Claimant, item: CaptureObject) -> Insert:
    return insert(objects).values(
        subscription_id=claimant.subscription_id,
        uri=item.uri,
        version=item.version,
        size=item.size,
        last_modified=item.last_modified,
        receipt_id=claimant.receipt_id,
        schema_version=claimant.schema_version,
    )


def _live_entry(connection: Connection, subscription_id: str, item: CaptureObject) -> LiveEntry | None:
    query = _entries(subscription_id, item.uri).where(text(_HEAD))
    row = connection.execute(query).one_or_none()
    if row is not None and not _entry(row).holds(item):
        row = connection.execute(query.with_for_update()).one_or_none()
    return None if row is None else _entry(row)


def _entries(subscription_id: str, uri: str) -> Select[Any]:
    return select(*_entry_columns()).where(objects.c.subscription_id == subscription_id, objects.c.uri == uri)


def _entry_columns() -> list[Any]:
    return [
        objects.c.object_id,
        objects.c.version,
        objects.c.state,
        objects.c.min_scoring_timestamp,
        objects.c.max_scoring_timestamp,
        objects.c.end_byte,
        objects.c.end_position,
        objects.c.end_digest,
    ]


def _entry(row: Row[Any]) -> LiveEntry:
    extent = None
    if row.end_byte is not None:
        extent = Extent(row.end_byte, row.end_position, row.end_digest, row.state == "partial")
    first, last = row.min_scoring_timestamp, row.max_scoring_timestamp
    return LiveEntry(row.object_id, row.version, row.state, first, last, extent)


def head(connection: Connection, subscription_id: str, uri: str) -> LiveEntry | None:
    """The newest part of an object as it is loaded now. Locks nothing."""
    row = connection.execute(_entries(subscription_id, uri).where(text(_HEAD))).one_or_none()
    return None if row is None else _entry(row)


def earlier_parts(connection: Connection, subscription_id: str, uri: str) -> list[LiveEntry]:
    """What stands of an object beside its head: parts of one that grows, and what was replayed."""
    query = _entries(subscription_id, uri).where(objects.c.state.in_(("grown", "replayed")))
    return [_entry(row) for row in connection.execute(query)]


def standing(
    connection: Connection, subscription_id: str, uris: Sequence[str], *, locked: bool = True
) -> list[tuple[str, LiveEntry]]:
    """URI and entry of whatever stands of these objects, in the order in which loads lock them."""
    query = (
        select(objects.c.uri, *_entry_columns())
        .where(
            objects.c.subscription_id == subscription_id,
            objects.c.uri == any_(cast(list(uris), ARRAY(Text))),
            objects.c.state.not_in(GONE),
        )
        .order_by(objects.c.uri, objects.c.object_id)
    )
    query = query.with_for_update() if locked else query
    return [(row.uri, _entry(row)) for row in connection.execute(query)]


def grow(connection: Connection, entry: LiveEntry) -> None:
    """Keep an entry as it is, and make room for the part that follows it."""
    connection.execute(update(objects).where(objects.c.object_id == entry.object_id).values(state="grown"))


def release(connection: Connection, object_id: int) -> None:
    """Give up a claim on which nothing was loaded."""
    connection.execute(delete(objects).where(objects.c.object_id == object_id))


def supersede(
    connection: Connection,
    entries: Sequence[LiveEntry],
    payload_table: PayloadTable,
    state: str = "superseded",
) -> list[int]:
    """Delete what entries loaded and the pairs that they have a half of; those of which there was any row.

    ``settle`` must follow if so. What else was in those pairs is ``partners.freed``.
    """
    ids = [entry.object_id for entry in entries]
    connection.execute(update(objects).where(objects.c.object_id == any_of(ids)).values(state=state))
    partners.free_rejects(connection, payload_table.schema, ids)
    linked = partners.unlink(connection, ids)
    own = {
        entry.object_id: (entry.min_scoring_timestamp, entry.max_scoring_timestamp)
        for entry in entries
        if entry.min_scoring_timestamp is not None and entry.max_scoring_timestamp is not None
    }
    if not (linked or own):
        return []
    run(
        connection,
        "CREATE TEMP TABLE IF NOT EXISTS paylog_freed (scoring_timestamp timestamptz, _record_id uuid) "
        "ON COMMIT DROP",
    )
    partners.free_rows(connection, payload_table, ids, [*linked.values(), *own.values()])
    return sorted(linked.keys() | own.keys())


def record(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Write what became of objects into their entries."""
    if not outcomes:
        return
    statement = (
        update(objects)
        .where(objects.c.object_id == bindparam("id"))
        .values(
            **{name: bindparam(f"new_{name}") for name in COUNT_NAMES},
            min_scoring_timestamp=bindparam("earliest"),
            max_scoring_timestamp=bindparam("latest"),
            end_byte=bindparam("new_end_byte"),
            end_position=bindparam("new_end_position"),
            end_digest=bindparam("new_end_digest"),
        )
    )
    rows = [
        {f"new_{name}": getattr(outcome.counts, name) for name in COUNT_NAMES}
        | {
            "id": outcome.object_id,
            "earliest": outcome.min_scoring_timestamp,
            "latest": outcome.max_scoring_timestamp,
            "new_end_byte": outcome.extent and outcome.extent.end_byte,
            "new_end_position": outcome.extent and outcome.extent.end_position,
            "new_end_digest": outcome.extent and outcome.extent.digest,
        }
        for outcome in outcomes
    ]
    connection.execute(statement, rows)
    partial = [outcome.object_id for outcome in outcomes if outcome.extent and outcome.extent.partial]
    if partial:
        connection.execute(update(objects).where(objects.c.object_id.in_(partial)).values(state="partial"))


def settle(
    connection: Connection, claimant: Claimant, payload_table: PayloadTable, superseded: Sequence[int]
) -> None:
    """Mark as stale whatever counted a duplicate against a row that is gone now.

    The lock puts this step of concurrent loads of one subscription in an order, so that either the one
    that removed rows sees the other's duplicates, or the other one sees that rows were removed.

    :param superseded: entries whose rows this load deleted.
    """
    lock(connection, "settle", payload_table.schema, claimant.subscription_id)
    removed = objects.alias("removed")
    if superseded:
        _note_freed(connection, payload_table, superseded)
        mine = removed.c.object_id == any_of(superseded)
        _mark_stale(connection, claimant.subscription_id, removed, mine)
    meanwhile = removed.c.superseded_at >= func.now()
    _mark_stale(connection, claimant.subscription_id, removed, meanwhile, claimant.receipt_id)


def _note_freed(connection: Connection, payload_table: PayloadTable, superseded: Sequence[int]) -> None:
    """Keep the time range of the deleted keys that no row has now."""
    payload = payload_table.clause
    came_back = exists().where(*(payload.c[name] == _FREED.c[name] for name in KEY))
    moment = _FREED.c.scoring_timestamp
    earliest, latest = connection.execute(select(func.min(moment), func.max(moment)).where(~came_back)).one()
    connection.execute(
        update(objects)
        .where(objects.c.object_id == any_of(superseded))
        .values(superseded_at=func.clock_timestamp(), freed_from=earliest, freed_until=latest)
    )


def _mark_stale(
    connection: Connection,
    subscription_id: str,
    removed: FromClause,
    which: ColumnElement[bool],
    by: int | None = None,
) -> None:
    """Of an object that grew, it is the head that becomes stale: the object is read again as a whole."""
    entries = objects.alias("entries")
    concerned = select(entries.c.uri).where(
        entries.c.subscription_id == subscription_id,
        entries.c.state.in_(("loaded", "partial", "grown", "replayed")),
        entries.c.duplicate > 0,
        removed.c.subscription_id == subscription_id,
        removed.c.freed_from <= entries.c.max_scoring_timestamp,
        removed.c.freed_until >= entries.c.min_scoring_timestamp,
        which,
    )
    if by is not None:
        concerned = concerned.where(entries.c.receipt_id == by)
    connection.execute(
        update(objects)
        .where(
            objects.c.subscription_id == subscription_id,
            objects.c.state.in_(("loaded", "partial")),
            objects.c.uri.in_(concerned),
        )
        .values(state="stale")
    )


def entry_sums(connection: Connection, receipt_id: int) -> Counts:
    """Counts of all ledger entries of one receipt, summed by the server."""
    query = select(*(func.coalesce(func.sum(objects.c[name]), 0) for name in COUNT_NAMES))
    row = connection.execute(query.where(objects.c.receipt_id == receipt_id)).one()
    return Counts(*map(int, row))


def loaded_versions(connection: Connection, subscription_id: str, uris: Iterable[str]) -> dict[str, str]:
    """Version by URI of the objects, among these, that need not be read again."""
    versions: dict[str, str] = {}
    remaining = iter(uris)
    while some := list(islice(remaining, URIS_AT_ONCE)):
        query = select(objects.c.uri, objects.c.version).where(
            objects.c.subscription_id == subscription_id,
            objects.c.state == "loaded",
            objects.c.uri == any_(cast(some, ARRAY(Text))),
        )
        versions |= dict(connection.execute(query).all())
    return versions


def stale_versions(connection: Connection, subscription_id: str) -> dict[str, str]:
    """Version by URI of the objects that must be read again, or on, although they did not change."""
    query = select(objects.c.uri, objects.c.version).where(
        objects.c.subscription_id == subscription_id, objects.c.state.in_(("stale", "partial"))
    )
    return dict(connection.execute(query).all())


def holds_rows(connection: Connection, subscription_id: str) -> bool:
    """Whether a subscription has payload records."""
    live = objects.c.state.not_in(GONE)
    query = select(1).where(objects.c.subscription_id == subscription_id, live, objects.c.loaded > 0)
    return connection.execute(query.limit(1)).scalar() is not None
