"""Reprocess modes: what is loaded is loaded again, and the books are those of one clean run."""

from __future__ import annotations

import pytest

from paylog import pipeline
from paylog.data_mart.session import quoted
from paylog.reprocess import Order, Reprocess
from paylog.subscription import Subscription
from paylog.testing.collector_logs import INPUTS, OUTPUTS
from paylog.testing.exactly_once.books import already_loaded, ask, books
from paylog.testing.exactly_once.collector import Calls, collector, inputs, outputs, paired_books
from paylog.testing.exactly_once.runs import clean_run, load, plan, run, run_until_done
from paylog.testing.exactly_once.served_model import (
    DAY,
    LogFolder,
    credit,
    credit_log,
    hours,
)
from paylog.testing.scoring_logs import Defect

_DEFECTS = {Defect.TYPE_MISMATCH: 2, Defect.MALFORMED_JSON: 1, Defect.DUPLICATE: 4}


def again(subscription: Subscription, mode: Reprocess, run_id: str = "") -> tuple[str, list[str]]:
    """Load a window again, to the end: the run's id and its batches."""
    run_id, batches = plan(subscription, run_id=run_id, reprocess=mode, batch_bytes=1)
    load(subscription, run_id, batches)
    return run_id, batches


def entries(subscription: Subscription) -> dict[str, int]:
    table = quoted(subscription.data_mart.schema_name, "paylog_object")
    return dict(ask(f"SELECT uri, object_id FROM {table} WHERE state NOT IN ('superseded', 'grown')"))


def test_everything_twice_is_the_same_table(folder: LogFolder) -> None:
    subscription = credit()
    folder.fill(credit_log(records=120, rows_per_record=2, objects_count=6, defects=_DEFECTS))
    run(subscription)
    before, known = books(subscription), entries(subscription)
    for _ in range(2):
        _, batches = again(subscription, Reprocess.EVERYTHING)
        assert len(batches) == 6
        assert books(subscription) == before
        assert not set(known.values()) & set(entries(subscription).values())
        known = entries(subscription)
    assert before == books(clean_run(subscription))
    assert pipeline.plan(subscription, DAY).batches == []


def test_a_batch_that_is_tried_again_replaces_nothing_twice(folder: LogFolder) -> None:
    subscription = credit()
    folder.fill(credit_log(records=60, objects_count=2))
    run(subscription)
    run_id, batches = again(subscription, Reprocess.EVERYTHING)
    known = entries(subscription)
    for batch_id in batches:
        pipeline.ingest_planned(subscription, run_id, batch_id)
    assert entries(subscription) == known
    assert already_loaded(subscription, [run_id]) == 2


def test_a_run_goes_on_where_it_was_stopped(folder: LogFolder) -> None:
    """Planned once more under its own id, it leaves out what it has loaded itself."""
    subscription = credit()
    folder.fill(credit_log(records=60, objects_count=4))
    run(subscription)
    run_id, batches = plan(subscription, reprocess=Reprocess.EVERYTHING, batch_bytes=1)
    for batch_id in batches[:3]:
        pipeline.ingest_planned(subscription, run_id, batch_id)
    with pipeline.open_data_mart(subscription) as data_mart:
        state = data_mart.backfills.state(subscription.id, run_id)
        window, version = (DAY.start, DAY.end), subscription.model_schema.version
        resumable = data_mart.backfills.resumable
        assert resumable(subscription.id, "run-", window, version) == run_id
        assert resumable(subscription.id, "run-", window, "another schema") is None
        assert resumable(subscription.id, "other-", window, version) is None
    assert state is not None
    assert (state.batches, state.committed, state.refused) == (4, 3, 0)
    assert state.seconds_left is not None
    assert 0 < state.seconds_left < 60
    again_id, rest = again(subscription, Reprocess.EVERYTHING, run_id)
    assert (again_id, len(rest)) == (run_id, 1)
    assert again(subscription, Reprocess.EVERYTHING, run_id) == (run_id, [])
    assert len(again(subscription, Reprocess.EVERYTHING)[1]) == 4


def test_rejected_reads_objects_with_rejects_again_and_what_is_new(folder: LogFolder) -> None:
    subscription = credit()
    keys = folder.fill(credit_log(records=60, objects_count=4, defects={Defect.TYPE_MISMATCH: 1}))
    late = folder.read(keys[0])
    (folder.root / keys[0]).unlink()
    run(subscription)
    known = entries(subscription)
    folder.write(keys[0], late)
    planned = pipeline.plan(subscription, DAY, reprocess=Reprocess.REJECTED)
    assert (planned.objects, planned.new, planned.again, planned.already_loaded) == (2, 1, 1, 2)
    again(subscription, Reprocess.REJECTED)
    replaced = {uri for uri, entry in entries(subscription).items() if known.get(uri, entry) != entry}
    assert [uri.endswith(keys[-1]) for uri in replaced] == [True]
    assert books(subscription) == books(clean_run(subscription))


def test_objects_of_the_lookback_are_not_read_again(folder: LogFolder) -> None:
    subscription = credit(logs={"lookback": "24h"})
    folder.fill(credit_log(records=60, objects_count=4))
    run(subscription)
    planned = pipeline.plan(subscription, hours(12, 24), reprocess=Reprocess.EVERYTHING)
    assert (planned.again, planned.already_loaded) == (2, 2)


def test_newest_first(folder: LogFolder) -> None:
    subscription = credit()
    folder.fill(credit_log(records=60, objects_count=4))
    old, new = (pipeline.plan(subscription, DAY, batch_bytes=1, order=order) for order in Order)
    assert [batch.objects for batch in new.batches] == [batch.objects for batch in reversed(old.batches)]
    assert [batch.batch_id for batch in new.batches] == ["0000", "0001", "0002", "0003"]


@pytest.mark.parametrize("batch_bytes", [1, None], ids=["halves apart", "one batch"])
def test_pairs_of_two_objects(folder: LogFolder, batch_bytes: int | None) -> None:
    calls, subscription = Calls(300), collector()
    folder.write(inputs(0), calls.of(INPUTS, *range(250)))
    run(subscription)
    folder.write(outputs(0), calls.of(OUTPUTS, *range(50, 300)))
    run(subscription)
    before = paired_books(subscription)
    for _ in range(2):
        run_id, batches = plan(subscription, reprocess=Reprocess.EVERYTHING, batch_bytes=batch_bytes)
        load(subscription, run_id, batches)
        run_until_done(subscription)
        assert paired_books(subscription) == before
