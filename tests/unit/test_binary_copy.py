"""Arrow → PostgreSQL's binary COPY rows: the C writer against pgpq and against the format's text."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from paylog.data_mart import binary_copy
from paylog.native import library

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("whole", pa.int64()),
        ("number", pa.float64()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("flag", pa.bool_()),
        ("id", pa.binary(16)),
        ("vector", pa.list_(pa.float64())),
    ]
)
ROWS: list[tuple[Any, ...]] = [
    ("a", 1, 0.5, datetime(2024, 1, 19, 19, 27, 57, 123456, UTC), True, b"0123456789abcdef", [0.25, 0.75]),
    ("", -(2**63), -0.0, datetime(1970, 1, 1, tzinfo=UTC), False, b"\0" * 16, []),
    (None, None, None, None, None, None, None),
    ("é" * 40, 2**63 - 1, 5e-324, datetime(2199, 12, 31, tzinfo=UTC), True, b"\xff" * 16, [1.0] * 9),
    ("sixteen bytes xx", 0, 1e308, datetime(2000, 1, 1, tzinfo=UTC), False, b"f" * 16, None),
]


def batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [[]] * len(SCHEMA)
    return pa.record_batch(
        [pa.array(list(cells), field.type) for cells, field in zip(columns, SCHEMA, strict=True)],
        schema=SCHEMA,
    )


def encoded(rows: pa.RecordBatch) -> bytes:
    return b"".join(bytes(part) for part in binary_copy.encode(rows))


def cells(row: tuple[Any, ...]) -> bytes:
    """One row, written down from PostgreSQL's documentation."""
    text, whole, number, time, flag, identity, vector = row
    microseconds = (
        None
        if time is None
        else int((time - datetime(2000, 1, 1, tzinfo=UTC)) / np.timedelta64(1, "us").item())
    )
    elements = b"".join(struct.pack(">id", 8, v) for v in vector or ())
    shape = struct.pack(">ii", len(vector), 1) if vector else b""
    parts = [
        None if text is None else text.encode(),
        None if whole is None else struct.pack(">q", whole),
        None if number is None else struct.pack(">d", number),
        None if time is None else struct.pack(">q", microseconds),
        None if flag is None else struct.pack("?", flag),
        identity,
        None if vector is None else struct.pack(">iii", 1 if vector else 0, 0, 701) + shape + elements,
    ]
    written = b"".join(struct.pack(">i", -1) if p is None else struct.pack(">i", len(p)) + p for p in parts)
    return struct.pack(">h", len(parts)) + written


needs_native = pytest.mark.skipif(library() is None, reason="the native library was not built")


@needs_native
def test_the_format() -> None:
    assert encoded(batch(ROWS)) == b"".join(map(cells, ROWS))


@needs_native
@pytest.mark.parametrize("column", range(len(SCHEMA)))
def test_columns_of_nulls(column: int) -> None:
    rows = [tuple(None if i == column else cell for i, cell in enumerate(row)) for row in ROWS]
    assert encoded(batch(rows)) == b"".join(map(cells, rows))


@needs_native
def test_slices_and_filters() -> None:
    """Arrow's views into longer buffers, down to a bit."""
    many = [ROWS[i % 5] for i in range(100)]
    for start in (0, 1, 7, 8, 93):
        assert encoded(batch(many).slice(start, 7)) == b"".join(map(cells, many[start : start + 7]))
    keep = [i % 3 == 0 for i in range(100)]
    kept = batch(many).filter(pa.array(keep)).slice(3)
    assert encoded(kept) == b"".join(map(cells, many[::3][3:]))


@needs_native
def test_list_over_a_sliced_buffer() -> None:
    values = pa.array([9.0, 0.25, 0.75, 0.5, 0.5]).slice(1)
    vector = pa.ListArray.from_arrays(pa.array([0, 2, 4], pa.int32()), values)
    rows = pa.record_batch([vector], names=["vector"])
    assert struct.unpack(">2d", b"".join((encoded(rows)[30:38], encoded(rows)[42:50]))) == (0.25, 0.75)


@needs_native
def test_more_rows_than_one_buffer() -> None:
    many = [ROWS[i % 5] for i in range(2 * binary_copy.PIECE_BYTES + 5)]
    parts = [bytes(part) for part in binary_copy.encode(batch(many))]
    assert len(parts) > 1
    assert b"".join(parts) == b"".join(map(cells, many))


def test_no_rows() -> None:
    assert encoded(batch([])) == b""


def test_without_the_native_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """pgpq widens nothing and gives the same rows; it types empty vectors by itself."""
    rows = [row for row in ROWS if row[6] != []]
    expected = b"".join(map(cells, rows))
    monkeypatch.setattr(binary_copy, "library", lambda: None)
    assert encoded(batch(rows)) == expected


@needs_native
def test_a_type_that_no_payload_table_has() -> None:
    with pytest.raises(TypeError, match="int32"):
        encoded(pa.record_batch([pa.array([1], pa.int32())], names=["x"]))
