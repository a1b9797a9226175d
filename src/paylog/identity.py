"""Identity of a payload record: from the engine's own id, else from where the record stands.

Never random, never from the clock: two loads of one record have one ``_record_id``.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from paylog.native import address, library


def scope_seed(*parts: str) -> int:
    """Seed that keeps equal ids of different deployments or variants apart."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def event_id_at(uri: str, version: str, position: int) -> str:
    """Id of a record that brought none: a digest of (object, version, position)."""
    digest = hashlib.sha256(f"{uri}\0{version}\0{position}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


def scoring_ids(event_ids: Iterable[str], numbers: Iterable[int] | None) -> list[str]:
    """OpenScale's row ids, ``<transaction id>-<n>`` with n from 1; ``numbers`` None: all are first rows."""
    if numbers is None:
        return [f"{event_id}-1" for event_id in event_ids]
    return [f"{event_id}-{n}" for event_id, n in zip(event_ids, numbers, strict=True)]


def first_row_ids(event_ids: pa.Array) -> pa.Array | None:
    """Scoring ids of the events' first rows; None where an event has no id. Needs the native library."""
    native, rows = library(), len(event_ids)
    if event_ids.null_count or native is None:
        return None
    offsets, texts = _texts(event_ids)
    size = int(offsets[rows] - offsets[0]) + 2 * rows
    to_offsets, to = np.empty(rows + 1, np.int32), np.empty(size, np.uint8)
    found = native.paylog_first_rows(
        *(address(offsets), texts, ctypes.c_int64(rows), address(to_offsets), address(to))
    )
    return (
        pa.StringArray.from_buffers(rows, pa.py_buffer(to_offsets), pa.py_buffer(to))
        if found or not rows
        else None
    )


def record_ids(row_ids: pa.Array, seed: int) -> pa.Array:
    """``_record_id`` of each row: XXH3-128 of its scoring id in the scope of ``seed`` (16 bytes)."""
    native, rows = library(), len(row_ids)
    if native is not None:
        offsets, texts = _texts(row_ids)
        ids = np.empty(16 * rows, np.uint8)
        count = ctypes.c_int64(rows)
        if native.paylog_record_ids(address(offsets), texts, count, ctypes.c_uint64(seed), address(ids)):
            return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(ids)])
    digest = xxhash.xxh3_128_digest
    data = b"".join([digest(row_id, seed) for row_id in row_ids.cast(pa.binary()).to_pylist()])
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(data)])


def _texts(column: pa.Array) -> tuple[npt.NDArray[np.int32], ctypes.c_void_p]:
    """Offsets of a string column, and the address that they count from."""
    _, offsets, texts = column.buffers()
    first = column.offset
    where = np.zeros(1, np.int32) if offsets is None else np.frombuffer(offsets, np.int32)
    return where[first : first + len(column) + 1], ctypes.c_void_p(texts.address if texts else None)
