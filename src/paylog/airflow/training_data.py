"""One DAG for each subscription's training data: check → finding (mapped over what was found)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, CronTriggerTimetable, get_current_context

from paylog.airflow.dag import EARLIEST, RETRIES, dag_id, show_label
from paylog.airflow.description import check_label, finding_label, training_data_description
from paylog.airflow.links import task
from paylog.errors import StopError

if TYPE_CHECKING:
    from paylog.subscription import Subscription

MOST_FINDINGS = 200


def training_data_dag_id(subscription_id: str) -> str:
    """Name of the DAG of a subscription's training data."""
    return f"paylog_training_data__{subscription_id}"


def training_data_asset(subscription: Subscription) -> Asset:
    """The checked profile of the training data. Its events carry status and findings in ``extra``."""
    mart = subscription.data_mart
    uri = f"paylog://{mart.connection}/{mart.schema_name}/{subscription.id}/training_data"
    return Asset(name=f"paylog/{subscription.id}/training_data", uri=uri)


def training_data_dag(subscription: Subscription) -> DAG:
    """The DAG ``paylog_training_data__<subscription id>`` of a subscription that has training data."""
    assert subscription.training_data is not None
    cron, zone = subscription.training_data.cron, subscription.schedule.timezone
    with DAG(
        dag_id=training_data_dag_id(subscription.id),
        description=f"Training data of {subscription.deployment.id}: profile and checks",
        schedule=CronTriggerTimetable(cron, timezone=zone),
        start_date=EARLIEST,
        catchup=False,
        max_active_runs=1,
        default_args={"owner": "paylog", **RETRIES},
        doc_md=training_data_description(subscription, dag_id(subscription.id)),
        tags=["paylog", "training data", subscription.service_provider],
    ) as dag:
        _finding().expand(finding=_check(subscription))
    return dag


def _check(subscription: Subscription) -> Any:
    asset = training_data_asset(subscription)

    @task(
        map_index_template="{{ label }}",
        outlets=[asset],
        doc_md="Reads the training data once; keeps its profile and what the checks found.",
    )
    def check() -> list[dict[str, str]]:
        from paylog import pipeline
        from paylog.airflow.connections import use_airflow_connections

        use_airflow_connections()
        context = get_current_context()
        stored = pipeline.check_training_data(subscription)
        document = stored.as_dict()
        context["outlet_events"][asset].extra = document
        context["ti"].xcom_push("check", document)
        show_label(context, check_label(stored))
        return [
            {"severity": f.severity.value, "label": finding_label(f), "text": str(f)}
            for f in stored.findings[:MOST_FINDINGS]
        ]

    return check()


def _finding() -> Any:
    @task(
        map_index_template="{{ label if label is defined else task.op_kwargs['finding']['label'] }}",
        doc_md="One instance for each finding. An error fails, so that the run is red; a warning does not.",
    )
    def finding(finding: dict[str, str]) -> str:
        show_label(get_current_context(), finding["label"])
        if finding["severity"] == "error":
            raise StopError(finding["text"])
        return finding["text"]

    return finding
