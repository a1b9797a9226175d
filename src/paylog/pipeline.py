"""The work, in its order: plan → ingest → deliver → reconcile. The DAG, the CLI and the tests call this.

plan       list the capture objects of a window, subtract the ledger, cut into batches
ingest     per batch: fetch → decode → normalize → load, in one transaction
deliver    to the OpenScale service that the subscription names, if it names one
reconcile  the receipts against the store's own counts; the watermark
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from paylog.connections import resolve
from paylog.errors import (
    ConfigurationError,
    DeliveryFailed,
    ObjectChanged,
    ObjectNotFound,
    RetriableError,
    UnbalancedReceipt,
)
from paylog.layout import Layout, Window
from paylog.plan import MAX_BATCHES, Batch, Plan, listed, make_plan, searched_window, to_read_again
from paylog.records import CaptureObject, Receipt
from paylog.run_receipt import RunReceipt
from paylog.storage import Storage, connect
from paylog.storage.read_ahead import ReadAhead
from paylog.training_status import TrainingStatus, judge, require

if TYPE_CHECKING:
    from paylog.data_mart import DataMart, StoredCheck
    from paylog.data_mart.deliveries import DeliveryCounts
    from paylog.data_mart.load import Load
    from paylog.decode import Decoder
    from paylog.openscale.service import Service
    from paylog.subscription import Subscription

__all__ = [
    "Batch",
    "DeliveryProgress",
    "Plan",
    "Progress",
    "RunReceipt",
    "Window",
    "check_training_data",
    "deliver",
    "due_window",
    "ingest",
    "ingest_planned",
    "open_data_mart",
    "open_service",
    "open_storage",
    "plan",
    "prepare",
    "reconcile",
    "save_plan",
]

Progress = Callable[[int, int], None]
"""Called with the rows read and the stored bytes fetched since the last call."""
DeliveryProgress = Callable[[int, int], None]
"""Called with the rows that were confirmed and that failed since the last call."""

log = logging.getLogger(__name__)

_FIRST_WINDOW = timedelta(days=1)
_READS_OF_A_CHANGING_OBJECT = 3


def plan(
    subscription: Subscription,
    window: Window,
    *,
    batch_bytes: int | None = None,
    max_batches: int = MAX_BATCHES,
) -> Plan:
    """What a run over ``window`` has to load. Reads no data and changes nothing."""
    storage = open_storage(subscription)
    found = list(listed(storage, subscription, window))
    loaded: Mapping[str, str] = {}
    with open_data_mart(subscription) as data_mart:
        if data_mart.is_set_up():
            found += to_read_again(storage, data_mart.stale_objects(subscription.id), found)
            loaded = data_mart.ledger(subscription.id, [item.uri for item in found])
    return make_plan(
        subscription,
        window,
        found,
        loaded,
        batch_bytes=batch_bytes or subscription.batch.bytes,
        max_batches=max_batches,
    )


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
        last, started = data_mart.training_profile(subscription.id), time.monotonic()
        result = check(subscription, last.profile if last else None)
        if result.retriable:
            raise RetriableError(f"{subscription.id}: {'; '.join(map(str, result.findings))}")
        seconds = time.monotonic() - started
        return data_mart.keep_training_check(subscription, result, seconds)


def save_plan(subscription: Subscription, planned: Plan, run_id: str) -> list[dict[str, str]]:
    """Keep the plan in the data mart, so that a task needs no more than a batch's number."""
    from paylog.data_mart.plans import PlannedBatch

    window = planned.window
    batches = [PlannedBatch(b.batch_id, window.start, window.end, b.objects) for b in planned.batches]
    with open_data_mart(subscription) as data_mart:
        data_mart.save_plan(subscription.id, run_id, batches)
    return [{"batch": batch.batch_id, "label": batch.label} for batch in planned.batches]


def ingest_planned(
    subscription: Subscription, run_id: str, batch_id: str, progress: Progress | None = None
) -> Receipt:
    """Load one batch of a saved plan."""
    with open_data_mart(subscription) as data_mart:
        saved = data_mart.load_batch(subscription.id, run_id, batch_id)
    window = Window(saved.window_start, saved.window_end)
    return ingest(subscription, Batch(batch_id, saved.objects), run_id, window, progress)


def ingest(
    subscription: Subscription,
    batch: Batch,
    run_id: str,
    window: Window,
    progress: Progress | None = None,
) -> Receipt:
    """Fetch, decode, normalize and load one batch in one transaction.

    :raises ErrorBudgetExceeded: too many rejects; nothing of the batch was kept.
    :raises PayloadRefused: it is not like the training data and the gate is shut; nothing was kept.
    :raises RequirementUnmet: the subscription wants nothing loaded while its training data is as it is.
    :raises RetriableError: a passing fault; nothing of the batch was kept, try again.
    """
    from paylog.decode import Decoder

    storage, decoder = open_storage(subscription), Decoder(subscription)
    span = window.start, window.end
    with open_data_mart(subscription) as data_mart:
        training = TrainingStatus.of(subscription, data_mart)
        require(subscription, training)
        judged = judge(subscription, data_mart, training)
        with data_mart.load(subscription, batch.batch_id, run_id, span, judged) as load:
            items = sorted(batch.objects, key=lambda item: item.uri)
            with ReadAhead(storage, items) as ahead:
                for item in items:
                    _ingest_object(storage, ahead, decoder, load, item, progress or _unwatched)
            return load.receipt()


def _ingest_object(
    storage: Storage, ahead: ReadAhead, decoder: Decoder, load: Load, item: CaptureObject, progress: Progress
) -> None:
    """Load one object at the version it has now: one that changes under our hands is read again."""
    opened: Callable[[CaptureObject], AbstractContextManager[Iterator[bytes]]] = ahead.open
    for attempt in range(1, _READS_OF_A_CHANGING_OBJECT + 1):
        try:
            with load.object(item) as target:
                if target is None:
                    return
                # What was opened ahead of the lock may be older than what another worker has loaded.
                source = storage.open if target.supersedes else opened
                with source(item) as chunks:
                    for block in decoder.blocks(item, _watched(chunks, progress)):
                        target.add(block)
                        progress(block.read, 0)
            return
        except ObjectChanged:
            if attempt == _READS_OF_A_CHANGING_OBJECT:
                raise
        try:
            item, opened = storage.stat(item.key), storage.open
        except ObjectNotFound:
            log.warning("%s was deleted after it was listed: there is nothing to load", item.uri)
            return


def _watched(chunks: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    for chunk in chunks:
        progress(0, len(chunk))
        yield chunk


def _unwatched(rows: int, size: int) -> None:
    """Progress that nobody looks at."""


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
            data_mart.reopen_deliveries(subscription.id, run_id)
        deliverer = Deliverer(data_mart, subscription, service)
        for batch in data_mart.undelivered(subscription.id, run_id):
            deliverer.deliver(batch.receipt_id, progress or _unwatched, historical=batch.historical)
        counts = data_mart.delivery_counts(subscription.id, run_id)
    if counts.failed:
        raise DeliveryFailed(
            f"{subscription.id}: the service did not take {counts.failed:,} of {counts.loaded:,} rows; they "
            "stay in the data mart, and its paylog_delivery says why. When that is mended: "
            f"paylog deliver {subscription.id} --retry-failed"
        )
    return counts


def reconcile(subscription: Subscription, run_id: str, window: Window) -> RunReceipt:
    """Hold the run's receipts against the table itself, and move the watermark.

    :raises UnbalancedReceipt: the table does not hold the rows that the receipts say, or the OpenScale
        service not those that it confirmed.
    """
    with open_data_mart(subscription) as data_mart:
        receipts = data_mart.receipts(subscription.id, run_id=run_id, limit=None)
        stored = data_mart.stored_counts(subscription.id, run_id)
        for count in stored:
            if count.stored not in (None, count.loaded):
                raise UnbalancedReceipt(
                    f"{subscription.id}: {count.uri} loaded {count.loaded} rows by the ledger, but the "
                    f"payload table holds {count.stored} of them. Rows were changed by hand, or paylog "
                    "has a defect."
                )
        through = _complete_through(subscription, window, [count.uri for count in stored], data_mart)
        training = TrainingStatus.of(subscription, data_mart)
        findings = data_mart.payload_findings(subscription.id, run_id, limit=None) if training else []
        delivery = _audited(subscription, run_id, data_mart) if subscription.deliver else None
    counted = sum(count.stored or 0 for count in stored)
    return RunReceipt.of(
        subscription.id,
        run_id,
        window,
        receipts,
        counted=counted,
        complete_through=through,
        training_data=training,
        payload_findings=findings,
        delivery=delivery,
    )


def _audited(subscription: Subscription, run_id: str, data_mart: DataMart) -> DeliveryCounts:
    from paylog.openscale.audit import audited

    return audited(data_mart, subscription, run_id)


def _complete_through(
    subscription: Subscription, window: Window, uris: Iterable[str], data_mart: DataMart
) -> datetime:
    """Note what was listed, and move the watermark as far as nothing is missing before it."""
    searched = searched_window(subscription, window)
    end = max(searched.start, min(window.end, datetime.now(UTC) - subscription.logs.settle))
    layout = Layout(subscription.layout)
    late = sum(not layout.covers(uri, window) for uri in uris)
    since = subscription.schedule.start or window.start
    return data_mart.advance_watermark(subscription.id, (searched.start, end), since, late).complete_through


def open_storage(subscription: Subscription) -> Storage:
    """The storage of the subscription's logs. Sends no request yet."""
    logs = subscription.logs
    return connect(resolve(logs.connection), logs.bucket or "", logs.prefix)


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
    return DataMart(resolve(target.connection), target.schema_name)
