"""``kill -9`` inside replays and retractions, and both beside loads: the books are those of a clean run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from paylog import pipeline, replay, retract
from paylog.connections import Connection
from paylog.records import Receipt
from paylog.testing.decoded import with_missing_feature
from paylog.testing.exactly_once.books import Books, assert_nothing_held, books
from paylog.testing.exactly_once.runs import clean_run, run, run_until_done
from paylog.testing.exactly_once.served_model import credit, credit_log, hours
from paylog.testing.exactly_once.site import Site, proxied_site
from paylog.testing.exactly_once.wire import Point, Stage
from paylog.testing.exactly_once.worker import Replay, Retract
from paylog.testing.postgres import EmbeddedPostgres
from paylog.testing.scoring_logs import Defect

_DEFECTS = {Defect.MALFORMED_JSON: 4, Defect.MISSING_RESPONSE: 4, Defect.DUPLICATE: 6}


@pytest.fixture
def site(postgres: EmbeddedPostgres, empty_database: Connection, tmp_path: Path) -> Iterator[Site]:
    with proxied_site(postgres, empty_database, tmp_path) as made:
        yield made


def content(found: Books) -> tuple[Any, ...]:
    """Rows and open rejects, whichever entry brought them."""
    return found.without_origin().rows, sorted(found.quarantine, key=repr)


def test_a_replay_that_is_killed_over_and_over(site: Site) -> None:
    owner = credit()
    site.folder.fill(credit_log(records=900, rows_per_record=2, objects_count=4, defects=_DEFECTS))
    run(with_missing_feature(owner))
    pipeline.prepare(owner)
    before = books(owner)
    stages = [Stage.CLAIMED, Stage.COPYING, Stage.RECEIPT, Stage.COMMIT_SENT]
    for stage in stages:
        assert site.worker(owner, "replay", "", Point(stage), Replay).outcome() is None
        assert_nothing_held()
        assert books(owner) == before
    assert site.worker(owner, "replay", "", Point(Stage.COMMITTED), Replay).outcome() is None
    assert isinstance(site.worker(owner, "again", "", None, Replay).outcome(), Receipt | str)
    assert content(books(owner)) == content(books(clean_run(owner)))


def test_a_retraction_that_is_killed_over_and_over(site: Site) -> None:
    owner = credit(logs={"lookback": "0h"})
    site.folder.fill(credit_log(records=900, objects_count=4, defects=_DEFECTS))
    run(owner, hours(0, 12))
    first = books(owner)
    second = run(owner).run_id
    before = books(owner)
    for stage in (Stage.COPYING, Stage.RECEIPT, Stage.COMMIT_SENT):
        assert site.worker(owner, "", second, Point(stage), Retract).outcome() is None
        assert_nothing_held()
        assert books(owner) == before
    assert isinstance(site.worker(owner, "", second, None, Retract).outcome(), Receipt)
    assert books(owner) == first
    run(owner)
    assert books(owner) == before


def test_replays_beside_each_other_and_beside_newer_versions(site: Site) -> None:
    """Two replays, and a run that replaces two of the objects, all at once; then whatever is left."""
    owner = credit(error_budget={"share": None})
    log = credit_log(records=900, rows_per_record=2, objects_count=4, defects=_DEFECTS)
    keys = site.folder.fill(log)
    run(with_missing_feature(owner))
    pipeline.prepare(owner)
    for key in keys[:2]:
        site.folder.write(key, site.folder.lines(key)[20:])
    workers = [site.worker(owner, f"replay-{n}", "", None, Replay) for n in range(2)]
    loading = Thread(target=run_until_done, args=[owner])
    loading.start()
    outcomes = [worker.outcome() for worker in workers]
    loading.join()
    assert all(isinstance(outcome, Receipt) or "Retriable" in str(outcome) for outcome in outcomes), outcomes
    replay.replay(owner, "the rest")
    run_until_done(owner)
    assert content(books(owner)) == content(books(clean_run(owner)))


def test_a_retraction_beside_a_replay(site: Site) -> None:
    owner = credit(logs={"lookback": "0h"}, error_budget={"share": None})
    site.folder.fill(credit_log(records=900, objects_count=4, defects=_DEFECTS))
    run(with_missing_feature(owner))
    pipeline.prepare(owner)
    worker = site.worker(owner, "replay", "", None, Replay)
    retract.retract(owner, retract.Selection(window=hours(0, 12)), actor="me", reason="test")
    outcome = worker.outcome()
    assert isinstance(outcome, Receipt) or "Retriable" in str(outcome), outcome
    replay.replay(owner, "the rest")
    run(owner)
    assert content(books(owner)) == content(books(clean_run(owner)))
