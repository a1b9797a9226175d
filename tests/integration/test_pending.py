"""Halves that wait: over runs, workers, overwritten and growing objects, until their time limit."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from paylog import pipeline
from paylog.connections import Connection
from paylog.data_mart.pair_load import PairLoad
from paylog.errors import Reason, UnbalancedReceipt
from paylog.layout import Window
from paylog.records import Block
from paylog.subscription import Subscription
from paylog.testing.collector_logs import INPUTS, OUTPUTS
from paylog.testing.exactly_once.books import ask
from paylog.testing.exactly_once.collector import Calls, PairedBooks, collector, inputs, outputs, paired_books
from paylog.testing.exactly_once.runs import ingest_with_retries, plan, run, run_until_done
from paylog.testing.exactly_once.served_model import DAY, LOGS, LogFolder, hours
from paylog.testing.exactly_once.site import shared_data_mart

CALLS = Calls(36)
ALL = range(36)
_connections: dict[str, Connection] = {}
_numbers = count(1)


@pytest.fixture(scope="module", autouse=True)
def _database() -> Iterator[None]:
    with shared_data_mart(_connections):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    found = LogFolder(tmp_path)
    _connections[LOGS] = found.connection
    return found


@pytest.fixture
def owner() -> Subscription:
    return collector(f"s{next(_numbers)}")


def clean(owner: Subscription) -> PairedBooks:
    """The books of one undisturbed run over the objects as they are now."""
    fresh = collector(f"{owner.id}-clean")
    run(fresh)
    return paired_books(fresh)


def ids(owner: Subscription) -> set[str]:
    return {row[0].rpartition("-")[0] for row in paired_books(owner).rows}


def good(*numbers: int) -> set[str]:
    """Correlation ids of those of these calls that are no defects."""
    return {CALLS.key_of(n) for n in numbers} & GOOD


@pytest.fixture(scope="module", autouse=True)
def _good(_database: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = LogFolder(tmp_path_factory.mktemp("good"))
    _connections[LOGS] = folder.connection
    folder.write(inputs(0), CALLS.of(INPUTS, *ALL))
    folder.write(outputs(0), CALLS.of(OUTPUTS, *ALL))
    whole = collector("good")
    run(whole)
    GOOD.update(ids(whole))
    assert 28 <= len(GOOD) < 36


GOOD: set[str] = set()


def test_one_half_a_run_late(folder: LogFolder, owner: Subscription) -> None:
    folder.write(inputs(0), CALLS.of(INPUTS, *ALL))
    first = run(owner, hours(0, 12))
    assert (first.counts.read, first.counts.pending, first.waiting) == (36, 36, 36)
    folder.write(outputs(12), CALLS.of(OUTPUTS, *ALL[6:]))
    second = run(owner)
    counts = second.counts
    assert counts.loaded == len(paired_books(owner).rows) > 0
    assert counts.read == counts.loaded + counts.rejected
    assert counts.rejected > 0
    assert (second.settled, second.waiting) == (30, 6)
    assert "30 halves of pairs settled, 6 wait" in second.as_text()
    assert paired_books(owner) == clean(owner)


class _Judge:
    """Counts what a load shows to the judgement."""

    profile_id = 0

    def __init__(self) -> None:
        self.open = self.kept = 0

    def add(self, block: Block) -> None:
        self.open += block.records.num_rows

    def keep(self) -> None:
        self.kept, self.open = self.kept + self.open, 0

    def drop(self) -> None:
        self.open = 0

    def findings(self) -> list[Any]:
        return []

    def refuse(self, *_: object) -> None: ...


@pytest.mark.parametrize("windows", [[DAY], [hours(0, 12), DAY]])
def test_rows_of_pairs_are_held_against_the_training_data(
    folder: LogFolder, owner: Subscription, windows: list[Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = _Judge()
    monkeypatch.setattr(pipeline, "judge", lambda *_: judge)
    folder.write(inputs(0), CALLS.of(INPUTS, *ALL))
    folder.write(outputs(12), CALLS.of(OUTPUTS, *ALL))
    loaded = sum(run(owner, window).counts.loaded for window in windows)
    assert (judge.kept, judge.open) == (loaded, 0)
    assert loaded == len(paired_books(owner).rows) > 0


def test_pairs_of_one_batch_never_wait(folder: LogFolder, owner: Subscription) -> None:
    for hour in (0, 6):
        folder.write(inputs(hour), CALLS.of(INPUTS, *ALL[hour * 3 : hour * 3 + 18]))
        folder.write(outputs(hour), CALLS.of(OUTPUTS, *ALL[hour * 3 : hour * 3 + 18]))
    before = ask(
        "SELECT coalesce(max(n_tup_ins), 0) FROM pg_stat_user_tables WHERE relname = 'paylog_pending'"
    )
    receipt = run(owner)
    assert (receipt.settled, receipt.waiting, receipt.counts.pending) == (0, 0, 0)
    time.sleep(1.1)  # statistics are flushed once a second
    after = ask(
        "SELECT coalesce(max(n_tup_ins), 0) FROM pg_stat_user_tables WHERE relname = 'paylog_pending'"
    )
    assert before == after


def test_two_workers_with_one_half_each(
    folder: LogFolder, owner: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read their half before either of them looks for the other."""
    folder.write(inputs(0), CALLS.of(INPUTS, *ALL))
    folder.write(outputs(0), CALLS.of(OUTPUTS, *ALL))
    run_id, batches = plan(owner, batch_bytes=1)
    assert len(batches) == 2
    meet, finish = threading.Barrier(2, timeout=60), PairLoad.finish

    def together(self: PairLoad, *arguments: Any) -> None:
        meet.wait()
        finish(self, *arguments)

    monkeypatch.setattr(PairLoad, "finish", together)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda batch: ingest_with_retries(owner, run_id, batch, 1), batches))
    monkeypatch.undo()
    pipeline.reconcile(owner, run_id, DAY)
    found = paired_books(owner)
    assert not found.waiting
    assert found == clean(owner)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("changed", [inputs(0), outputs(0)])
def test_an_overwritten_object_gives_its_partners_free(
    folder: LogFolder, owner: Subscription, changed: str, one_by_one: bool
) -> None:
    folder.write(inputs(0), CALLS.of(INPUTS, *ALL))
    folder.write(outputs(0), CALLS.of(OUTPUTS, *ALL))
    run(owner, batch_bytes=1 if one_by_one else None)
    side = changed.partition("/")[0]
    folder.write(changed, CALLS.of(side, *reversed(ALL[20:])))
    run_until_done(owner)
    assert ids(owner) == good(*ALL[20:])
    found = paired_books(owner)
    assert found.waiting.total() == 20
    assert found == clean(owner)
    folder.write(changed, CALLS.of(side, *reversed(ALL)))
    run_until_done(owner)
    assert ids(owner) == GOOD
    assert paired_books(owner) == clean(owner)


def test_a_partner_that_is_gone_from_the_store_is_a_reject(folder: LogFolder, owner: Subscription) -> None:
    folder.write(inputs(0), CALLS.of(INPUTS, *ALL[:6]))
    folder.write(outputs(0), CALLS.of(OUTPUTS, *ALL[:6]))
    run(owner)
    (folder.root / inputs(0)).unlink()
    folder.write(outputs(0), CALLS.of(OUTPUTS, *reversed(ALL[:3])))
    receipt = run(owner)
    assert (receipt.reasons, receipt.counts.pending) == ({"UNPAIRED": 6}, 3)
    paired_books(owner)


def test_an_object_is_overwritten_while_another_pairs_with_it(
    folder: LogFolder, owner: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row that was made with the old version's half goes, whoever commits first."""
    folder.write(inputs(0), CALLS.of(INPUTS, *ALL))
    run(owner)
    folder.write(outputs(12), CALLS.of(OUTPUTS, *ALL))
    folder.write(inputs(0), CALLS.of(INPUTS, *reversed(ALL[10:])))
    run_id, batches = plan(owner, batch_bytes=1)
    assert len(batches) == 2
    meet, finish = threading.Barrier(2, timeout=60), PairLoad.finish
    met = threading.local()

    def together(self: PairLoad, *arguments: Any) -> None:
        if not getattr(met, "once", False):
            met.once = True
            meet.wait()
        finish(self, *arguments)

    monkeypatch.setattr(PairLoad, "finish", together)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda batch: ingest_with_retries(owner, run_id, batch), batches))
    monkeypatch.undo()
    pipeline.reconcile(owner, run_id, DAY)
    run_until_done(owner)
    assert ids(owner) == good(*ALL[10:])
    assert paired_books(owner) == clean(owner)


def test_orphans_leave_after_their_time_limit(folder: LogFolder) -> None:
    owner = collector("limited", logs={"pending": "1s"})
    folder.write(inputs(0), CALLS.of(INPUTS, *ALL[:6]))
    folder.write(outputs(0), CALLS.of(OUTPUTS, *ALL[3:6]))
    assert run(owner).waiting == 3
    time.sleep(1.1)
    receipt = run(owner)
    assert (receipt.counts.read, receipt.counts.rejected, receipt.settled, receipt.waiting) == (3, 3, 3, 0)
    assert receipt.reasons == {"UNPAIRED": 3}
    with pipeline.open_data_mart(owner) as data_mart:
        kept = data_mart.quarantine(owner.id, Reason.UNPAIRED)
        assert sorted((one.uri.endswith(inputs(0)), one.position) for one in kept) == [
            (True, n) for n in range(3)
        ]
        raw = data_mart.quarantine_record(min(one.quarantine_id for one in kept))
        assert raw is not None
        assert raw.raw == CALLS.lines[INPUTS][0].rstrip(b"\n")
    paired_books(owner)
    assert run(owner).counts.read == 0


def test_a_half_that_vanished_is_noticed(folder: LogFolder, owner: Subscription) -> None:
    folder.write(inputs(0), CALLS.of(INPUTS, *ALL[:6]))
    run(owner)
    ask("DELETE FROM paylog.paylog_pending RETURNING position")
    with pytest.raises(UnbalancedReceipt, match="6 halves should be waiting by the receipts"):
        run(owner)


def test_of_one_half_logged_twice_one_is_a_duplicate(folder: LogFolder, owner: Subscription) -> None:
    folder.write(inputs(0), CALLS.of(INPUTS, *ALL[:6], *ALL[:6]))
    folder.write(inputs(6), CALLS.of(INPUTS, *ALL[:6]))
    receipt = run(owner, batch_bytes=1)
    assert (receipt.counts.read, receipt.counts.pending, receipt.counts.duplicate) == (18, 6, 12)
    folder.write(outputs(0), CALLS.of(OUTPUTS, *ALL[:6]))
    run(owner)
    assert ids(owner) == good(*ALL[:6])


def test_a_blob_that_grows_between_runs_and_twice(folder: LogFolder, owner: Subscription) -> None:
    whole = {side: CALLS.of(side, *ALL) for side in (INPUTS, OUTPUTS)}
    keys = {INPUTS: inputs(0), OUTPUTS: outputs(0)}
    for share in (0.2, 0.55, 0.8, 1.0):
        for side, data in whole.items():
            folder.write(keys[side], data[: int(len(data) * share)])
            now = time.time_ns() + int((share - 2) * 1e9)  # still being written
            os.utime(folder.root / keys[side], ns=(now, now))
        run(owner)
        run(owner)
    assert run(owner).counts.read == 0
    assert paired_books(owner) == clean(owner)
    assert ids(owner) == GOOD
    parts = ask(
        f"SELECT state, count(*) FROM paylog.paylog_object WHERE subscription_id = '{owner.id}' GROUP BY 1"
    )
    assert dict(parts) == {"grown": 6, "loaded": 2}
    again = run(owner)
    assert again.counts.read == 0


def test_a_last_line_that_is_never_finished_is_a_reject_in_the_end(
    folder: LogFolder, owner: Subscription
) -> None:
    data = CALLS.of(INPUTS, *ALL[:6])
    folder.write(inputs(0), data[:-20])
    now = time.time_ns() - 1_000_000_000
    os.utime(folder.root / inputs(0), ns=(now, now))
    assert run(owner).counts.read == 5
    assert run(owner).counts.read == 0
    os.utime(folder.root / inputs(0), ns=(1, 1))
    assert run(owner).reasons == {"MALFORMED_JSON": 1}
    assert run(owner).counts.read == 0


def test_pairs_of_a_time_that_retention_has_dropped_are_filtered(
    folder: LogFolder, owner: Subscription
) -> None:
    noon = DAY.start + (DAY.end - DAY.start) / 2
    folder.write(inputs(0), CALLS.of(INPUTS, *ALL))
    run(owner, hours(0, 6))
    with pipeline.open_data_mart(owner) as data_mart:
        data_mart.maintenance.retain(owner.id, noon)
    folder.write(outputs(6), CALLS.of(OUTPUTS, *ALL))
    counts = run(owner).counts
    kept = paired_books(owner).rows
    everything = len(clean(owner).rows)
    assert 0 < len(kept) == counts.loaded < everything
    assert counts.filtered == everything - len(kept)
    assert counts.read == counts.loaded + counts.rejected + counts.filtered
    table = f'"{owner.data_mart.schema_name}"."Payload_{owner.id}"'
    assert ask(f"SELECT min(scoring_timestamp) >= '{noon.isoformat()}' FROM {table}") == [(True,)]
