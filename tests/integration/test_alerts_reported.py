"""From a failed task to what its owners are told: Airflow's callbacks on a real data mart, and the CLI."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_site import Site

from paylog import pipeline
from paylog.airflow import alert_check, alerts
from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.errors import AccessDenied, RetriableError
from paylog.subscription import Subscription, load_subscriptions
from paylog.subscription.alerts import Cause

NOTIFIER = "test_alerts_reported.Kept"


class Kept:
    """A notifier that keeps what it is told."""

    told: list[str] = []  # noqa: RUF012

    def __call__(self, context: dict[str, Any]) -> None:
        alert = context["alert"]
        self.told.append(f"{alert.subject} | {alert.text}")


@dataclass
class Task:
    """What of Airflow's task instance is used."""

    run_id: str = "run-1"
    task_id: str = "ingest"
    map_index: int = 0
    log_url: str = "http://airflow/task"
    try_number: int = 1
    max_tries: int = 2


@dataclass
class Run:
    start_date: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Dag:
    dag_id: str = "paylog__credit-risk"


@pytest.fixture
def site(tmp_path: Path, empty_database: Connection, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path, empty_database)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    routes = [{"owners": ["a@example.com"], "notifier": NOTIFIER}]
    # An hour's schedule: something is due all the time.
    made.subscribe(alerts={"routes": routes}, schedule={"cron": "0 * * * *"})
    return made


@pytest.fixture
def owner(site: Site) -> Subscription:
    (found,) = load_subscriptions(site.folder / "subscriptions")
    with pipeline.open_data_mart(found) as data_mart:
        data_mart.setup()
    return found


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Subjects and texts. No Airflow runs: no variable of it is read, connections are the environment's."""
    monkeypatch.setattr(Kept, "told", [])
    monkeypatch.setattr("paylog.airflow.outage.Outage._read", lambda self: {})
    monkeypatch.setattr("paylog.airflow.connections.use_airflow_connections", lambda: None)
    monkeypatch.setattr(alerts, "_LOOKS", (0.0, 0.0))
    return Kept.told


def subjects(told: list[str]) -> list[str]:
    return [one.split(" | ")[0].removeprefix("paylog · credit-risk: ") for one in told]


def fail(owner: Subscription, error: BaseException | None) -> None:
    alerts.report_failure(owner, {"ti": Task(), "exception": error})


def test_a_failure_is_told_once_and_ends_with_a_run_that_began_later(
    owner: Subscription, told: list[str]
) -> None:
    before = Run()
    fail(owner, AccessDenied("bucket 'b': s3:GetObject is missing"))
    fail(owner, AccessDenied("bucket 'b': s3:GetObject is missing"))
    alerts.report_success(owner, {"dag_run": before})
    assert subjects(told) == ["a store refused, or could not be reached"]
    assert "s3:GetObject is missing" in told[0]
    assert "http://airflow/task" in told[0]
    alerts.report_success(owner, {"dag_run": Run(datetime.now(UTC) + timedelta(seconds=1))})
    assert subjects(told)[1:] == ["resolved: a store refused, or could not be reached"]


def test_no_value_of_another_librarys_error_is_kept(owner: Subscription, told: list[str], site: Site) -> None:
    fail(owner, ValueError("cannot read 'canary'"))
    assert subjects(told) == ["a run failed"]
    kept = site.query("SELECT a::text FROM payload.paylog_alert a")
    assert "ValueError" in kept[0][0]
    assert "canary" not in f"{kept} {told}"


def test_a_run_whose_task_was_killed_is_reported_unless_another_task_did(
    owner: Subscription, told: list[str]
) -> None:
    context = {"dag": Dag(), "dag_run": Run(), "run_id": "run-1"}
    fail(owner, AccessDenied("x"))
    alerts.report_run(owner, context)
    assert subjects(told) == ["a store refused, or could not be reached"]
    later = {"dag_run": Run(datetime.now(UTC) + timedelta(seconds=1))}
    alerts.report_run(owner, context | later)
    assert subjects(told)[1:] == ["a run failed"]
    assert "killed" in told[-1]


def test_what_a_task_reports_at_the_last_moment_is_not_reported_twice(
    owner: Subscription, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []

    def reported_meanwhile(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            fail(owner, AccessDenied("x"))

    monkeypatch.setattr(alerts.time, "sleep", reported_meanwhile)
    alerts.report_run(owner, {"dag": Dag(), "dag_run": Run(), "run_id": "run-1"})
    assert subjects(told) == ["a store refused, or could not be reached"]


def test_a_look_opens_and_closes_what_no_run_would_tell(
    owner: Subscription, told: list[str], site: Site
) -> None:
    assert alert_check._checked(owner, {}) == ["no_data", "late"]
    assert alert_check._checked(owner, {}) == ["no_data", "late"]
    assert subjects(told) == ["the engine sent no data", "payload records are late"]
    now = datetime.now(UTC)
    file = site.folder / "logs" / f"{now:%Y/%m/%d/%H}" / "a.ndjson"
    file.parent.mkdir(parents=True)
    file.write_text("{}\n")
    with pipeline.open_data_mart(owner) as data_mart:
        data_mart.advance_watermark(owner.id, (now - timedelta(days=9), now), now - timedelta(days=9))
    assert alert_check._checked(owner, {}) == []
    assert subjects(told)[2:] == ["resolved: the engine sent no data", "resolved: payload records are late"]


def test_a_store_that_cannot_be_listed_is_told_by_the_last_try(owner: Subscription, told: list[str]) -> None:
    assert alert_check._unreachable(owner, RetriableError("no answer from 'cos'"), {}) == ["store_refused"]
    assert subjects(told) == ["a store refused, or could not be reached"]
    assert "no answer from 'cos'" in told[0]


def test_the_command_lists_open_alerts_with_their_owners(owner: Subscription, site: Site) -> None:
    assert "no alert is open" in site.paylog("alerts").stdout
    with pipeline.open_data_mart(owner) as data_mart:
        data_mart.alerts.see(owner.id, Cause.LATE, "it is late", {"link": "l"})
        data_mart.alerts.see(owner.id, Cause.FAILED, "it failed", {})
        data_mart.alerts.resolve(owner.id, [Cause.FAILED])
    shown = site.paylog("alerts", "credit-risk").stdout
    assert "it is late" in shown
    assert "a@example.com" in shown
    assert "it failed" not in shown
    assert "it failed" in site.paylog("alerts", "--all").stdout
    (document,) = site.json("alerts")
    assert (document["cause"], document["owners"], document["resolved_at"]) == (
        ("late", ["a@example.com"], None)
    )


def test_the_command_before_the_first_run(site: Site) -> None:
    assert site.json("alerts") == []
    assert not DataMart(site.database, "payload").is_set_up()
