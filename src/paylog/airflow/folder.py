"""The folder of subscriptions as DAGs. A broken file costs its own DAG and no other."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from paylog.airflow.alert_check import ALERT_CHECK, alert_check_dag
from paylog.airflow.dag import dag_id, subscription_dag
from paylog.airflow.maintenance import MAINTENANCE, maintenance_dag
from paylog.airflow.replay import replay_dag, replay_dag_id
from paylog.airflow.training_data import training_data_dag, training_data_dag_id
from paylog.subscription import load_subscriptions, read_subscriptions

FOLDER_VARIABLE = "PAYLOG_SUBSCRIPTIONS"


def subscriptions_folder(dag_file: str) -> Path:
    """``PAYLOG_SUBSCRIPTIONS``, else ``subscriptions`` beside the folder of ``dag_file``."""
    configured = os.environ.get(FOLDER_VARIABLE)
    return Path(configured) if configured else Path(dag_file).resolve().parent.parent / "subscriptions"


def subscription_dags(folder: Path) -> dict[str, DAG]:
    """DAG id → DAG of every subscription that can be used; what is wrong with the others is not raised.

    A worker runs a task of one DAG: then only that DAG is built.
    """
    wanted = get_parsing_context().dag_id
    usable = read_subscriptions(folder).subscriptions
    builders: dict[str, Callable[[], DAG]] = {}
    for each in usable:
        builders[dag_id(each.id)] = partial(subscription_dag, each)
        builders[replay_dag_id(each.id)] = partial(replay_dag, each)
        if each.training_data is not None:
            builders[training_data_dag_id(each.id)] = partial(training_data_dag, each)
    if watched := [each for each in usable if each.alerts is not None]:
        builders[ALERT_CHECK] = partial(alert_check_dag, watched)
    return {name: build() for name, build in builders.items() if wanted in (None, name)}


def maintenance_dags(folder: Path) -> dict[str, DAG]:
    """The DAG of the upkeep, by its id."""
    wanted = get_parsing_context().dag_id in (None, MAINTENANCE)
    return {MAINTENANCE: maintenance_dag(folder)} if wanted else {}


def check_subscriptions(folder: Path) -> None:
    """Raise ``ConfigurationError`` with every mistake of every file; quiet when there is none."""
    load_subscriptions(folder)
