"""A sample reads the beginning of a few objects and counts what a run would count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from paylog.connections import use_resolver
from paylog.decode import Decoder
from paylog.errors import ObjectChanged, RetriableError
from paylog.pipeline import open_storage
from paylog.plan import Plan, listed, make_plan
from paylog.records import CaptureObject
from paylog.sampling import sample
from paylog.storage import Storage
from paylog.testing import decoded
from paylog.testing.exactly_once.served_model import DAY, LogFolder, credit, credit_log
from paylog.testing.scoring_logs import Defect


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    made = LogFolder(tmp_path)
    use_resolver(lambda _: made.connection)
    return made


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    use_resolver(None)


def planned() -> tuple[Storage, Plan]:
    storage = open_storage(credit())
    found = list(listed(storage, credit(), DAY))
    return storage, make_plan(credit(), DAY, found, {}, batch_bytes=10**9, max_batches=10)


def test_small_objects_are_counted_as_a_run_counts_them(folder: LogFolder) -> None:
    log = credit_log(records=200, rows_per_record=3, objects_count=2, defects={Defect.TYPE_MISMATCH: 6})
    folder.fill(log)
    storage, plan = planned()
    taken = sample(storage, Decoder(credit()), plan)
    expected = log.expected.counts
    assert (taken.objects, taken.records, taken.rejected) == (2, expected.read, expected.rejected)
    assert taken.bytes == plan.bytes
    assert {reason.partition(" ")[0] for reason in taken.reasons} == {"TYPE_MISMATCH"}


def test_of_a_large_object_only_the_beginning_is_read(folder: LogFolder) -> None:
    folder.fill(credit_log(records=2_000, defects={Defect.TYPE_MISMATCH: 40}))
    storage, plan = planned()
    with decoded.decoding(decoded.Path.NATIVE, block_bytes=20_000):
        taken = sample(storage, Decoder(credit()), plan)
    assert taken.bytes < plan.bytes
    assert taken.records == pytest.approx(2_000 * taken.bytes / plan.bytes, rel=0.1)
    assert 0 < taken.rejected < 40


def test_objects_from_all_over_the_window_and_no_more_than_wanted(folder: LogFolder) -> None:
    folder.fill(credit_log(records=240, objects_count=24))
    storage, plan = planned()
    assert sample(storage, Decoder(credit()), plan, most=3).objects == 3
    assert sample(storage, Decoder(credit()), plan, most=100).objects == 24


def test_what_is_gone_since_it_was_listed_is_left_out(folder: LogFolder) -> None:
    key, *_ = folder.fill(credit_log(records=40, objects_count=2))
    storage, plan = planned()
    (folder.root / key).unlink()
    assert sample(storage, Decoder(credit()), plan).objects == 1


class Failing:
    """A storage whose first object cannot be opened."""

    def __init__(self, storage: Storage, error: Exception) -> None:
        self._storage, self._errors = storage, [error]

    def open(self, item: CaptureObject) -> Any:
        if self._errors:
            raise self._errors.pop()
        return self._storage.open(item)


def test_what_was_overwritten_since_is_left_out_and_a_fault_is_told(folder: LogFolder) -> None:
    folder.fill(credit_log(records=40, objects_count=2))
    storage, plan = planned()
    changed = cast(Storage, Failing(storage, ObjectChanged("overwritten")))
    assert sample(changed, Decoder(credit()), plan).objects == 1
    cut_off = cast(Storage, Failing(storage, RetriableError("no connection")))
    with pytest.raises(RetriableError, match="no connection"):
        sample(cut_off, Decoder(credit()), plan)
