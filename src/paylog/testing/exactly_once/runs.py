"""Runs of a subscription, as the DAG makes them: prepare → plan → save the plan → ingest → reconcile."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from paylog import pipeline
from paylog.errors import RetriableError
from paylog.layout import Window
from paylog.records import Receipt
from paylog.reprocess import Reprocess
from paylog.run_receipt import RunReceipt
from paylog.subscription import Subscription
from paylog.testing.exactly_once.served_model import DAY

_numbers = count(1)


def plan(
    subscription: Subscription,
    window: Window = DAY,
    *,
    run_id: str = "",
    batch_bytes: int | None = None,
    reprocess: Reprocess = Reprocess.NEW,
) -> tuple[str, list[str]]:
    """Plan a run and keep the plan: the run's id and its batches."""
    run_id = run_id or f"run-{next(_numbers)}"
    pipeline.prepare(subscription)
    planned = pipeline.plan(subscription, window, batch_bytes=batch_bytes, reprocess=reprocess, run_id=run_id)
    return run_id, [batch["batch"] for batch in pipeline.save_plan(subscription, planned, run_id)]


def run(
    subscription: Subscription, window: Window = DAY, *, run_id: str = "", batch_bytes: int | None = None
) -> RunReceipt:
    """One whole run."""
    run_id, batches = plan(subscription, window, run_id=run_id, batch_bytes=batch_bytes)
    return load(subscription, run_id, batches, window)


def load(subscription: Subscription, run_id: str, batches: Sequence[str], window: Window = DAY) -> RunReceipt:
    """Load these batches of a plan and reconcile."""
    for batch_id in batches:
        pipeline.ingest_planned(subscription, run_id, batch_id)
    return pipeline.reconcile(subscription, run_id, window)


def run_until_done(subscription: Subscription, window: Window = DAY) -> list[RunReceipt]:
    """Run again until a plan is empty: the runs that had something to do."""
    done: list[RunReceipt] = []
    for _ in range(10):
        if not pipeline.plan(subscription, window).batches:
            return done
        done.append(run(subscription, window))
    raise AssertionError("10 runs were not enough: objects send each other to be read for ever")


def ingest_with_retries(subscription: Subscription, run_id: str, batch_id: str, tries: int = 8) -> Receipt:
    """Load one batch as Airflow does: again after a passing fault."""
    for left in reversed(range(tries)):
        try:
            return pipeline.ingest_planned(subscription, run_id, batch_id)
        except RetriableError:
            if not left:
                raise
    raise AssertionError("no try was made")


def in_schema(subscription: Subscription, schema: str) -> Subscription:
    """The same subscription with another data mart, that knows nothing yet."""
    document = subscription.document()
    document["data_mart"]["schema"] = schema
    return Subscription.model_validate(document)


def clean_run(subscription: Subscription, window: Window = DAY) -> Subscription:
    """Load everything once, in one undisturbed run, into a data mart of its own."""
    fresh = in_schema(subscription, f"clean {next(_numbers)}")
    run(fresh, window)
    return fresh
