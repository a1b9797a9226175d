"""Write record batches into a payload table: COPY straight in, staging only for duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import psycopg
import pyarrow as pa
from psycopg.errors import UniqueViolation

from paylog.data_mart import binary_copy
from paylog.data_mart.copy_stream import CopyStream
from paylog.data_mart.flush import identities, in_time_order, months, without_repeats
from paylog.data_mart.payload_table import KEY, PayloadTable
from paylog.data_mart.recent_ids import RecentIds
from paylog.data_mart.session import quoted
from paylog.errors import UnbalancedReceipt
from paylog.native.scratch import Scratch

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
        self._recent = RecentIds()
        self._scratch = Scratch(np.uint8)

    def write(self, batches: Sequence[pa.RecordBatch], rows_of: Mapping[int, int]) -> Mapping[int, int]:
        """Insert the rows whose key is new.

        :param rows_of: rows of each object id in ``batches``.
        :returns: inserted rows of each object id, as counted by the server; the others are duplicates.
        :raises UnbalancedReceipt: the server took another number of rows than it was sent.
        """
        # In this order: records that were logged again later are then gone before rows are sorted for them.
        batches, repeated = without_repeats(batches)
        batches = in_time_order(batches)
        self._table.ensure_partitions(months(batches))
        fresh, suspects = self._parted(batches)
        sent = {object_id: rows - repeated[object_id] for object_id, rows in rows_of.items()}
        if self._staging_left == 0:
            try:
                self._insert_directly(fresh)
            except UniqueViolation:
                self._link.execute("ROLLBACK TO SAVEPOINT paylog_flush")
                self._staging_left = STAY_IN_STAGING
            else:
                return self._insert_suspects(suspects, sent)
        self._staging_left -= 1
        return self._insert_staged([*fresh, *suspects], sent)

    def _parted(self, batches: Sequence[pa.RecordBatch]) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch]]:
        """Rows that are new as far as this load knows, and those that may repeat one that it sent before."""
        fresh, suspects = [], []
        for batch in batches:
            met = self._recent.met(identities(batch)[:, 0])
            if met.any():
                suspects.append(batch.filter(pa.array(met)))
                batch = batch.filter(pa.array(~met))
            if batch.num_rows:
                fresh.append(batch)
        return fresh, suspects

    def _insert_suspects(
        self, suspects: Sequence[pa.RecordBatch], sent: Mapping[int, int]
    ) -> Mapping[int, int]:
        """Inserted rows of each object, when all but these few were inserted already."""
        if not suspects:
            return sent
        held = Counter[int]()
        for batch in suspects:
            held.update(batch.column("_object_id").to_pylist())
        inserted = self._insert_staged(suspects, held)
        return {
            object_id: rows - held[object_id] + inserted.get(object_id, 0) for object_id, rows in sent.items()
        }

    def _insert_directly(self, batches: Sequence[pa.RecordBatch]) -> None:
        self._link.execute("SAVEPOINT paylog_flush")
        self._copy(self._table.qualified, batches)
        self._link.execute("RELEASE SAVEPOINT paylog_flush")

    def _insert_staged(
        self, batches: Sequence[pa.RecordBatch], rows_of: Mapping[int, int]
    ) -> Mapping[int, int]:
        like = f"(LIKE {self._table.qualified})"
        self._link.execute(f"CREATE TEMP TABLE IF NOT EXISTS paylog_staging {like} ON COMMIT DROP".encode())
        self._copy(STAGING, batches)
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

    def _copy(self, target: str, batches: Sequence[pa.RecordBatch]) -> None:
        statement = f"COPY {target} ({self._columns}) FROM STDIN (FORMAT BINARY)"
        expected = sum(batch.num_rows for batch in batches)
        with self._link.cursor() as cursor:
            with cursor.copy(statement.encode(), writer=CopyStream(cursor)) as copy:
                copy.write(binary_copy.HEADER)
                for batch in batches:
                    for rows in binary_copy.encode(batch, self._scratch):
                        copy.write(rows)
                copy.write(binary_copy.TRAILER)
            if cursor.rowcount != expected:
                raise UnbalancedReceipt(
                    f"Payload table {self._table.name!r}: sent {expected} rows, PostgreSQL took "
                    f"{cursor.rowcount}. The batch was rolled back; this is a defect in paylog."
                )
