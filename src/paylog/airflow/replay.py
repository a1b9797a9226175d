"""One DAG a subscription for what is in quarantine: replay → deliver. Started by hand, with a form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param, get_current_context
from airflow.sdk.configuration import conf

from paylog.airflow.dag import (
    EARLIEST,
    RETRIES,
    dag_id,
    deliver_task,
    payload_asset,
    refusal_shown,
    show_label,
)
from paylog.airflow.description import replay_description, replay_label, replay_text
from paylog.airflow.links import task
from paylog.airflow.progress import logged_progress
from paylog.errors import Reason

if TYPE_CHECKING:
    from paylog.replay import Selection
    from paylog.subscription import Subscription

ANY = "any"


def replay_dag_id(subscription_id: str) -> str:
    """Name of the DAG that replays a subscription's quarantine."""
    return f"paylog_replay__{subscription_id}"


def replay_dag(subscription: Subscription) -> DAG:
    """The DAG ``paylog_replay__<subscription id>``."""
    with DAG(
        dag_id=replay_dag_id(subscription.id),
        description=f"Records of {subscription.deployment.id} in quarantine, once more",
        schedule=None,
        start_date=EARLIEST,
        catchup=False,
        max_active_runs=1,
        # Nothing starts it but people, who would wonder why their run does not.
        is_paused_upon_creation=False,
        default_args={"owner": "paylog", **RETRIES},
        params=_params(),
        doc_md=replay_description(subscription, dag_id(subscription.id)),
        tags=["paylog", "replay", subscription.service_provider],
    ) as dag:
        replayed = _replay(subscription)
        if subscription.deliver is not None:
            replayed >> deliver_task(subscription)
    return dag


def _params() -> dict[str, Param]:
    moment: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}
    return {
        "reason": Param(
            ANY,
            title="Reason",
            description="Only records that were rejected for this reason.",
            type="string",
            enum=[ANY, *(reason.value for reason in Reason)],
        ),
        "window_start": Param(
            None, title="Window start", description="Only of objects from here on.", **moment
        ),
        "window_end": Param(None, title="Window end", description="Exclusive.", **moment),
    }


def _replay(subscription: Subscription) -> Any:
    asset = payload_asset(subscription)

    @task(
        map_index_template="{{ label }}",
        multiple_outputs=False,
        pool=conf.get("paylog", "load_pool"),
        outlets=[asset],
        doc_md="Loads records of the quarantine again, each piece in one transaction with its receipt.",
    )
    def replay() -> dict[str, Any]:
        from paylog import pipeline
        from paylog.airflow.connections import use_airflow_connections
        from paylog.replay import replay as replay_records

        use_airflow_connections()
        context = get_current_context()
        with refusal_shown(context):
            pipeline.prepare(subscription)
            chosen = _selection(subscription, context)
            receipt = replay_records(subscription, context["run_id"], chosen, logged_progress())
        document = receipt.as_dict()
        context["outlet_events"][asset].extra = document
        context["ti"].xcom_push("receipt", replay_text(receipt))
        show_label(context, replay_label(receipt))
        return document

    return replay()


def _selection(subscription: Subscription, context: Any) -> Selection:
    from paylog.airflow.window import SchedulePeriods, asked_window
    from paylog.layout import Window
    from paylog.replay import Selection

    params, schedule = context["params"], subscription.schedule
    reason = None if params["reason"] == ANY else Reason(params["reason"])
    periods = SchedulePeriods(schedule.cron, schedule.timezone)
    asked = asked_window(params, periods, context["dag_run"].run_after, schedule.timezone)
    return Selection(reason, Window(*asked) if asked else None)
