"""Overwritten objects: the new version takes the place of the old one, and no duplicate is forgotten."""

from __future__ import annotations

import pytest
from payload_blocks import WINDOW, block, capture_object, load, payload_keys, query, subscription

from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.errors import ObjectChanged, Reason
from paylog.records import Counts, Reject
from paylog.subscription import Subscription

A, B = capture_object("a"), capture_object("b")
A2, B2 = capture_object("a", "v2"), capture_object("b", "v2")


@pytest.fixture
def owner(data_mart: DataMart) -> Subscription:
    credit = subscription()
    data_mart.ensure(credit)
    return credit


def scoring_numbers(database: Connection) -> list[int]:
    return sorted(int(row[0].split("-")[1]) for row in payload_keys(database))


def states(database: Connection) -> dict[tuple[str, str], str]:
    rows = query(database, 'SELECT uri, version, state FROM "paylog test".paylog_object')
    return {(uri.rsplit("/", 1)[1], version): state for uri, version, state in rows}


def test_a_new_version_replaces_rows_and_rejects(
    data_mart: DataMart, database: Connection, owner: Subscription
) -> None:
    bad = Reject(0, Reason.MALFORMED_JSON, b"{")
    load(data_mart, owner, {A: [block(owner, range(5), rejects=[bad, bad])], B: [block(owner, [50])]})
    receipt = load(data_mart, owner, {A2: [block(owner, range(3, 9), rejects=[bad])]})
    assert receipt.counts == Counts(read=7, loaded=6, rejected=1)
    assert scoring_numbers(database) == [*range(3, 9), 50]
    assert data_mart.quarantine_counts("credit") == {Reason.MALFORMED_JSON: 1}
    assert data_mart.ledger("credit", [A.uri, B.uri]) == {A.uri: "v2", B.uri: "v1"}
    assert states(database) == {("a", "v1"): "superseded", ("a", "v2"): "loaded", ("b", "v1"): "loaded"}


def test_a_row_held_as_duplicate_is_read_again(
    data_mart: DataMart, database: Connection, owner: Subscription
) -> None:
    """B left row 4 out because A had it; A's new version has not: B must bring it."""
    load(data_mart, owner, {A: [block(owner, range(5))], B: [block(owner, range(4, 8))]})
    load(data_mart, owner, {A2: [block(owner, range(2))]})
    assert data_mart.ledger("credit", [A.uri, B.uri]) == {A.uri: "v2"}
    assert data_mart.stale_objects("credit") == {B.uri: "v1"}
    receipt = load(data_mart, owner, {B: [block(owner, range(4, 8))]}, run="run-2")
    assert receipt.counts == Counts(read=4, loaded=4)
    assert scoring_numbers(database) == [0, 1, 4, 5, 6, 7]
    assert data_mart.stale_objects("credit") == {}


def test_a_growing_object_makes_nothing_stale(
    data_mart: DataMart, database: Connection, owner: Subscription
) -> None:
    """Every row comes back, so whoever held one as duplicate is still right."""
    load(data_mart, owner, {A: [block(owner, range(5))], B: [block(owner, range(4, 8))]})
    load(data_mart, owner, {A2: [block(owner, range(6))]})
    assert data_mart.stale_objects("credit") == {}
    assert scoring_numbers(database) == list(range(8))


def test_a_stale_object_that_is_read_again_makes_no_other_stale(
    data_mart: DataMart, database: Connection, owner: Subscription
) -> None:
    """Two objects with the same rows must not send each other to be read for ever."""
    c = capture_object("c")
    same = {item: [block(owner, range(5))] for item in (A, B, c)}
    load(data_mart, owner, same)
    load(data_mart, owner, {A2: []})
    assert set(data_mart.stale_objects("credit")) == {B.uri, c.uri}
    load(data_mart, owner, {B: [block(owner, range(5))], c: [block(owner, range(5))]})
    assert data_mart.stale_objects("credit") == {}
    assert scoring_numbers(database) == list(range(5))


def test_objects_out_of_the_time_range_stay(
    data_mart: DataMart, database: Connection, owner: Subscription
) -> None:
    far = capture_object("far")
    load(data_mart, owner, {A: [block(owner, range(3))]})
    load(data_mart, owner, {far: [block(owner, range(1000, 1003)), block(owner, [1000])]})
    load(data_mart, owner, {A2: []})
    assert data_mart.stale_objects("credit") == {}
    assert scoring_numbers(database) == [1000, 1001, 1002]


def test_a_changed_object_keeps_its_old_version(
    data_mart: DataMart, database: Connection, owner: Subscription
) -> None:
    """The new version cannot be read whole: what the old one loaded stands."""
    load(data_mart, owner, {A: [block(owner, range(5))], B: [block(owner, range(4, 8))]})
    with data_mart.load(owner, "1", "run-2", WINDOW) as batch:
        with pytest.raises(ObjectChanged), batch.object(A2) as target:  # noqa: PT012
            assert target is not None
            target.add(block(owner, [90]))
            raise ObjectChanged("a")
        with batch.object(B2) as target:
            assert target is not None
            target.add(block(owner, [70]))
        assert batch.receipt().counts == Counts(read=1, loaded=1)
    assert scoring_numbers(database) == [*range(5), 70]
    assert data_mart.ledger("credit", [A.uri, B.uri]) == {A.uri: "v1", B.uri: "v2"}
    assert data_mart.stale_objects("credit") == {}


def test_a_rolled_back_batch_supersedes_nothing(
    data_mart: DataMart, database: Connection, owner: Subscription
) -> None:
    load(data_mart, owner, {A: [block(owner, range(5))]})
    with pytest.raises(KeyboardInterrupt), data_mart.load(owner, "1", "run-2", WINDOW) as batch:  # noqa: PT012
        with batch.object(A2) as target:
            assert target is not None
            target.add(block(owner, [90]))
        raise KeyboardInterrupt
    assert scoring_numbers(database) == list(range(5))
    assert data_mart.ledger("credit", [A.uri]) == {A.uri: "v1"}


def test_two_versions_of_an_object_in_one_batch(
    data_mart: DataMart, database: Connection, owner: Subscription
) -> None:
    with data_mart.load(owner, "0", "run", WINDOW) as batch:
        for item, numbers in ((A, range(5)), (A2, range(3, 6)), (A2, range(9))):
            with batch.object(item) as target:
                if target is not None:
                    target.add(block(owner, numbers))
    assert scoring_numbers(database) == [3, 4, 5]
    assert data_mart.ledger("credit", [A.uri]) == {A.uri: "v2"}


def test_versions_go_back_and_forth(data_mart: DataMart, database: Connection, owner: Subscription) -> None:
    for version, numbers in (("v1", range(5)), ("v2", range(2)), ("v1", range(5))):
        load(data_mart, owner, {capture_object("a", version): [block(owner, numbers)]})
    assert scoring_numbers(database) == list(range(5))
    assert data_mart.ledger("credit", [A.uri]) == {A.uri: "v1"}
    assert [entry.loaded == entry.stored for entry in data_mart.stored_counts("credit", "run-1")] == [True]


def test_a_row_removed_while_another_load_held_it_as_duplicate(
    data_mart: DataMart, database: Connection, owner: Subscription
) -> None:
    """B counted row 4 as duplicate, then A's new version removed it, before B was committed."""
    load(data_mart, owner, {A: [block(owner, range(5))]})
    with data_mart.load(owner, "1", "run-2", WINDOW) as batch:
        with batch.object(B) as target:
            assert target is not None
            target.add(block(owner, range(4, 8)))
        batch._write_finished()
        with DataMart(database, "paylog test") as other:
            load(other, owner, {A2: [block(owner, range(2))]}, "run-3")
        assert batch.receipt().counts == Counts(read=4, loaded=3, duplicate=1)
    assert data_mart.stale_objects("credit") == {B.uri: "v1"}
    load(data_mart, owner, {B: [block(owner, range(4, 8))]}, "run-4")
    assert scoring_numbers(database) == [0, 1, 4, 5, 6, 7]


def test_more_entries_than_a_statement_has_parameters(data_mart: DataMart, owner: Subscription) -> None:
    """As the retraction of a year has them."""
    load(data_mart, owner, {A: [block(owner, range(3))], B: [block(owner, range(2))]})
    with data_mart.load(owner, "0", "run-2", WINDOW) as batch:
        with batch.object(A2) as target:
            assert target is not None
            target.add(block(owner, [2]))
        batch._superseded += range(10**6, 10**6 + 70_000)
    assert data_mart.stale_objects("credit") == {B.uri: "v1"}
