"""``paylog backfill`` and the plan before it, on a real data mart."""

from __future__ import annotations

import json
from typing import Any

from cli_site import WINDOW, Site, expected_fates, fates, interrupt, log

from paylog.testing.scoring_logs import Defect

MANY = {"records": 6_000, "objects": 24, "rows_per_record": 2}


def entries(site: Site) -> dict[str, int]:
    return dict(site.query("SELECT uri, object_id FROM payload.paylog_object WHERE state = 'loaded'"))


def rows(site: Site) -> list[tuple[Any, ...]]:
    return site.query('SELECT _record_id, scoring_id, "Age" FROM payload."Payload_credit-risk" ORDER BY 1')


def test_a_plan_says_how_much_and_what_a_sample_becomes_and_changes_nothing(site: Site) -> None:
    site.subscribe(error_budget={"share": 0.001})
    site.write(log())
    seen = site.json("plan", "credit-risk", *WINDOW, "--sample")
    assert (seen["new"], seen["objects"], seen["sample"]["objects"]) == (6, 6, 5)
    assert 450 <= seen["sample"]["records"] <= 550
    assert set(seen["sample"]["reasons"]) == {"MALFORMED_JSON", "TYPE_MISMATCH LoanDuration"}
    assert seen["estimate"]["basis"].startswith("no receipts yet: ")
    assert abs(seen["estimate"]["records"] - log().expected.counts.read) < 60
    said = site.paylog("plan", "credit-risk", *WINDOW, "--sample").stdout
    assert "over the error budget of 0.1%: batches like it are refused" in said
    assert site.query("SELECT 1 FROM pg_namespace WHERE nspname = 'payload'") == []


def test_a_plan_is_estimated_by_the_receipts_so_far(site: Site) -> None:
    site.write(log())
    site.json("run", "credit-risk", *WINDOW)
    seen = site.json("plan", "credit-risk", *WINDOW, "--reprocess", "everything")
    assert (seen["again"], seen["new"], seen["sample"]) == (6, 0, None)
    assert seen["estimate"]["records"] == log().expected.counts.read
    assert seen["estimate"]["basis"].startswith("by the last receipt: ")
    assert seen["estimate"]["seconds"] > 0


def test_an_empty_object_is_no_sample(site: Site) -> None:
    (site.folder / "logs" / "2024" / "03" / "04" / "05").mkdir(parents=True)
    (site.folder / "logs" / "2024" / "03" / "04" / "05" / "empty.jsonl").write_bytes(b"")
    seen = site.json("plan", "credit-risk", *WINDOW, "--sample")
    assert (seen["objects"], seen["sample"]["records"]) == (1, 0)


def test_a_backfill_loads_the_range_and_everything_loads_it_again(site: Site) -> None:
    written = log()
    site.write(written)
    first = site.json("backfill", "credit-risk", *WINDOW)
    assert fates(first) == expected_fates(written)
    assert first["run"].startswith("backfill__new__")
    before, known = rows(site), entries(site)
    assert site.json("backfill", "credit-risk", *WINDOW)["read"] == 0
    some = site.json("backfill", "credit-risk", *WINDOW, "--reprocess", "rejected")
    assert 0 < some["objects"] <= 6
    again = site.json("backfill", "credit-risk", *WINDOW, "--reprocess", "everything", "--order", "newest")
    assert fates(again) == expected_fates(written)
    assert rows(site) == before
    assert not set(known.values()) & set(entries(site).values())


def test_a_backfill_that_was_stopped_goes_on_where_it_was(site: Site) -> None:
    written = log(**MANY, defects={Defect.DUPLICATE: 4})
    site.write(written)
    site.json("run", "credit-risk", *WINDOW)
    before = rows(site)
    command = ("backfill", "credit-risk", *WINDOW, "--reprocess", "everything", "--batch-size", "1")
    running = site.start(*command, "--workers", "1")
    done = "SELECT count(*) FROM payload.paylog_receipt WHERE run_id LIKE 'backfill%'"
    while site.query(done)[0][0] < 3:
        assert running.poll() is None, running.communicate()
    (status,) = site.json("status", "credit-risk")
    assert [run["run"][:24] for run in status["unfinished"]] == ["backfill__everything__20"]
    interrupt(running)
    assert running.wait(30) == 130
    loaded = site.query(done)[0][0]
    assert loaded < 24
    rest = site.paylog(*command, "--json")
    document = json.loads(rest.stdout)
    assert document["run"] == status["unfinished"][0]["run"]
    assert fates(document) == expected_fates(written)
    assert site.query(done)[0][0] == 24
    assert rows(site) == before
    assert site.json("status", "credit-risk")[0]["unfinished"] == []
    assert site.paylog("status", "credit-risk", "--watch").exit_code == 0
