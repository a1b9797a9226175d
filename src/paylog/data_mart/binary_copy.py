"""Arrow record batches → rows in PostgreSQL's binary COPY format.

Format: PostgreSQL documentation, COPY, "Binary Format". Written by the native library, else by pgpq.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache

import numpy as np
import pyarrow as pa

from paylog.native import address, library
from paylog.native.scratch import Scratch

HEADER = b"PGCOPY\n\xff\r\n\x00" + b"\x00" * 8
TRAILER = b"\xff\xff"
# Bytes encoded, and sent, at a time: they stay in the processor's cache.
PIECE_BYTES = 256 * 1024
_STRING, _INT64, _FLOAT64, _TIMESTAMP, _BOOL, _FIXED, _VECTOR, _ALL_NULL = range(8)


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
    """Rows of ``batch`` in column order, without header and trailer, whole rows in each piece.

    A piece is only good until the next one.

    :param scratch: what the pieces are written to, kept from batch to batch.
    """
    native = library()
    if native is None:
        yield _by_pgpq(batch)
        return
    kinds = [_kind(column) for column in batch.columns]
    columns = (_Column * len(kinds))(*map(_column, batch.columns, kinds))
    count, first, end = ctypes.c_int32(len(kinds)), ctypes.c_int64(0), ctypes.c_int64(batch.num_rows)
    scratch, room = scratch or Scratch(np.uint8), PIECE_BYTES
    while first.value < batch.num_rows:
        out = scratch.of(room)
        start, size = address(out), ctypes.c_int64(room)
        while written := native.paylog_copy_rows(columns, count, ctypes.byref(first), end, start, size):
            yield memoryview(out)[:written]  # type: ignore[arg-type]
        room *= 2


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
    if column.null_count == len(column):
        return _ALL_NULL
    kind = _kind_of(column.type)
    if kind == _VECTOR and column.flatten().null_count:
        raise TypeError("no binary COPY format for lists with nulls in them")
    return kind


@cache
def _kind_of(kind: pa.DataType) -> int:
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
    if pa.types.is_list(kind) and pa.types.is_float64(kind.value_type):
        return _VECTOR
    raise TypeError(f"no binary COPY format for {kind}")


def _by_pgpq(rows: pa.RecordBatch) -> memoryview:
    import pgpq

    encoder = pgpq.ArrowToPostgresBinaryEncoder(rows.schema)
    whole = encoder.write_header() + encoder.write_batch(rows) + encoder.finish()
    return memoryview(whole)[len(HEADER) : -len(TRAILER)]
