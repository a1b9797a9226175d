"""Keeping a data mart in shape: partitions ahead, old ones gone, control tables cleared by age, sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from sqlalchemy import Connection, func, select, text

from paylog.data_mart import clearing, deliveries, partitions, retention
from paylog.data_mart.control_tables import GONE, batches, objects, pending, quarantine, receipts
from paylog.data_mart.operation_tables import metadata
from paylog.data_mart.partitions import Partition
from paylog.data_mart.payload_table import payload_table_name
from paylog.data_mart.retention import Marks
from paylog.data_mart.session import Sessions, any_of
from paylog.data_mart.setup import lock, try_lock_session
from paylog.errors import RetriableError

_CONTROL_BYTES = text(
    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = ANY(:names)"
)


@dataclass(frozen=True, slots=True)
class Cleared:
    """Rows of the control tables that are to go, or are gone: what each count is of."""

    rejects: int = 0
    objects: int = 0
    receipts: int = 0
    batches: int = 0


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Before when what goes; None: it stays."""

    quarantine: datetime | None = None
    ledger: datetime | None = None


class Maintenance:
    """Part of a ``DataMart``, which says what every method raises.

    :param owner: sessions of the role that owns the tables.
    """

    def __init__(self, sessions: Sessions, owner: Callable[[], Sessions]) -> None:
        self._sessions = sessions
        self._owner = owner

    def marks(self, subscription_id: str) -> Marks:
        """How far retention has come."""
        with self._sessions.transaction(f"read the retention of {subscription_id!r}") as connection:
            return retention.marks(connection, subscription_id)

    def partitions(self, subscription_id: str) -> list[Partition]:
        """The months of a payload table, detached ones too, with their sizes."""
        with self._sessions.session(f"read the partitions of {subscription_id!r}") as link:
            return partitions.read(link, self._sessions.schema, payload_table_name(subscription_id))

    def control_bytes(self) -> int:
        """What all control tables of the schema take, with their indexes."""
        with self._sessions.transaction("read the size of the control tables") as connection:
            values = {"schema": self._sessions.schema, "names": list(metadata.tables)}
            return int(connection.execute(_CONTROL_BYTES, values).scalar_one())

    def undelivered_since(self, subscription_id: str) -> datetime | None:
        """Scoring time of the first row that is not delivered yet, None when all are."""
        with self._sessions.transaction(f"look for undelivered rows of {subscription_id!r}") as connection:
            found = deliveries.undelivered(connection, self._sessions.schema, subscription_id, None)
            waiting = [receipt.receipt_id for receipt in found]
            query = select(func.min(objects.c.min_scoring_timestamp)).where(
                objects.c.receipt_id == any_of(waiting),
                objects.c.state.not_in(GONE),
            )
            return connection.execute(query).scalar()

    def overdue_halves(self, subscription_id: str, before: datetime) -> int:
        """Halves of pairs that have waited since before a moment."""
        with self._sessions.transaction(f"count the waiting halves of {subscription_id!r}") as connection:
            mine = (pending.c.subscription_id == subscription_id) & (pending.c.stored_at <= before)
            return clearing.count(connection, pending, mine)

    def due(self, subscription_id: str, cutoffs: Cutoffs, retained_from: datetime | None) -> Cleared:
        """What ``clear`` would remove. Entries that wait for rejects of theirs to go are not counted."""
        with self._sessions.transaction(f"look for what {subscription_id!r} may remove") as connection:
            return _due(connection, subscription_id, cutoffs, retained_from)

    @contextmanager
    def exclusive(self, subscription_id: str) -> Iterator[psycopg.Connection]:
        """Be the only one that maintains a subscription: the connection to ``remove`` on.

        :raises RetriableError: another one is at it.
        """
        with self._owner().session(f"maintain {subscription_id!r}") as link:
            if not try_lock_session(link, "maintenance", self._owner().schema, subscription_id):
                raise RetriableError(f"{subscription_id}: another maintenance is at work. Try again later.")
            yield link

    def retain(self, subscription_id: str, retained_from: datetime) -> Marks:
        """From now on, load no row that was scored before; the mark never goes back."""
        sessions = self._owner()
        with sessions.transaction(f"move the retention of {subscription_id!r}") as connection:
            # Whoever is making a partition is done first, or sees the mark.
            lock(connection, "partitions", sessions.schema, payload_table_name(subscription_id))
            return retention.advance(connection, subscription_id, Marks(retained_from))

    def remove(
        self, link: psycopg.Connection, subscription_id: str, partition: Partition, *, drop: bool
    ) -> None:
        """Detach a month and, if asked, drop it. Loads go on meanwhile; those in progress are waited for.

        :param link: from ``exclusive``.
        """
        schema = self._owner().schema
        partitions.remove(link, schema, payload_table_name(subscription_id), partition, drop=drop)

    def clear(self, subscription_id: str, cutoffs: Cutoffs, retained_from: datetime | None) -> Cleared:
        """Remove what is old from the control tables, in short transactions."""
        sessions, rejects, entries, settled = self._owner(), 0, 0, 0
        if cutoffs.quarantine:
            which = clearing.old_rejects(subscription_id, cutoffs.quarantine)
            rejects = clearing.clear(sessions, quarantine, "quarantine_id", which)
        if cutoffs.ledger and retained_from:
            with sessions.transaction(f"move the retention of {subscription_id!r}") as connection:
                retention.advance(connection, subscription_id, Marks(None, cutoffs.ledger))
            which = clearing.old_entries(subscription_id, cutoffs.ledger, retained_from)
            entries = clearing.clear(sessions, objects, "object_id", which)
            settled = clearing.clear_receipts(sessions, subscription_id, cutoffs.ledger)
        return Cleared(rejects, entries, settled, clearing.clear_plans(sessions, subscription_id))


def _due(
    connection: Connection, subscription_id: str, cutoffs: Cutoffs, retained_from: datetime | None
) -> Cleared:
    rejects = entries = settled = 0
    if cutoffs.quarantine:
        which = clearing.old_rejects(subscription_id, cutoffs.quarantine)
        rejects = clearing.count(connection, quarantine, which)
    if cutoffs.ledger and retained_from:
        which = clearing.old_entries(subscription_id, cutoffs.ledger, retained_from)
        entries = clearing.count(connection, objects, which)
        settled = clearing.count(connection, receipts, clearing.old_receipts(subscription_id, cutoffs.ledger))
    plans = clearing.count(connection, batches, clearing.old_plans(subscription_id))
    return Cleared(rejects, entries, settled, plans)
