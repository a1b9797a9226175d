"""Training data in a real Airflow: its DAG, and the payload DAG that waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from paylog.testing.airflow_api import FINISHED, AirflowApi
from paylog.testing.demo_logs import DAYS
from paylog.testing.stack import Stack


@pytest.mark.timeout(240)
def test_findings_are_seen_without_a_log_and_block_what_requires_it(
    stack: Stack, airflow: AirflowApi
) -> None:
    window = {"window_start": DAYS[0].isoformat(), "window_end": DAYS[1].isoformat()}
    runs = {
        "paylog_training_data__credit-risk": airflow.trigger("paylog_training_data__credit-risk"),
        "paylog_training_data__strict": airflow.trigger("paylog_training_data__strict"),
    }
    states = finished(stack, airflow, runs)
    assert states["paylog_training_data__credit-risk"] == "success"
    assert states["paylog_training_data__strict"] == "failed"

    check, finding = labels(airflow, "paylog_training_data__credit-risk", runs)
    assert check == "5,150 rows · 1 warning: DUPLICATE_ROWS"
    assert finding.startswith("warning · DUPLICATE_ROWS · expected at most 1 % repeated rows, found 150 of")
    check, finding = labels(airflow, "paylog_training_data__strict", runs)
    assert check == "not read · 1 error: NOT_FOUND"
    assert "german_credit.csv" in finding  # the near name
    assert all(
        task["try_number"] == 1
        for task in airflow.tasks("paylog_training_data__strict", runs["paylog_training_data__strict"])
    )

    events = airflow.get("/assets/events", source_dag_id="paylog_training_data__credit-risk")["asset_events"]
    assert events[-1]["name"] == "paylog/credit-risk/training_data"
    assert [f["code"] for f in events[-1]["extra"]["findings"]] == ["DUPLICATE_ROWS"]

    loads = {name: airflow.trigger(name, conf=window) for name in ("paylog__credit-risk", "paylog__strict")}
    states = finished(stack, airflow, loads)
    assert states == {"paylog__credit-risk": "success", "paylog__strict": "failed"}
    tasks = {task["task_id"]: task for task in airflow.tasks("paylog__strict", loads["paylog__strict"])}
    assert (tasks["plan"]["state"], tasks["plan"]["try_number"]) == ("failed", 1)
    assert tasks["plan"]["rendered_map_index"].startswith(
        "strict: nothing is loaded, since the training data"
    )
    receipt = airflow.xcom("paylog__credit-risk", loads["paylog__credit-risk"], "reconcile")
    assert receipt["training data"]["status"] == "warning"


def finished(stack: Stack, airflow: AirflowApi, runs: dict[str, str]) -> dict[str, str]:
    """State by DAG id, once every run has one that lasts."""

    def states() -> dict[str, str]:
        return {name: str(airflow.run(name, run)["state"]) for name, run in runs.items()}

    stack.wait(lambda: set(states().values()) <= FINISHED, what=f"runs of {', '.join(runs)}")
    return states()


def labels(airflow: AirflowApi, name: str, runs: dict[str, str]) -> tuple[str, str]:
    """Of the check and its one finding."""
    tasks: dict[str, Any] = {task["task_id"]: task for task in airflow.tasks(name, runs[name])}
    return tasks["check"]["rendered_map_index"], tasks["finding"]["rendered_map_index"]
