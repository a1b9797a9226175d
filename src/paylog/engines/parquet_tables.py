"""A Parquet object's bytes → blocks of rows, in bounded memory.

Parquet is read from its end, so the object waits in a temporary file first. What of it cannot be
read becomes one reject that stands for all the rows that its footer tells of.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import date, time
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from paylog.engines.documents import KEPT_OF_OVERLONG
from paylog.engines.tables import TableBlock
from paylog.errors import Reason, TruncatedStream
from paylog.records import Reject

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAGIC = b"PAR1"
BATCH_BYTES = 4 << 20
BATCH_ROWS = 16_384
_FAULTS = (pa.ArrowException, OSError)
_INT96 = "INT96"


def parquet_blocks(chunks: Iterator[bytes], max_record_bytes: int) -> Iterator[TableBlock | Reject]:
    """A ``Reader`` of Parquet objects. A row larger than ``max_record_bytes`` is a reject."""
    with NamedTemporaryFile(prefix="paylog-", suffix=".parquet") as file:
        head = b""
        try:
            for chunk in chunks:
                head = head or chunk[:KEPT_OF_OVERLONG]
                file.write(chunk)
        except TruncatedStream:
            yield Reject(0, Reason.TRUNCATED_OBJECT, head)
            return
        file.flush()
        if file.tell():
            yield from _blocks(file.name, head, max_record_bytes)


def _blocks(path: str, head: bytes, limit: int) -> Iterator[TableBlock | Reject]:
    import pyarrow.parquet as pq

    position, rows = 0, 1
    try:
        with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
            rows = file.metadata.num_rows
            instants = _instants(file)
            for batch in file.iter_batches(_batch_rows(file.metadata), use_threads=False):
                yield from _readable(_in_utc(pa.Table.from_batches([batch]), instants), position, limit)
                position += batch.num_rows
    except _FAULTS:
        yield Reject(position, Reason.MALFORMED_PARQUET, head, rows=max(rows - position, 1))


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """Rows of about ``BATCH_BYTES``, by what the footer says of their size."""
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    rows: int = BATCH_BYTES * metadata.num_rows // max(size, 1)
    return max(1, min(BATCH_ROWS, rows))


def _instants(file: pq.ParquetFile) -> list[str]:
    """Columns in the old INT96 type, which holds UTC though Arrow knows no zone of it."""
    columns = (file.schema.column(i) for i in range(len(file.schema)))
    return [column.path for column in columns if column.physical_type == _INT96 and "." not in column.path]


def _in_utc(table: pa.Table, instants: list[str]) -> pa.Table:
    for name in instants:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].cast(pa.timestamp("us", "UTC")))
    return table


def _readable(table: pa.Table, position: int, limit: int) -> Iterator[TableBlock | Reject]:
    """The rows as a block; text that is not UTF-8 is found by halving."""
    try:
        table.validate(full=True)
        reason = Reason.LINE_TOO_LONG if table.num_rows == 1 and table.nbytes > limit else None
    except pa.ArrowInvalid:
        reason = Reason.INVALID_UTF8
    count = table.num_rows
    if reason is None:
        positions = np.arange(position, position + count)
        yield TableBlock(table, positions, lambda i: json_record(table, i))
    elif count == 1:
        yield Reject(position, reason, json_record(table, 0)[:KEPT_OF_OVERLONG])
    else:
        yield from _readable(table.slice(0, count // 2), position, limit)
        yield from _readable(table.slice(count // 2), position + count // 2, limit)


def json_record(table: pa.Table, row: int) -> bytes:
    """One row of a table as JSON, for quarantine."""
    cells = {name: _cell(table[name].slice(row, 1)) for name in table.column_names}
    return json.dumps(cells, default=_spelled, ensure_ascii=False).encode()


def _cell(column: pa.ChunkedArray) -> Any:
    try:
        return column[0].as_py()
    except UnicodeDecodeError:
        return column.cast(pa.binary())[0].as_py()
    except (ValueError, OverflowError):  # a time that Python has no type for
        return str(column.cast(pa.string())[0])


def _spelled(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, date | time) else str(value)
