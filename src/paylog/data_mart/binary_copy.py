"""Arrow record batches → rows in PostgreSQL's binary COPY format.

Format: PostgreSQL documentation, COPY, "Binary Format". Written by the native library, else by pgpq.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from paylog.native import library
from paylog.native.scratch import Scratch

HEADER = b"PGCOPY\n\xff\r\n\x00" + b"\x00" * 8
TRAILER = b"\xff\xff"
# The rows encoded at a time: their bytes stay in the processor's cache.
SLICE_ROWS = 4096
_STRING, _INT64, _FLOAT64, _TIMESTAMP, _BOOL, _FIXED, _VECTOR, _ALL_NULL = range(8)
_LENGTH_WORD = 4
_VECTOR_HEAD = 20


class _Column(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("start", ctypes.c_int64),
        ("valid", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("end", ctypes.c_void_p),
    )


def encode(batch: pa.RecordBatch, scratch: Scratch | None = None) -> Iterator[memoryview]:
    """Rows of ``batch`` in column order, without header and trailer, some thousands a buffer.

    :param scratch: bytes that every buffer is written to, so that one is only good until the next.
    """
    native = library()
    if native is None:
        yield _by_pgpq(batch)
        return
    kinds = [_kind(column) for column in batch.columns]
    columns = (_Column * len(kinds))(*map(_column, batch.columns, kinds))
    for first in range(0, batch.num_rows, SLICE_ROWS):
        rows = min(SLICE_ROWS, batch.num_rows - first)
        pairs = zip(batch.columns, kinds, strict=True)
        most = 16 + 2 * rows + sum(_most_bytes(*pair, first, rows) for pair in pairs)
        out = (scratch or Scratch(np.uint8)).of(most)
        size = native.paylog_copy_rows(
            columns,
            ctypes.c_int32(len(kinds)),
            ctypes.c_int64(first),
            ctypes.c_int64(rows),
            ctypes.c_void_p(out.ctypes.data),
        )
        yield memoryview(out)[:size]  # type: ignore[arg-type]


def _column(column: pa.Array, kind: int) -> _Column:
    buffers = column.buffers()
    data = buffers[-1]
    first = 8 * column.values.offset if kind == _VECTOR else 0
    valid = buffers[0] if column.null_count else None
    offsets = buffers[1] if kind in (_STRING, _VECTOR) else None
    return _Column(
        kind,
        column.type.byte_width if kind == _FIXED else 0,
        column.offset,
        valid.address if valid else None,
        offsets.address if offsets else None,
        data.address + first if data and kind != _ALL_NULL else None,
        data.address + data.size if data and kind != _ALL_NULL else None,
    )


def _kind(column: pa.Array) -> int:
    kind = column.type
    if column.null_count == len(column):
        return _ALL_NULL
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _STRING
    if pa.types.is_int64(kind):
        return _INT64
    if pa.types.is_float64(kind):
        return _FLOAT64
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        return _TIMESTAMP
    if pa.types.is_boolean(kind):
        return _BOOL
    if pa.types.is_fixed_size_binary(kind):
        return _FIXED
    if pa.types.is_list(kind) and pa.types.is_float64(kind.value_type) and not column.flatten().null_count:
        return _VECTOR
    raise TypeError(f"no binary COPY format for {kind}")


def _most_bytes(column: pa.Array, kind: int, first: int, rows: int) -> int:
    """Upper bound of what these rows of a column take."""
    if kind == _ALL_NULL:
        return _LENGTH_WORD * rows
    if kind == _STRING:
        return _LENGTH_WORD * rows + _spread(column, first, rows)
    if kind == _VECTOR:
        return (_LENGTH_WORD + _VECTOR_HEAD) * rows + (_LENGTH_WORD + 8) * _spread(column, first, rows)
    return (_LENGTH_WORD + (column.type.byte_width if kind == _FIXED else 8)) * rows


def _spread(column: pa.Array, first: int, rows: int) -> int:
    """Last offset less the first: bytes of a string column, elements of a list column."""
    offsets = np.frombuffer(column.buffers()[1], np.int32)
    return int(offsets[column.offset + first + rows] - offsets[column.offset + first])


def _by_pgpq(rows: pa.RecordBatch) -> memoryview:
    import pgpq

    encoder = pgpq.ArrowToPostgresBinaryEncoder(rows.schema)
    whole = encoder.write_header() + encoder.write_batch(rows) + encoder.finish()
    return memoryview(whole)[len(HEADER) : -len(TRAILER)]
