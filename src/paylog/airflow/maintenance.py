"""One DAG for the upkeep of all subscriptions' data: subscriptions → maintain (mapped over them)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, get_current_context, task

from paylog.airflow.dag import EARLIEST, RETRIES, show_label
from paylog.errors import ConfigurationError

if TYPE_CHECKING:
    from paylog.subscription import Subscription

MAINTENANCE = "paylog_maintenance"
_NIGHTLY = "17 3 * * *"
_DOC = """\
### Upkeep of the data marts

**maintain** has one instance for each subscription. It makes the partitions of the months to come, removes
what the subscription's `retention` says (months of payload records, rejects, ledger, receipts), gives up
halves of pairs that waited too long, and reports table and index size: its label says what was done, its
XCom holds all of it. Loads go on meanwhile, and what is removed is never loaded again.

Trigger it with **Dry run** to see what is due. The same from the command line: `paylog maintain`.
"""


def maintenance_dag(folder: Path) -> DAG:
    """The DAG ``paylog_maintenance``, every night at 03:17 UTC.

    :param folder: of subscriptions; read when the DAG runs, not when it is parsed.
    """
    with DAG(
        dag_id=MAINTENANCE,
        description="Partitions ahead, retention, sizes",
        schedule=CronTriggerTimetable(_NIGHTLY, timezone="UTC"),
        start_date=EARLIEST,
        catchup=False,
        max_active_runs=1,
        default_args={"owner": "paylog", **RETRIES},
        params={
            "dry_run": Param(False, type="boolean", title="Dry run", description="Only say what is due.")
        },
        doc_md=_DOC,
        tags=["paylog", "maintenance"],
    ) as dag:
        _maintain(folder).expand(subscription_id=_subscriptions(folder))
    return dag


def _subscriptions(folder: Path) -> Any:
    @task(doc_md="Ids of the subscriptions that can be used.")
    def subscriptions() -> list[str]:
        from paylog.subscription import read_subscriptions

        return [each.id for each in read_subscriptions(folder).subscriptions]

    return subscriptions()


def _maintain(folder: Path) -> Any:
    @task(
        map_index_template="{{ label if label is defined else task.op_kwargs['subscription_id'] }}",
        multiple_outputs=False,
        max_active_tis_per_dagrun=2,
        doc_md="Does what is due for one subscription; safe beside loads, and to repeat.",
    )
    def maintain(subscription_id: str) -> dict[str, Any]:
        from paylog import upkeep
        from paylog.airflow.connections import use_airflow_connections

        use_airflow_connections()
        context = get_current_context()
        wanted = _wanted(folder, subscription_id)
        done = upkeep.maintain(wanted, apply=not context["params"]["dry_run"])
        show_label(context, f"{subscription_id} · {'' if done.applied else 'due: '}{done.as_text()}")
        return done.as_dict()

    return maintain


def _wanted(folder: Path, subscription_id: str) -> Subscription:
    from paylog.subscription import read_subscriptions

    for each in read_subscriptions(folder).subscriptions:
        if each.id == subscription_id:
            return each
    raise ConfigurationError(
        f"Subscription {subscription_id!r} was taken from {folder} after this run began, or its file is "
        "wrong now: paylog check says what. The next run leaves it out."
    )
