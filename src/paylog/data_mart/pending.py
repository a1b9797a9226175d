"""Halves that wait for their other half, and how those of a batch meet them.

``paylog_pending`` holds at most one half a key and side. A batch brings what it could not pair by itself
in a temporary table, takes the partners out of ``paylog_pending``, and leaves there what found none. All
of that happens under one lock a subscription: of two batches with one half each, the later one sees the
half of the earlier one.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from paylog.data_mart import binary_copy
from paylog.data_mart.control_tables import pending, quarantine
from paylog.data_mart.session import quoted, raw
from paylog.errors import Reason, UnbalancedReceipt
from paylog.native.scratch import Scratch
from paylog.pairing import STORED, Stored

HALVES = quoted("pg_temp", "paylog_half")
PAIRS_AT_ONCE = 4096
# Up to here halves are looked up one by one; the waiting ones may be a million.
FEW = 10_000
_COLUMNS = ", ".join(map(quoted, STORED.names))
_FIELDS = ("request", "object_id", "position", "about", "body", "raw")
# Two halves of other batches make no row of this one, which has no entry to count it with.
_MET = "o.pair = h.pair AND o.request <> h.request AND NOT (o.is_foreign AND h.is_foreign)"


class Pending:
    """The waiting halves of one subscription, within the transaction of ``connection``."""

    def __init__(self, connection: Connection, schema: str, subscription_id: str) -> None:
        self._link = raw(connection)
        self._table, self._quarantine = (
            quoted(schema, table.name).replace("%", "%%") for table in (pending, quarantine)
        )
        self._subscription_id = subscription_id
        self._scratch = Scratch(np.uint8)

    def bring(self, halves: pa.RecordBatch, foreign: bool) -> None:
        """Put halves (of ``STORED``) into the temporary table.

        :param foreign: they are of an object that another batch has loaded.
        :raises UnbalancedReceipt: the server took another number of halves than it was sent.
        """
        self._prepare()
        self._run(f"ALTER TABLE {HALVES} ALTER is_foreign SET DEFAULT {foreign}")
        statement = f"COPY {HALVES} ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
        with self._link.cursor() as cursor:
            with cursor.copy(statement.encode()) as copy:
                copy.write(binary_copy.HEADER)
                for rows in binary_copy.encode(halves, self._scratch):
                    copy.write(rows)
                copy.write(binary_copy.TRAILER)
            if cursor.rowcount != halves.num_rows:
                raise UnbalancedReceipt(
                    f"Pending: sent {halves.num_rows} halves, PostgreSQL took {cursor.rowcount}. "
                    "The batch was rolled back; this is a defect in paylog."
                )

    def forget(self, object_id: int) -> None:
        """Take the halves of an object out of the temporary table again."""
        self._prepare()  # the table itself may have gone with a savepoint
        self._run(f"DELETE FROM {HALVES} WHERE object_id = %s", object_id)

    def withdraw(self, object_ids: Sequence[int]) -> int:
        """Delete the waiting halves of these objects, which are superseded; how many there were."""
        return self._run(f"DELETE FROM {self._table} WHERE object_id = ANY(%s)", list(object_ids))

    def any_of(self, object_ids: Sequence[int]) -> bool:
        """Whether halves of these objects wait."""
        query = f"SELECT FROM {self._table} WHERE object_id = ANY(%s) LIMIT 1"
        return bool(self._run(query, list(object_ids)))

    def drop_repeated(self) -> dict[int, int]:
        """Of halves with one key and side at hand keep the first; how many went, by object."""
        self._plan_for_many()
        return self._by_object(
            f"WITH gone AS (DELETE FROM {HALVES} a USING {HALVES} b WHERE a.pair = b.pair "
            "AND a.request = b.request AND a.n > b.n RETURNING a.object_id) "
            "SELECT object_id, count(*) FROM gone GROUP BY object_id"
        )

    def take_partners(self) -> int:
        """Move what waited for the halves at hand to them; how many there were."""
        self._plan_for_many()
        fields = ", ".join(f"p.{quoted(name)}" for name in STORED.names)
        return self._run(
            f"WITH taken AS (DELETE FROM {self._table} p USING {HALVES} h WHERE p.subscription_id = %s "
            f"AND p.pair = h.pair AND p.request <> h.request RETURNING {fields}) "
            f"INSERT INTO {HALVES} ({_COLUMNS}, is_foreign) SELECT *, true FROM taken",
            self._subscription_id,
        )

    def pairs(self) -> Generator[tuple[list[Stored], list[Stored]], None, None]:
        """Requests and responses of the pairs at hand, some thousands at a time."""
        fields = ", ".join(f"{side}.{name}" for side in ("h", "o") for name in _FIELDS)
        query = f"SELECT {fields} FROM {HALVES} h JOIN {HALVES} o ON {_MET} WHERE h.request"
        width = len(_FIELDS)
        with self._link.cursor(name="paylog_pairs") as cursor:
            cursor.execute(query.encode(), binary=True)
            while rows := cursor.fetchmany(PAIRS_AT_ONCE):
                yield [row[:width] for row in rows], [row[width:] for row in rows]

    def apart(self, object_ids: Sequence[int]) -> list[int]:
        """Objects, among these, of halves at hand that only another batch's half belongs to; one a pair."""
        query = (
            f"SELECT DISTINCT h.object_id FROM {HALVES} h JOIN {HALVES} o "
            "ON o.pair = h.pair AND o.request <> h.request WHERE h.object_id = ANY(%(ids)s) "
            "AND (h.request OR o.object_id <> ALL(%(ids)s)) "
            f"AND NOT EXISTS (SELECT FROM {HALVES} x WHERE x.pair = h.pair AND NOT x.is_foreign)"
        )
        found = self._link.execute(query.encode(), {"ids": list(object_ids)}).fetchall()
        return sorted(row[0] for row in found)

    def store_the_rest(self) -> tuple[dict[int, int], dict[int, int]]:
        """Leave the halves without a partner to wait.

        :returns: by object, how many were left; and how many of them wait now. For the others, a half of
            the same key and side was waiting already.
        """
        rest = f"FROM {HALVES} h WHERE NOT EXISTS (SELECT FROM {HALVES} o WHERE {_MET})"
        left = self._by_object(f"SELECT object_id, count(*) {rest} GROUP BY object_id")
        if not left:
            return {}, {}
        return left, self._by_object(
            f"WITH stored AS (INSERT INTO {self._table} (subscription_id, {_COLUMNS}) "
            f"SELECT %s, {_COLUMNS} {rest} ORDER BY pair ON CONFLICT DO NOTHING RETURNING object_id) "
            "SELECT object_id, count(*) FROM stored GROUP BY object_id",
            self._subscription_id,
        )

    def expire(self, receipt_id: int, limit: timedelta) -> int:
        """Move halves that waited longer than ``limit`` to quarantine; how many there were."""
        names = "subscription_id, object_id, receipt_id, position, rows, reason, raw"
        return self._run(
            f"WITH gone AS (DELETE FROM {self._table} WHERE subscription_id = %s "
            "AND stored_at <= now() - %s RETURNING subscription_id, object_id, position, "
            f"coalesce(raw, body) AS raw) INSERT INTO {self._quarantine} ({names}) "
            "SELECT subscription_id, object_id, %s, position, 1, %s, raw FROM gone ORDER BY 2, 3",
            *(self._subscription_id, limit, receipt_id, Reason.UNPAIRED.value),
        )

    def _plan_for_many(self) -> None:
        """Join many halves by hashing: the planner knows little of tables that have just been filled."""
        self._run(f"ANALYZE {HALVES}")
        self._run("SET LOCAL cursor_tuple_fraction TO 1")
        count = self._link.execute(f"SELECT count(*) FROM {HALVES}".encode()).fetchone()
        nested = "off" if count and count[0] > FEW else "on"
        self._run(f"SET LOCAL enable_nestloop TO {nested}")

    def _prepare(self) -> None:
        columns = "pair, request, object_id, position, about, body, raw"
        self._run(
            f"CREATE TEMP TABLE IF NOT EXISTS paylog_half ON COMMIT DROP AS "
            f"SELECT {columns}, false AS is_foreign FROM {self._table} WITH NO DATA"
        )
        self._run(f"ALTER TABLE {HALVES} ADD IF NOT EXISTS n bigint GENERATED ALWAYS AS IDENTITY")

    def _run(self, statement: str, *values: object) -> int:
        return self._link.execute(statement.encode(), values).rowcount

    def _by_object(self, statement: str, *values: object) -> dict[int, int]:
        return dict(self._link.execute(statement.encode(), values).fetchall())
