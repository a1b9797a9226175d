"""Records that a load meets again: only they go through staging, and what was only suspected is right too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from payload_blocks import WINDOW, block, capture_object, load, payload_keys, subscription

from paylog.connections import Connection
from paylog.data_mart import DataMart, recent_ids
from paylog.data_mart import load as load_module
from paylog.data_mart.payload_writer import PayloadWriter
from paylog.data_mart.recent_ids import RecentIds
from paylog.errors import ObjectChanged
from paylog.records import Counts
from paylog.subscription import Subscription

A, B = capture_object("a"), capture_object("b")


@pytest.fixture
def owner(data_mart: DataMart, monkeypatch: pytest.MonkeyPatch) -> Subscription:
    monkeypatch.setattr(load_module, "BUFFER_ROWS", 10)
    owner = subscription()
    data_mart.ensure(owner)
    return owner


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every piece that goes through staging."""
    rows: list[int] = []
    insert = PayloadWriter._insert_staged

    def watched(writer: PayloadWriter, batches: Any, rows_of: Any) -> Any:
        rows.append(sum(batch.num_rows for batch in batches))
        return insert(writer, batches, rows_of)

    monkeypatch.setattr(PayloadWriter, "_insert_staged", watched)
    return rows


def test_only_what_comes_again_is_staged(
    data_mart: DataMart, database: Connection, owner: Subscription, staged: list[int]
) -> None:
    pieces = [range(10), range(10, 20), [*range(20, 28), 3, 14], [28, 29, 3]]
    objects = {A: [block(owner, piece) for piece in pieces], B: [block(owner, [*range(50, 60), 20])]}
    assert load(data_mart, owner, objects).counts == Counts(read=44, loaded=40, duplicate=4)
    assert len(payload_keys(database)) == 40
    assert sum(staged) == 4


def test_what_another_load_has_is_found_by_the_key(
    data_mart: DataMart, database: Connection, owner: Subscription, staged: list[int]
) -> None:
    load(data_mart, owner, {A: [block(owner, range(30))]})
    assert staged == []
    receipt = load(data_mart, owner, {B: [block(owner, range(25, 45)), block(owner, [44, 45])]})
    assert receipt.counts == Counts(read=22, loaded=16, duplicate=6)
    assert sum(staged) == 22


@pytest.mark.parametrize("suspected", [0.0, 0.3, 1.0])
def test_false_suspicions_and_missed_repeats_change_nothing(
    data_mart: DataMart,
    database: Connection,
    owner: Subscription,
    monkeypatch: pytest.MonkeyPatch,
    suspected: float,
) -> None:
    dice = np.random.default_rng(3)
    monkeypatch.setattr(RecentIds, "met", lambda recent, ids: dice.random(len(ids)) < suspected)
    pieces = [[*range(start, start + 8), start - 6, start - 16] for start in range(16, 96, 8)]
    receipt = load(data_mart, owner, {A: [block(owner, piece) for piece in pieces]})
    expected = len({number for piece in pieces for number in piece})
    assert receipt.counts == Counts(read=100, loaded=expected, duplicate=100 - expected)
    assert len(payload_keys(database)) == expected


def test_a_full_table_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_ids, "SLOTS", 4)
    recent = RecentIds()
    first, second = (np.array(ids, np.uint64) for ids in ([1, 2, 7], [5, 2, 6]))
    assert [recent.met(ids).tolist() for ids in (first, second, first)] == [
        [False] * 3, [False, True, False], [False, False, True],
    ]  # fmt: skip


def test_rows_that_were_rolled_back_come_again(
    data_mart: DataMart, database: Connection, owner: Subscription
) -> None:
    with data_mart.load(owner, "0", "run", WINDOW) as batch:
        with pytest.raises(ObjectChanged), batch.object(A) as target:  # noqa: PT012
            assert target is not None
            target.add(block(owner, range(20)))
            raise ObjectChanged("a")
        with batch.object(capture_object("a", "v2")) as again:
            assert again is not None
            again.add(block(owner, range(20)))
        assert batch.receipt().counts == Counts(read=20, loaded=20)
    assert len(payload_keys(database)) == 20


def test_a_row_whose_first_copy_goes_with_an_overwritten_object_comes_again(
    data_mart: DataMart, database: Connection, owner: Subscription
) -> None:
    load(data_mart, owner, {B: [block(owner, range(20))]})
    objects = {A: [block(owner, range(10, 30))], capture_object("b", "v2"): [block(owner, range(15, 20))]}
    assert load(data_mart, owner, objects).counts == Counts(read=25, loaded=15, duplicate=10)
    assert len(payload_keys(database)) == 15
