"""What goes wrong in a run from the command line: exit codes, and what is left behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import stamina
from cli_site import WINDOW, Site, expected_fates, fates, interrupt, log

from paylog import pipeline
from paylog.connections import Connection
from paylog.errors import RetriableError
from paylog.records import Receipt
from paylog.testing.postgres import EmbeddedPostgres
from paylog.testing.scoring_logs import Defect

ONE_OBJECT_A_BATCH = ("--batch-size", "1")
ROWS = 'SELECT count(*) FROM payload."Payload_credit-risk"'
RECEIPTS = "SELECT coalesce(sum(loaded), 0)::bigint FROM payload.paylog_receipt WHERE state = 'committed'"


@pytest.fixture
def impatient() -> Iterator[None]:
    """No waiting between attempts."""
    stamina.set_testing(True, attempts=10, cap=True)
    yield
    stamina.set_testing(False)


def test_two_workers_load_what_one_loads(site: Site) -> None:
    written = log()
    site.write(written)
    document = site.json("run", "credit-risk", *WINDOW, *ONE_OBJECT_A_BATCH, "--workers", 2)
    assert fates(document) == expected_fates(written)
    assert (document["batches"], document["failed"]) == (6, [])
    assert site.query(ROWS) == [(written.expected.counts.loaded,)]


@pytest.mark.parametrize("workers", [1, 2])
def test_over_budget_rolls_back_that_batch_alone(site: Site, workers: int) -> None:
    site.subscribe(error_budget={"count": 2, "share": None})
    written = log(600, 3, defects={})
    site.write(written)
    bad = next(log(100, 1, defects={Defect.TYPE_MISMATCH: 3}, seed=9).objects())
    place = site.folder / "logs" / "2024/03/04/12/bad.jsonl"
    place.parent.mkdir(parents=True)
    place.write_bytes(bad.data)
    options = (*WINDOW, *ONE_OBJECT_A_BATCH, "--workers", workers)
    result = site.paylog("run", "credit-risk", *options, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 4
    assert [(f["kind"], f["exit_code"]) for f in document["failed"]] == [("ErrorBudgetExceeded", 4)]
    assert document["batches"] == 3
    assert document["complete through"] is None
    assert "1 of 4 batches failed" in result.stderr
    assert site.query(ROWS) == [(written.expected.counts.loaded,)]
    (status,) = site.json("status")
    assert status["complete_through"] is None
    assert sorted(r["state"] for r in status["receipts"]) == ["committed"] * 3 + ["over_budget"]
    place.unlink()
    assert site.paylog("run", "credit-risk", *options).exit_code == 0


def unreachable(database: Connection, postgres: EmbeddedPostgres) -> Connection:
    return replace(database, host="127.0.0.1", port=1, extra={})


def wrong_password(database: Connection, postgres: EmbeddedPostgres) -> Connection:
    return replace(database, host="127.0.0.1", port=postgres.port, password="guess-me", extra={})


def no_database(database: Connection, postgres: EmbeddedPostgres) -> Connection:
    return replace(database, schema="nowhere")


@pytest.mark.parametrize(("fault", "code"), [(unreachable, 75), (wrong_password, 5), (no_database, 2)])
@pytest.mark.parametrize("command", [["plan", "credit-risk"], ["run", "credit-risk"], ["status"], ["check"]])
def test_a_data_mart_that_does_not_let_us_in(
    site: Site,
    postgres: EmbeddedPostgres,
    command: list[str],
    fault: Callable[[Connection, EmbeddedPostgres], Connection],
    code: int,
) -> None:
    elsewhere = Site(site.folder, fault(site.database, postgres))
    options = ["--connections"] if command == ["check"] else []
    result = elsewhere.paylog(*command, *options)
    assert result.exit_code == code, result.output
    assert "guess-me" not in result.output
    assert "Traceback" not in result.output


def test_logs_that_are_not_there(site: Site) -> None:
    gone = json.dumps({"conn_type": "paylog_folder", "extra": {"path": str(site.folder / "gone")}})
    result = site.paylog("run", "credit-risk", *WINDOW, AIRFLOW_CONN_LOGS=gone)
    assert result.exit_code == 5
    assert "gone does not exist" in result.stderr


@pytest.mark.usefixtures("impatient")
def test_a_passing_fault_is_tried_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    written = log()
    site.write(written)
    faults = iter([RetriableError("the link broke"), RetriableError("the link broke again")])
    work = pipeline.ingest_planned

    def flaky(*arguments: Any) -> Receipt:
        if (fault := next(faults, None)) is not None:
            raise fault
        return work(*arguments)

    monkeypatch.setattr(pipeline, "ingest_planned", flaky)
    result = site.paylog("run", "credit-risk", *WINDOW, "--workers", 1)
    assert result.exit_code == 0
    assert "batch 0000 starts again: the link broke\n" in result.stderr
    assert "batch 0000 starts again: the link broke again\n" in result.stderr
    assert site.query(ROWS) == [(written.expected.counts.loaded,)]


def test_a_traceback_only_when_debugging(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write(log())

    def defect(*arguments: Any) -> Receipt:
        raise ZeroDivisionError("Jane Doe, 42")

    monkeypatch.setattr(pipeline, "ingest_planned", defect)
    quiet = site.paylog("run", "credit-risk", *WINDOW)
    assert quiet.exit_code == 1
    assert "batch 0000 failed: ZeroDivisionError: a defect in paylog" in quiet.stderr
    assert "Jane" not in quiet.output
    assert "Jane" in site.paylog("run", "credit-risk", *WINDOW, PAYLOG_DEBUG="1").stderr


@pytest.mark.usefixtures("impatient")
def test_a_fault_that_stays_ends_with_try_again_and_begins_no_other_batch(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write(log())
    calls: list[object] = []

    def broken(*arguments: Any) -> Receipt:
        calls.append(arguments[2])
        raise RetriableError("no route to host")

    monkeypatch.setattr(pipeline, "ingest_planned", broken)
    result = site.paylog("run", "credit-risk", *WINDOW, *ONE_OBJECT_A_BATCH, "--workers", 1)
    assert result.exit_code == 75
    assert calls == ["0000"] * 4
    assert "1 of 6 batches failed, 5 not begun" in result.stderr
    assert site.query(ROWS) == [(0,)]


def test_a_worker_that_is_killed(site: Site) -> None:
    written = log(6_000, 12)
    site.write(written)
    killed: list[int] = []

    def kill_one() -> None:
        until = time.monotonic() + 60
        while not killed and time.monotonic() < until:
            for child in multiprocessing.active_children():
                if child.pid and site.query(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name = 'paylog'"
                ):
                    os.kill(child.pid, signal.SIGKILL)
                    killed.append(child.pid)
                    return
            time.sleep(0.02)

    killer = threading.Thread(target=kill_one)
    killer.start()
    options = (*WINDOW, *ONE_OBJECT_A_BATCH, "--workers", 2)
    result = site.paylog("run", "credit-risk", *options)
    killer.join()
    assert len(killed) == 1
    assert result.exit_code == 75, result.output
    assert "its worker process ended with code -9" in result.stderr
    assert site.query(ROWS) == site.query(RECEIPTS)
    assert site.paylog("run", "credit-risk", *options).exit_code == 0
    assert site.query(ROWS) == site.query(RECEIPTS) == [(written.expected.counts.loaded,)]


def terminate(process: subprocess.Popen[str]) -> None:
    process.terminate()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("stop", [interrupt, terminate])
def test_a_run_that_is_stopped_leaves_nothing_half_loaded(
    site: Site, workers: int, stop: Callable[[subprocess.Popen[str]], None]
) -> None:
    written = log(16_000, 24)
    site.write(written)
    assert site.paylog("run", "credit-risk", "--from", "2024-01-01", "--to", "2024-01-02").exit_code == 0
    process = site.start("run", "credit-risk", *WINDOW, *ONE_OBJECT_A_BATCH, "--workers", workers)
    until = time.monotonic() + 60
    while site.query(RECEIPTS) == [(0,)] and time.monotonic() < until:
        time.sleep(0.02)
    stop(process)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert said.splitlines()[-1].startswith("paylog: interrupted; ")
    assert "Traceback" not in said
    ((loaded,),) = site.query(RECEIPTS)
    assert 0 < loaded < written.expected.counts.loaded
    assert site.query(ROWS) == [(loaded,)]
    assert site.paylog("run", "credit-risk", *WINDOW).exit_code == 0
    assert site.query(ROWS) == [(written.expected.counts.loaded,)]
