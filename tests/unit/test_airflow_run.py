"""A run in Airflow, followed over its REST API: here an API that is played."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from paylog.airflow.rest import AirflowRest
from paylog.cli import airflow_run
from paylog.cli.airflow_run import AirflowRun
from paylog.cli.exit_code import ExitCode, reported
from paylog.connections import Connection, parse, use_resolver
from paylog.errors import AccessDenied, ConfigurationError, RetriableError, StopError
from paylog.layout import Window
from paylog.reprocess import Order, Reprocess
from paylog.subscription import load_subscriptions

START = datetime(2024, 3, 4, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=1))
SUBSCRIPTIONS = Path(__file__).parents[2] / "subscriptions"


class Played:
    """An Airflow whose run goes through ``states`` of its batches, one list a look."""

    def __init__(self, *looks: list[str | None], ends: str = "success", paused: bool = False) -> None:
        self.looks = list(looks)
        self.ends = ends
        self.paused = paused
        self.conf: dict[str, Any] = {}
        self.now: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/auth/token":
            known = json.loads(request.content)["password"] == "right"
            return httpx.Response(201 if known else 401, json={"access_token": "t"})
        assert request.headers["Authorization"] == "Bearer t"
        if request.method == "POST":
            self.conf = json.loads(request.content)["conf"]
            return httpx.Response(200, json={"dag_run_id": "manual__1"})
        return httpx.Response(200, json=self._document(path, request))

    def _document(self, path: str, request: httpx.Request) -> dict[str, Any]:
        if path.endswith("/dagRuns/manual__1"):
            return {"state": "running" if len(self.looks) > 1 else self.ends}
        if path.endswith("/taskInstances"):
            offset = int(request.url.params["offset"])
            if not offset:
                self.now = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
            tasks = [
                {"task_id": "ingest", "map_index": n, "state": s, "rendered_map_index": f"batch {n}"}
                for n, s in enumerate(self.now)
            ]
            return {"task_instances": tasks[offset : offset + 2], "total_entries": len(tasks)}
        if "/xcomEntries/" in path:
            return {"value": {"run": "manual__1"} if path.endswith("return_value") else "one · two"}
        return {"is_paused": self.paused}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[Played], AirflowRest]:
    """A logged-in client of an Airflow that is played; a run that is started there finds it too."""

    def connected(played: Played) -> AirflowRest:
        airflow = AirflowRest("http://airflow", "admin", "right", httpx.MockTransport(played))
        airflow.log_in()
        monkeypatch.setattr(AirflowRest, "of", lambda _: airflow)
        return airflow

    monkeypatch.setattr(airflow_run, "_SECONDS_BETWEEN_LOOKS", 0.0)
    use_resolver(lambda name: Connection(name, "http"))
    return connected


@pytest.fixture(autouse=True)
def _forget() -> Any:
    yield
    use_resolver(None)


def started() -> AirflowRun:
    (subscription, *_) = load_subscriptions(SUBSCRIPTIONS)
    return AirflowRun.start(subscription, "af", WINDOW, Reprocess.EVERYTHING, Order.NEWEST, 5_000_000)


def test_a_run_is_started_as_the_form_does_it_and_followed_to_its_receipt(
    connect: Callable[[Played], AirflowRest], capsys: pytest.CaptureFixture[str]
) -> None:
    played = Played([], [None, None, None], ["success", "running", None], ["success"] * 3)
    connect(played)
    started().follow(as_json=False)
    assert played.conf == {
        "window_start": "2024-03-04T00:00:00+00:00",
        "window_end": "2024-03-05T00:00:00+00:00",
        "reprocess": "everything",
        "order": "newest",
        "batch_mb": 5,
    }
    said = capsys.readouterr()
    assert said.out == "one\n  two\n"
    lines = said.err.splitlines()[1:]
    assert lines[0] == "planning"
    assert lines[1] == "0 of 3 batches (3 waiting)"
    assert lines[2] == "1 of 3 batches, 1 s left (1 running, 1 waiting)"


def test_batches_that_are_cleared_meanwhile_are_to_be_loaded_again(
    connect: Callable[[Played], AirflowRest], capsys: pytest.CaptureFixture[str]
) -> None:
    connect(Played(["failed", None], [None, None], ["success"] * 2, ["success"] * 2))
    started().follow(as_json=False)
    lines = capsys.readouterr().err.splitlines()[1:]
    assert lines == ["1 of 2 batches, 1 s left (1 waiting)", "0 of 2 batches (2 waiting)", "2 of 2 batches"]


def test_a_run_that_fails_names_the_tasks(
    connect: Callable[[Played], AirflowRest], capsys: pytest.CaptureFixture[str]
) -> None:
    connect(Played(["success", "failed", "failed", "failed", "failed"], ends="failed"))
    with pytest.raises(typer.Exit) as end, reported(as_json=True):
        started().follow(as_json=True)
    assert end.value.exit_code == ExitCode.STOPPED
    told = json.loads(capsys.readouterr().out)["error"]
    assert "batch 1; batch 2; batch 3 and 1 more" in told["message"]


def test_a_paused_dag_is_refused_before_anything_is_started(
    connect: Callable[[Played], AirflowRest],
) -> None:
    played = Played([], paused=True)
    connect(played)
    with pytest.raises(StopError, match="is paused"):
        started()
    assert played.conf == {}


def test_tasks_are_read_page_by_page(connect: Callable[[Played], AirflowRest]) -> None:
    found = connect(Played(["success"] * 5)).tasks("paylog__one", "manual__1")
    assert [task["map_index"] for task in found] == [0, 1, 2, 3, 4]


def test_what_is_wrong_with_the_connection_is_said_without_the_password() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("secret")

    wrong = AirflowRest("http://airflow", "admin", "wrong-secret", httpx.MockTransport(Played([])))
    with pytest.raises(AccessDenied) as denied:
        wrong.log_in()
    with pytest.raises(RetriableError) as lost:
        AirflowRest("http://airflow", "admin", "secret", httpx.MockTransport(gone)).log_in()
    with pytest.raises(ConfigurationError, match="type http") as other:
        AirflowRest.of(parse("af", "postgres://admin:secret@db:5432/x"))
    assert not [error for error in (denied, lost, other) if "secret" in str(error.value)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, AccessDenied), (404, StopError), (429, RetriableError), (503, RetriableError)],
)
def test_an_answer_that_may_be_better_later_is_retriable(status: int, kind: type[Exception]) -> None:
    busy = AirflowRest("http://airflow", "", "t", httpx.MockTransport(lambda _: httpx.Response(status)))
    busy.log_in()
    with pytest.raises(kind) as error:
        busy.get("/dags")
    assert type(error.value) is kind


def test_a_server_that_is_down_does_not_make_the_password_wrong() -> None:
    down = AirflowRest("http://airflow", "admin", "right", httpx.MockTransport(lambda _: httpx.Response(502)))
    with pytest.raises(RetriableError, match="502"):
        down.log_in()


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("http://airflow:8080", "http://airflow:8080"),
        ("https://airflow", "https://airflow"),
        ("http://https://:token@airflow:8443", "https://airflow:8443"),
        ("http://:token@airflow:8080/https", "https://airflow:8080"),
    ],
)
def test_the_address_is_read_as_airflows_own_http_connections_are(uri: str, url: str) -> None:
    assert AirflowRest.of(parse("af", uri)).url == url
