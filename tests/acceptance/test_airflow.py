"""A real Airflow, driven over its REST API, against PostgreSQL and an object store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.testing.airflow_api import FINISHED, AirflowApi
from paylog.testing.demo_logs import DAYS, DayOfLogs, demo_logs
from paylog.testing.stack import DATA_MART, Stack

LOGS: dict[tuple[str, datetime], DayOfLogs] = {(day.subscription_id, day.day): day for day in demo_logs()}
CHURN, CREDIT = "paylog__churn", "paylog__credit-risk"
DAY = timedelta(days=1)


def finished(stack: Stack, airflow: AirflowApi, dag_id: str, run_id: str) -> str:
    """The state of a run, once it has one that lasts."""
    stack.wait(lambda: airflow.run(dag_id, run_id)["state"] in FINISHED, what=f"{dag_id} {run_id}")
    return str(airflow.run(dag_id, run_id)["state"])


def instances(airflow: AirflowApi, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
    found = [task for task in airflow.tasks(dag_id, run_id) if task["task_id"] == task_id]
    return sorted(found, key=lambda task: task["map_index"])


@pytest.fixture(scope="session")
def mart(stack: Stack) -> Iterator[DataMart]:
    with DataMart(Connection(DATA_MART, **stack.connections()[DATA_MART]), "paylog_demo") as opened:
        yield opened


def table(mart: DataMart, subscription_id: str) -> tuple[int, str, dict[str, int]]:
    """Row count, digest of every value and identity, and quarantined rows by reason."""
    frame = mart.payload.frame(subscription_id).sort_values("scoring_id")
    digest = hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()
    return len(frame), digest, {str(k): v for k, v in mart.quarantine_counts(subscription_id).items()}


@pytest.fixture(scope="session")
def loaded(stack: Stack, airflow: AirflowApi) -> str:
    """A run, triggered as the form does it, of one day in small batches."""
    conf = {"window_start": DAYS[0].isoformat(), "window_end": (DAYS[0] + DAY).isoformat(), "batch_mb": 1}
    run_id = airflow.trigger(CHURN, conf=conf)
    assert finished(stack, airflow, CHURN, run_id) == "success"
    return run_id


@pytest.mark.timeout(240)
def test_a_run_loads_its_window(airflow: AirflowApi, loaded: str, mart: DataMart) -> None:
    expected = LOGS["churn", DAYS[0]].expected
    assert {task["state"] for task in airflow.tasks(CHURN, loaded)} == {"success"}
    ingests = instances(airflow, CHURN, loaded, "ingest")
    assert len(ingests) == 2
    # It names a window: it stands behind scheduled runs.
    assert {task["pool"] for task in ingests} == {"paylog_backfill"}
    rows, _, reasons = table(mart, "churn")
    assert (rows, reasons) == (expected.counts.loaded, expected.reasons)


def test_the_ui_says_window_and_amount_without_a_log(airflow: AirflowApi, loaded: str) -> None:
    expected = LOGS["churn", DAYS[0]].expected.counts
    (plan,) = instances(airflow, CHURN, loaded, "plan")
    assert plan["rendered_map_index"] == "2024-03-04 · 24 objects in 2 batches"
    for ingest in instances(airflow, CHURN, loaded, "ingest"):
        assert re.fullmatch(
            r"2024-03-04 \d\d:00 to \d\d:00 · \d+ objects · \S+ [kM]B → "
            r"[\d,]+ loaded, \d+ duplicate, \d+ rejected",
            ingest["rendered_map_index"],
        )
    (reconcile,) = instances(airflow, CHURN, loaded, "reconcile")
    account = f"{expected.read:,} read = {expected.loaded:,} loaded + {expected.duplicate} duplicate"
    assert account in reconcile["rendered_map_index"]
    assert reconcile["rendered_map_index"].endswith(" · balanced")
    text = airflow.xcom(CHURN, loaded, "reconcile", "receipt")
    assert re.search(r" · COLUMN_COUNT_MISMATCH 7 · ", text)


def test_the_receipt_is_the_xcom_and_the_asset_event(airflow: AirflowApi, loaded: str) -> None:
    expected = LOGS["churn", DAYS[0]].expected
    receipt = airflow.xcom(CHURN, loaded, "reconcile")
    counts = expected.counts
    assert (receipt["read"], receipt["loaded"], receipt["duplicate"], receipt["rejected"]) == (
        (counts.read, counts.loaded, counts.duplicate, counts.rejected)
    )
    assert receipt["rejected by reason"] == expected.reasons
    assert receipt["balanced"] is True
    events = airflow.get("/assets/events", source_dag_id=CHURN)["asset_events"]
    extra = {event["name"]: event["extra"] for event in events if event["source_run_id"] == loaded}
    assert extra == {
        "paylog/churn": receipt,
        "paylog/churn/complete": {
            "complete_through": receipt["complete through"],
            "previous": DAYS[0].isoformat(),
            "late_objects": 0,
        },
    }


def test_completeness_is_announced_only_when_the_watermark_moves(
    stack: Stack, airflow: AirflowApi, loaded: str
) -> None:
    """The same day again: nothing to load, and nothing that was not complete before."""
    conf = {"window_start": DAYS[0].isoformat(), "window_end": (DAYS[0] + DAY).isoformat()}
    run_id = airflow.trigger(CHURN, conf=conf)
    assert finished(stack, airflow, CHURN, run_id) == "success"
    events = airflow.get("/assets/events", source_dag_id=CHURN)["asset_events"]
    assert [event["name"] for event in events if event["source_run_id"] == run_id] == ["paylog/churn"]


def test_a_replay_from_the_form_keeps_what_is_still_wrong(
    stack: Stack, airflow: AirflowApi, loaded: str, mart: DataMart
) -> None:
    before = table(mart, "churn")
    dag_id = "paylog_replay__churn"
    run_id = airflow.trigger(dag_id, conf={"reason": "COLUMN_COUNT_MISMATCH"})
    assert finished(stack, airflow, dag_id, run_id) == "success"
    (task,) = airflow.tasks(dag_id, run_id)
    assert task["rendered_map_index"] == "7 rows tried again · 7 rejected"
    assert airflow.xcom(dag_id, run_id, "replay")["replayed"] == 7
    assert table(mart, "churn") == before


def test_a_cleared_task_ends_in_the_same_table(
    stack: Stack, airflow: AirflowApi, loaded: str, mart: DataMart
) -> None:
    before = table(mart, "churn")
    airflow.post(
        f"/dags/{CHURN}/clearTaskInstances",
        {
            "dry_run": False,
            "dag_run_id": loaded,
            "task_ids": ["ingest"],
            "only_failed": False,
            "include_downstream": True,
        },
    )
    assert finished(stack, airflow, CHURN, loaded) == "success"
    assert {task["try_number"] for task in instances(airflow, CHURN, loaded, "ingest")} == {2}
    assert table(mart, "churn") == before


def test_a_cleared_run_plans_nothing_new(
    stack: Stack, airflow: AirflowApi, loaded: str, mart: DataMart
) -> None:
    before = table(mart, "churn")
    run = httpx.URL(f"/dags/{CHURN}/dagRuns/{loaded.replace('+', '%2B')}/clear")
    airflow.post(str(run), {"dry_run": False})
    assert finished(stack, airflow, CHURN, loaded) == "success"
    assert {task["state"] for task in instances(airflow, CHURN, loaded, "reconcile")} == {"success"}
    assert table(mart, "churn") == before


def test_a_backfill_loads_each_day_and_a_manual_run_of_a_day_finds_it_loaded(
    stack: Stack, airflow: AirflowApi, mart: DataMart
) -> None:
    days = DAYS[:2]
    body = {
        "dag_id": CREDIT,
        "from_date": days[0].isoformat(),
        "to_date": days[1].isoformat(),
        "max_active_runs": 2,
        "reprocess_behavior": "none",
        "run_backwards": False,
        "dag_run_conf": {},
    }
    airflow.post("/backfills", body)
    runs = f"/dags/{CREDIT}/dagRuns"

    def backfilled() -> dict[str, str]:
        found = airflow.get(runs, run_type="backfill")["dag_runs"]
        return {run["logical_date"][:10]: run["dag_run_id"] for run in found if run["state"] in FINISHED}

    stack.wait(lambda: len(backfilled()) == 2, what="the backfill")
    for day in days:
        run_id = backfilled()[f"{day:%Y-%m-%d}"]
        assert airflow.run(CREDIT, run_id)["state"] == "success"
        receipt = airflow.xcom(CREDIT, run_id, "reconcile")
        assert receipt["loaded"] == LOGS["credit-risk", day].expected.counts.loaded
        assert receipt["rejected by reason"] == LOGS["credit-risk", day].expected.reasons
    assert table(mart, "credit-risk")[0] == sum(
        LOGS["credit-risk", day].expected.counts.loaded for day in days
    )


def test_a_manual_run_of_a_date_does_that_date(stack: Stack, airflow: AirflowApi) -> None:
    run_id = airflow.trigger(CREDIT, logical_date=DAYS[2])
    assert finished(stack, airflow, CREDIT, run_id) == "success"
    receipt = airflow.xcom(CREDIT, run_id, "reconcile")
    assert receipt["window"] == [DAYS[2].isoformat(), (DAYS[2] + DAY).isoformat()]
    assert receipt["loaded"] == LOGS["credit-risk", DAYS[2]].expected.counts.loaded


def test_a_window_without_logs_succeeds_with_an_empty_receipt(stack: Stack, airflow: AirflowApi) -> None:
    conf = {"window_start": "2020-01-01T00:00:00Z", "window_end": "2020-02-01T00:00:00Z"}
    run_id = airflow.trigger(CREDIT, conf=conf)
    assert finished(stack, airflow, CREDIT, run_id) == "success"
    states = {task["task_id"]: task["state"] for task in airflow.tasks(CREDIT, run_id)}
    assert (states.pop("plan"), states.pop("reconcile")) == ("success", "success")
    assert states == {"ingest": "skipped", "complete": "skipped"}
    assert airflow.xcom(CREDIT, run_id, "reconcile")["read"] == 0


def test_a_mistake_fails_on_the_first_try(stack: Stack, airflow: AirflowApi) -> None:
    run_id = airflow.trigger("paylog__unknown")
    assert finished(stack, airflow, "paylog__unknown", run_id) == "failed"
    (plan,) = instances(airflow, "paylog__unknown", run_id, "plan")
    assert (plan["state"], plan["try_number"], plan["max_tries"]) == ("failed", 1, 4)


def test_a_passing_fault_is_tried_again(stack: Stack, airflow: AirflowApi) -> None:
    run_id = airflow.trigger("paylog__down")

    def state() -> str:
        return str(instances(airflow, "paylog__down", run_id, "plan")[0]["state"])

    stack.wait(lambda: state() in ("up_for_retry", "failed"), what="the first try")
    assert state() == "up_for_retry"


def test_a_form_value_out_of_range_is_refused(airflow: AirflowApi) -> None:
    with pytest.raises(Exception, match="400"):
        airflow.trigger(CREDIT, conf={"batch_mb": 0})


def test_a_viewer_may_look_but_not_trigger(stack: Stack, airflow: AirflowApi) -> None:
    viewer = AirflowApi(stack.airflow.url, "viewer", stack.airflow.users["viewer"])
    viewer.log_in()
    assert CHURN in viewer.dags()
    with pytest.raises(Exception, match="403"):
        viewer.trigger(CHURN)
    viewer.close()


def test_no_payload_value_and_no_secret_is_in_a_log(stack: Stack, airflow: AirflowApi, loaded: str) -> None:
    secret = stack.connections()["paylog_logs"]["password"]
    words = [secret, "Month-to-month", "radio_tv", "no_checking", "inferenceTime"]
    logs = list((stack.airflow.logs / "tasks").rglob("*.log"))
    assert len(logs) > 5
    text = "".join(log.read_text() for log in logs)
    assert [word for word in words if word in text] == []
