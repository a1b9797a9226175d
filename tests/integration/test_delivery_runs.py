"""Delivery as a part of runs: the command line's, status, reconcile's comparison, connection tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cli_site import DAY, WINDOW, Site, log
from openscale_server import serving
from payload_blocks import query

from paylog.client.data_mart import DataMartClient
from paylog.connections import Connection, parse
from paylog.openscale.service import data_marts
from paylog.serve import application
from paylog.serve.data_sets import data_set_id
from paylog.subscription import load_subscriptions
from paylog.testing.postgres import EmbeddedPostgres

KEY = "an-api-key-for-tests-only"
INSTANCE = "11111111-2222-3333-4444-555555555555"
DATA_SET = data_set_id("credit-risk", "payload_logging")
DELIVER = {"connection": "service", "data_set": DATA_SET, "rows": 100, "patience": "2s", "settle": "1s"}
LOG = log(records=300, objects=3)
LOADED = LOG.expected.counts.loaded


@dataclass(frozen=True)
class Served(Site):
    """A site, and a service with a data mart of its own that has the same subscription."""

    there: Connection
    address: str

    @property
    def environment(self) -> dict[str, str]:
        service = {
            "conn_type": "paylog_openscale", "host": self.address, "password": KEY,
            "extra": {"auth": "preauth", "instance_id": INSTANCE},
        }  # fmt: skip
        return super().environment | {"AIRFLOW_CONN_SERVICE": json.dumps(service)}

    def delivered_ids(self) -> list[str]:
        rows = query(self.there, 'SELECT scoring_id FROM there."Payload_credit-risk" ORDER BY 1')
        return [row[0] for row in rows]

    def loaded_ids(self) -> list[str]:
        return [
            row[0] for row in self.query('SELECT scoring_id FROM payload."Payload_credit-risk" ORDER BY 1')
        ]


@pytest.fixture
def site(tmp_path: Path, empty_database: Connection, postgres: EmbeddedPostgres) -> Iterator[Served]:
    name = f"{empty_database.schema}_there"
    postgres.create_database(name)
    there = parse("there", postgres.url(name, "postgres"))
    client = DataMartClient(INSTANCE)
    client.use(there, "there")
    client.set_up()
    with serving(application(client, KEY)) as address:
        site = Served(tmp_path, empty_database, there, address)
        site.subscribe(deliver=DELIVER)
        (subscription,) = load_subscriptions(tmp_path / "subscriptions")
        mart = subscription.data_mart.model_copy(update={"schema_name": "there"})
        client.mart.ensure(subscription.model_copy(update={"data_mart": mart}))
        site.write(LOG)
        yield site
    client.mart.close()
    postgres.drop_database(name)


def test_a_run_delivers_what_it_loads(site: Served) -> None:
    receipt = site.json("run", "credit-risk", *WINDOW)
    assert receipt["delivery"] == {
        "loaded": LOADED, "confirmed": LOADED, "failed": 0, "open": 0, "counted by the service": LOADED,
    }  # fmt: skip
    assert site.delivered_ids() == site.loaded_ids()
    again = site.json("run", "credit-risk", *WINDOW)
    assert (again["loaded"], again["delivery"]["confirmed"]) == (0, 0)
    assert site.json("deliver", "credit-risk")["confirmed"] == LOADED
    assert len(site.delivered_ids()) == LOADED
    assert f"{LOADED:,} confirmed" in site.paylog("status", "credit-risk").stdout


def test_rows_stay_loaded_when_the_service_is_away_and_are_delivered_later(site: Served) -> None:
    address = site.address
    object.__setattr__(site, "address", "http://127.0.0.1:1")
    run = site.paylog("run", "credit-risk", *WINDOW, "--json")
    assert run.exit_code == 75, run.output
    assert json.loads(run.stdout)["loaded"] == LOADED
    (status,) = site.json("status", "credit-risk")
    assert status["complete_through"].startswith("2024-03-05")
    assert status["delivery"]["open"] == LOADED
    assert f"{LOADED:,} open" in site.paylog("status", "credit-risk").stdout
    assert site.paylog("check", "--connections").exit_code == 75

    object.__setattr__(site, "address", address)
    assert site.paylog("check", "--connections").exit_code == 0
    assert site.json("deliver", "credit-risk")["confirmed"] == LOADED
    assert site.delivered_ids() == site.loaded_ids()


def test_what_the_service_did_not_take_is_told_and_tried_again_when_asked(site: Served) -> None:
    registered = query(site.there, "SELECT document FROM there.paylog_subscription")[0][0]
    strict = json.loads(json.dumps(registered))
    for field in strict["model_schema"]["fields"]:
        if field["name"] == "LoanPurpose":
            field["type"] = "integer"
    change = "UPDATE there.paylog_subscription SET document = %s::jsonb"
    query(site.there, change, json.dumps({**strict, "error_budget": {"count": 0}}))
    run = site.paylog("run", "credit-risk", *WINDOW)
    assert run.exit_code == 5, run.output
    assert "--retry-failed" in run.stderr
    (status,) = site.json("status", "credit-risk")
    assert status["delivery"]["failed"] == LOADED
    assert site.paylog("deliver", "credit-risk").exit_code == 5
    assert site.delivered_ids() == []

    query(site.there, change, json.dumps(registered))
    assert site.json("deliver", "credit-risk", "--retry-failed")["confirmed"] == LOADED
    assert site.delivered_ids() == site.loaded_ids()


def test_only_the_missing_rows_of_a_failed_request_are_posted_again(site: Served) -> None:
    assert site.json("run", "credit-risk", *WINDOW)["delivery"]["confirmed"] == LOADED
    gone = site.delivered_ids()[::7]
    query(site.there, 'DELETE FROM there."Payload_credit-risk" WHERE scoring_id = ANY(%s)', gone)
    query(site.there, "DELETE FROM there.paylog_object")  # the service forgets what it was posted
    site.query(
        "UPDATE payload.paylog_delivery SET state = 'failed', failed = 1, confirmed = rows - 1 RETURNING 1"
    )
    assert site.json("deliver", "credit-risk", "--retry-failed")["confirmed"] == LOADED
    assert site.delivered_ids() == site.loaded_ids()


def test_reconcile_holds_the_service_to_what_it_confirmed(site: Served) -> None:
    from paylog.connections import use_resolver
    from paylog.errors import UnbalancedReceipt
    from paylog.pipeline import Window, reconcile

    receipt = site.json("run", "credit-risk", *WINDOW)
    query(
        site.there, 'DELETE FROM there."Payload_credit-risk" WHERE scoring_id = %s', site.delivered_ids()[0]
    )
    (subscription,) = load_subscriptions(site.folder / "subscriptions")
    use_resolver(lambda name: parse(name, site.environment[f"AIRFLOW_CONN_{name.upper()}"]))
    try:
        with pytest.raises(UnbalancedReceipt, match=f"counts {LOADED - 1}"):
            reconcile(subscription, receipt["run"], Window(DAY, DAY.replace(day=5)))
    finally:
        use_resolver(None)


def test_old_windows_and_backfills_are_posted_as_historical(
    site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[bool] = []

    def post(self: Any, records: bytes, *, historical: bool = False) -> Any:
        marked.append(historical)
        return taken(self, records, historical=historical)

    from paylog.openscale.service import Service

    taken = Service.post
    monkeypatch.setattr(Service, "post", post)
    site.json("run", "credit-risk", *WINDOW)
    assert set(marked) == {True}
    changes = {
        "finished_at = window_end, run_id = 'scheduled__x'": False,
        "run_id = 'backfill__x'": True,
        "run_id = 'manual__x'": False,
        # A run over years that ends now: it is the records that are old.
        "window_end = now(), finished_at = now()": True,
    }
    for change, historical in changes.items():
        marked.clear()
        site.query("DELETE FROM payload.paylog_delivery RETURNING 1")
        site.query(f"UPDATE payload.paylog_receipt SET {change} RETURNING 1")
        site.json("deliver", "credit-risk")
        assert set(marked) == {historical}


def test_the_test_button_says_what_is_wrong(site: Served) -> None:
    from paylog.errors import AccessDenied, RetriableError

    good = parse("service", site.environment["AIRFLOW_CONN_SERVICE"])
    assert data_marts(good) == [INSTANCE]
    with pytest.raises(AccessDenied):
        data_marts(replace(good, password="canary"))
    with pytest.raises(RetriableError):
        data_marts(replace(good, host="http://127.0.0.1:1"))
