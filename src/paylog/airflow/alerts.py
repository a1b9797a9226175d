"""Alerts in Airflow: what failed tasks and missed deadlines report, and notifiers that tell the owners.

Airflow calls ``report_failure`` in the worker, with the error, when a task failed for good; and in the DAG
processor, without one, when the scheduler misses a worker's heartbeat. Where only the task's own process
was killed (out of memory) it calls neither, but ``report_run``, as for every run that failed.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from paylog.errors import PaylogError

if TYPE_CHECKING:
    from airflow.sdk.definitions.deadline import DeadlineAlert

    from paylog.data_mart import DataMart
    from paylog.data_mart.alert_log import Alert, Notice
    from paylog.subscription import Subscription
    from paylog.subscription.alerts import Cause, Route

log = logging.getLogger(__name__)

# Arguments that notifiers commonly have, and what they are filled with unless the subscription says it.
_USUAL_ARGUMENTS = {
    "to": "{{ alert.owners }}",
    "subject": "{{ alert.subject }}",
    "text": "{{ alert.text }}",
    "message": "{{ alert.text }}",
    "html_content": "{{ alert.html }}",
}
# What templates may use beside ``alert``. Not the exception, nor what a task was given: they can hold values.
_CONTEXT = ("dag", "dag_run", "run_id", "ti", "task_instance")

# Before each look for what a run's tasks reported.
_LOOKS = (0.0, 5.0, 5.0)


def failure_callback(subscription: Subscription) -> dict[str, Any]:
    """Arguments for every task of a subscription's DAG."""
    return {"on_failure_callback": partial(report_failure, subscription)} if subscription.alerts else {}


def run_callback(subscription: Subscription) -> Callable[[Any], None] | None:
    """What is called when a run failed."""
    return partial(report_run, subscription) if subscription.alerts else None


def success_callback(subscription: Subscription) -> dict[str, Any]:
    """Arguments for the last task of a subscription's DAG."""
    return {"on_success_callback": partial(report_success, subscription)} if subscription.alerts else {}


def deadline(subscription: Subscription) -> DeadlineAlert | None:
    """Airflow's deadline of the subscription's runs, where it has one."""
    if subscription.alerts is None or subscription.alerts.deadline is None:
        return None
    from airflow.sdk.definitions.callback import AsyncCallback
    from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=subscription.alerts.deadline,
        callback=AsyncCallback(deadline_missed, {"document": subscription.document()}),
    )


def report_failure(subscription: Subscription, context: Any) -> None:
    """Note why a task failed, and tell the owners what they do not know yet."""
    from paylog.airflow.connections import use_airflow_connections
    from paylog.alerts import cause_of, summary_of

    use_airflow_connections()
    error, instance = context.get("exception"), context["ti"]
    details = {
        "run": instance.run_id,
        "task": instance.task_id,
        "map_index": instance.map_index,
        "link": instance.log_url,
    }
    report(subscription, cause_of(error), summary_of(error), details, context)


def report_run(subscription: Subscription, context: Any) -> None:
    """Report a failed run of which no task reported anything: one was killed."""
    from paylog.airflow.connections import use_airflow_connections
    from paylog.alerts import cause_of, summary_of

    use_airflow_connections()
    for seconds in _LOOKS:
        # The task's own callback may be under way.
        time.sleep(seconds)
        if _is_reported(subscription, context):
            return
    details = {"run": context["run_id"], "link": dag_link(context["dag"].dag_id, context["run_id"])}
    report(subscription, cause_of(None), summary_of(None), details, context)


def _is_reported(subscription: Subscription, context: Any) -> bool:
    from paylog import pipeline
    from paylog.airflow.outage import Outage
    from paylog.alerts import OF_RUNS
    from paylog.subscription.alerts import Cause

    run = context.get("dag_run")
    started = run.start_date if run is not None else None
    try:
        with pipeline.open_data_mart(subscription) as data_mart:
            newest = data_mart.alerts.newest(subscription.id)
    except PaylogError:
        return Outage(subscription).is_noted()
    of_runs = [alert for alert in newest if alert.cause in OF_RUNS - {Cause.OVERDUE}]
    return started is not None and any(alert.last_seen_at >= started for alert in of_runs)


def report_success(subscription: Subscription, context: Any) -> None:
    """A run went well: what was wrong with runs before it is resolved."""
    from paylog import pipeline
    from paylog.airflow.connections import use_airflow_connections
    from paylog.alerts import OF_RUNS

    use_airflow_connections()
    with pipeline.open_data_mart(subscription) as data_mart:
        data_mart.alerts.resolve(subscription.id, OF_RUNS, seen_before=context["dag_run"].start_date)
        tell_due(subscription, data_mart, context)


async def deadline_missed(context: dict[str, Any], document: dict[str, Any]) -> None:
    """What Airflow's deadline alert calls, in the triggerer; executors' callbacks may not read connections.

    :param context: the run as JSON.
    :param document: of the subscription.
    """
    from asgiref.sync import sync_to_async

    await sync_to_async(_report_overdue)(context["dag_run"], document)


def _report_overdue(run: dict[str, Any], document: dict[str, Any]) -> None:
    from paylog.airflow.connections import use_airflow_connections
    from paylog.subscription import Subscription
    from paylog.subscription.alerts import Cause
    from paylog.subscription.quantities import format_duration

    use_airflow_connections()
    subscription = Subscription.model_validate(document)
    assert subscription.alerts is not None
    assert subscription.alerts.deadline is not None
    patience = format_duration(subscription.alerts.deadline)
    summary = f"Run {run['dag_run_id']} has not ended {patience} after it was queued."
    details = {"run": run["dag_run_id"], "link": dag_link(run["dag_id"], run["dag_run_id"])}
    report(subscription, Cause.OVERDUE, summary, details, {})


def report(
    subscription: Subscription, cause: Cause, summary: str, details: dict[str, Any], context: Any
) -> None:
    """Note what is wrong in the data mart, or while that is out of reach in Airflow, and tell the owners."""
    from paylog import pipeline
    from paylog.airflow.outage import Outage
    from paylog.alerts import rejects_of_run
    from paylog.subscription.alerts import Cause

    try:
        with pipeline.open_data_mart(subscription) as data_mart:
            if cause is Cause.SCHEMA_MISMATCH and "run" in details:
                details |= {"reasons": rejects_of_run(data_mart, subscription.id, details["run"])}
            data_mart.alerts.see(subscription.id, cause, summary, details)
            tell_due(subscription, data_mart, context)
    except PaylogError as error:
        log.warning("the alert cannot be kept in the data mart: %s", error)
        for notice, alert in Outage(subscription).see(cause, summary, details):
            tell(subscription, notice, alert, context)


def tell_due(subscription: Subscription, data_mart: DataMart, context: Any) -> None:
    """Tell the owners what they were not told yet; what cannot be told is left to the next time."""
    from paylog.airflow.outage import Outage

    assert subscription.alerts is not None
    for notice, alert in data_mart.alerts.claim(subscription.id, subscription.alerts.remind):
        if not tell(subscription, notice, alert, context):
            data_mart.alerts.release(alert.alert_id, notice)
    for notice, alert in Outage(subscription).over():
        tell(subscription, notice, alert, context)


def tell(subscription: Subscription, notice: Notice, alert: Alert, context: Any) -> bool:
    """Send along every route of the alert's cause; whether one of them worked, or there is none."""
    from paylog.alerts import Message, routes_of

    routes = routes_of(subscription, alert.cause)
    given = {name: context[name] for name in _CONTEXT if name in context}
    sent = [_sent(route, given | {"alert": Message.of(notice, alert, route)}) for route in routes]
    return any(sent) or not routes


def _sent(route: Route, context: dict[str, Any]) -> bool:
    from airflow.sdk.module_loading import import_string  # type: ignore[attr-defined]

    try:
        kind = import_string(route.notifier)
        known = inspect.signature(kind).parameters
        usual = {name: text for name, text in _USUAL_ARGUMENTS.items() if name in known}
        kind(**usual | route.arguments)(context)
    except Exception as error:
        # Any provider's any error; its words may hold an address with a secret.
        log.error("%s was not sent by %s: %s", context["alert"].subject, route.notifier, type(error).__name__)
        return False
    return True


def dag_link(dag_id: str, run_id: str | None = None) -> str:
    """Address of a DAG, or of one of its runs, in Airflow's UI."""
    from urllib.parse import quote

    from airflow.sdk.configuration import conf

    base = str(conf.get("api", "base_url", fallback="http://localhost:8080/")).rstrip("/")
    return f"{base}/dags/{dag_id}" + (f"/runs/{quote(run_id, safe='')}" if run_id else "")
