"""Parquet as a stream of record batches. Its index is at the end, so an object waits in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from paylog.errors import StopError
from paylog.training_data.profile import SourceColumn

_ROWS = 1 << 16


def spooled(stream: Iterator[bytes]) -> IO[bytes]:
    """The bytes in a temporary file, which is gone when it is closed."""
    file = tempfile.TemporaryFile(prefix="paylog-training-data-")  # noqa: SIM115
    for chunk in stream:
        file.write(chunk)
    return file


def parquet_columns(file: IO[bytes], uri: str) -> tuple[SourceColumn, ...]:
    """Names and Arrow types. :raises StopError: no Parquet."""
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowInvalid, OSError):
        raise _unreadable(uri) from None
    return tuple(SourceColumn(field.name, str(field.type)) for field in schema)


def parquet_batches(file: IO[bytes], uri: str, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """Up to 64k rows at once, of those columns that there are; text is dictionary encoded.

    :raises StopError: no Parquet, or damaged.
    """
    found = parquet_columns(file, uri)
    texts = [column.name for column in found if column.type == "string"]
    wanted = [column.name for column in found if columns is None or column.name in columns]
    try:
        with pq.ParquetFile(file, read_dictionary=texts, pre_buffer=False) as parquet:
            yield from parquet.iter_batches(_ROWS, columns=wanted, use_threads=False)
    except (pa.ArrowInvalid, OSError):
        raise _unreadable(uri) from None


def _unreadable(uri: str) -> StopError:
    return StopError(f"{uri} cannot be read as Parquet: write it again, or mend training_data.format")
