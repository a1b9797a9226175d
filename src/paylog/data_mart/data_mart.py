"""The data mart: one schema of the user's PostgreSQL, with payload tables and control tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from paylog.connections import Connection
from paylog.data_mart import (
    expiry,
    ledger,
    payload_records,
    plans,
    posts,
    quarantine,
    receipts,
    setup,
    subscriptions,
    watermark,
)
from paylog.data_mart.alert_log import AlertLog
from paylog.data_mart.backfills import Backfills
from paylog.data_mart.control_tables import HEAD
from paylog.data_mart.delivery_log import DeliveryLog
from paylog.data_mart.expiry import EXPIRED_BATCH, Waiting
from paylog.data_mart.feedback_store import FeedbackStore
from paylog.data_mart.load import BatchName, Load
from paylog.data_mart.maintenance import Maintenance
from paylog.data_mart.overview import Overview
from paylog.data_mart.payload_reader import PayloadReader
from paylog.data_mart.payload_records import StoredCount
from paylog.data_mart.payload_table import PayloadTable
from paylog.data_mart.plans import PlannedBatch
from paylog.data_mart.posts import Post
from paylog.data_mart.quarantine import QuarantinedRecord
from paylog.data_mart.registry import Registry
from paylog.data_mart.replays import Replays
from paylog.data_mart.retractions import Retractions
from paylog.data_mart.schema_changes import SchemaChange
from paylog.data_mart.session import Sessions, run
from paylog.data_mart.training_records import TrainingRecords
from paylog.data_mart.vitals import Vitals
from paylog.data_mart.watermark import Watermark
from paylog.errors import ErrorBudgetExceeded, PayloadRefused, PaylogError, Reason
from paylog.pairing import Normalize, unpairable
from paylog.records import Receipt

if TYPE_CHECKING:
    import numpy as np

    from paylog.subscription import Subscription
    from paylog.training_data.judgement import PayloadJudge

log = logging.getLogger(__name__)

L = TypeVar("L", bound=Load)


class DataMart:
    """Everything that paylog keeps. Threads may share one; after a fork, make a new one.

    Every method raises ``RetriableError`` when the link fails or the server is busy, ``AccessDenied``
    and ``SchemaMismatch`` as their names say. No message holds a payload value.

    :param connection: of type ``postgres``; its extras hold TLS and other libpq options.
    :param schema: created by ``setup`` if absent; never dropped.
    :param owner: resolves the connection whose role owns the tables, when something must be created or
        dropped; without it, ``connection`` does that too.
    :param read_only: for looking only; the server refuses every change.
    """

    def __init__(
        self,
        connection: Connection,
        schema: str,
        owner: Callable[[], Connection] | None = None,
        *,
        read_only: bool = False,
    ) -> None:
        self._sessions = Sessions(connection, schema, read_only=read_only)
        self._resolve_owner = owner
        self.schema = schema
        self.alerts = AlertLog(self._sessions)
        self.backfills = Backfills(self._sessions)
        self.delivery = DeliveryLog(self._sessions)
        self.feedback = FeedbackStore(self._sessions)
        self.maintenance = Maintenance(self._sessions, lambda: self._owner)
        self.overview = Overview(self._sessions)
        self.payload = PayloadReader(self._sessions)
        self.registry = Registry(self._sessions)
        self.replays = Replays(self._sessions)
        self.retractions = Retractions(self._sessions)
        self.training = TrainingRecords(self._sessions)
        self.vitals = Vitals(self._sessions, lambda: self._owner, self._table)
        self._tables: dict[tuple[str, str], PayloadTable] = {}

    def __repr__(self) -> str:
        return f"DataMart({self._sessions.conn_id!r}, schema={self._sessions.schema!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the pooled connections."""
        self._sessions.close()
        if "_owner" in self.__dict__:
            self._owner.close()

    def setup(self) -> None:
        """Create the schema and the control tables, or migrate them. Cheap when they are current."""
        if not (self._resolve_owner and self.version() == HEAD):
            setup.set_up(self._owner)

    def version(self) -> str | None:
        """Revision of the control tables, None when there are none."""
        with self._sessions.transaction("read the revision of the control tables") as connection:
            return setup.installed_version(connection, self._sessions.schema)

    def is_set_up(self) -> bool:
        """Whether the control tables exist; when they do not, nothing was ever loaded."""
        return self.version() is not None

    def ensure(self, subscription: Subscription) -> list[str]:
        """Create the subscription's payload table or add what it lacks; returns the changes.

        :raises SchemaMismatch: a column has another type, a new required one has no values, or the rows that
            are there would get another meaning.
        """
        table, what = self._table(subscription), f"prepare subscription {subscription.id!r}"
        with self._sessions.transaction(what) as connection:
            found = subscriptions.schema_change(connection, subscription, table)
            table.check(found.refused)
            if not found.statements:
                subscriptions.register(connection, subscription, [])
                return []
        with self._owner.transaction(what) as connection:
            changes = table.ensure(connection)
            subscriptions.register(connection, subscription, changes)
        return changes

    def make_partitions(self, subscription: Subscription, months: Sequence[np.datetime64]) -> None:
        """Create the partitions of these months (``datetime64[M]``) that are missing."""
        self._table(subscription).ensure_partitions(months)

    def schema_change(self, subscription: Subscription) -> SchemaChange:
        """The model schema beside the table and the version that loaded it last. Changes nothing."""
        table = self._table(subscription)
        with self._sessions.transaction(f"compare the schema of {subscription.id!r}") as connection:
            if setup.installed_version(connection, self.schema) is None:
                return SchemaChange(None, table.model_schema.version, *table.compare(connection))
            return subscriptions.schema_change(connection, subscription, table)

    @contextmanager
    def load(
        self,
        subscription: Subscription,
        batch_id: str,
        run_id: str,
        window: tuple[datetime, datetime],
        judge: PayloadJudge | None = None,
        normalize: Normalize = unpairable,
    ) -> Iterator[Load]:
        """One batch in one transaction, committed at the end if its receipt balances.

        :param window: [start, end) that the batch was planned for.
        :param judge: holds the batch against the training data.
        :param normalize: makes rows of halves that were paired.
        :raises ErrorBudgetExceeded: rolled back; a receipt of state ``over_budget`` is kept.
        :raises PayloadRefused: rolled back; a receipt of state ``refused`` and the findings are kept.
        :raises UnbalancedReceipt: rolled back.
        """
        with self.loading(Load, subscription, batch_id, run_id, window, judge, normalize) as load:
            yield load

    @contextmanager
    def loading(
        self,
        kind: type[L],
        subscription: Subscription,
        batch_id: str,
        run_id: str,
        window: tuple[datetime, datetime],
        judge: PayloadJudge | None = None,
        normalize: Normalize = unpairable,
    ) -> Iterator[L]:
        """As ``load``, of another kind: a ``ReplayLoad``, a ``Retraction``."""
        name = BatchName(subscription.id, batch_id, run_id, *window)
        what = f"load batch {batch_id!r} of subscription {subscription.id!r}"
        load = None
        try:
            with self._sessions.transaction(what) as connection:
                table, budget = self._table(subscription), subscription.error_budget
                load = kind(connection, table, name, budget, judge, normalize)
                yield load
                load.receipt()
        except (ErrorBudgetExceeded, PayloadRefused) as error:
            if load is not None:
                self._keep_account(load, "refused" if isinstance(error, PayloadRefused) else "over_budget")
            raise

    def expire_pending(
        self, subscription: Subscription, run_id: str, window: tuple[datetime, datetime]
    ) -> Receipt | None:
        """Give up halves that waited longer than ``logs.pending``: rejects now, with a receipt of their own.

        :returns: None when there were none.
        """
        name = BatchName(subscription.id, EXPIRED_BATCH, run_id, *window)
        version = subscription.model_schema.version
        with self._sessions.transaction(f"expire halves of subscription {subscription.id!r}") as connection:
            return expiry.expire(connection, self._sessions.schema, name, subscription.logs.pending, version)

    def pending(self, subscription_id: str) -> Waiting:
        """How many halves wait, and since when; checked against all receipts.

        :raises UnbalancedReceipt: halves went missing.
        """
        with self._sessions.transaction(f"count the waiting halves of {subscription_id!r}") as connection:
            run(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return expiry.waiting(connection, subscription_id)

    def ledger(self, subscription_id: str, uris: Iterable[str]) -> dict[str, str]:
        """Version by URI of those objects that are loaded and need not be read again."""
        with self._sessions.transaction(f"read the ledger of subscription {subscription_id!r}") as connection:
            return ledger.loaded_versions(connection, subscription_id, uris)

    def stale_objects(self, subscription_id: str) -> dict[str, str]:
        """Version by URI of loaded objects that must be read again, however old they are."""
        with self._sessions.transaction(f"read the ledger of subscription {subscription_id!r}") as connection:
            return ledger.stale_versions(connection, subscription_id)

    def has_payload(self, subscription_id: str) -> bool:
        """Whether any payload record is loaded."""
        with self._sessions.transaction(f"read the ledger of subscription {subscription_id!r}") as connection:
            return ledger.holds_rows(connection, subscription_id)

    def receipts(
        self, subscription_id: str, run_id: str | None = None, limit: int | None = 100
    ) -> list[Receipt]:
        """The newest receipts first, of one run or of all."""
        with self._sessions.transaction(f"read receipts of subscription {subscription_id!r}") as connection:
            return receipts.read(connection, subscription_id, run_id, limit)

    def quarantine_counts(self, subscription_id: str) -> dict[Reason, int]:
        """Scored rows in quarantine by reason, most frequent first."""
        with self._sessions.transaction(f"read quarantine of {subscription_id!r}") as connection:
            return quarantine.rows_by_reason(connection, subscription_id)

    def quarantine(
        self, subscription_id: str, reason: Reason | None = None, limit: int = 100
    ) -> list[QuarantinedRecord]:
        """The newest quarantined records, without their raw bytes."""
        with self._sessions.transaction(f"read quarantine of {subscription_id!r}") as connection:
            return quarantine.read(connection, subscription_id, reason, limit)

    def quarantine_record(self, quarantine_id: int) -> QuarantinedRecord | None:
        """One quarantined record with its raw bytes."""
        with self._sessions.transaction(f"read quarantined record {quarantine_id}") as connection:
            return quarantine.read_one(connection, quarantine_id)

    def watermark(self, subscription_id: str) -> Watermark | None:
        """Through when the logs are complete; None before the first run."""
        with self._sessions.transaction(f"read the watermark of {subscription_id!r}") as connection:
            return watermark.read(connection, subscription_id)

    def advance_watermark(
        self,
        subscription_id: str,
        window: tuple[datetime, datetime],
        since: datetime,
        late: int = 0,
        run_id: str = "",
    ) -> Watermark:
        """Note a window [start, end) as loaded; the watermark moves as far as nothing is missing."""
        with self._sessions.transaction(f"move the watermark of {subscription_id!r}") as connection:
            return watermark.advance(connection, subscription_id, window, since, late, run_id)

    def save_plan(self, subscription_id: str, run_id: str, plan: Iterable[PlannedBatch]) -> None:
        """Store a run's batches, in place of an older plan of the same run."""
        with self._sessions.transaction(f"store the plan of run {run_id!r}") as connection:
            plans.save(connection, subscription_id, run_id, plan)

    def load_batch(self, subscription_id: str, run_id: str, batch_id: str) -> PlannedBatch:
        """A batch of the stored plan. Raises ``StopError`` when there is none of that name."""
        with self._sessions.transaction(f"read the plan of run {run_id!r}") as connection:
            return plans.read_one(connection, subscription_id, run_id, batch_id)

    def stored_counts(self, subscription_id: str, run_id: str, most_rows: int = 100_000) -> list[StoredCount]:
        """Ledger's and, for up to about ``most_rows``, the table's own row count of a run's live objects."""
        with self._sessions.transaction(f"count the rows of run {run_id!r}") as connection:
            # One snapshot for ledger and rows, whatever other loads commit in between.
            run(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return payload_records.stored_counts(
                connection, self._sessions.schema, subscription_id, run_id, most_rows
            )

    def post(self, subscription_id: str, uri: str, name: str) -> Post | None:
        """What became of a post; None when there was none of that name."""
        with self._sessions.transaction(f"read post {name!r}") as connection:
            return posts.read(connection, subscription_id, uri, name)

    @cached_property
    def _owner(self) -> Sessions:
        """Sessions of the role that owns the tables."""
        owner = self._resolve_owner
        return Sessions(owner(), self.schema) if owner else self._sessions

    def _table(self, subscription: Subscription) -> PayloadTable:
        key = subscription.id, subscription.model_schema.version
        if key not in self._tables:
            self._tables[key] = PayloadTable(self._sessions, subscription.id, subscription.model_schema)
        return self._tables[key]

    def _keep_account(self, load: Load, state: str) -> None:
        receipt = load.account(state)
        try:
            with self._sessions.transaction(f"keep the receipt of batch {receipt.batch_id!r}") as connection:
                load.write_account(connection, receipt)
        except PaylogError as error:
            log.warning("the receipt of a batch that was rolled back was lost: %s", error)
