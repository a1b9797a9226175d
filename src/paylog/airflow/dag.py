"""One DAG per subscription: plan → ingest (mapped over batches) → deliver → reconcile.

Only what Airflow needs to draw the graph is imported here; the work is imported inside the tasks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, get_current_context
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from paylog.airflow import metrics
from paylog.airflow.alerts import deadline, failure_callback, run_callback, success_callback
from paylog.airflow.completeness import complete_task, keep_move
from paylog.airflow.description import (
    counts_label,
    dag_description,
    plan_label,
    preview_label,
    preview_text,
    receipt_label,
    receipt_text,
)
from paylog.airflow.form import Form, form_params
from paylog.airflow.links import task
from paylog.airflow.progress import logged_progress, run_progress
from paylog.errors import DeliveryFailed, ErrorBudgetExceeded, PayloadRefused, RequirementUnmet, StopError

if TYPE_CHECKING:
    from paylog.layout import Window
    from paylog.plan import Plan
    from paylog.subscription import Subscription

log = logging.getLogger(__name__)

MAX_BATCHES = 1000
MAX_ACTIVE_RUNS = 4
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
# What Airflow's database takes of a rendered map index.
_LABEL_LENGTH = 250
_DEFECTS: list[type[BaseException] | str] = [TypeError, AttributeError, NameError, AssertionError]

# RetryRule matches subclasses too. Everything else is tried again with backoff.
RETRIES: dict[str, Any] = {
    "retries": 4,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=15),
    "retry_policy": ExceptionRetryPolicy(
        [
            RetryRule(StopError, RetryAction.FAIL, reason="A retry cannot help: see the error."),
            RetryRule(_DEFECTS, RetryAction.FAIL, reason="A defect in paylog: please report the error."),
        ]
    ),
}


def dag_id(subscription_id: str) -> str:
    """Name of a subscription's DAG."""
    return f"paylog__{subscription_id}"


def payload_asset(subscription: Subscription) -> Asset:
    """The subscription's payload records. Its events carry the run's receipt in ``extra``."""
    mart = subscription.data_mart
    uri = f"paylog://{mart.connection}/{mart.schema_name}/{subscription.id}"
    return Asset(name=f"paylog/{subscription.id}", uri=uri)


def subscription_dag(subscription: Subscription) -> DAG:
    """The DAG ``paylog__<subscription id>``."""
    schedule = subscription.schedule
    with DAG(
        dag_id=dag_id(subscription.id),
        description=f"Payload records of {subscription.deployment.id} ({subscription.service_provider})",
        schedule=CronDataIntervalTimetable(schedule.cron, timezone=schedule.timezone),
        start_date=schedule.start or EARLIEST,
        # Without a start there is no first window to catch up from.
        catchup=schedule.catchup and schedule.start is not None,
        max_active_runs=MAX_ACTIVE_RUNS,
        default_args={"owner": "paylog", **RETRIES, **failure_callback(subscription)},
        on_failure_callback=run_callback(subscription),
        deadline=deadline(subscription),
        params=form_params(subscription),
        doc_md=dag_description(subscription),
        tags=["paylog", subscription.service_provider],
    ) as dag:
        batches = _plan(subscription)
        loads = _ingest(subscription).expand(batch=batches)
        if subscription.deliver is None:
            reconciled = _reconcile(subscription, "none_failed")
            loads >> reconciled
        else:
            reconciled = _deliver_and_reconcile(subscription, loads)
        reconciled >> complete_task(subscription)
    return dag


def _deliver_and_reconcile(subscription: Subscription, loads: Any) -> Any:
    """What is loaded is reconciled even if it was not delivered; then the run fails, by its last task.

    No trigger rule tells which of two upstream tasks may fail, so ``loaded`` stands for all of ingest:
    when that failed, neither of reconcile's upstream tasks is a success. Airflow runs no empty task.
    """
    loaded = EmptyOperator(task_id="loaded", trigger_rule="none_failed")
    delivered = deliver_task(subscription)
    loads >> loaded >> delivered >> EmptyOperator(task_id="delivered")
    reconciled = _reconcile(subscription, "all_done_min_one_success")
    [loaded, delivered] >> reconciled
    return reconciled


def _plan(subscription: Subscription) -> Any:
    @task(map_index_template="{{ label }}", doc_md="Lists the window's capture objects; reads no data.")
    def plan() -> list[dict[str, str]]:
        from paylog import pipeline
        from paylog.airflow.connections import use_airflow_connections

        use_airflow_connections()
        context = get_current_context()
        window, form = _window(subscription, context), Form.of(context["params"], subscription)
        if not form.plan_only:
            with refusal_shown(context):
                pipeline.prepare(subscription)
        # Not cut by workers, as the command line cuts: a task costs seconds to start, more than a smaller
        # share of the work saves, and other runs use the slots that are free at the end.
        planned = pipeline.plan(
            subscription,
            window,
            batch_bytes=form.batch_bytes,
            max_batches=min(MAX_BATCHES, conf.getint("core", "max_map_length")),
            reprocess=form.reprocess,
            order=form.order,
            # A backfill takes over runs that are there, under their ids: what they loaded is loaded again.
            run_id=context["run_id"] if context["dag_run"].run_type == "manual" else None,
        )
        if form.plan_only:
            _end_with_preview(subscription, planned, context)
        batches = pipeline.save_plan(subscription, planned, context["run_id"])
        context["ti"].xcom_push("window", [window.start.isoformat(), window.end.isoformat()])
        show_label(context, plan_label(planned))
        return batches

    return plan()


def _end_with_preview(subscription: Subscription, planned: Plan, context: Any) -> NoReturn:
    """Show what the run would do, and skip the doing."""
    from airflow.sdk.exceptions import DownstreamTasksSkipped

    from paylog.preview import preview

    seen = preview(subscription, planned, subscription.batch.max_parallel)
    context["ti"].xcom_push("plan", preview_text(seen))
    show_label(context, preview_label(seen))
    others = context["dag"].task_dict.keys() - {context["ti"].task_id}
    raise DownstreamTasksSkipped(tasks=sorted(others))  # type: ignore[no-untyped-call]


def _ingest(subscription: Subscription) -> Any:
    @task(
        map_index_template="{{ label if label is defined else task.op_kwargs['batch']['label'] }}",
        pool=conf.get("paylog", "load_pool"),
        max_active_tis_per_dagrun=subscription.batch.max_parallel,
        multiple_outputs=False,
        doc_md="Loads one batch in one transaction: rows, rejects, ledger and receipt.",
    )
    def ingest(batch: dict[str, str]) -> dict[str, Any]:
        from paylog import pipeline
        from paylog.airflow.connections import use_airflow_connections
        from paylog.airflow.lineage import report_batch

        use_airflow_connections()
        context = get_current_context()
        with refusal_shown(context, f"{batch['label']} → "):
            receipt = pipeline.ingest_planned(
                subscription, context["run_id"], batch["batch"], progress=logged_progress()
            )
        metrics.batch(receipt)
        report_batch(subscription, receipt)
        counts = counts_label(receipt.counts)
        show_label(context, f"{batch['label']} → {counts}{run_progress(subscription, context)}")
        return {"receipt": receipt.receipt_id, "counts": counts, "rejected by reason": receipt.reasons}

    return ingest


def deliver_task(subscription: Subscription) -> Any:
    """The task that posts what a run loaded."""

    @task(
        map_index_template="{{ label }}",
        multiple_outputs=False,
        doc_md="Posts what the run loaded, and is not confirmed yet, to the OpenScale service.",
    )
    def deliver() -> dict[str, Any]:
        from paylog import pipeline
        from paylog.airflow.connections import use_airflow_connections
        from paylog.openscale.progress import DeliveryProgress

        use_airflow_connections()
        context = get_current_context()
        with refusal_shown(context):
            counts = pipeline.deliver(subscription, context["run_id"], DeliveryProgress(log.info))
        show_label(context, counts.as_text())
        return counts.as_dict()

    return deliver()


def _reconcile(subscription: Subscription, trigger_rule: str) -> Any:
    asset = payload_asset(subscription)

    @task(
        map_index_template="{{ label }}",
        multiple_outputs=False,
        trigger_rule=trigger_rule,
        outlets=[asset],
        **success_callback(subscription),
        doc_md="Checks the receipts against the store's own counts; moves the watermark.",
    )
    def reconcile() -> dict[str, Any]:
        from paylog import pipeline
        from paylog.airflow.connections import use_airflow_connections

        use_airflow_connections()
        context = get_current_context()
        start, end = context["ti"].xcom_pull(task_ids="plan", key="window")
        window = pipeline.Window(datetime.fromisoformat(start), datetime.fromisoformat(end))
        receipt = pipeline.reconcile(subscription, context["run_id"], window)
        metrics.run(receipt)
        document = receipt.as_dict()
        context["outlet_events"][asset].extra = document
        keep_move(context, receipt)
        context["ti"].xcom_push("receipt", receipt_text(receipt))
        show_label(context, receipt_label(receipt))
        return document

    return reconcile()


def _window(subscription: Subscription, context: Any) -> Window:
    from paylog.airflow.window import SchedulePeriods, resolve_window
    from paylog.pipeline import Window

    run = context["dag_run"]
    interval = (run.data_interval_start, run.data_interval_end)
    schedule = subscription.schedule
    start, end = resolve_window(
        SchedulePeriods(schedule.cron, schedule.timezone),
        context["params"],
        logical_date=run.logical_date,
        data_interval=interval if all(interval) else None,
        run_after=run.run_after,
        zone=schedule.timezone,
    )
    return Window(start, end)


def show_label(context: Any, text: str) -> None:
    """Name the task instance in the UI, and say the same in its log."""
    context["label"] = text if len(text) <= _LABEL_LENGTH else f"{text[: _LABEL_LENGTH - 1]}…"
    log.info("%s", text)


@contextmanager
def refusal_shown(context: Any, prefix: str = "") -> Iterator[None]:
    """Name the task instance after the error that no retry can help, so that no log need be opened."""
    try:
        yield
    except (PayloadRefused, RequirementUnmet, ErrorBudgetExceeded, DeliveryFailed) as error:
        show_label(context, f"{prefix}{error}")
        raise
