"""The page's answers over a real data mart; who may see what is set by hand, Airflow's runs are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from paylog.airflow.page import places as places_module
from paylog.airflow.page import runs
from paylog.airflow.page.app import STATIC, app
from paylog.airflow.page.places import Places
from paylog.airflow.page.rights import Rights, rights
from paylog.connections import Connection, parse
from paylog.data_mart import DataMart
from paylog.data_mart.plans import PlannedBatch
from paylog.errors import ConfigurationError, PaylogError
from paylog.subscription import load_subscriptions
from paylog.subscription.alerts import Cause
from paylog.testing.operated_year import FLOOD, HALF, OUTAGE, OVER_BUDGET, SILENT, OperatedYear, last_hour
from paylog.testing.postgres import EmbeddedPostgres

SCHEMA, DATABASE = "operated", "operated"
MINE, OTHER, NEW, DOWN = "credit", "churn", "unused", "down"
DAG = f"paylog__{MINE}"
YEAR = OperatedYear(MINE, last_hour(datetime.now(UTC)), rows_an_hour=40, objects_an_hour=2, days=230)
TODAY = YEAR.until.date()


def subscription(name: str, schema: str = SCHEMA, connection: str = "mart", **mart: str) -> str:
    return yaml.safe_dump(
        {
            "id": name,
            "service_provider": "custom_machine_learning",
            "deployment": {"id": name},
            "logs": {"connection": "logs", "layout": "%Y/%m/%d/%H/"},
            "model_schema": {
                "problem_type": "binary",
                "class_labels": ["No Risk", "Risk"],
                "fields": [
                    {"name": "Age", "type": "integer"},
                    {"name": "prediction", "type": "string", "role": "prediction"},
                ],
            },
            "data_mart": {"connection": connection, "schema": schema, **mart},
            "schedule": {"cron": "0 * * * *"},
        }
    )


@pytest.fixture(scope="module")
def year(postgres: EmbeddedPostgres) -> Iterator[Connection]:
    """A data mart with most of a year of one subscription, and some of another one."""
    postgres.create_database(DATABASE)
    connection = parse("mart", postgres.url(DATABASE, "postgres"))
    with DataMart(connection, SCHEMA) as mart:
        mart.setup()
    YEAR.write(postgres, DATABASE, SCHEMA)
    OperatedYear(OTHER, YEAR.until, rows_an_hour=500, objects_an_hour=1, days=4).write(
        postgres, DATABASE, SCHEMA
    )
    yield connection
    postgres.drop_database(DATABASE)


@pytest.fixture
def client(year: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Of the page, for a user who may read every DAG but that of ``OTHER``."""
    (tmp_path / "credit.yaml").write_text(subscription(MINE))
    (tmp_path / "churn.yaml").write_text(subscription(OTHER))
    (tmp_path / "unused.yaml").write_text(subscription(NEW, schema="not there"))
    (tmp_path / "down.yaml").write_text(subscription(DOWN, connection="gone"))

    def resolved(name: str) -> Connection:
        if name != "mart":
            raise ConfigurationError(f"Airflow has no connection {name!r}.")
        return year

    monkeypatch.setenv("PAYLOG_SUBSCRIPTIONS", str(tmp_path))
    monkeypatch.setattr(places_module, "airflow_connection", resolved)
    monkeypatch.setattr(runs, "newest", lambda *arguments: [])
    monkeypatch.setattr(runs, "dags_of", lambda dag_ids, run_ids: {})
    app.state.places = Places()
    allow()
    yield TestClient(app)
    app.dependency_overrides.clear()


def allow(*names: str, edit: bool = False, values: bool = False) -> None:
    readable = frozenset(f"paylog__{name}" for name in (names or (MINE, NEW, DOWN)))
    allowed = Rights(readable, readable if edit else frozenset(), values)
    app.dependency_overrides[rights] = lambda: allowed


def days(client: TestClient, **asked: date) -> dict[int, dict[str, Any]]:
    """By days ago."""
    found = client.get(f"/api/subscriptions/{MINE}/days", params={k: str(v) for k, v in asked.items()}).json()
    rows = (dict(zip(found["columns"], row, strict=True)) for row in found["days"])
    return {(TODAY - date.fromisoformat(row["day"])).days: row for row in rows}


def test_the_calendar_shows_what_was_planted(client: TestClient) -> None:
    by_age = days(client)
    assert {by_age[ago]["state"] for ago in OUTAGE} == {"missing"}
    assert by_age[HALF]["state"] == "partial"
    assert by_age[SILENT]["state"] == "empty"
    assert by_age[OVER_BUDGET]["state"] == "failed"
    assert by_age[300]["state"] == "early"
    others = set(by_age) & set(range(1, 229)) - {*OUTAGE, HALF, SILENT, OVER_BUDGET}
    assert {by_age[ago]["state"] for ago in others} == {"complete"}
    shares = {ago: by_age[ago]["rejected"] / by_age[ago]["read"] for ago in others}
    assert {ago for ago, share in shares.items() if share > 0.02} == set(FLOOD)


def test_counts_are_those_of_the_receipts(client: TestClient, year: Connection) -> None:
    total = client.get(f"/api/subscriptions/{MINE}/days").json()["total"]
    with DataMart(year, SCHEMA) as mart:
        committed = [r for r in mart.receipts(MINE, limit=None) if r.state == "committed"]
    assert total["objects"] == sum(receipt.objects for receipt in committed)
    for name in ("read", "loaded", "duplicate", "rejected"):
        assert total[name] == sum(getattr(receipt.counts, name) for receipt in committed)
    about = client.get(f"/api/subscriptions/{MINE}").json()
    assert sum(each["rows"] for each in about["rejects"]) == total["rejected"]


def test_a_failure_is_shown_with_its_reason_and_hours(client: TestClient) -> None:
    (failure,) = client.get(f"/api/subscriptions/{MINE}/days").json()["failures"]
    assert list(failure["reasons"]) == ["TYPE_MISMATCH"]
    assert failure["state"] == "over_budget"
    assert failure["start"][:10] == str(TODAY - timedelta(days=OVER_BUDGET))
    about = client.get(f"/api/subscriptions/{MINE}").json()
    assert (about["state"], about["late_objects"]) == ("behind", 3)
    assert about["complete_through"] == failure["start"]
    assert [alert["cause"] for alert in about["alerts"]] == ["schema_mismatch"]


def test_an_open_alert_is_shown_however_many_were_resolved_since(
    client: TestClient, year: Connection
) -> None:
    with DataMart(year, SCHEMA) as mart:
        for _ in range(12):
            mart.alerts.see(MINE, Cause.NO_DATA, "nothing came", {})
            mart.alerts.resolve(MINE, [Cause.NO_DATA])
    about = client.get(f"/api/subscriptions/{MINE}").json()
    assert [alert["cause"] for alert in about["alerts"]] == ["schema_mismatch"]


def test_a_run_under_way_is_a_link_only_where_airflow_made_it(
    client: TestClient, year: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = YEAR.until, YEAR.until + timedelta(hours=1)
    with DataMart(year, SCHEMA) as mart:
        for run_id in ("manual__1", "command-1"):
            mart.save_plan(MINE, run_id, [PlannedBatch("0001", *window, ())])
        monkeypatch.setattr(runs, "dags_of", lambda dag_ids, run_ids: {"manual__1": DAG})
        found = client.get(f"/api/subscriptions/{MINE}").json()["running"]
        assert {run["run_id"]: run["dag"] for run in found} == {"manual__1": DAG, "command-1": None}


def test_a_range_is_given_day_by_day(client: TestClient) -> None:
    first = TODAY - timedelta(days=9)
    assert sorted(days(client, first=first, last=TODAY)) == list(range(10))
    path = f"/api/subscriptions/{MINE}/days"
    assert client.get(path, params={"first": "2020-01-01", "last": "2026-01-01"}).status_code == 422
    assert client.get(path, params={"first": "2024-01-02", "last": "2024-01-01"}).status_code == 422
    for half in ("first=1980-01-01", "first=2199-01-01", "last=0001-01-02", "last=9999-12-31"):
        assert client.get(f"{path}?{half}").status_code == 422, half


def test_rejects_and_receipts_are_paged(client: TestClient) -> None:
    path = f"/api/subscriptions/{MINE}/rejected"
    first = client.get(path, params={"reason": "MISSING_FEATURE"}).json()
    assert {record["reason"] for record in first} == {"MISSING_FEATURE"}
    assert set(first[0]) == {
        "quarantine_id", "uri", "position", "row", "rows", "reason", "column", "created_at",
    }  # fmt: skip
    ids = [record["quarantine_id"] for record in first]
    assert ids == sorted(ids, reverse=True)
    before = {"reason": "MISSING_FEATURE", "before": ids[-1]}
    assert client.get(path, params=before).json()[0]["quarantine_id"] < ids[-1]
    newest = client.get(f"/api/subscriptions/{MINE}/receipts").json()
    older = client.get(f"/api/subscriptions/{MINE}/receipts", params={"before": newest[-1]["receipt_id"]})
    assert [r["receipt_id"] for r in newest + older.json()] == sorted(
        {r["receipt_id"] for r in newest + older.json()}, reverse=True
    )


def test_the_overview_has_a_card_for_each_and_one_that_is_down_costs_no_other(client: TestClient) -> None:
    cards = {card["id"]: card for card in client.get("/api/subscriptions").json()["subscriptions"]}
    assert set(cards) == {MINE, NEW, DOWN}
    assert (cards[MINE]["state"], cards[MINE]["alerts"], len(cards[MINE]["strip"])) == ("behind", 1, 30)
    assert [entry[1] for entry in cards[MINE]["strip"]].count("failed") == 1
    assert cards[NEW]["state"] == "new"
    assert cards[DOWN]["state"] == "unreadable"
    assert "'gone'" in cards[DOWN]["error"]
    assert client.get(f"/api/subscriptions/{NEW}").status_code == 409
    assert client.get(f"/api/subscriptions/{DOWN}").status_code == 503


@pytest.mark.parametrize("below", ["", "/days", "/receipts", "/rejected", "/rejected/1"])
def test_a_subscription_whose_dag_may_not_be_read_does_not_exist(client: TestClient, below: str) -> None:
    unknown = client.get(f"/api/subscriptions/nobody{below}")
    hidden = client.get(f"/api/subscriptions/{OTHER}{below}")
    assert unknown.status_code == hidden.status_code == 404
    assert unknown.text.replace("nobody", OTHER) == hidden.text
    assert client.get(f"/api/dags/paylog__{OTHER}").status_code == 404
    assert client.get(f"/api/dags/{DAG}").json() == {"id": MINE}


@pytest.mark.parametrize(("edit", "values"), [(False, False), (True, False), (False, True)])
def test_values_need_both_the_switch_and_the_right(client: TestClient, edit: bool, values: bool) -> None:
    allow(MINE, edit=edit, values=values)
    assert client.get(f"/api/subscriptions/{MINE}").json()["values"] is False
    (record, *_) = client.get(f"/api/subscriptions/{MINE}/rejected").json()
    answer = client.get(f"/api/subscriptions/{MINE}/rejected/{record['quarantine_id']}")
    assert answer.status_code == 403
    assert "left out" not in answer.text


def test_values_are_shown_of_ones_own_subscription_only(client: TestClient) -> None:
    allow(MINE, OTHER, edit=True, values=True)
    (record, *_) = client.get(f"/api/subscriptions/{OTHER}/rejected").json()
    path = f"rejected/{record['quarantine_id']}"
    answer = client.get(f"/api/subscriptions/{OTHER}/{path}")
    assert "left out" in answer.json()["text"]
    assert answer.headers["cache-control"] == "no-store"
    assert client.get(f"/api/subscriptions/{MINE}/{path}").status_code == 404


def test_sessions_of_a_connection_that_changed_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mart:
        is_closed = False

        def __init__(self, connection: Connection, schema: str, *, read_only: bool) -> None:
            pass

        def close(self) -> None:
            self.is_closed = True

    (tmp_path / "credit.yaml").write_text(subscription(MINE))
    (mine,) = load_subscriptions(tmp_path)
    monkeypatch.setattr(places_module, "DataMart", Mart)
    places, found = Places(), []
    for port in (5432, 5432, 6543):
        there = Connection("mart", "postgres", "db", port=port)
        monkeypatch.setattr(places_module, "airflow_connection", lambda name, there=there: there)
        found.append(places.data_mart(mine))
    assert found[0] is found[1]
    assert [mart.is_closed for mart in found] == [True, True, False]


def test_the_session_cannot_write(year: Connection) -> None:
    with DataMart(year, SCHEMA, read_only=True) as mart, pytest.raises(PaylogError, match="25006"):
        mart.advance_watermark(MINE, (YEAR.since, YEAR.until), YEAR.since)


def test_the_page_asks_no_other_server(client: TestClient) -> None:
    answer = client.get(f"/subscription/{MINE}")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert not re.search(r"https?:|//[a-z]+\.[a-z]", text), file.name
        assert client.get(f"/static/{file.name}").status_code == 200
        if file.suffix == ".js":
            assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", text), file.name
