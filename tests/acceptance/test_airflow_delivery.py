"""Deliveries in a real Airflow, to a real ``paylog serve``: one that takes the rows, one that does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from openscale_service import openscale_service
from test_airflow import finished, instances

from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.testing.airflow_api import AirflowApi
from paylog.testing.demo_logs import DAYS, demo_logs
from paylog.testing.stack import DATA_MART, Stack

(LOADED,) = (
    log.expected.counts.loaded
    for log in demo_logs()
    if (log.subscription_id, log.day) == ("credit-risk", DAYS[0])
)
WINDOW = {"window_start": DAYS[0].isoformat(), "window_end": DAYS[1].isoformat()}


@pytest.fixture(scope="module")
def runs(
    stack: Stack, airflow: AirflowApi, subscriptions: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A run of each subscription, at the same time; by subscription."""
    log = tmp_path_factory.mktemp("service") / "serve.log"
    files = (subscriptions / f"{name}.yaml" for name in ("delivered", "refused"))
    with openscale_service(stack.postgres, *files, log) as connection:
        airflow.put_connection({"connection_id": "service", **connection})
        started = {name: airflow.trigger(f"paylog__{name}", conf=WINDOW) for name in ("delivered", "refused")}
        for name, run_id in started.items():
            finished(stack, airflow, f"paylog__{name}", run_id)
        yield started


def states(airflow: AirflowApi, name: str, run_id: str) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in airflow.tasks(f"paylog__{name}", run_id)}


def label(airflow: AirflowApi, name: str, run_id: str, task_id: str) -> str:
    (found,) = instances(airflow, f"paylog__{name}", run_id, task_id)
    return str(found["rendered_map_index"])


@pytest.mark.timeout(240)
def test_a_run_delivers_what_it_loads(airflow: AirflowApi, runs: dict[str, str]) -> None:
    run_id = runs["delivered"]
    assert airflow.run("paylog__delivered", run_id)["state"] == "success"
    assert set(states(airflow, "delivered", run_id).values()) == {"success"}
    assert label(airflow, "delivered", run_id, "deliver") == f"{LOADED:,} confirmed"
    assert f"{LOADED:,} confirmed" in label(airflow, "delivered", run_id, "reconcile")
    receipt = airflow.xcom("paylog__delivered", run_id, "reconcile")
    assert (receipt["loaded"], receipt["delivery"]) == (
        LOADED,
        {"loaded": LOADED, "confirmed": LOADED, "failed": 0, "open": 0, "counted by the service": LOADED},
    )


@pytest.mark.timeout(240)
def test_what_the_service_refuses_is_loaded_and_reconciled_and_the_run_fails(
    stack: Stack, airflow: AirflowApi, runs: dict[str, str]
) -> None:
    run_id = runs["refused"]
    assert airflow.run("paylog__refused", run_id)["state"] == "failed"
    found = states(airflow, "refused", run_id)
    assert (found["ingest"], found["deliver"], found["delivered"], found["reconcile"]) == (
        "success", "failed", "upstream_failed", "success",
    )  # fmt: skip
    (deliver,) = instances(airflow, "paylog__refused", run_id, "deliver")
    assert deliver["try_number"] == 1
    assert re.match(rf"refused: the service did not take {LOADED:,} of", deliver["rendered_map_index"])
    receipt = airflow.xcom("paylog__refused", run_id, "reconcile")
    assert (receipt["balanced"], receipt["delivery"]["failed"]) == (True, LOADED)
    events = airflow.get("/assets/events", source_dag_id="paylog__refused")["asset_events"]
    assert run_id in [event["source_run_id"] for event in events]
    with DataMart(Connection(DATA_MART, **stack.connections()[DATA_MART]), "paylog_demo") as mart:
        assert mart.payload.count("refused") == LOADED
