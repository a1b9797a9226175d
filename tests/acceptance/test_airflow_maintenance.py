"""The maintenance DAG in a real Airflow: one subscription's trouble is not another's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

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
        found = [each for each in airflow.tasks(NAME, run) if each["task_id"] == "maintain"]
        return {str(each["rendered_map_index"]).split(" · ")[0]: each for each in found}

    def settled() -> bool:
        states = {name: each["state"] for name, each in instances().items()}
        wanted = {"credit-risk": "success", "churn": "success", "strict": "success", "unknown": "failed"}
        return wanted.items() <= states.items()

    # The fifth cannot reach its data mart, and is tried again for longer than a test may wait.
    stack.wait(settled, what="the upkeep of the subscriptions", seconds=200)
    label = instances()["churn"]["rendered_map_index"]
    assert label.startswith(("churn · 3 partitions made; table ", "churn · nothing to do; "))
    assert label.endswith(" months")
    path = f"/dags/{NAME}/dagRuns/{quote(run, safe='')}"
    assert airflow.patch(path, {"state": "failed"}, update_mask="state")["state"] == "failed"
