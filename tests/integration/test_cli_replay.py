"""The commands that mend what was loaded, and the one that says how complete it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_site import SHIPPED, WINDOW, Site, expected_fates, fates, log

from paylog.connections import Connection

TABLE = '"payload"."Payload_credit-risk"'
ROWS = f"SELECT count(*) FROM {TABLE}"


@pytest.fixture
def site(tmp_path: Path, empty_database: Connection) -> Site:
    made = Site(tmp_path, empty_database)
    made.write(log())
    return made


def schema(*, stray: bool = False, **changed: str) -> dict[str, Any]:
    """The shipped model schema, with a required feature that no record has, or other types."""
    shipped = yaml.safe_load((SHIPPED / "credit_risk.yaml").read_text(encoding="utf-8"))["model_schema"]
    fields = [f | {"type": changed.get(f["name"], f["type"])} for f in shipped["fields"]]
    first = [{"name": "NotInTheLogs", "type": "double", "required": True}] if stray else []
    return {"model_schema": shipped | {"fields": first + fields}}


def test_replay_after_the_schema_is_mended(site: Site) -> None:
    site.subscribe(**schema(stray=True), error_budget={"share": None})
    assert site.paylog("run", "credit-risk", *WINDOW).exit_code == 0
    assert site.query(ROWS) == [(0,)]
    site.subscribe()
    some = site.json("replay", "credit-risk", "--reason", "MISSING_FEATURE", *WINDOW)
    assert some["loaded"] == expected_fates(log())["loaded"]
    assert some["left open"] == {}
    people = site.paylog("replay", "credit-risk")
    assert people.exit_code == 0
    assert "8 rows of the quarantine were tried again" in people.stdout
    assert site.json("status")[0]["quarantine"] == {"TYPE_MISMATCH": 5, "MALFORMED_JSON": 3}
    assert site.query(ROWS) == [(some["loaded"],)]
    assert site.paylog("replay", "credit-risk", "--to", "2024-03-05").exit_code == 2


def test_a_replay_is_told_although_it_cannot_be_delivered(site: Site) -> None:
    site.subscribe(**schema(stray=True), error_budget={"share": None})
    assert site.paylog("run", "credit-risk", *WINDOW).exit_code == 0
    site.subscribe(deliver={"connection": "nowhere", "data_set": "d"})
    told = site.paylog("replay", "credit-risk", "--json")
    assert (told.exit_code, json.loads(told.stdout)["loaded"]) == (2, expected_fates(log())["loaded"])
    assert "'nowhere'" in told.stderr


def test_retract_says_first_and_does_it_with_yes(site: Site) -> None:
    site.subscribe()
    run = site.json("run", "credit-risk", *WINDOW)
    loaded = site.query(ROWS)
    morning = ("--from", "2024-03-04", "--to", "2024-03-04T12:00Z")
    said = site.json("retract", "credit-risk", *morning)
    assert (said["done"], said["objects"]) == (False, 3)
    assert site.query(ROWS) == loaded
    assert "add --yes" in site.paylog("retract", "credit-risk", *morning).stdout

    done = site.json("retract", "credit-risk", *morning, "--yes", "--reason", "test traffic")
    assert {**said, "done": True} == done
    assert site.query(ROWS) == [(loaded[0][0] - done["rows"],)]
    ((reason, rows),) = site.query("SELECT reason, (counts->>'rows')::int FROM payload.paylog_audit")
    assert (reason, rows) == ("test traffic", done["rows"])
    assert site.json("watermark")[0]["complete_through"] == "2024-03-04T00:00:00+00:00"

    (status,) = site.json("status", "--receipts", 9)
    number = next(r["receipt_id"] for r in status["receipts"] if r["run_id"] == run["run"])
    site.json("retract", "credit-risk", "--batch", number, "--yes")
    assert site.query(ROWS) == [(0,)]
    assert site.paylog("retract", "credit-risk", "--run", run["run"]).exit_code == 2
    assert fates(site.json("run", "credit-risk", *WINDOW)) == expected_fates(log())


def test_retract_by_a_user_without_a_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1000770000")

    monkeypatch.setattr("getpass.getuser", nameless)
    site.subscribe()
    site.json("run", "credit-risk", *WINDOW)
    assert site.json("retract", "credit-risk", *WINDOW, "--yes")["done"]
    ((actor,),) = site.query("SELECT actor FROM payload.paylog_audit")
    assert actor.startswith("uid ")


@pytest.mark.parametrize("chosen", [[], ["--batch", "1", "--run", "x"]])
def test_retract_wants_one_selection(site: Site, chosen: list[str]) -> None:
    site.subscribe()
    result = site.paylog("retract", "credit-risk", *chosen)
    assert result.exit_code == 2
    assert "either --batch, or --run, or --from" in result.stderr


def test_watermark_of_all_subscriptions(site: Site) -> None:
    site.subscribe()
    site.subscribe("other")
    assert site.paylog("run", "credit-risk", *WINDOW).exit_code == 0
    lines = site.paylog("watermark").stdout.splitlines()
    assert lines == [
        "credit-risk is complete through 2024-03-05 00:00 UTC",
        "other has not finished a run yet",
    ]


def test_schema_diff_says_what_a_run_would_do(site: Site) -> None:
    site.subscribe()
    new = site.json("schema", "diff", "credit-risk")
    assert new["before"] is None
    assert [s.partition(" (")[0] for s in new["statements"]] == [f"CREATE TABLE {TABLE}"]
    assert site.query("SELECT 1 FROM pg_namespace WHERE nspname = 'payload'") == []
    assert site.paylog("run", "credit-risk", *WINDOW).exit_code == 0
    assert "has all of it" in site.paylog("schema", "diff", "credit-risk").stdout
    site.subscribe(**schema(LoanDuration="double"))
    widened = site.json("schema", "diff", "credit-risk")
    assert [s.rpartition(" ALTER COLUMN ")[2] for s in widened["statements"]] == [
        '"LoanDuration" TYPE double precision'
    ]
    site.subscribe(**schema(LoanDuration="string"))
    refused = site.paylog("schema", "diff", "credit-risk")
    assert refused.exit_code == 5
    assert "refused: column 'LoanDuration' is bigint" in refused.stdout


def test_schema_init_from_the_logs(site: Site) -> None:
    site.subscribe()
    draft = site.folder / "subscriptions" / "credit-risk.yaml"
    document = yaml.safe_load(draft.read_text(encoding="utf-8"))
    declared = document.pop("model_schema")
    draft.write_text(yaml.safe_dump(document), encoding="utf-8")
    proposed = site.paylog("schema", "init", draft, "--from-logs")
    assert proposed.exit_code == 0, proposed.output
    fields = yaml.safe_load(proposed.stdout)["model_schema"]["fields"]
    types = {field["name"]: field["type"] for field in fields}
    assert types["Age"] == "integer"
    features = [field["name"] for field in declared["fields"] if "role" not in field]
    assert [name for name in types if name in features] == features
    both = site.paylog("schema", "init", draft, "--from-logs", "--from-training-data")
    assert both.exit_code == 2
