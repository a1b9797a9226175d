"""A canary lies in every record, loaded or rejected: a user without rights meets it nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import page_site
import pytest
import watched
from page_site import BRITTLE, BROKEN, CANARY, DAY

from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.testing.airflow_api import FINISHED, AirflowApi
from paylog.testing.stack import DATA_MART, Stack

DAG = f"paylog__{BRITTLE}"
PAGE = f"/paylog/api/subscriptions/{BRITTLE}"
_OF_A_TASK = ("", "/xcomEntries", "/links", "/tries", "/renderedTemplates", "/dependencies")


@pytest.fixture(scope="module")
def loaded(stack: Stack, airflow: AirflowApi) -> str:
    """A run that was rolled back, then loaded with rejects."""
    page_site.write_logs(stack.object_store.client)
    page_site.write_brittle(stack.subscriptions)
    stack.wait(lambda: DAG in airflow.dags(), what="the DAG to be parsed")
    airflow.unpause(DAG)
    conf = {"window_start": DAY.isoformat(), "reprocess": "everything"}
    run_id = airflow.trigger(DAG, conf=conf | {"window_end": DAY.replace(day=DAY.day + 1).isoformat()})
    stack.wait(lambda: airflow.run(DAG, run_id)["state"] in FINISHED, what="the run over its budget")
    assert airflow.run(DAG, run_id)["state"] == "failed"
    page_site.write_brittle(stack.subscriptions, share=0.5)
    airflow.post(f"/dags/{DAG}/dagRuns/{quote(run_id, safe='')}/clear", {"dry_run": False})
    stack.wait(lambda: airflow.run(DAG, run_id)["state"] in FINISHED, what="the mended run")
    assert airflow.run(DAG, run_id)["state"] == "success"
    return run_id


def client(stack: Stack, user: str) -> httpx.Client:
    """Signed in as a browser is, by the cookie."""
    login = {"username": user, "password": stack.airflow.users[user]}
    answer = httpx.post(f"{stack.airflow.url}/auth/token", json=login, timeout=30).raise_for_status()
    cookies = {"_token": answer.json()["access_token"]}
    return httpx.Client(base_url=stack.airflow.url, cookies=cookies, timeout=30)


@pytest.fixture
def viewer(stack: Stack) -> Iterator[httpx.Client]:
    with client(stack, "viewer") as made:
        yield made


@pytest.fixture
def editor(stack: Stack) -> Iterator[httpx.Client]:
    with client(stack, "admin") as made:
        yield made


def test_the_canary_is_in_the_data_mart(stack: Stack, loaded: str) -> None:
    with DataMart(Connection(DATA_MART, **stack.connections()[DATA_MART]), "paylog_demo") as mart:
        frame = mart.payload.frame(BRITTLE)
        assert set(frame["City"]) == {CANARY}
        rejected = mart.overview.rejected_records(BRITTLE)
        raw = [mart.overview.raw_record(BRITTLE, record.quarantine_id) for record in rejected]
    assert raw
    assert [record for record in raw if record is None or CANARY.encode() not in record] == []


def page_answers(client: httpx.Client) -> Iterator[httpx.Response]:
    """Every address of the page."""
    for path in ("/paylog/", f"/paylog/subscription/{BRITTLE}", f"/paylog/dag/{DAG}"):
        yield client.get(path)
    yield client.get("/paylog/api/subscriptions")
    yield client.get(f"/paylog/api/dags/{DAG}")
    for below in ("", "/days", "/receipts", "/rejected", "/rejected?reason=NULL_VALUE"):
        yield client.get(f"{PAGE}{below}")


def airflow_answers(client: httpx.Client, run_id: str) -> Iterator[httpx.Response]:
    """What the UI and the REST API say of the run."""
    runs = f"/api/v2/dags/{DAG}/dagRuns"
    run = f"{runs}/{quote(run_id, safe='')}"
    for path in (runs, run, f"/api/v2/dags/{DAG}/details", "/api/v2/assets/events", "/api/v2/eventLogs"):
        yield client.get(path)
    yield client.get(f"/ui/grid/runs/{DAG}")
    instances = client.get(f"{run}/taskInstances")
    yield instances
    for task in instances.json()["task_instances"]:
        yield from task_answers(client, f"{run}/taskInstances/{task['task_id']}", task)


def task_answers(client: httpx.Client, path: str, task: dict[str, Any]) -> Iterator[httpx.Response]:
    mapped = task["map_index"]
    if mapped >= 0:
        yield client.get(f"{path}/{mapped}")
    for below in _OF_A_TASK[1:] if mapped >= 0 else _OF_A_TASK:
        yield client.get(f"{path}{below}", params={"map_index": mapped})
    entries = client.get(f"{path}/xcomEntries", params={"map_index": mapped}).json()
    for entry in entries.get("xcom_entries", ()):
        yield client.get(f"{path}/xcomEntries/{entry['key']}", params={"map_index": mapped})
    for number in range(1, task["try_number"] + 1):
        yield client.get(f"{path}/logs/{number}", params={"map_index": mapped, "full_content": True})


def test_a_viewer_meets_no_value(viewer: httpx.Client, loaded: str) -> None:
    answers = [*page_answers(viewer), *airflow_answers(viewer, loaded)]
    assert len(answers) > 40
    assert {answer.status_code for answer in page_answers(viewer)} == {200}
    told = [answer for answer in answers if answer.status_code == 200]
    assert len(told) > 0.8 * len(answers)
    assert [str(answer.url) for answer in answers if CANARY in answer.text] == []
    assert any("rows read" in answer.text or "loaded" in answer.text for answer in told)


def test_what_is_in_a_record_is_refused_to_a_viewer_and_shown_to_an_editor(
    viewer: httpx.Client, editor: httpx.Client, loaded: str
) -> None:
    records = viewer.get(f"{PAGE}/rejected").json()
    assert [r["reason"] for r in records].count("MALFORMED_JSON") == BROKEN
    for record in records:
        path = f"{PAGE}/rejected/{record['quarantine_id']}"
        assert viewer.get(path).status_code == 403
        assert CANARY not in viewer.get(path).text
        assert CANARY in editor.get(path).text


def test_nobody_who_is_not_signed_in_is_told_anything(stack: Stack, loaded: str) -> None:
    with httpx.Client(base_url=stack.airflow.url, timeout=30) as stranger:
        answers = list(page_answers(stranger))
    assert {answer.status_code for answer in answers[:3]} == {200}
    assert {answer.status_code for answer in answers[3:]} == {401}
    assert [str(answer.url) for answer in answers if BRITTLE in answer.text] == []


def test_no_log_and_no_metric_holds_it(stack: Stack, receivers: watched.Receivers, loaded: str) -> None:
    logs = [file for file in stack.airflow.logs.rglob("*.log") if file.is_file()]
    assert any(DAG in str(file) for file in logs)
    assert [str(file) for file in logs if CANARY in file.read_text(errors="replace")] == []
    assert receivers.statsd.samples
    assert CANARY not in repr(receivers.statsd.samples)
