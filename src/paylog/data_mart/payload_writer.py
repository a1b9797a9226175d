"""Write record batches into a payload table: COPY straight in, staging only around duplicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
from psycopg.errors import UniqueViolation

from paylog.data_mart import binary_copy
from paylog.data_mart.payload_table import KEY, PayloadTable
from paylog.data_mart.session import quoted
from paylog.errors import SchemaMismatch, UnbalancedReceipt

# Bytes handed to libpq at a time.
WRITE_BYTES = 512 * 1024
# Where one duplicate was, more follow: this many flushes go through staging before COPY is tried again.
STAY_IN_STAGING = 4
STAGING = quoted("pg_temp", "paylog_staging")


class PayloadWriter:
    """Writes within the transaction of ``link``."""

    def __init__(self, link: psycopg.Connection, table: PayloadTable) -> None:
        self._link = link
        self._table = table
        self._columns = ", ".join(quoted(column.name) for column in table.model_schema.columns)
        self._staging_left = 0

    def write(self, batches: Sequence[pa.RecordBatch], rows_of: Mapping[int, int]) -> Mapping[int, int]:
        """Insert the rows whose key is new.

        :param rows_of: rows of each object id in ``batches``.
        :returns: inserted rows of each object id, as counted by the server; the others are duplicates.
        :raises UnbalancedReceipt: the server took another number of rows than it was sent.
        """
        batch = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
        months = _months(batch)
        self._table.ensure_partitions(months)
        if self._staging_left == 0:
            try:
                self._insert_directly(batch, months)
            except UniqueViolation:
                self._link.execute("ROLLBACK TO SAVEPOINT paylog_flush")
                self._staging_left = STAY_IN_STAGING
            else:
                return rows_of
        self._staging_left -= 1
        return self._insert_staged(batch, rows_of)

    def _insert_directly(self, batch: pa.RecordBatch, months: Sequence[np.datetime64]) -> None:
        target = self._table.qualified
        if len(months) == 1:
            target = quoted(self._table.schema, self._table.partition(months[0]))
        self._link.execute("SAVEPOINT paylog_flush")
        self._copy(target, batch)
        self._link.execute("RELEASE SAVEPOINT paylog_flush")

    def _insert_staged(self, batch: pa.RecordBatch, rows_of: Mapping[int, int]) -> Mapping[int, int]:
        like = f"(LIKE {self._table.qualified})"
        self._link.execute(f"CREATE TEMP TABLE IF NOT EXISTS paylog_staging {like} ON COMMIT DROP".encode())
        self._copy(STAGING, batch)
        inserted = self._insert_from_staging(rows_of)
        self._link.execute(f"TRUNCATE {STAGING}".encode())
        return inserted

    def _insert_from_staging(self, rows_of: Mapping[int, int]) -> Mapping[int, int]:
        key = ", ".join(map(quoted, KEY))
        # By object too: of rows with one key, the first object's is kept and the others are duplicates.
        order = ", ".join(map(quoted, (*KEY, "_object_id", "_position")))
        insert = (
            f"INSERT INTO {self._table.qualified} ({self._columns}) "
            f"SELECT {self._columns} FROM {STAGING} ORDER BY {order} ON CONFLICT ({key}) DO NOTHING"
        )
        if len(rows_of) == 1:
            done = self._link.execute(insert.encode())
            return dict.fromkeys(rows_of, done.rowcount)
        done = self._link.execute(
            f"WITH inserted AS ({insert} RETURNING _object_id) "
            "SELECT _object_id, count(*) FROM inserted GROUP BY _object_id".encode()
        )
        return dict(done.fetchall())

    def _copy(self, target: str, batch: pa.RecordBatch) -> None:
        statement = f"COPY {target} ({self._columns}) FROM STDIN (FORMAT BINARY)"
        with self._link.cursor() as cursor:
            with cursor.copy(statement.encode()) as copy:
                copy.write(binary_copy.HEADER)
                for rows in binary_copy.encode(batch):
                    for start in range(0, len(rows), WRITE_BYTES):
                        copy.write(rows[start : start + WRITE_BYTES])
                copy.write(binary_copy.TRAILER)
            if cursor.rowcount != batch.num_rows:
                raise UnbalancedReceipt(
                    f"Payload table {self._table.name!r}: sent {batch.num_rows} rows, PostgreSQL took "
                    f"{cursor.rowcount}. The batch was rolled back; this is a defect in paylog."
                )


def scoring_microseconds(records: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Scoring timestamps in µs since 1970. Arrow's zoned type would become Python objects."""
    moments = records.column(KEY[0])
    if moments.null_count:
        raise SchemaMismatch("Decoded records without a scoring timestamp: a defect in the engine.")
    microseconds: npt.NDArray[np.int64] = moments.cast(pa.int64()).to_numpy()
    return microseconds


def _months(batch: pa.RecordBatch) -> list[np.datetime64]:
    moments = scoring_microseconds(batch).view("datetime64[us]")
    first, last = moments.min().astype("datetime64[M]"), moments.max().astype("datetime64[M]")
    return [first] if first == last else list(np.unique(moments.astype("datetime64[M]")))
