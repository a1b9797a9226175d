"""``kill -9`` at any moment of a load: when the rerun is done, the books are those of one clean run."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from paylog import pipeline
from paylog.connections import Connection
from paylog.records import Receipt
from paylog.reprocess import Reprocess
from paylog.subscription import Subscription
from paylog.testing.collector_logs import INPUTS, OUTPUTS
from paylog.testing.exactly_once.books import assert_nothing_held, books
from paylog.testing.exactly_once.collector import Calls, collector, inputs, outputs, paired_books
from paylog.testing.exactly_once.runs import clean_run, in_schema, plan, run, run_until_done
from paylog.testing.exactly_once.served_model import (
    DAY,
    churn,
    churn_log,
    credit,
    credit_log,
)
from paylog.testing.exactly_once.site import Site, proxied_site, wire_of
from paylog.testing.exactly_once.wire import Point, Stage
from paylog.testing.postgres import EmbeddedPostgres
from paylog.testing.scoring_logs import Defect, ScoringLog

_DEFECTS = {
    Defect.MALFORMED_JSON: 12,
    Defect.TYPE_MISMATCH: 12,
    Defect.MISSING_RESPONSE: 12,
    Defect.DUPLICATE: 6,
}
_BEFORE_COMMIT = [stage for stage in Stage if stage not in (Stage.BEGUN, Stage.COMMITTED)]


@pytest.fixture
def site(postgres: EmbeddedPostgres, empty_database: Connection, tmp_path: Path) -> Iterator[Site]:
    with proxied_site(postgres, empty_database, tmp_path) as made:
        yield made


def undisturbed(site: Site, subscription: Subscription, batch_bytes: int) -> tuple[int, float]:
    """Bytes that a worker sends to load a batch like those of the test, and the seconds that it takes."""
    rehearsal = in_schema(subscription, "rehearsal")
    run_id, batches = plan(rehearsal, batch_bytes=batch_bytes)
    started = time.monotonic()
    assert isinstance(site.worker(rehearsal, run_id, batches[1], None).outcome(), Receipt)
    return wire_of(site).sent, time.monotonic() - started


def repeated(log: ScoringLog, records: int) -> bytes:
    """The first records of the log's first object, as one more object."""
    data = next(log.objects()).data
    lines = (gzip.decompress(data) if log.gzip else data).splitlines(keepends=True)[:records]
    return gzip.compress(b"".join(lines)) if log.gzip else b"".join(lines)


def load_under_fire(
    site: Site, subscription: Subscription, planned: tuple[str, str], points: Sequence[Point | float]
) -> list[Stage]:
    """Load one batch with workers that are killed, one at each point, and a last one that is not.

    :param points: of the conversation with PostgreSQL, or seconds after the start.
    :returns: how far each killed worker was.
    """
    killed = []
    for point in points:
        worker = site.worker(subscription, *planned, point if isinstance(point, Point) else None)
        if isinstance(point, float) and not worker.join(point):
            worker.kill()
        worker.outcome()
        if worker.killed:
            killed.append(wire_of(site).stage)
    outcome = site.worker(subscription, *planned, None).outcome()
    assert isinstance(outcome, Receipt), outcome
    assert outcome.counts.balanced
    return killed


@pytest.mark.parametrize(
    ("subscription", "log"),
    [
        (credit(), credit_log(records=4_000, rows_per_record=2, objects_count=6, defects=_DEFECTS)),
        (churn(), churn_log(records=5_000, rows_per_record=2, objects_count=6, defects=_DEFECTS, gzip=True)),
    ],
    ids=["custom", "sagemaker"],
)
def test_killed_over_and_over(site: Site, subscription: Subscription, log: ScoringLog) -> None:
    keys = site.folder.fill(log)
    repeat = site.folder.write(keys[0].replace(".jsonl", "-again.jsonl"), repeated(log, records=100))
    of_two = 2 * max(len(site.folder.read(key)) for key in keys) + len(site.folder.read(repeat))
    expected = books(clean_run(subscription))
    size, seconds = undisturbed(site, subscription, of_two)
    dice = random.Random(20240304)
    stages: list[Point | float] = [Point(stage) for stage in _BEFORE_COMMIT]
    dice.shuffle(stages)
    points: list[list[Point | float]] = [
        [*stages, Point(Stage.COMMITTED)],
        [Point(sent=int(size * dice.random())) for _ in range(5)],
        [seconds * dice.random() for _ in range(3)],
    ]

    run_id, batches = plan(subscription, batch_bytes=of_two)
    assert len(batches) == len(points)
    killed: list[Stage] = []
    for batch_id, some in zip(batches, points, strict=True):
        killed += load_under_fire(site, subscription, (run_id, batch_id), some)
    assert len(killed) >= 13
    assert set(killed) >= {*_BEFORE_COMMIT, Stage.COMMITTED}

    receipt = pipeline.reconcile(subscription, run_id, DAY)
    planted = log.expected.counts
    assert receipt.counts.balanced
    assert receipt.counts.loaded == planted.loaded
    assert receipt.counts.duplicate > planted.duplicate + 90
    assert receipt.objects == len(keys) + 1
    assert books(subscription) == expected
    assert pipeline.plan(subscription, DAY).batches == []
    assert_nothing_held()


def test_killed_while_it_takes_the_place_of_an_older_version(site: Site) -> None:
    """The rows of the old version are deleted and the new ones half written when the worker dies."""
    subscription = credit()
    key, other = site.folder.fill(credit_log(records=4_000, objects_count=2, defects=_DEFECTS))
    run(subscription)
    before = books(subscription)
    lines = site.folder.lines(key)
    site.folder.write(key, [*lines[500:], *lines[:20], *site.folder.lines(other)[:50]])
    expected = books(clean_run(subscription)).without_origin()
    assert expected.rows != before.without_origin().rows

    run_id, batches = plan(subscription)
    for point in (Point(Stage.COPYING), Point(Stage.LEDGER), Point(Stage.COMMIT_SENT)):
        worker = site.worker(subscription, run_id, batches[0], point)
        assert worker.outcome() is None
        assert_nothing_held()
        assert books(subscription) == before
    load_under_fire(site, subscription, (run_id, batches[0]), [Point(Stage.COMMITTED)])
    pipeline.reconcile(subscription, run_id, DAY)
    assert run_until_done(subscription) == []
    assert books(subscription).without_origin() == expected


def test_killed_while_everything_is_loaded_again(site: Site) -> None:
    """The rows that a batch loaded before are deleted and written again, three objects at a time."""
    subscription = credit()
    keys = site.folder.fill(credit_log(records=4_000, objects_count=6, defects=_DEFECTS))
    run(subscription)
    before = books(subscription)
    size = 3 * max(len(site.folder.read(key)) for key in keys)
    run_id, batches = plan(subscription, batch_bytes=size, reprocess=Reprocess.EVERYTHING)
    assert len(batches) == 2
    for batch_id in batches:
        for point in (
            Point(Stage.CLAIMED),
            Point(Stage.COPYING),
            Point(Stage.RECEIPT),
            Point(Stage.COMMIT_SENT),
        ):
            worker = site.worker(subscription, run_id, batch_id, point)
            assert worker.outcome() is None
            assert_nothing_held()
            assert books(subscription) == before
        load_under_fire(site, subscription, (run_id, batch_id), [Point(Stage.COMMITTED)])
    assert pipeline.reconcile(subscription, run_id, DAY).objects == 6
    assert books(subscription) == before == books(clean_run(subscription))


def test_killed_while_halves_meet_those_that_wait(site: Site) -> None:
    """Requests wait; responses pair with some of them, and some of them are left to wait."""
    calls, subscription = Calls(2_000), collector()
    site.folder.write(inputs(0), calls.of(INPUTS, *range(1_500)))
    run(subscription)
    before = paired_books(subscription)
    assert before.waiting.total() == 1_500
    site.folder.write(outputs(0), calls.of(OUTPUTS, *range(500, 2_000)))
    run_id, (batch_id,) = plan(subscription)
    points = [Point(stage) for stage in (Stage.CLAIMED, Stage.REJECTS, Stage.COPYING, Stage.RECEIPT)]
    dice = random.Random(20240304)
    points += [Point(sent=int(len(calls.of(OUTPUTS, *range(1_500))) * dice.random())) for _ in range(3)]
    for point in (*points, Point(Stage.COMMIT_SENT)):
        worker = site.worker(subscription, run_id, batch_id, point)
        assert worker.outcome() is None
        assert_nothing_held()
        assert paired_books(subscription) == before
    load_under_fire(site, subscription, (run_id, batch_id), [Point(Stage.COMMITTED)])
    receipt = pipeline.reconcile(subscription, run_id, DAY)
    assert (receipt.settled, receipt.waiting) == (1_000, 1_000)
    found = paired_books(subscription)
    clean = in_schema(subscription, "undisturbed")
    run(clean)
    assert found == paired_books(clean)
