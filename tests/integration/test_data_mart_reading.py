"""Reading the data mart: ledger in bulk, receipts, plans, watermark, counts and frames."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from payload_blocks import NOON, WINDOW, block, capture_object, load, query, subscription

from paylog.connections import Connection
from paylog.data_mart import DataMart, PlannedBatch
from paylog.errors import ErrorBudgetExceeded, Reason, SchemaMismatch, StopError
from paylog.records import Reject

A, B = capture_object("a"), capture_object("b")
HOUR = timedelta(hours=1)


def batch(name: str, *objects: str) -> PlannedBatch:
    return PlannedBatch(name, *WINDOW, tuple(map(capture_object, objects)))


def test_the_ledger_answers_for_100_000_objects(data_mart: DataMart, database: Connection) -> None:
    query(
        database,
        'INSERT INTO "paylog test".paylog_receipt (subscription_id, batch_id, run_id, window_start, '
        "window_end, state, objects, bytes, seconds, schema_version) "
        "VALUES ('credit', '0', 'run', now(), now(), 'committed', 0, 0, 0, '')",
    )
    query(
        database,
        'INSERT INTO "paylog test".paylog_object (subscription_id, uri, version, size, last_modified, '
        "receipt_id, schema_version, state) SELECT 'credit', 'cos://b/' || n, 'v' || n, 1, now(), 1, '', "
        "CASE WHEN n % 1000 = 0 THEN 'stale' ELSE 'loaded' END FROM generate_series(0, 99999) n",
    )
    started = time.monotonic()
    found = data_mart.ledger("credit", (f"cos://b/{n}" for n in range(50_000, 150_000)))
    assert time.monotonic() - started < 10
    assert len(found) == 49_950
    assert found["cos://b/50001"] == "v50001"
    assert len(data_mart.stale_objects("credit")) == 100
    assert data_mart.ledger("other", ["cos://b/50001"]) == {}
    assert data_mart.ledger("credit", []) == {}


def test_receipts_are_newest_first_and_by_run(data_mart: DataMart) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    for number in range(4):
        load(data_mart, owner, {capture_object(str(number)): [block(owner, [number])]}, f"run-{number // 2}")
    assert [r.run_id for r in data_mart.receipts("credit")] == ["run-1", "run-1", "run-0", "run-0"]
    assert [r.counts.loaded for r in data_mart.receipts("credit", "run-0")] == [1, 1]
    assert len(data_mart.receipts("credit", limit=3)) == 3
    assert data_mart.receipts("other") == []
    assert all(r.seconds > 0 for r in data_mart.receipts("credit"))


def test_a_plan_is_stored_and_replaced(data_mart: DataMart, database: Connection) -> None:
    data_mart.save_plan("credit", "run", [batch("0", "a", "ü %"), batch("1", "c")])
    stored = data_mart.load_batch("credit", "run", "0")
    assert stored == batch("0", "a", "ü %")
    assert stored.bytes == 200
    data_mart.save_plan("credit", "other", [batch("0", "z")])
    data_mart.save_plan("credit", "run", [batch("0", "c")])
    assert data_mart.load_batch("credit", "run", "0") == batch("0", "c")
    with pytest.raises(StopError, match="'run' has no planned batch '1'"):
        data_mart.load_batch("credit", "run", "1")
    query(database, """UPDATE "paylog test".paylog_batch SET planned_at = now() - interval '91 days'""")
    data_mart.save_plan("credit", "new", [])
    with pytest.raises(StopError, match="'run' has no planned batch '0'"):
        data_mart.load_batch("credit", "run", "0")


def test_a_batch_knows_what_became_of_it(data_mart: DataMart) -> None:
    owner = subscription(count=0)
    data_mart.ensure(owner)
    data_mart.save_plan("credit", "run-1", [batch("0", "a"), batch("1", "b"), batch("2", "c")])
    load(data_mart, owner, {A: [block(owner, range(3))]})
    bad = block(owner, [], rejects=[Reject(0, Reason.MALFORMED_JSON, b"")])
    with pytest.raises(ErrorBudgetExceeded):
        load(data_mart, owner, {B: [bad]}, batch_id="1")
    states = [data_mart.load_batch("credit", "run-1", number).state for number in "012"]
    assert states == ["committed", "over_budget", "planned"]


def test_a_failed_batch_is_read_with_its_folders_and_by_time(data_mart: DataMart) -> None:
    """Its objects, which may be thousands, stay where they are."""
    owner = subscription(count=0)
    data_mart.ensure(owner)
    bad = block(owner, [], rejects=[Reject(0, Reason.MALFORMED_JSON, b"")])
    data_mart.save_plan("credit", "run-1", [batch("0", *(f"{n % 2:02d}/{n}" for n in range(50)))])
    for name in ("0", "not planned"):
        with pytest.raises(ErrorBudgetExceeded):
            load(data_mart, owner, {B: [bad]}, batch_id=name)
    other, failed = data_mart.overview.failed_batches("credit")
    parent = capture_object("").uri
    assert (sorted(failed.folders), other.folders) == ([f"{parent}00/", f"{parent}01/"], ())
    assert failed.window == WINDOW
    moment = timedelta(microseconds=1)
    assert len(data_mart.overview.failed_batches("credit", WINDOW[1] - moment)) == 2
    assert data_mart.overview.failed_batches("credit", WINDOW[1]) == []


def test_the_watermark_stops_at_a_gap_and_never_goes_back(data_mart: DataMart) -> None:
    assert data_mart.is_set_up()
    assert data_mart.watermark("credit") is None
    second, third = (NOON + HOUR, NOON + 2 * HOUR), (NOON + 2 * HOUR, NOON + 3 * HOUR)
    assert data_mart.advance_watermark("credit", third, NOON, late=2).complete_through == NOON
    assert data_mart.advance_watermark("credit", second, NOON).complete_through == NOON
    moved = data_mart.advance_watermark("credit", (NOON, NOON + HOUR), NOON, late=1)
    assert (moved.complete_through, moved.late_objects) == (NOON + 3 * HOUR, 3)
    again = data_mart.advance_watermark("credit", third, NOON, late=2)
    assert (again.complete_through, again.late_objects) == (NOON + 3 * HOUR, 3)
    assert data_mart.watermark("credit") == again
    assert data_mart.watermark("other") is None


def test_stored_counts_see_what_the_ledger_does_not(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    load(data_mart, owner, {A: [block(owner, range(5))], B: [block(owner, range(5, 9))]})
    load(data_mart, owner, {capture_object("c"): [block(owner, [20])]}, "run-2")
    load(data_mart, owner, {capture_object("empty"): []})
    counts = {
        e.uri.rsplit("/", 1)[1]: (e.loaded, e.stored) for e in data_mart.stored_counts("credit", "run-1")
    }
    assert counts == {"a": (5, 5), "b": (4, 4), "empty": (0, 0)}
    query(database, """DELETE FROM "paylog test"."Payload_credit" WHERE scoring_id = 'id-6-1'""")
    lost = [e for e in data_mart.stored_counts("credit", "run-1") if e.loaded != e.stored]
    assert [(e.uri, e.loaded, e.stored) for e in lost] == [(B.uri, 4, 3)]
    load(data_mart, owner, {capture_object("b", "v2"): []}, "run-3")
    assert {e.uri for e in data_mart.stored_counts("credit", "run-1")} == {A.uri, "file:///logs/empty"}
    assert data_mart.stored_counts("credit", "no such run") == []


def test_object_ids_beyond_four_bytes(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    query(database, 'ALTER TABLE "paylog test".paylog_object ALTER COLUMN object_id RESTART WITH 5000000000')
    load(data_mart, owner, {A: [block(owner, range(3))]})
    load(data_mart, owner, {capture_object("a", "v2"): [block(owner, range(4))]})
    [entry] = data_mart.stored_counts("credit", "run-1")
    assert entry.object_id > 5_000_000_000
    assert (entry.loaded, entry.stored) == (4, 4)


def test_a_frame_of_a_period(data_mart: DataMart) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    load(data_mart, owner, {A: [block(owner, range(10), step=HOUR)]})
    frame = data_mart.payload.frame("credit", NOON + 2 * HOUR, NOON + 5 * HOUR)
    assert list(frame["scoring_id"]) == ["id-2-1", "id-3-1", "id-4-1"]
    assert not [name for name in frame.columns if name.startswith("_")]
    assert str(frame["age"].dtype) == "int64"
    first = cast(datetime, frame["scoring_timestamp"].iloc[0])
    assert first.astimezone(UTC) == NOON + 2 * HOUR
    assert len(data_mart.payload.frame("credit", limit=4)) == 4
    with pytest.raises(SchemaMismatch, match="no columns \\['salary'\\]"):
        data_mart.payload.frame("credit", columns=["age", "salary"])
    with pytest.raises(SchemaMismatch, match="nothing was loaded"):
        data_mart.payload.frame("other")


def test_rows_of_a_field_that_no_run_has_brought_are_not_delivered(data_mart: DataMart) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    receipt = load(data_mart, owner, {A: [block(owner, range(3))]})
    with (
        pytest.raises(SchemaMismatch, match=r"has no columns \['new'\]"),
        data_mart.delivery.rows("credit", receipt.receipt_id, (["age", "new"], ["prediction"])),
    ):
        raise AssertionError("there are no such rows")
