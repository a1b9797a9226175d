"""Objects that are overwritten, grow, vanish or change while they are read; batches over their budget."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from paylog import pipeline
from paylog.errors import ErrorBudgetExceeded, ObjectChanged
from paylog.records import CaptureObject, Counts
from paylog.storage import Storage
from paylog.storage.read_ahead import ReadAhead
from paylog.subscription import Subscription
from paylog.testing.exactly_once.books import ask, books, receipt_ids
from paylog.testing.exactly_once.runs import clean_run, plan, run, run_until_done
from paylog.testing.exactly_once.served_model import (
    DAY,
    LogFolder,
    churn,
    churn_log,
    credit,
    credit_log,
    hours,
)
from paylog.testing.scoring_logs import Defect

_DEFECTS = {Defect.TYPE_MISMATCH: 4, Defect.MISSING_RESPONSE: 4, Defect.DUPLICATE: 4}


def assert_as_a_clean_run(subscription: Subscription) -> None:
    assert pipeline.plan(subscription, DAY).batches == []
    assert books(subscription).without_origin() == books(clean_run(subscription)).without_origin()


FLAT = {"layout": ""}


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:20],
        lambda lines: lines[30:],
        lambda lines: lines[::-1],
        lambda lines: lines[10:90] + lines[150:],
        lambda lines: lines + lines,
        lambda lines: [b"{}\n", *lines[50:]],
        lambda lines: [],
    ],
    ids=["fewer", "others", "reversed", "a hole", "twice", "a new reject", "none"],
)
def test_an_overwritten_object_whose_rows_others_hold_too(
    folder: LogFolder, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    """a and b share rows 50 to 99, b and c 100 to 149: what a alone brought goes, the others' rows stay."""
    subscription = credit(logs=FLAT)
    (log,) = credit_log(records=200, defects=_DEFECTS).objects()
    lines = log.data.splitlines(keepends=True)
    folder.write("a.jsonl", lines[:100])
    folder.write("b.jsonl", lines[50:150])
    folder.write("c.jsonl", lines[100:])
    run(subscription)
    for key in ("a.jsonl", "b.jsonl", "a.jsonl"):
        folder.write(key, change(folder.lines(key)))
        run_until_done(subscription)
        assert_as_a_clean_run(subscription)


def test_a_row_that_went_with_its_object_is_fetched_from_one_older_than_the_lookback(
    folder: LogFolder,
) -> None:
    subscription = credit(logs={"lookback": "0h"})
    first, *_, last = folder.fill(credit_log(records=240, objects_count=24))
    shared = folder.lines(first)
    folder.write(last, shared + folder.lines(last))
    run(subscription, hours(20, 24), batch_bytes=1)
    assert run(subscription, hours(0, 20)).counts == Counts(read=200, loaded=190, duplicate=10)
    folder.write(last, folder.lines(last)[10:])
    run(subscription, hours(23, 24))
    assert pipeline.plan(subscription, hours(23, 24)).objects == 1
    assert run(subscription, hours(23, 24)).counts == Counts(read=10, loaded=10)
    assert_as_a_clean_run(subscription)


@pytest.mark.parametrize("with_ids", [True, False], ids=["ids", "no ids"])
def test_an_object_that_grows_between_runs(folder: LogFolder, with_ids: bool) -> None:
    """Records without an id are known by object, version and position: each version has its own."""
    subscription = credit(logs=FLAT)
    whole = credit_log(records=500, rows_per_record=2, defects=_DEFECTS)
    (log,) = whole.objects()
    data = log.data if with_ids else re.sub(rb'"scoring_id":"[^"]*",', b"", log.data)
    lines = data.splitlines(keepends=True)
    for end in (100, 101, 350, len(lines)):
        folder.write("growing.jsonl", lines[:end])
        receipt = run(subscription)
        assert receipt.objects == 1
        assert_as_a_clean_run(subscription)
    assert receipt.counts.read == whole.expected.counts.read


class Meddled:
    """A storage whose objects somebody changes: ``meddle`` is called after the first chunk of each read."""

    def __init__(self, storage: Storage, meddle: Callable[[CaptureObject], None]) -> None:
        self._storage = storage
        self._meddle = meddle
        self.list, self.stat = storage.list, storage.stat

    @contextmanager
    def open(self, item: CaptureObject, start: int = 0) -> Iterator[Iterator[bytes]]:
        with self._storage.open(item, start) as chunks:
            yield self._meddled(item, chunks)

    def _meddled(self, item: CaptureObject, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(chunks)
        self._meddle(item)
        yield from chunks


Meddler = Callable[[Callable[[CaptureObject], None]], None]


@pytest.fixture
def while_read(monkeypatch: pytest.MonkeyPatch) -> Meddler:
    """Call this with what happens after the first chunk of every object that is read from now on."""
    opened = pipeline.open_storage

    def install(meddle: Callable[[CaptureObject], None]) -> None:
        monkeypatch.setattr(pipeline, "open_storage", lambda owner: Meddled(opened(owner), meddle))

    return install


@pytest.mark.parametrize("loaded_before", [False, True])
@pytest.mark.parametrize("records", [200, 3_000], ids=["one chunk", "three chunks"])
def test_an_object_overwritten_while_it_is_read_is_read_again(
    folder: LogFolder, while_read: Meddler, loaded_before: bool, records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paylog.data_mart.load.BUFFER_ROWS", 300)
    subscription = credit(logs=FLAT)
    objects = credit_log(records=3 * records, objects_count=3, defects=_DEFECTS).objects()
    first, second, third = [folder.write(f"{n}.jsonl", item.data) for n, item in enumerate(objects)]
    if loaded_before:
        run(subscription)
        for key in (first, second, third):
            folder.write(key, folder.lines(key)[5:])
    fates = [b"".join(folder.lines(second)[50:]), b"".join(folder.lines(second)[20:-20])]

    def overwrite(item: CaptureObject) -> None:
        if item.key == second and fates:
            folder.overwrite_in_place(second, fates.pop())

    while_read(overwrite)
    receipt = run(subscription)
    assert fates == []
    assert receipt.objects == 3
    run_until_done(subscription)
    assert_as_a_clean_run(subscription)


def test_an_object_that_never_stops_changing_fails_the_task(folder: LogFolder, while_read: Meddler) -> None:
    subscription = credit(logs=FLAT)
    objects = credit_log(records=90, objects_count=3).objects()
    keys = [folder.write(f"{n}.jsonl", item.data) for n, item in enumerate(objects)]
    content = folder.read(keys[1])
    changes = 0

    def overwrite(item: CaptureObject) -> None:
        nonlocal changes
        if item.key == keys[1]:
            changes += 1
            folder.overwrite_in_place(keys[1], content + b"\n" * changes)

    while_read(overwrite)
    run_id, (batch_id,) = plan(subscription)
    with pytest.raises(ObjectChanged, match=keys[1]):
        pipeline.ingest_planned(subscription, run_id, batch_id)
    assert changes == 3
    assert books(subscription).rows == []
    assert receipt_ids(subscription) == []
    while_read(lambda item: None)
    assert pipeline.ingest_planned(subscription, run_id, batch_id).counts == Counts(read=90, loaded=90)
    assert_as_a_clean_run(subscription)


def test_an_object_replaced_while_it_is_read(folder: LogFolder, while_read: Meddler) -> None:
    """The reader has the old file in its hands and loads that; the next run finds the new one."""
    subscription = churn(logs=FLAT)
    (log,) = churn_log(records=4_000, defects=_DEFECTS).objects()
    key = folder.write("a.jsonl", log.data)
    shorter = [b"".join(folder.lines(key)[100:])]

    def replace(item: CaptureObject) -> None:
        if shorter:
            folder.write(key, shorter.pop())

    while_read(replace)
    assert run(subscription).counts.read == 4_004
    while_read(lambda item: None)
    assert run(subscription).counts.read == 3_904
    run_until_done(subscription)
    assert_as_a_clean_run(subscription)


def test_an_object_deleted_after_it_was_planned(folder: LogFolder) -> None:
    subscription = credit()
    keys = folder.fill(credit_log(records=90, objects_count=3))
    run_id, (batch_id,) = plan(subscription)
    (folder.root / keys[1]).unlink()
    assert pipeline.ingest_planned(subscription, run_id, batch_id).counts == Counts(read=60, loaded=60)
    assert pipeline.reconcile(subscription, run_id, DAY).objects == 2
    assert_as_a_clean_run(subscription)


def states(subscription: Subscription) -> list[str]:
    return [state for (state,) in ask("SELECT state FROM paylog.paylog_batch ORDER BY batch_id")]


def test_over_the_budget_nothing_of_the_batch_is_kept(folder: LogFolder) -> None:
    """The good batch of the run stays; the bad one is loaded when the budget is raised."""
    strict = credit(error_budget={"share": None, "count": 9})
    good = credit_log(records=300, objects_count=3, defects={Defect.TYPE_MISMATCH: 9})
    bad = credit_log(records=300, seed=8, defects={Defect.MISSING_RESPONSE: 10, Defect.DUPLICATE: 5})
    keys = folder.fill(good)
    folder.write("2024/03/04/23/bad.jsonl", next(bad.objects()).data)
    size = sum(len(folder.read(key)) for key in keys)
    run_id, (first, second) = plan(strict, batch_bytes=size)
    assert pipeline.ingest_planned(strict, run_id, first).counts == good.expected.counts
    before = books(strict)
    for _ in range(2):
        with pytest.raises(ErrorBudgetExceeded, match="10 of 305 rows were rejected") as caught:
            pipeline.ingest_planned(strict, run_id, second)
        assert not any(name in str(caught.value) for name in ("less_0", "no_checking", "No Risk"))
        assert books(strict) == before
        assert states(strict) == ["committed", "over_budget"]
    assert len(receipt_ids(strict, "over_budget")) == 2
    assert len(receipt_ids(strict)) == 1

    raised = credit(error_budget={"share": None, "count": 10})
    receipt = run(raised)
    assert receipt.counts == bad.expected.counts
    assert receipt.reasons == bad.expected.reasons
    assert books(raised) == books(clean_run(credit(error_budget={"share": None})))


def test_a_new_version_over_the_budget_leaves_the_old_one(folder: LogFolder) -> None:
    strict = churn(error_budget={"share": 0.01}, logs=FLAT)
    (log,) = churn_log(records=400, defects={Defect.TYPE_MISMATCH: 4}).objects()
    key = folder.write("a.jsonl", log.data)
    folder.write("b.jsonl", log.data.splitlines(keepends=True)[:30])
    run(strict, batch_bytes=1)
    before = books(strict)
    folder.write(key, folder.lines(key)[50:] + [b"not a record\n"] * 20)
    with pytest.raises(ErrorBudgetExceeded):
        run(strict)
    assert books(strict) == before
    assert pipeline.plan(strict, DAY).objects == 1
    folder.write(key, log.data.splitlines(keepends=True)[50:])
    raised = churn(error_budget={"share": 0.5}, logs=FLAT)
    run_until_done(raised)
    assert_as_a_clean_run(raised)


def test_the_watermark_waits_for_what_is_missing(folder: LogFolder) -> None:
    """A window that leaves a gap behind it does not move it; the one that fills the gap does."""
    subscription = credit(logs={"lookback": "0h"})
    folder.fill(credit_log(records=48, objects_count=24))
    assert run(subscription, hours(0, 6)).complete_through == hours(0, 6).end
    assert run(subscription, hours(12, 18)).complete_through == hours(0, 6).end
    assert run(subscription, hours(6, 12)).complete_through == hours(12, 18).end
    assert run(subscription, hours(0, 24)).complete_through == hours(0, 24).end
    assert run(subscription, hours(2, 4)).complete_through == hours(0, 24).end
    assert_as_a_clean_run(subscription)


def test_what_was_read_ahead_does_not_replace_what_another_worker_has_loaded_since(
    folder: LogFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old version is open already when another worker loads the new one; then comes our turn."""
    subscription = credit(logs=FLAT)
    [(_, data, _)] = credit_log(records=200, objects_count=1).objects()
    key = folder.write("0.jsonl", data)
    run_id, [batch_id] = plan(subscription)
    opened_ahead = pipeline.ReadAhead.__enter__

    def overtaken(ahead: ReadAhead) -> ReadAhead:
        entered = opened_ahead(ahead)
        for _, opening in ahead._ahead:
            opening.result()
        monkeypatch.setattr(pipeline.ReadAhead, "__enter__", opened_ahead)
        folder.write(key, folder.lines(key)[50:])
        run(subscription)
        return entered

    monkeypatch.setattr(pipeline.ReadAhead, "__enter__", overtaken)
    pipeline.ingest_planned(subscription, run_id, batch_id)
    assert_as_a_clean_run(subscription)
