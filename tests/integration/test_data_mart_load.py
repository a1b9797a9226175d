"""Load: rows, counts, ledger, receipts, quarantine, duplicates, error budget, conservation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from payload_blocks import (
    NOON,
    WINDOW,
    block,
    capture_object,
    load,
    payload_keys,
    query,
    subscription,
)

from paylog.connections import Connection
from paylog.data_mart import DataMart, payload_writer
from paylog.data_mart import load as load_module
from paylog.errors import (
    ErrorBudgetExceeded,
    ObjectChanged,
    Reason,
    SchemaMismatch,
    StopError,
    UnbalancedReceipt,
)
from paylog.records import Block, Counts, Reject

A, B, C = (capture_object(name) for name in ("a", "b", "c"))


def test_rows_arrive_with_their_values(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    receipt = load(data_mart, owner, {A: [block(owner, range(5)), block(owner, range(5, 8))]})
    assert receipt.counts == Counts(read=8, loaded=8)
    frame = data_mart.payload.frame(
        "credit", columns=["scoring_id", "_object_id", *["age", "income", "purpose"]]
    )
    assert list(frame["scoring_id"]) == [f"id-{n}-1" for n in range(8)]
    assert list(frame["income"]) == [n / 7 for n in range(8)]
    assert list(frame["purpose"].isna()) == [n % 3 == 0 for n in range(8)]
    [(object_id,)] = query(database, 'SELECT object_id FROM "paylog test".paylog_object')
    assert set(frame["_object_id"]) == {object_id}
    assert payload_keys(database)[0][-1] == [0.25, 0.75]


def test_ledger_and_receipt_tell_what_was_loaded(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    load(data_mart, owner, {A: [block(owner, range(4), filtered=2)], B: []})
    assert data_mart.ledger("credit", [A.uri, B.uri, C.uri]) == {A.uri: "v1", B.uri: "v1"}
    [receipt] = data_mart.receipts("credit")
    assert (receipt.objects, receipt.bytes, receipt.state) == (2, 200, "committed")
    assert (receipt.window_start, receipt.window_end) == WINDOW
    assert receipt.counts == Counts(read=6, loaded=4, filtered=2)
    [entry] = query(
        database,
        "SELECT read, loaded, filtered, min_scoring_timestamp, max_scoring_timestamp "
        """FROM "paylog test".paylog_object WHERE uri LIKE '%a'""",
    )
    assert entry == (6, 4, 2, NOON, NOON + timedelta(milliseconds=3))


def test_a_loaded_object_is_not_loaded_again(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    load(data_mart, owner, {A: [block(owner, range(4))]})
    with data_mart.load(owner, "1", "run-2", WINDOW) as batch, batch.object(A) as target:
        assert target is None
    [second, first] = data_mart.receipts("credit")
    assert (first.counts.loaded, second.counts.read, second.objects) == (4, 0, 0)
    assert query(database, 'SELECT already_loaded FROM "paylog test".paylog_receipt ORDER BY receipt_id') == [
        (0,),
        (1,),
    ]


def test_duplicates_are_counted_where_they_are(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    receipt = load(
        data_mart,
        owner,
        {
            A: [block(owner, range(10))],
            B: [block(owner, range(5, 12)), block(owner, [11])],
            C: [block(owner, range(20, 25))],
        },
    )
    assert receipt.counts == Counts(read=23, loaded=17, duplicate=6)
    found = query(database, 'SELECT loaded, duplicate FROM "paylog test".paylog_object ORDER BY uri')
    assert found == [(10, 0), (2, 6), (5, 0)]
    assert load(data_mart, owner, {capture_object("d"): [block(owner, range(11, 14))]}).counts == Counts(
        read=3, loaded=2, duplicate=1
    )


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_buffer_size_changes_nothing(
    data_mart: DataMart, database: Connection, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(load_module, "BUFFER_ROWS", rows)
    monkeypatch.setattr(payload_writer, "STAY_IN_STAGING", 2)
    owner = subscription()
    data_mart.ensure(owner)
    bad = Reject(3, Reason.TYPE_MISMATCH, b"bad", column="age")
    receipt = load(
        data_mart,
        owner,
        {
            A: [block(owner, range(start, start + 5), rejects=[bad]) for start in range(0, 50, 5)],
            B: [block(owner, [start, start + 1000]) for start in range(0, 60, 2)],
        },
    )
    assert receipt.counts == Counts(read=120, loaded=85, duplicate=25, rejected=10)
    assert len(payload_keys(database)) == 85
    assert data_mart.quarantine_counts("credit") == {Reason.TYPE_MISMATCH: 10}


def test_rows_out_of_time_order_arrive(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    objects = {A: [block(owner, [5, 1, 3])], B: [block(owner, [4, 0, 3])]}
    assert load(data_mart, owner, objects).counts == Counts(read=6, loaded=5, duplicate=1)
    assert [row[:2] for row in payload_keys(database)] == [
        (f"id-{n}-1", NOON + timedelta(milliseconds=n)) for n in (0, 1, 3, 4, 5)
    ]
    found = query(database, 'SELECT uri, loaded, duplicate FROM "paylog test".paylog_object ORDER BY uri')
    assert found == [(A.uri, 3, 0), (B.uri, 2, 1)]


def test_rejects_are_kept_with_their_bytes(data_mart: DataMart) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    rejects = [
        Reject(0, Reason.MALFORMED_JSON, b'{"broken\x00\xff', rows=3),
        Reject(7, Reason.TYPE_MISMATCH, b"x" * 3_000_000, row=2, column="age"),
    ]
    receipt = load(data_mart, owner, {A: [block(owner, range(2), rejects=rejects)]})
    assert receipt.counts == Counts(read=6, loaded=2, rejected=4)
    assert receipt.reasons == {"MALFORMED_JSON": 3, "TYPE_MISMATCH": 1}
    assert data_mart.quarantine_counts("credit") == {Reason.MALFORMED_JSON: 3, Reason.TYPE_MISMATCH: 1}
    [newest, oldest] = data_mart.quarantine("credit")
    assert (newest.position, newest.row, newest.column, newest.uri) == (7, 2, "age", A.uri)
    assert newest.raw is oldest.raw is None
    assert [r.position for r in data_mart.quarantine("credit", Reason.MALFORMED_JSON)] == [0]
    kept = data_mart.quarantine_record(oldest.quarantine_id)
    assert kept is not None
    assert (kept.raw, kept.reason, kept.rows) == (b'{"broken\x00\xff', Reason.MALFORMED_JSON, 3)
    assert data_mart.quarantine_record(10**9) is None


@pytest.mark.parametrize(
    ("budget", "allowed"),
    [({"count": 1}, False), ({"count": 2}, True), ({"share": 0.19}, False), ({"share": 0.2}, True)],
)
def test_over_the_error_budget_nothing_is_kept(
    data_mart: DataMart, database: Connection, budget: dict[str, float], allowed: bool
) -> None:
    owner = subscription(**budget)
    data_mart.ensure(owner)
    rejects = [Reject(n, Reason.MISSING_FEATURE, b"secret-canary", column="age") for n in (4, 9)]
    objects = {A: [block(owner, range(8), rejects=rejects)]}
    if allowed:
        assert load(data_mart, owner, objects).counts == Counts(read=10, loaded=8, rejected=2)
        return
    with pytest.raises(ErrorBudgetExceeded, match=r"MISSING_FEATURE 2.*a record 4.*a record 9") as caught:
        load(data_mart, owner, objects)
    assert "canary" not in str(caught.value)
    assert payload_keys(database) == []
    assert data_mart.ledger("credit", [A.uri]) == {}
    assert data_mart.quarantine_counts("credit") == {}
    [receipt] = data_mart.receipts("credit")
    assert (receipt.state, receipt.counts.rejected, receipt.reasons) == (
        "over_budget",
        2,
        {"MISSING_FEATURE": 2},
    )


def test_a_changed_object_leaves_nothing_and_the_batch_goes_on(
    data_mart: DataMart, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in (4, 1000):
        monkeypatch.setattr(load_module, "BUFFER_ROWS", rows)
        owner = subscription(f"changed-{rows}")
        data_mart.ensure(owner)
        bad = Reject(0, Reason.MALFORMED_JSON, b"{")
        with data_mart.load(owner, "0", "run", WINDOW) as batch:
            with batch.object(A) as first:
                assert first is not None
                first.add(block(owner, range(3), rejects=[bad]))
            with pytest.raises(ObjectChanged), batch.object(B) as target:  # noqa: PT012
                assert target is not None
                target.add(block(owner, range(10, 16), rejects=[bad]))
                target.add(block(owner, range(16, 19)))
                raise ObjectChanged("b")
            with batch.object(capture_object("b", "v2")) as again:
                assert again is not None
                again.add(block(owner, [30]))
            receipt = batch.receipt()
        assert receipt.counts == Counts(read=5, loaded=4, rejected=1)
        assert data_mart.ledger(owner.id, [A.uri, B.uri]) == {A.uri: "v1", B.uri: "v2"}
        assert len(payload_keys(database, owner.id)) == 4
        assert data_mart.quarantine_counts(owner.id) == {Reason.MALFORMED_JSON: 1}


def test_a_batch_whose_object_failed_cannot_be_committed(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    with (  # noqa: PT012
        pytest.raises(StopError, match="failed half-way"),
        data_mart.load(owner, "0", "run", WINDOW) as batch,
    ):
        try:
            with batch.object(A) as target:
                assert target is not None
                target.add(block(owner, range(3)))
                raise OSError("disk")
        except OSError:
            pass
    assert payload_keys(database) == []
    assert data_mart.receipts("credit") == []


@dataclass(frozen=True, slots=True)
class LeakyBlock(Block):
    """Says that one more row was read than it accounts for."""

    @property
    def read(self) -> int:
        return self.records.num_rows + 1


def test_an_unbalanced_object_rolls_back(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    leaky = LeakyBlock(block(owner, range(3)).records)
    with pytest.raises(UnbalancedReceipt, match=r"file:///logs/a does not balance.*read=4, loaded=3"):
        load(data_mart, owner, {A: [leaky]})
    assert payload_keys(database) == []
    assert data_mart.receipts("credit") == []


def test_rows_that_postgresql_drops_silently_are_noticed(data_mart: DataMart, database: Connection) -> None:
    """A trigger in the user's database swallows rows: the server's own counts show it."""
    owner = subscription()
    data_mart.ensure(owner)
    load(data_mart, owner, {A: [block(owner, [0])]})
    query(
        database,
        'CREATE FUNCTION "paylog test".swallow() RETURNS trigger LANGUAGE plpgsql AS '
        "$$ BEGIN IF NEW.age = 7 THEN RETURN NULL; END IF; RETURN NEW; END $$",
    )
    query(
        database,
        'CREATE TRIGGER swallow BEFORE INSERT ON "paylog test"."Payload_credit" FOR EACH ROW '
        'EXECUTE FUNCTION "paylog test".swallow()',
    )
    with pytest.raises(UnbalancedReceipt, match="sent 9 rows, PostgreSQL took 8"):
        load(data_mart, owner, {B: [block(owner, range(1, 10))]})
    assert len(payload_keys(database)) == 1


def test_columns_in_another_order_are_refused(data_mart: DataMart) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    records = block(owner, range(3)).records
    shuffled = records.select(list(reversed(records.schema.names)))
    with pytest.raises(SchemaMismatch, match="not those of the model schema"):
        load(data_mart, owner, {A: [Block(shuffled)]})


@pytest.mark.parametrize("year", [1969, 2200, 9999])
def test_timestamps_of_a_wrong_unit_make_no_partition(
    data_mart: DataMart, database: Connection, year: int
) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    with pytest.raises(SchemaMismatch, match="outside 1970 to 2199"):
        load(data_mart, owner, {A: [block(owner, [0], start=datetime(year, 6, 1, tzinfo=UTC))]})
    assert (
        query(database, "SELECT 1 FROM pg_class WHERE relname LIKE 'Payload_credit\\_%' AND relkind = 'r'")
        == []
    )


def test_a_month_is_a_partition(data_mart: DataMart, database: Connection) -> None:
    owner = subscription()
    data_mart.ensure(owner)
    end_of_year = datetime(2023, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    leap = datetime(2024, 2, 29, 23, 59, tzinfo=UTC)
    receipt = load(
        data_mart,
        owner,
        {
            A: [block(owner, [0, 1], start=end_of_year, step=timedelta(microseconds=1))],
            B: [block(owner, [2, 3], start=leap, step=timedelta(minutes=1))],
        },
    )
    assert receipt.counts.loaded == 4
    leaves = query(
        database,
        'SELECT tableoid::regclass::text, count(*) FROM "paylog test"."Payload_credit" GROUP BY 1 ORDER BY 1',
    )
    named = '"paylog test"."Payload_credit_{}"'.format
    assert leaves == [(named("2023_12"), 1), (named("2024_01"), 1), (named("2024_03"), 2)]


def test_memory_stays_bounded(data_mart: DataMart) -> None:
    """20 times the buffer goes through a load without Arrow holding more than a few buffers."""
    owner = subscription()
    data_mart.ensure(owner)
    template = block(owner, range(20_000)).records
    ids = pa.array([bytes(12) + n.to_bytes(4, "big") for n in range(20_000)], pa.binary(16))
    at = template.schema.get_field_index("_record_id")
    moment = template.schema.get_field_index("scoring_timestamp")
    peaks = []
    with data_mart.load(owner, "0", "run", WINDOW) as batch, batch.object(A) as target:
        assert target is not None
        for second in range(30):
            columns = template.columns
            columns[at] = ids
            columns[moment] = pa.array(
                [NOON + timedelta(seconds=second)] * 20_000, template.schema.field(moment).type
            )
            target.add(Block(pa.RecordBatch.from_arrays(columns, schema=template.schema)))
            peaks.append(target.buffered_bytes)
    assert max(peaks) < 16 * 2**20
    assert data_mart.receipts("credit")[0].counts == Counts(read=600_000, loaded=600_000)
