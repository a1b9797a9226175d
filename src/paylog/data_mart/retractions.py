"""What could be taken back, how much that is, and what was taken back by whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from paylog.data_mart import ledger, retracted_rows
from paylog.data_mart.control_tables import GONE, objects, receipts
from paylog.data_mart.operation_tables import audits
from paylog.data_mart.payload_table import PayloadTable
from paylog.data_mart.retracted_rows import Extent
from paylog.data_mart.retraction import with_dependents
from paylog.data_mart.session import Sessions

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_ROWS_A_FETCH = 10_000


@dataclass(frozen=True, slots=True)
class StandingEntry:
    """A ledger entry that holds something.

    :param window: that its batch was planned for.
    """

    object_id: int
    uri: str
    state: str
    receipt_id: int
    run_id: str
    window: tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Audit:
    """An entry of the audit table. ``counts`` holds no payload value."""

    audit_id: int
    action: str
    actor: str
    reason: str
    selection: dict[str, Any]
    counts: dict[str, int]
    created_at: datetime


class Retractions:
    """Part of a ``DataMart``, which says what every method raises."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def standing(
        self, subscription_id: str, *, receipt_id: int | None = None, run_id: str | None = None
    ) -> Iterator[StandingEntry]:
        """The entries that stand: of one batch, of one run, or all; streamed."""
        query = (
            select(
                *(objects.c[name] for name in ("object_id", "uri", "state", "receipt_id")),
                *(receipts.c[name] for name in ("run_id", "window_start", "window_end")),
            )
            .join_from(objects, receipts)
            .where(objects.c.subscription_id == subscription_id, objects.c.state.not_in(GONE))
            .order_by(objects.c.object_id)
        )
        if receipt_id is not None:
            query = query.where(objects.c.receipt_id == receipt_id)
        if run_id is not None:
            query = query.where(receipts.c.run_id == run_id)
        with self._sessions.transaction(f"read the ledger of subscription {subscription_id!r}") as connection:
            streamed = connection.execution_options(stream_results=True, yield_per=_ROWS_A_FETCH)
            for row in streamed.execute(query):
                object_id, uri, state, receipt, run, start, end = row
                yield StandingEntry(object_id, uri, state, receipt, run, (start, end))

    def preview(self, subscription: Subscription, entries: Mapping[str, Sequence[int]]) -> Extent:
        """What would go with these entries (object ids by URI). Changes nothing and locks nothing."""
        table = PayloadTable(self._sessions, subscription.id, subscription.model_schema)
        what = f"count what would be taken back of {subscription.id!r}"
        with self._sessions.transaction(what) as connection:
            standing = ledger.standing(connection, subscription.id, sorted(entries), locked=False)
            taken = with_dependents(standing, entries)
            return retracted_rows.extent(connection, table, subscription.id, taken)

    def history(self, subscription_id: str, limit: int = 100) -> list[Audit]:
        """Who took back what, the newest first."""
        names = ("audit_id", "action", "actor", "reason", "selection", "counts", "created_at")
        query = select(*(audits.c[name] for name in names)).where(audits.c.subscription_id == subscription_id)
        with self._sessions.transaction(f"read the audits of {subscription_id!r}") as connection:
            rows = connection.execute(query.order_by(audits.c.audit_id.desc()).limit(limit))
            return [Audit(*row) for row in rows]
