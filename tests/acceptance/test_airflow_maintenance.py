"""The maintenance DAG in a real Airflow: one subscription's trouble is not another's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from paylog.testing.airflow_api import AirflowApi
from paylog.testing.stack import Stack

NAME = "paylog_maintenance"


@pytest.mark.timeout(300)
def test_the_upkeep_of_each_subscription_is_an_instance_with_its_label(
    stack: Stack, airflow: AirflowApi
) -> None:
    stack.wait(lambda: NAME in airflow.dags(), what="the maintenance DAG to be parsed")
    began = datetime.now(UTC)
    airflow.unpause(NAME)
    stack.wait(lambda: bool(airflow.runs(NAME, began)), what="last night's run")
    [run] = airflow.runs(NAME, began)

    def instances() -> dict[str, dict[str, Any]]:
        found = airflow.tasks(NAME, run)
        return {str(each["rendered_map_index"]).split(" · ")[0]: each for each in found}

    def settled() -> bool:
        states = {name: each["state"] for name, each in instances().items()}
        return [states.get(name) for name in ("credit-risk", "churn", "unknown", "down")] == [
            "success", "success", "failed", "up_for_retry",
        ]  # fmt: skip

    stack.wait(settled, what="the upkeep of the subscriptions", seconds=200)
    label = instances()["churn"]["rendered_map_index"]
    assert label.startswith(("churn · 3 partitions made; table ", "churn · nothing to do; "))
    assert " months" in label
    airflow.patch(f"/dags/{NAME}", {"is_paused": True}, update_mask="is_paused")
