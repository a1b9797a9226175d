"""Two workers at one object, a task cleared, windows that overlap in any order: each row is loaded once."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from paylog import pipeline
from paylog.connections import Connection
from paylog.records import Counts, Receipt
from paylog.reprocess import Reprocess
from paylog.subscription import Subscription
from paylog.testing.exactly_once.books import already_loaded, assert_nothing_held, books, receipt_ids
from paylog.testing.exactly_once.runs import clean_run, load, plan, run, run_until_done
from paylog.testing.exactly_once.served_model import (
    DATA_MART,
    DAY,
    LOGS,
    LogFolder,
    churn,
    churn_log,
    credit,
    credit_log,
    hours,
)
from paylog.testing.exactly_once.worker import Task, Worker, barrier
from paylog.testing.scoring_logs import Defect

Connections = Mapping[str, Connection]
_DEFECTS = {Defect.TYPE_MISMATCH: 6, Defect.NO_TIMESTAMP: 6, Defect.DUPLICATE: 6}


@pytest.fixture
def connections(empty_database: Connection, folder: LogFolder) -> Connections:
    return {DATA_MART: empty_database, LOGS: folder.connection}


def at_once(
    subscription: Subscription, connections: Connections, planned: list[tuple[str, str]], **task: int
) -> list[Receipt]:
    """Load these batches, given with their runs, in as many processes that begin at the same moment."""
    together = barrier(len(planned))
    workers = [
        Worker(Task(subscription, run_id, batch_id, connections, tries=20, **task), together)
        for run_id, batch_id in planned
    ]
    outcomes = [worker.outcome() for worker in workers]
    receipts = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
    assert len(receipts) == len(outcomes), outcomes
    return receipts


def total(receipts: list[Receipt]) -> Counts:
    counts = Counts()
    for receipt in receipts:
        assert receipt.counts.balanced
        counts += receipt.counts
    return counts


@pytest.mark.parametrize("flush_rows", [100, 65_536])
def test_the_same_batch_in_two_workers(connections: Connections, folder: LogFolder, flush_rows: int) -> None:
    subscription = credit()
    log = credit_log(records=3_000, objects_count=5, defects=_DEFECTS)
    keys = folder.fill(log)
    expected = books(clean_run(subscription))
    run_id, (batch_id,) = plan(subscription)
    receipts = at_once(subscription, connections, [(run_id, batch_id)] * 2, flush_rows=flush_rows)
    assert total(receipts) == log.expected.counts
    assert sum(receipt.objects for receipt in receipts) == len(keys)
    assert already_loaded(subscription, [run_id]) == len(keys)
    pipeline.reconcile(subscription, run_id, DAY)
    assert books(subscription) == expected
    assert_nothing_held()


def test_everything_twice_at_once_beside_the_schedule(connections: Connections, folder: LogFolder) -> None:
    """Two backfills that replace the same objects, and a scheduled run that finds one of them changed."""
    subscription = credit(logs={"lookback": "0h"})
    log = credit_log(records=3_000, objects_count=6, defects=_DEFECTS)
    keys = folder.fill(log)
    size = 2 * max(len(folder.read(key)) for key in keys)
    repeat = folder.write(keys[5].replace(".jsonl", "-again.jsonl"), folder.lines(keys[0])[:80])
    run(subscription)
    backfills = [plan(subscription, batch_bytes=size, reprocess=Reprocess.EVERYTHING) for _ in range(2)]
    folder.write(repeat, folder.lines(keys[0])[40:120])
    scheduled = plan(subscription)
    everything = [(run_id, batch) for run_id, batches in (*backfills, scheduled) for batch in batches]
    assert len(everything) >= 7
    at_once(subscription, connections, everything, flush_rows=200)
    for run_id, _ in (*backfills, scheduled):
        pipeline.reconcile(subscription, run_id, DAY)
    run_until_done(subscription)
    assert books(subscription).without_origin() == books(clean_run(subscription)).without_origin()
    assert_nothing_held()


def test_two_overlapping_windows_in_two_workers(connections: Connections, folder: LogFolder) -> None:
    """Both plans hold the objects of six hours, cut into other batches."""
    subscription = churn(logs={"lookback": "0h"})
    log = churn_log(records=4_800, objects_count=24, defects=_DEFECTS)
    size = next(len(folder.read(key)) for key in folder.fill(log))
    expected = books(clean_run(subscription))
    early, late = hours(0, 15), hours(9, 24)
    first, first_batches = plan(subscription, early, batch_bytes=5 * size)
    second, second_batches = plan(subscription, late, batch_bytes=8 * size)
    assert min(len(first_batches), len(second_batches)) >= 2
    everything = [(first, b) for b in first_batches] + [(second, b) for b in second_batches]
    receipts = at_once(subscription, connections, everything, flush_rows=150)
    assert total(receipts) == log.expected.counts
    assert sum(receipt.objects for receipt in receipts) == 24
    assert already_loaded(subscription, [first, second]) == 6
    pipeline.reconcile(subscription, second, late)
    pipeline.reconcile(subscription, first, early)
    assert books(subscription) == expected
    assert run(subscription).objects == 0


def test_two_workers_at_objects_that_share_their_records(connections: Connections, folder: LogFolder) -> None:
    """Rows of the one are duplicates of the other's, in whichever order they come."""
    subscription = credit(logs={"layout": ""})
    (log,) = credit_log(records=2_000, defects={Defect.TYPE_MISMATCH: 7}).objects()
    lines = log.data.splitlines(keepends=True)
    folder.write("a.jsonl", lines[:1_500])
    folder.write("b.jsonl", lines[:499:-1])
    expected = books(clean_run(subscription)).without_origin()
    run_id, batches = plan(subscription, batch_bytes=1)
    assert len(batches) == 2
    receipts = at_once(subscription, connections, [(run_id, b) for b in batches], flush_rows=100)
    counts = total(receipts)
    assert (counts.read, counts.loaded) == (3_000, 1_993)
    pipeline.reconcile(subscription, run_id, DAY)
    assert books(subscription).without_origin() == expected


def test_an_object_overwritten_while_two_workers_are_at_it(
    connections: Connections, folder: LogFolder
) -> None:
    """One was told of the old version, the other of the new one: the new one stays."""
    subscription = credit()
    (key,) = folder.fill(credit_log(records=2_000, defects=_DEFECTS))
    old = plan(subscription)
    folder.write(key, folder.lines(key)[700:])
    new = plan(subscription)
    expected = books(clean_run(subscription))
    at_once(subscription, connections, [(old[0], old[1][0]), (new[0], new[1][0])], flush_rows=100)
    for run_id, _ in (old, new):
        pipeline.reconcile(subscription, run_id, DAY)
    assert books(subscription) == expected
    assert run_until_done(subscription) == []


def test_a_task_cleared_and_run_again_changes_nothing(connections: Connections, folder: LogFolder) -> None:
    subscription = credit()
    log = credit_log(records=1_200, objects_count=6, defects=_DEFECTS)
    size = max(len(folder.read(key)) for key in folder.fill(log))
    run_id, batches = plan(subscription, batch_bytes=2 * size)
    receipt = load(subscription, run_id, batches)
    before, kept = books(subscription), receipt_ids(subscription)
    for batch_id in reversed(batches):
        again = pipeline.ingest_planned(subscription, run_id, batch_id)
        assert (again.counts, again.objects) == (Counts(), 0)
    assert books(subscription) == before
    assert receipt_ids(subscription)[: len(kept)] == kept
    rerun = pipeline.reconcile(subscription, run_id, DAY)
    assert (rerun.counts, rerun.objects) == (receipt.counts, receipt.objects)
    assert rerun.counts == log.expected.counts
    assert already_loaded(subscription, [run_id]) == 6
    # The plan task cleared too: the run is planned anew, and there is nothing left to plan.
    assert plan(subscription, run_id=run_id) == (run_id, [])
    assert pipeline.reconcile(subscription, run_id, DAY).counts == receipt.counts
    assert books(subscription) == before


@pytest.mark.parametrize("seed", range(3))
def test_windows_in_any_order_and_overlap(connections: Connections, folder: LogFolder, seed: int) -> None:
    """Backfills, some of them twice, over logs of which a part comes late."""
    dice = random.Random(seed)
    subscription = churn(logs={"lookback": "3h"})
    log = churn_log(records=1_200, objects_count=24, defects=_DEFECTS, seed=seed)
    objects = list(log.objects())
    late = dice.sample(objects, 8)
    for item in objects:
        if item not in late:
            folder.write(item.key, item.data)
    windows = [hours(n, min(24, n + dice.randint(2, 8))) for n in range(0, 24, 2)]
    dice.shuffle(windows)
    read = Counts()
    for n, window in enumerate(windows):
        read += run(subscription, window, batch_bytes=dice.choice([1, 40_000, 10**9])).counts
        for item in late[n::12]:
            folder.write(item.key, item.data)
    for done in run_until_done(subscription):
        read += done.counts
    assert read == log.expected.counts
    assert books(subscription) == books(clean_run(subscription))


def test_late_objects_are_found_by_the_lookback(connections: Connections, folder: LogFolder) -> None:
    """An object of hour 2 comes after hours 0 to 6 were loaded; the run of hours 6 to 8 finds it."""
    subscription = churn(logs={"lookback": "6h"})
    objects = list(churn_log(records=240, objects_count=24).objects())
    for item in objects[:2] + objects[3:8]:
        folder.write(item.key, item.data)
    assert run(subscription, hours(0, 6)).objects == 5
    folder.write(objects[2].key, objects[2].data)
    planned = pipeline.plan(subscription, hours(6, 8))
    assert (planned.objects, planned.late, planned.already_loaded) == (3, 1, 5)
    assert run(subscription, hours(6, 8)).counts == Counts(read=30, loaded=30)
    assert books(subscription) == books(clean_run(subscription))
