"""The DAG that looks whether logs arrive and are loaded in time, also when no other run happens at all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, CronTriggerTimetable, get_current_context, task
from airflow.sdk.configuration import conf

from paylog.airflow.dag import EARLIEST, RETRIES, dag_id, show_label
from paylog.errors import PaylogError, RetriableError

if TYPE_CHECKING:
    from paylog.subscription import Subscription

log = logging.getLogger(__name__)

ALERT_CHECK = "paylog_alerts"


def alert_check_dag(subscriptions: Sequence[Subscription]) -> DAG:
    """The DAG ``paylog_alerts`` over all subscriptions that have ``alerts:``."""
    with DAG(
        dag_id=ALERT_CHECK,
        description="Looks whether logs arrive and are loaded in time, and tells the owners",
        schedule=CronTriggerTimetable(conf.get("paylog", "alert_schedule"), timezone="UTC"),
        start_date=EARLIEST,
        catchup=False,
        max_active_runs=1,
        default_args={
            "owner": "paylog",
            **RETRIES,
            "retries": 2,
            "retry_delay": timedelta(seconds=20),
        },
        doc_md=f"Subscriptions: {', '.join(sorted(each.id for each in subscriptions))}.",
        tags=["paylog"],
    ) as dag:
        _check(subscriptions)
    return dag


def _check(subscriptions: Sequence[Subscription]) -> Any:
    @task(map_index_template="{{ label }}", multiple_outputs=False, doc_md="Lists objects, reads watermarks.")
    def check() -> dict[str, list[str]]:
        from paylog.airflow.connections import use_airflow_connections

        use_airflow_connections()
        context = get_current_context()
        last_try = context["ti"].try_number > context["ti"].max_tries
        open_causes, faults = dict[str, list[str]](), list[RetriableError]()
        for each in subscriptions:
            try:
                open_causes[each.id] = _checked(each, context)
            except PaylogError as error:
                if isinstance(error, RetriableError) and not last_try:
                    faults.append(error)
                else:
                    open_causes[each.id] = _unreachable(each, error, context)
        show_label(context, _label(open_causes))
        if faults:
            raise faults[0]
        return open_causes

    return check()


def _checked(subscription: Subscription, context: Any) -> list[str]:
    """The causes that are open after a look at one subscription."""
    from paylog import pipeline
    from paylog.airflow import metrics
    from paylog.airflow.alerts import tell_due
    from paylog.airflow.window import SchedulePeriods
    from paylog.freshness import freshness

    schedule = subscription.schedule
    periods = SchedulePeriods(schedule.cron, schedule.timezone)
    with pipeline.open_data_mart(subscription) as data_mart:
        data_mart.setup()
        watermark = data_mart.watermark(subscription.id)
        storage = pipeline.open_storage(subscription)
        found = freshness(subscription, storage, watermark, periods.closed_before)
        for cause, summary in found.wrong.items():
            details = {"link": _payload_tab(subscription)}
            data_mart.alerts.see(subscription.id, cause, summary, details)
        data_mart.alerts.resolve(subscription.id, found.in_order)
        tell_due(subscription, data_mart, context)
        metrics.watermark(subscription.id, watermark)
        still_open = [alert.cause.value for alert in data_mart.alerts.open(subscription.id)]
        metrics.open_alerts(subscription.id, len(still_open))
        return still_open


def _unreachable(subscription: Subscription, error: PaylogError, context: Any) -> list[str]:
    from paylog.airflow.alerts import report
    from paylog.alerts import cause_of

    details = {"link": _payload_tab(subscription)}
    report(subscription, cause_of(error), str(error), details, context)
    return [cause_of(error).value]


def _payload_tab(subscription: Subscription) -> str:
    from paylog.airflow.alerts import dag_link

    return f"{dag_link(dag_id(subscription.id))}/plugin/payload"


def _label(open_causes: dict[str, list[str]]) -> str:
    """``3 subscriptions · credit-risk: late, no_data``."""
    wrong = [f"{name}: {', '.join(causes)}" for name, causes in open_causes.items() if causes]
    count = f"{len(open_causes)} subscription{'s' if len(open_causes) != 1 else ''}"
    return " · ".join([count, *(wrong or ["nothing is open"])])
