"""``paylog training``, ``monitors`` and ``schema init`` on training data in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_site import SHIPPED, WINDOW, Site, log

from paylog.connections import Connection
from paylog.testing.demo_training import TrainingTable, training_table
from paylog.testing.scored_model import CREDIT_RISK

REFERENCE = {"type": "cos", "connection": "training", "object": "credit.csv"}
SHIPPED_SECTIONS = yaml.safe_load((SHIPPED / "credit_risk.yaml").read_text(encoding="utf-8"))
FAIRNESS = SHIPPED_SECTIONS["fairness"]


@pytest.fixture
def site(tmp_path: Path, empty_database: Connection, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A subscription with training data, which is in the folder ``training``."""
    connection = {"conn_type": "paylog_folder", "extra": {"path": str(tmp_path / "training")}}
    monkeypatch.setenv("AIRFLOW_CONN_TRAINING", json.dumps(connection))
    (tmp_path / "training").mkdir()
    found = Site(tmp_path, empty_database)
    subscribe(found)
    return found


def subscribe(site: Site, **changes: Any) -> None:
    site.subscribe(**{"training_data": REFERENCE, "fairness": FAIRNESS} | changes)


def train(site: Site, table: TrainingTable | None = None) -> TrainingTable:
    table = table or training_table(CREDIT_RISK, "Risk", rows=2_000)
    (site.folder / "training" / "credit.csv").write_bytes(table.as_csv())
    return table


def without(table: TrainingTable, name: str) -> TrainingTable:
    gone = table.names.index(name)
    rows = [row[:gone] + row[gone + 1 :] for row in table.rows]
    return TrainingTable(tuple(n for n in table.names if n != name), rows)


def load(site: Site, **settings: Any) -> Any:
    site.write(log(900, 6, defects={}, **settings))
    return site.paylog("run", "credit-risk", *WINDOW, "--json")


def test_check_show_and_profile(site: Site) -> None:
    table = train(site)
    checked = site.json("training", "check", "credit-risk")
    assert (checked["status"], checked["rows"], checked["findings"]) == ("passed", 2_000, [])
    assert checked["location"].endswith("/credit.csv")
    train(site, TrainingTable(table.names, table.rows + table.rows[:200]))
    again = site.paylog("training", "check", "credit-risk")
    assert again.exit_code == 0
    assert "training data warning: 2,200 rows" in again.stdout
    assert "DUPLICATE_ROWS" in again.stdout
    assert "  training data warning: DUPLICATE_ROWS\n" in site.paylog("status", "credit-risk").stdout
    assert site.json("status")[0]["training_data"]["status"] == "warning"
    shown = site.json("training", "show", "credit-risk")
    assert [c["status"] for c in shown["checks"]] == ["warning", "passed"]
    newest = site.json("training", "profile", "credit-risk")
    oldest = site.json("training", "profile", "credit-risk", "--id", checked["profile_id"])
    assert (newest["rows"], oldest["rows"]) == (2_200, 2_000)
    assert newest["content_hash"] != oldest["content_hash"]
    savings = next(c for c in newest["columns"] if c["name"] == "ExistingSavings")
    assert list(savings["categories"].values()) == sorted(savings["categories"].values(), reverse=True)
    assert "Age" in site.paylog("training", "profile", "credit-risk").stdout


def test_statistics_are_exported_in_openscale_s_shape(site: Site, tmp_path: Path) -> None:
    train(site)
    site.json("training", "check", "credit-risk")
    target = tmp_path / "statistics.json"
    result = site.paylog("training", "profile", "credit-risk", "--statistics", "--write", target)
    assert result.exit_code == 0, result.output
    document = json.loads(target.read_text(encoding="utf-8"))
    common = document["common_configuration"]
    assert (common["label_column"], common["problem_type"]) == ("Risk", "binary")
    assert set(document) >= {"explainability_configuration", "fairness_configuration"}


def test_an_error_ends_with_its_code_and_blocks_what_requires_it(site: Site) -> None:
    subscribe(site, require=["training_data"])
    blocked = load(site)
    assert blocked.exit_code == 5
    assert "never checked" in json.loads(blocked.stdout)["error"]["message"]
    train(site, without(training_table(CREDIT_RISK, "Risk", rows=2_000), "Housing"))
    failed = site.paylog("training", "check", "credit-risk", "--json")
    assert failed.exit_code == 5
    (finding,) = json.loads(failed.stdout)["findings"]
    assert (finding["severity"], finding["column"]) == ("error", "Housing")
    blocked = load(site)
    assert blocked.exit_code == 5
    assert "'Housing'" in json.loads(blocked.stdout)["error"]["message"]
    assert site.query("SELECT count(*) FROM payload.paylog_object") == [(0,)]
    train(site)
    assert site.paylog("training", "check", "credit-risk").exit_code == 0
    document = json.loads(load(site).stdout)
    assert document["loaded"] == 900
    assert document["training data"]["status"] == "passed"
    assert document["payload against training data"] == {}


def test_payload_unlike_the_training_data_warns_or_is_refused(site: Site) -> None:
    table = training_table(CREDIT_RISK, "Risk", rows=2_000)
    purpose = table.names.index("LoanPurpose")
    train(site, TrainingTable(table.names, [row for row in table.rows if row[purpose] != "car_new"]))
    assert site.paylog("training", "check", "credit-risk").exit_code == 0
    gate = {"gate": "error", "columns": {"LoanPurpose": {"severity": "error"}}}
    subscribe(site, judgement=gate)
    refused = load(site)
    assert refused.exit_code == 4
    (failed,) = json.loads(refused.stdout)["failed"]
    assert failed["kind"] == "PayloadRefused"
    assert "UNSEEN_CATEGORY 'LoanPurpose'" in failed["message"]
    assert "car_new" not in refused.output
    assert site.query('SELECT count(*) FROM payload."Payload_credit-risk"') == [(0,)]
    subscribe(site, judgement=gate | {"gate": "warn"})
    document = json.loads(load(site).stdout)
    assert document["loaded"] == 900
    found = document["payload against training data"]
    assert 100 < found["UNSEEN_CATEGORY LoanPurpose"] < 260
    states = {f["state"] for f in site.json("training", "show", "credit-risk")["payload"]}
    assert states == {"refused", "committed"}
    assert "refused" in site.paylog("training", "show", "credit-risk").stdout


def test_monitors_say_what_can_be_had_and_why_not(site: Site) -> None:
    def answers() -> dict[str, str]:
        (document,) = json.loads(site.paylog("monitors", "credit-risk", "--json").stdout)
        return {each["monitor"]: each["answer"] for each in document["monitors"]}

    assert set(answers().values()) == {"no"}
    train(site)
    site.json("training", "check", "credit-risk")
    assert load(site).exit_code == 0
    assert set(answers().values()) == {"yes"}
    function = {"id": "credit-risk", "asset_type": "function"}
    subscribe(site, deployment=function, monitors=["explainability"])
    result = site.paylog("monitors", "credit-risk")
    assert result.exit_code == 5
    assert "A Python function has neither explainability nor accuracy" in result.stdout
    assert "wos-connect-ml.md" in result.stdout
    check = site.paylog("check")
    assert check.exit_code == 2
    assert "explainability cannot be had" in check.stdout


def test_a_proposed_schema_passes_its_own_check(site: Site, tmp_path: Path) -> None:
    train(site)
    file = site.folder / "subscriptions" / "credit-risk.yaml"
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    del document["model_schema"], document["fairness"]
    draft = tmp_path / "draft.yaml"
    draft.write_text(yaml.safe_dump(document), encoding="utf-8")
    proposed = site.paylog("schema", "init", draft, "--from-training-data", "--label", "Risk")
    assert proposed.exit_code == 0, proposed.output
    file.write_text(yaml.safe_dump(document) + proposed.stdout, encoding="utf-8")
    assert site.paylog("check").exit_code == 0
    assert site.json("training", "check", "credit-risk")["findings"] == []
    assert json.loads(load(site).stdout)["loaded"] == 900
    for bad in (
        ["schema", "init", draft],
        ["schema", "init", "credit-risk", "--from-training-data", "--label", "x"],
    ):
        assert site.paylog(*bad).exit_code == 2


def test_what_is_not_there(site: Site) -> None:
    for command in (["training", "profile", "credit-risk"], ["training", "check", "nobody"]):
        assert site.paylog(*command).exit_code == 3
    assert "never checked" in site.paylog("training", "show", "credit-risk").stdout
    unreadable = site.paylog("training", "check", "credit-risk", "--json")
    assert unreadable.exit_code == 5
    assert json.loads(unreadable.stdout)["profile_id"] is None
    probes = json.loads(site.paylog("check", "--connections", "--json").stdout)["connections"]
    assert [p["ok"] for p in probes if p["use"] == "training data"] == [False]
    site.subscribe()
    assert site.paylog("training", "check", "credit-risk").exit_code == 2
    assert "none declared" in site.paylog("training", "show", "credit-risk").stdout
