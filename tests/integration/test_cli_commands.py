"""The command line on a real data mart: check, plan, run, status, quarantine."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import yaml
from cli_site import DAY, DEFECTS, SHIPPED, WINDOW, Site, expected_fates, fates, keys, log, reasons

from paylog.testing.scored_model import CHURN
from paylog.testing.scoring_logs import CaptureLog

ROWS = 'SELECT count(*) FROM payload."Payload_credit-risk"'
LEDGER = "SELECT sum(loaded)::bigint FROM payload.paylog_object WHERE state <> 'superseded'"


@pytest.fixture
def loaded(site: Site) -> Site:
    site.write(log())
    assert site.paylog("run", "credit-risk", *WINDOW).exit_code == 0
    return site


def schemas(site: Site) -> set[str]:
    return {name for (name,) in site.query("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'")}


def test_check_of_connections(site: Site) -> None:
    before = site.json("check", "--connections")["connections"]
    assert [probe["ok"] for probe in before] == [True, True]
    assert "holds no objects yet" in before[0]["said"]
    assert "no control tables yet" in before[1]["said"]
    site.write(log(20, 1, defects={}))
    assert site.paylog("run", "credit-risk", *WINDOW).exit_code == 0
    after = site.json("check", "--connections")["connections"]
    assert after[0]["said"].startswith("there is file://")
    assert after[1]["said"] == "schema 'payload' is set up"


def test_plan_needs_no_data_mart_and_changes_nothing(site: Site) -> None:
    site.write(log())
    document = site.json("plan", "credit-risk", *WINDOW, "--batch-size", "100KB")
    assert document["window"] == ["2024-03-04T00:00:00+00:00", "2024-03-05T00:00:00+00:00"]
    assert (document["objects"], document["already_loaded"], document["changed"]) == (6, 0, 0)
    assert sum(batch["objects"] for batch in document["batches"]) == 6
    assert sum(batch["bytes"] for batch in document["batches"]) == document["bytes"] > 100_000
    assert len(document["batches"]) > 1
    assert schemas(site) == {"public", "information_schema"}
    assert site.json("status")[0]["complete_through"] is None
    assert site.json("quarantine", "list", "credit-risk") == []
    assert site.paylog("quarantine", "show", 1).exit_code == 3


def test_run_then_run_again(site: Site) -> None:
    written = log()
    site.write(written)
    first = site.json("run", "credit-risk", *WINDOW)
    assert fates(first) == expected_fates(written)
    assert first["rejected by reason"] == reasons(written)
    assert first["balanced"]
    assert first["complete through"] == "2024-03-05T00:00:00+00:00"
    assert site.query(ROWS) == [(written.expected.counts.loaded,)]
    again = site.json("run", "credit-risk", *WINDOW)
    assert (again["batches"], again["read"], again["balanced"]) == (0, 0, True)
    planned = site.json("plan", "credit-risk", *WINDOW)
    assert (planned["already_loaded"], planned["batches"]) == (6, [])


def test_a_plan_has_the_batches_of_the_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paylog.plan.SMALLEST_SHARE", 1000)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    site.write(log())
    planned = site.json("plan", "credit-risk", *WINDOW)
    assert planned["estimate"]["basis"].endswith(", 2 workers")
    assert len(planned["batches"]) == site.json("run", "credit-risk", *WINDOW)["batches"] == 2


def test_a_changed_object_is_planned_and_superseded(loaded: Site) -> None:
    first = next(keys(loaded.folder / "logs"))
    first.write_bytes(next(log(seed=8).objects()).data)
    planned = loaded.json("plan", "credit-risk", *WINDOW)
    assert (planned["changed"], planned["objects"], planned["already_loaded"]) == (1, 1, 5)
    assert loaded.json("run", "credit-risk", *WINDOW)["loaded"] > 0
    assert loaded.query("SELECT count(*) FROM payload.paylog_object WHERE state = 'superseded'") == [(1,)]
    assert loaded.query(ROWS) == loaded.query(LEDGER)
    assert loaded.json("plan", "credit-risk", *WINDOW)["objects"] == 0


def test_an_endpoint_with_data_capture(site: Site) -> None:
    span = {"start": DAY, "end": DAY + timedelta(days=1), "objects_count": 4, "rows_per_record": 3}
    written = CaptureLog(model=CHURN, records=400, defects=DEFECTS, **span)
    site.write(written)
    shipped = yaml.safe_load((SHIPPED / "churn.yaml").read_text(encoding="utf-8"))
    sections = {name: shipped[name] for name in ("service_provider", "deployment", "model_schema")}
    site.subscribe("churn", logs={"connection": "logs"}, **sections)
    document = site.json("run", "churn", *WINDOW, "--workers", 2, "--batch-size", "50KB")
    assert document["batches"] > 1
    assert fates(document) == expected_fates(written)
    assert document["rejected by reason"] == reasons(written)


def test_people_read_the_same_as_machines(site: Site) -> None:
    site.write(log())
    said = site.paylog("plan", "credit-risk", *WINDOW)
    assert "to load: 6 objects in 1 batch, " in said.stdout
    result = site.paylog("run", "credit-risk", *WINDOW)
    assert "(as asked)" in result.stderr
    assert "rejected              8" in result.stdout
    assert "TYPE_MISMATCH                   5" in result.stdout
    assert "balanced" in result.stdout
    status = site.paylog("status", "credit-risk").stdout
    assert status.startswith("credit-risk  complete through 2024-03-05 00:00 UTC\n")
    assert "quarantine: 5 TYPE_MISMATCH, 3 MALFORMED_JSON" in status
    assert "committed" in status
    assert "nothing is in quarantine for NULL_VALUE" in (
        site.paylog("quarantine", "list", "credit-risk", "--reason", "NULL_VALUE").stdout
    )


def test_the_default_window_goes_on_from_the_watermark(loaded: Site) -> None:
    assert loaded.json("plan", "credit-risk")["window"][0] == "2024-03-05T00:00:00+00:00"
    result = loaded.paylog("run", "credit-risk")
    assert "2024-03-05 00:00 to" in result.stderr
    assert "(what is due)" in result.stderr
    assert loaded.json("plan", "credit-risk")["window"][0] > "2024-03-06"
    too_early = loaded.paylog("plan", "credit-risk", "--to", "2024-03-05")
    assert too_early.exit_code == 2
    assert "nothing is due between" in too_early.stderr


def test_the_first_window_starts_with_the_schedule(site: Site) -> None:
    site.subscribe(schedule={"start": "2024-03-01", "timezone": "Europe/Berlin"})
    assert site.json("plan", "credit-risk", "--to", "2024-03-05T00:00Z")["window"] == [
        "2024-02-29T23:00:00+00:00",
        "2024-03-05T00:00:00+00:00",
    ]


def test_status_as_json(loaded: Site) -> None:
    site = loaded
    (status,) = site.json("status", "--receipts", 1)
    assert status["complete_through"] == "2024-03-05T00:00:00+00:00"
    assert status["quarantine"] == {"TYPE_MISMATCH": 5, "MALFORMED_JSON": 3}
    (receipt,) = status["receipts"]
    assert fates(receipt["counts"]) == expected_fates(log())
    assert receipt["run_id"].startswith("cli__")


def test_quarantine_shows_values_only_when_asked(loaded: Site) -> None:
    listed = loaded.json("quarantine", "list", "credit-risk", "--reason", "TYPE_MISMATCH", "--limit", 3)
    assert [record["reason"] for record in listed] == ["TYPE_MISMATCH"] * 3
    assert not any("raw" in record for record in listed)
    number = listed[0]["quarantine_id"]
    shown = loaded.json("quarantine", "show", number)
    assert shown == listed[0]
    raw = loaded.json("quarantine", "show", number, "--raw")
    assert raw["raw_encoding"] == "utf-8"
    record = json.loads(raw["raw"])
    assert "scoring_id" in record
    plain = loaded.paylog("quarantine", "show", number).stdout
    assert record["scoring_id"] not in plain
    assert shown["uri"] in plain
    assert record["scoring_id"] in loaded.paylog("quarantine", "show", number, "--raw").stdout


def test_an_id_in_two_data_marts_asks_which(loaded: Site) -> None:
    loaded.subscribe("second", data_mart={"connection": "mart", "schema": "other"})
    assert loaded.paylog("run", "second", *WINDOW).exit_code == 0
    ambiguous = loaded.paylog("quarantine", "show", 1)
    assert ambiguous.exit_code == 2
    assert "--subscription" in ambiguous.stderr
    assert loaded.json("quarantine", "show", 1, "--subscription", "second")["subscription_id"] == "second"
    assert [status["subscription"] for status in loaded.json("status")] == ["credit-risk", "second"]
