"""Backfills in a real Airflow, while the schedule goes on: a year as one run, days as Airflow's own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from year_of_logs import DAILY, RANGE, Year, command, covered, environment, table

from paylog import pipeline
from paylog.layout import Window
from paylog.testing.airflow_api import FINISHED, AirflowApi
from paylog.testing.stack import Stack

DAY = timedelta(days=1)
# More by hand: 30 days take minutes on two cores.
DAYS = int(os.environ.get("PAYLOG_BACKFILL_DAYS", "4"))


@pytest.fixture(scope="module")
def year(stack: Stack, airflow: AirflowApi) -> Iterator[Year]:
    written = Year.write(stack)
    wanted = {f"paylog__{name}" for name in (RANGE, DAILY)}
    stack.wait(lambda: wanted <= airflow.dags(), what="the DAGs to be parsed")
    for dag_id in wanted:
        airflow.unpause(dag_id)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(stack).items():
            patch.setenv(name, value)
        yield written
    for dag_id in wanted:
        airflow.patch(f"/dags/{dag_id}", {"is_paused": True}, update_mask="is_paused")


def finished(stack: Stack, airflow: AirflowApi, dag_id: str, run_id: str) -> str:
    stack.wait(lambda: airflow.run(dag_id, run_id)["state"] in FINISHED, what=run_id, seconds=180)
    return str(airflow.run(dag_id, run_id)["state"])


def runs(airflow: AirflowApi, dag_id: str, run_type: str) -> list[dict[str, Any]]:
    found = airflow.get(f"/dags/{dag_id}/dagRuns", run_type=run_type)["dag_runs"]
    return [run for run in found if run["state"] in FINISHED]


def ingests(airflow: AirflowApi, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    return [task for task in airflow.tasks(dag_id, run_id) if task["task_id"] == "ingest"]


def assert_receipts_balance(name: str, year: Year) -> None:
    with pipeline.open_data_mart(year.loaded(name)) as data_mart:
        receipts = data_mart.receipts(name, limit=None)
    assert receipts
    assert all(receipt.counts.balanced for receipt in receipts)


@pytest.mark.timeout(300)
def test_plan_only_changes_nothing(stack: Stack, airflow: AirflowApi, year: Year) -> None:
    dag_id = f"paylog__{RANGE}"
    conf = {"window_start": year.window.start.isoformat(), "window_end": year.end.isoformat()}
    run_id = airflow.trigger(dag_id, conf=conf | {"plan_only": True})
    assert finished(stack, airflow, dag_id, run_id) == "success"
    tasks = {task["task_id"]: task for task in airflow.tasks(dag_id, run_id)}
    states = {name: task["state"] for name, task in tasks.items()}
    assert states.pop("plan") == "success"
    assert states == dict.fromkeys(("ingest", "reconcile", "complete"), "skipped")
    label = tasks["plan"]["rendered_map_index"]
    assert label.startswith("plan only · ")
    assert " · 365 objects in " in label
    text = airflow.xcom(dag_id, run_id, "plan", "plan")
    assert " · 365 new, 0 changed, " in text or " already loaded, " in text
    assert "% TYPE_MISMATCH" in text or "none rejected" in text
    events = airflow.get("/assets/events", source_dag_id=dag_id)["asset_events"]
    assert run_id not in {event["source_run_id"] for event in events}
    with pipeline.open_data_mart(year.loaded(RANGE)) as data_mart:
        assert data_mart.backfills.state(RANGE, run_id) is None


@pytest.mark.timeout(300)
def test_a_year_as_one_run_beside_the_schedule(
    stack: Stack, airflow: AirflowApi, year: Year, tmp_path: Path
) -> None:
    """Started and followed from the command line."""
    dag_id, began = f"paylog__{RANGE}", time.monotonic()
    options = ("--order", "newest", "--batch-size", "1MB")
    receipt = command("backfill", RANGE, year.window, *options, "--airflow", "my_airflow")
    run_id = receipt["run"]
    assert receipt["balanced"]
    seconds = time.monotonic() - began
    print(f"365 days as one run: {seconds:.1f} s")
    assert seconds < 180
    loads = ingests(airflow, dag_id, run_id)
    assert len(loads) > 2
    assert {task["pool"] for task in loads} == {"paylog_backfill"}
    # The schedule went on: its runs have another pool.
    stack.wait(lambda: bool(runs(airflow, dag_id, "scheduled")), what="a scheduled run", seconds=90)
    scheduled = [
        t for run in runs(airflow, dag_id, "scheduled") for t in ingests(airflow, dag_id, run["dag_run_id"])
    ]
    assert {task["pool"] for task in scheduled} == {"paylog_load"}
    loaded = year.loaded(RANGE)
    assert table(loaded, year.window) == table(year.clean(year.window, tmp_path), year.window)
    assert_receipts_balance(RANGE, year)
    assert covered(stack, loaded, year.window)


@pytest.mark.timeout(900)
def test_days_as_airflows_own_backfill_beside_the_schedule(
    stack: Stack, airflow: AirflowApi, year: Year, tmp_path: Path
) -> None:
    dag_id, began = f"paylog__{DAILY}", time.monotonic()
    window = Window(year.end - DAYS * DAY, year.end)
    body = {
        "dag_id": dag_id,
        "from_date": window.start.isoformat(),
        "to_date": (window.end - DAY).isoformat(),
        "max_active_runs": 3,
        "reprocess_behavior": "none",
        "run_backwards": False,
        "dag_run_conf": {},
    }
    airflow.post("/backfills", body)

    def done() -> set[str]:
        found = runs(airflow, dag_id, "backfill") + runs(airflow, dag_id, "scheduled")
        return {run["logical_date"] for run in found}

    stack.wait(lambda: len(done()) >= DAYS, what="the backfill", seconds=600)
    print(f"{DAYS} days as Airflow's backfill: {time.monotonic() - began:.1f} s")
    backfilled = runs(airflow, dag_id, "backfill")
    assert {run["state"] for run in backfilled} == {"success"}
    loads = [t for run in backfilled for t in ingests(airflow, dag_id, run["dag_run_id"])]
    assert {task["pool"] for task in loads if task["state"] == "success"} == {"paylog_backfill"}
    loaded = year.loaded(DAILY)
    rows, digest, _ = table(loaded, window)
    assert (rows, digest) == table(year.clean(window, tmp_path), window)[:2]
    assert_receipts_balance(DAILY, year)
    assert covered(stack, loaded, window)
