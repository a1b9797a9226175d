"""The work, in its order: plan → ingest → deliver → reconcile. The DAG, the CLI and the tests call this.

plan       list the capture objects of a window, subtract the ledger, cut into batches
ingest     per batch: fetch → decode → normalize → load, in one transaction
deliver    to the OpenScale service that the subscription names, if it names one
reconcile  the receipts against the store's own counts; the watermark
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from paylog.connections import resolve
from paylog.errors import ConfigurationError, DeliveryFailed, RetriableError, UnbalancedReceipt
from paylog.layout import Layout, Window
from paylog.object_ingest import ObjectIngest, Progress, unwatched
from paylog.plan import MAX_BATCHES, Batch, Plan, in_order, listed, make_plan, searched_window, to_read_again
from paylog.records import Receipt
from paylog.reprocess import Order, Reprocess
from paylog.run_receipt import RunReceipt
from paylog.storage import Storage, connect
from paylog.storage.payloads import Payloads
from paylog.storage.read_ahead import ReadAhead
from paylog.training_status import TrainingStatus, judge, require

if TYPE_CHECKING:
    from paylog.data_mart import DataMart, StoredCheck, Watermark
    from paylog.data_mart.deliveries import DeliveryCounts
    from paylog.data_mart.payload_records import StoredCount
    from paylog.openscale.service import Service
    from paylog.subscription import Subscription

__all__ = [
    "Batch",
    "DeliveryProgress",
    "Plan",
    "Progress",
    "RunReceipt",
    "Window",
    "Workbench",
    "check_training_data",
    "deliver",
    "due_window",
    "ingest",
    "ingest_planned",
    "open_data_mart",
    "open_for_reading",
    "open_service",
    "open_storage",
    "plan",
    "prepare",
    "reconcile",
    "save_plan",
]

DeliveryProgress = Callable[[int, int], None]
"""Called with the rows that were confirmed and that failed since the last call."""

log = logging.getLogger(__name__)

_FIRST_WINDOW = timedelta(days=1)


def plan(
    subscription: Subscription,
    window: Window,
    *,
    batch_bytes: int | None = None,
    max_batches: int = MAX_BATCHES,
    workers: int = 1,
    reprocess: Reprocess = Reprocess.NEW,
    order: Order = Order.OLDEST,
    run_id: str | None = None,
) -> Plan:
    """What a run over ``window`` has to load. Reads no data and changes nothing.

    :param workers: processes among which the batches shall divide evenly.
    :param run_id: of the run, if it was begun: what it has loaded itself is not read again.
    """
    storage = open_storage(subscription)
    found = list(listed(storage, subscription, window))
    loaded: Mapping[str, str] = {}
    stale: Mapping[str, str] = {}
    replaced: Mapping[str, int] = {}
    forgotten = None
    with open_data_mart(subscription) as data_mart:
        if data_mart.is_set_up():
            stale = data_mart.stale_objects(subscription.id)
            found += to_read_again(storage, stale, found)
            uris = [item.uri for item in found]
            loaded = data_mart.ledger(subscription.id, uris)
            if reprocess is not Reprocess.NEW:
                some = reprocess is Reprocess.REJECTED
                replaced = data_mart.backfills.replaceable(
                    subscription.id, uris, rejected_only=some, not_of_run=run_id
                )
            # After the ledger: whoever removes entries has moved the mark before.
            forgotten = data_mart.maintenance.marks(subscription.id).forgotten_before
    known = [
        item
        for item in found
        if item.uri in loaded or item.uri in stale or not _before(item.last_modified, forgotten)
    ]
    planned = make_plan(
        subscription,
        window,
        known,
        loaded,
        batch_bytes=batch_bytes or subscription.batch.bytes,
        max_batches=max_batches,
        workers=workers,
        unfinished=stale,
        replaced=replaced,
        order=order,
    )
    return replace(planned, forgotten=len(found) - len(known))


def _before(moment: datetime, mark: datetime | None) -> bool:
    return mark is not None and moment < mark


def due_window(subscription: Subscription, end: datetime | None = None) -> Window:
    """What is due: from the watermark, else the schedule's start, else a day ago, until ``end`` or now.

    :raises ConfigurationError: that window is empty.
    """
    end = end or datetime.now(UTC)
    with open_data_mart(subscription) as data_mart:
        known = data_mart.watermark(subscription.id) if data_mart.is_set_up() else None
    start = known.complete_through if known else subscription.schedule.start or end - _FIRST_WINDOW
    if start >= end:
        raise ConfigurationError(
            f"{subscription.id}: nothing is due between {start:%Y-%m-%d %H:%M %Z} and "
            f"{end:%Y-%m-%d %H:%M %Z}. Say which window to load."
        )
    return Window(start.astimezone(UTC), end)


def prepare(subscription: Subscription) -> None:
    """Create or migrate what the data mart needs; safe to call at any time, by several at once.

    :raises RequirementUnmet: the subscription wants nothing loaded while its training data is as it is.
    """
    with open_data_mart(subscription) as data_mart:
        data_mart.setup()
        require(subscription, TrainingStatus.of(subscription, data_mart))
        data_mart.ensure(subscription)


def check_training_data(subscription: Subscription) -> StoredCheck:
    """Read, profile and check the training data; findings and profile are kept in the data mart.

    :raises ConfigurationError: the subscription names no training data.
    :raises RetriableError: it cannot be read for a passing fault. The check before stands.
    """
    from paylog.training_data import check

    with open_data_mart(subscription) as data_mart:
        data_mart.setup()
        last, started = data_mart.training.profile(subscription.id), time.monotonic()
        result = check(subscription, last.profile if last else None)
        if result.retriable:
            raise RetriableError(f"{subscription.id}: {'; '.join(map(str, result.findings))}")
        seconds = time.monotonic() - started
        return data_mart.training.keep(subscription, result, seconds)


def save_plan(subscription: Subscription, planned: Plan, run_id: str) -> list[dict[str, str]]:
    """Keep the plan in the data mart, so that a task needs no more than a batch's number."""
    from paylog.data_mart.plans import PlannedBatch

    window = planned.window
    batches = [PlannedBatch(b.batch_id, window.start, window.end, b.objects) for b in planned.batches]
    with open_data_mart(subscription) as data_mart:
        data_mart.save_plan(subscription.id, run_id, batches)
    return [{"batch": batch.batch_id, "label": batch.label} for batch in planned.batches]


class Workbench:
    """What ingesting needs: the storage, connections to the data mart, what is known of the records' shape.

    A process that loads several batches of a subscription keeps it from one to the next; after a failure
    it takes a new one. A context manager; not for use by several threads.
    """

    def __init__(self, subscription: Subscription) -> None:
        from paylog.decode import Decoder

        self.storage = open_storage(subscription)
        self.decoder = Decoder(subscription, payload=open_payloads(subscription))
        self.data_mart = open_data_mart(subscription)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.data_mart.close()


def ingest_planned(
    subscription: Subscription,
    run_id: str,
    batch_id: str,
    progress: Progress | None = None,
    workbench: Workbench | None = None,
) -> Receipt:
    """Load one batch of a saved plan, as ``ingest`` does."""
    with nullcontext(workbench) if workbench else Workbench(subscription) as tools:
        saved = tools.data_mart.load_batch(subscription.id, run_id, batch_id)
        window = Window(saved.window_start, saved.window_end)
        return ingest(subscription, Batch(batch_id, saved.objects), run_id, window, progress, tools)


def ingest(
    subscription: Subscription,
    batch: Batch,
    run_id: str,
    window: Window,
    progress: Progress | None = None,
    workbench: Workbench | None = None,
) -> Receipt:
    """Fetch, decode, normalize and load one batch in one transaction.

    :param workbench: kept from the batch before; without it, one for this batch alone.
    :raises ErrorBudgetExceeded: too many rejects; nothing of the batch was kept.
    :raises PayloadRefused: it is not like the training data and the gate is shut; nothing was kept.
    :raises RequirementUnmet: the subscription wants nothing loaded while its training data is as it is.
    :raises RetriableError: a passing fault; nothing of the batch was kept, try again.
    """
    span = window.start, window.end
    with nullcontext(workbench) if workbench else Workbench(subscription) as tools:
        training = TrainingStatus.of(subscription, tools.data_mart)
        require(subscription, training)
        judged = judge(subscription, tools.data_mart, training)
        normalize = tools.decoder.pairs
        with tools.data_mart.load(subscription, batch.batch_id, run_id, span, judged, normalize) as load:
            source = ObjectIngest(tools.storage, tools.decoder, load, progress or unwatched)
            items = in_order(subscription, batch.objects)
            with ReadAhead(tools.storage, items) as ahead:
                for item in items:
                    source.ingest(item, ahead.open)
            for freed in load.freed():
                source.supply(freed, items[0].uri.removesuffix(items[0].key))
            return load.receipt()


def deliver(
    subscription: Subscription,
    run_id: str | None,
    progress: DeliveryProgress | None = None,
    *,
    retry_failed: bool = False,
) -> DeliveryCounts:
    """Post what a run loaded, and is not confirmed yet, to the subscription's OpenScale service.

    :param run_id: None: of all runs.
    :param retry_failed: also what the service did not take before.
    :raises DeliveryFailed: the service did not take some of it.
    :raises RetriableError: some of it could not be confirmed in time; nothing is lost, call again.
    """
    from paylog.openscale.delivery import Deliverer

    with open_data_mart(subscription) as data_mart, open_service(subscription) as service:
        if retry_failed:
            data_mart.delivery.reopen(subscription.id, run_id)
        deliverer = Deliverer(data_mart, subscription, service)
        for batch in data_mart.delivery.undelivered(subscription.id, run_id):
            deliverer.deliver(batch.receipt_id, progress or unwatched, historical=batch.historical)
        counts = data_mart.delivery.counts(subscription.id, run_id)
    if counts.failed:
        raise DeliveryFailed(
            f"{subscription.id}: the service did not take {counts.failed:,} of {counts.loaded:,} rows; they "
            "stay in the data mart, and its paylog_delivery says why. When that is mended: "
            f"paylog deliver {subscription.id} --retry-failed"
        )
    return counts


def reconcile(subscription: Subscription, run_id: str, window: Window) -> RunReceipt:
    """Hold the run's receipts against the table itself, and move the watermark.

    Halves of pairs that waited too long are given up first.

    :raises UnbalancedReceipt: the table does not hold the rows, or the waiting halves, that the receipts
        say, or the OpenScale service not those that it confirmed.
    """
    with open_data_mart(subscription) as data_mart:
        data_mart.expire_pending(subscription, run_id, (window.start, window.end))
        waiting = data_mart.pending(subscription.id)
        receipts = data_mart.receipts(subscription.id, run_id=run_id, limit=None)
        stored = hold_against_table(subscription, run_id, data_mart)
        layout = Layout(subscription.layout)
        late = sum(layout.misses(count.uri, window) for count in stored)
        known = _moved_watermark(subscription, run_id, window, late, data_mart)
        training = TrainingStatus.of(subscription, data_mart)
        findings = data_mart.training.findings(subscription.id, run_id, limit=None) if training else []
        delivery = _audited(subscription, run_id, data_mart) if subscription.deliver else None
    counted = sum(count.stored or 0 for count in stored)
    return RunReceipt.of(
        subscription.id,
        run_id,
        window,
        receipts,
        counted=counted,
        complete_through=known.complete_through,
        moved_from=known.moved_from if known.moved_by == run_id else None,
        late_objects=late,
        training_data=training,
        payload_findings=findings,
        waiting=waiting.halves,
        delivery=delivery,
    )


def hold_against_table(subscription: Subscription, run_id: str, data_mart: DataMart) -> list[StoredCount]:
    """The rows of a run's objects, by the ledger and in the table.

    :raises UnbalancedReceipt: the table does not hold the rows that the ledger says.
    """
    stored = data_mart.stored_counts(subscription.id, run_id)
    for count in stored:
        if count.stored not in (None, count.loaded):
            raise UnbalancedReceipt(
                f"{subscription.id}: {count.uri} loaded {count.loaded} rows by the ledger, but the payload "
                f"table holds {count.stored} of them. Rows were changed by hand, or paylog has a defect."
            )
    return stored


def _audited(subscription: Subscription, run_id: str, data_mart: DataMart) -> DeliveryCounts:
    from paylog.openscale.audit import audited

    return audited(data_mart, subscription, run_id)


def _moved_watermark(
    subscription: Subscription, run_id: str, window: Window, late: int, data_mart: DataMart
) -> Watermark:
    """Note what was listed, and move the watermark as far as nothing is missing before it."""
    searched = searched_window(subscription, window)
    end = max(searched.start, min(window.end, datetime.now(UTC) - subscription.logs.settle))
    since = subscription.schedule.start or window.start
    return data_mart.advance_watermark(subscription.id, (searched.start, end), since, late, run_id)


def open_storage(subscription: Subscription) -> Storage:
    """The storage of the subscription's logs. Sends no request yet."""
    logs = subscription.logs
    return connect(resolve(logs.connection), logs.bucket or "", logs.prefix)


def open_payloads(subscription: Subscription) -> Payloads:
    """Bodies that records refer to: only in the container, or folder, of the subscription's logs."""
    logs = subscription.logs
    return Payloads(resolve(logs.connection), logs.bucket or "", logs.max_record_bytes)


def open_service(subscription: Subscription) -> Service:
    """The OpenScale service that the subscription names, to be closed (``with``). Not connected yet.

    :raises ConfigurationError: it names none.
    """
    from paylog.openscale.service import Service

    if subscription.deliver is None:
        raise ConfigurationError(f"{subscription.id}: no service is named (deliver:)")
    return Service(resolve(subscription.deliver.connection), subscription.deliver)


def open_data_mart(subscription: Subscription) -> DataMart:
    """The subscription's data mart, to be closed (``with``). Not connected yet."""
    from paylog.data_mart import DataMart

    target = subscription.data_mart
    owner = partial(resolve, target.owner_connection) if target.owner_connection else None
    return DataMart(resolve(target.connection), target.schema_name, owner)


def open_for_reading(subscription: Subscription) -> DataMart:
    """The subscription's data mart with the rights of those who only read, to be closed (``with``)."""
    from paylog.data_mart import DataMart

    target = subscription.data_mart
    return DataMart(resolve(target.read_connection or target.connection), target.schema_name)
