"""Identity of a payload record: from the engine's own id, else from where the record stands.

Never random, never from the clock: two loads of one record have one ``_record_id``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import pyarrow as pa
import xxhash


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


def record_ids(row_ids: pa.Array, seed: int) -> pa.Array:
    """``_record_id`` of each row: XXH3-128 of its scoring id in the scope of ``seed`` (16 bytes)."""
    digest = xxhash.xxh3_128_digest
    data = b"".join([digest(row_id, seed) for row_id in row_ids.cast(pa.binary()).to_pylist()])
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(row_ids), [None, pa.py_buffer(data)])
