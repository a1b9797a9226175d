"""Parquet objects → blocks of rows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paylog.engines import parquet_tables
from paylog.engines.parquet_tables import parquet_blocks
from paylog.engines.tables import TableBlock
from paylog.errors import Reason, TruncatedStream
from paylog.records import Reject

LIMIT = 1 << 20
AT = datetime(2024, 1, 19, 19, 27, 57, 123456, UTC)


def written(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def read(data: bytes, limit: int = LIMIT) -> tuple[list[TableBlock], list[Reject]]:
    parts = list(parquet_blocks(iter([data[:7], data[7:]]), limit))
    return [p for p in parts if isinstance(p, TableBlock)], [p for p in parts if isinstance(p, Reject)]


def test_rows_over_several_row_groups_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_tables, "BATCH_ROWS", 7)
    table = pa.table({"a": range(50), "b": [f"row {i}" for i in range(50)]})
    blocks, rejects = read(written(table, row_group_size=20))
    assert not rejects
    assert pa.concat_tables(block.table for block in blocks).equals(table)
    assert [int(p) for block in blocks for p in block.positions] == list(range(50))
    assert max(block.table.num_rows for block in blocks) <= 7
    assert json.loads(blocks[2].raw(1)) == {"a": 15, "b": "row 15"}


def test_large_rows_come_in_small_batches() -> None:
    table = pa.table({"body": [str(i) * (1 << 19) for i in range(10)] * 4})
    blocks, _ = read(written(table, compression="none", use_dictionary=False))
    assert max(block.table.nbytes for block in blocks) < 3 * parquet_tables.BATCH_BYTES
    blocks, rejects = read(written(table.slice(0, 1)), limit=1000)
    assert not blocks
    assert [reject.reason for reject in rejects] == [Reason.LINE_TOO_LONG]


def test_an_empty_object_has_no_rows() -> None:
    assert read(b"") == ([], [])
    assert read(written(pa.table({"a": pa.array([], pa.int64())}))) == ([], [])


def test_what_is_damaged_is_one_reject_for_all_its_rows() -> None:
    data = bytearray(written(pa.table({"a": range(1000)}), row_group_size=500, compression="none"))
    for whole in (data[:-4], data[:40], b"PAR1" + b"\0" * 40 + b"PAR1"):
        _, (reject,) = read(bytes(whole))
        assert (reject.position, reject.reason, reject.rows) == (0, Reason.MALFORMED_PARQUET, 1)
    spoilt = bytes(data).replace(bytes(data[4:60]), b"\xff" * 56, 1)
    blocks, (reject,) = read(spoilt)
    assert reject.reason is Reason.MALFORMED_PARQUET
    assert reject.rows + sum(block.table.num_rows for block in blocks) == 1000


def test_a_compressed_object_that_was_cut_off() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"PAR1"
        raise TruncatedStream("cut", 4)

    assert list(parquet_blocks(chunks(), LIMIT)) == [Reject(0, Reason.TRUNCATED_OBJECT, b"PAR1")]


def test_text_that_is_none_costs_its_row_only() -> None:
    texts = pa.array([b"a", b"\xff", b"c", b"d"]).view(pa.string())
    blocks, rejects = read(written(pa.table({"n": range(4), "b": texts})))
    assert [int(p) for block in blocks for p in block.positions] == [0, 2, 3]
    assert [(reject.position, reject.reason) for reject in rejects] == [(1, Reason.INVALID_UTF8)]
    assert json.loads(rejects[0].raw) == {"n": 1, "b": "/w=="}


def test_old_timestamps_are_utc() -> None:
    naive = pa.table({"t": pa.array([AT.replace(tzinfo=None)], pa.timestamp("us"))})
    (block,), _ = read(written(naive, use_deprecated_int96_timestamps=True))
    assert block.table["t"].to_pylist() == [AT]
    (block,), _ = read(written(naive))
    assert block.table["t"].to_pylist() == [AT.replace(tzinfo=None)]


def test_the_raw_record_of_any_type_is_json() -> None:
    cells = {
        "text": "é",
        "number": 2**60,
        "amount": Decimal("1.50"),
        "when": AT,
        "day": date(2024, 1, 19),
        "hour": time(19, 27),
        "vector": [0.5, None],
        "nested": {"a": [1]},
        "bytes": b"\xff",
        "none": None,
    }
    (block,), _ = read(written(pa.Table.from_pylist([cells])))
    assert json.loads(block.raw(0)) == {
        **cells,
        "amount": "1.50",
        "when": AT.isoformat(),
        "day": "2024-01-19",
        "hour": "19:27:00",
        "bytes": "/w==",
    }
    late = pa.table({"t": pa.array([2**62], pa.int64()).cast(pa.timestamp("s"))})
    assert parquet_tables.json_record(late, 0).startswith(b'{"t": "')
