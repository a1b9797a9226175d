"""The work, in its order: plan → ingest → reconcile. The DAG, the CLI and the tests call this.

plan       list the capture objects of a window, subtract the ledger, cut into batches
ingest     per batch: fetch → decode → normalize → load, in one transaction
reconcile  the receipts against the store's own counts; the watermark
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from paylog.connections import resolve
from paylog.errors import ConfigurationError, UnbalancedReceipt
from paylog.layout import Layout, Window
from paylog.object_ingest import ObjectIngest, Progress
from paylog.plan import MAX_BATCHES, Batch, Plan, listed, make_plan, searched_window, to_read_again
from paylog.records import Receipt
from paylog.run_receipt import RunReceipt
from paylog.storage import Storage, connect
from paylog.storage.payloads import Payloads
from paylog.storage.read_ahead import ReadAhead

if TYPE_CHECKING:
    from paylog.data_mart import DataMart
    from paylog.subscription import Subscription

__all__ = [
    "Batch",
    "Plan",
    "Progress",
    "RunReceipt",
    "Window",
    "due_window",
    "ingest",
    "ingest_planned",
    "open_data_mart",
    "open_storage",
    "plan",
    "prepare",
    "reconcile",
    "save_plan",
]

log = logging.getLogger(__name__)

_FIRST_WINDOW = timedelta(days=1)


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
    """Create or migrate what the data mart needs; safe to call at any time, by several at once."""
    with open_data_mart(subscription) as data_mart:
        data_mart.setup()
        data_mart.ensure(subscription)


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
    :raises RetriableError: a passing fault; nothing of the batch was kept, try again.
    """
    from paylog.decode import Decoder

    storage, decoder = open_storage(subscription), Decoder(subscription, open_payloads(subscription))
    span = window.start, window.end
    with (
        open_data_mart(subscription) as data_mart,
        data_mart.load(subscription, batch.batch_id, run_id, span, decoder.pairs) as load,
    ):
        source = ObjectIngest(storage, decoder, load, progress or _unwatched)
        items = sorted(batch.objects, key=lambda item: item.uri)
        with ReadAhead(storage, items) as ahead:
            for item in items:
                source.ingest(item, ahead.open)
        for freed in load.freed():
            source.supply(freed, items[0].uri.removesuffix(items[0].key))
        return load.receipt()


def _unwatched(rows: int, size: int) -> None:
    """Progress that nobody looks at."""


def reconcile(subscription: Subscription, run_id: str, window: Window) -> RunReceipt:
    """Hold the run's receipts against the table itself, and move the watermark.

    Halves of pairs that waited too long are given up first.

    :raises UnbalancedReceipt: the table does not hold the rows, or the waiting halves, that the receipts
        say.
    """
    with open_data_mart(subscription) as data_mart:
        data_mart.expire_pending(subscription, run_id, (window.start, window.end))
        waiting = data_mart.pending(subscription.id)
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
    counted = sum(count.stored or 0 for count in stored)
    return RunReceipt.of(
        subscription.id,
        run_id,
        window,
        receipts,
        counted=counted,
        complete_through=through,
        waiting=waiting.halves,
    )


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


def open_payloads(subscription: Subscription) -> Payloads:
    """Bodies that records refer to: only in the container, or folder, of the subscription's logs."""
    logs = subscription.logs
    return Payloads(resolve(logs.connection), logs.bucket or "", logs.max_record_bytes)


def open_data_mart(subscription: Subscription) -> DataMart:
    """The subscription's data mart, to be closed (``with``). Not connected yet."""
    from paylog.data_mart import DataMart

    target = subscription.data_mart
    return DataMart(resolve(target.connection), target.schema_name)
