"""The data mart's books as PostgreSQL keeps them, read behind paylog's back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

from paylog.connections import postgres_dsn, resolve
from paylog.data_mart.session import quoted
from paylog.subscription import Subscription

Rows = list[tuple[Any, ...]]
_IDS = ("_object_id", "_partner_id")
_BY_ORDER_OF_LOADING = ("_object_id", "_position", "_partner_id", "_partner_position")


@dataclass(frozen=True)
class Books:
    """What a data mart holds of one subscription. Two that were loaded differently must be equal.

    :param rows: all columns; in place of the object's id its URI and version.
    :param ledger: live entries: URI, version, read, loaded or duplicate, rejected, filtered, first and
        last scoring timestamp.
    """

    columns: list[str]
    rows: Rows
    quarantine: Rows
    ledger: Rows

    def without_origin(self) -> Books:
        """Without what says which of several objects, that hold one record, brought it."""
        kept = [
            n for n, name in enumerate(self.columns) if name not in (*_BY_ORDER_OF_LOADING, "uri", "version")
        ]
        rows = [tuple(row[n] for n in kept) for row in self.rows]
        return Books([self.columns[n] for n in kept], rows, self.quarantine, self.ledger)


def ask(statement: str, conn_id: str = "data_mart") -> Rows:
    """Rows of a query, sent on a connection of its own."""
    with closing(psycopg.connect(postgres_dsn(resolve(conn_id)), autocommit=True)) as link:
        return link.execute(statement.encode()).fetchall()


def books(subscription: Subscription) -> Books:
    """Read the books, and check that they balance."""
    schema, table = subscription.data_mart.schema_name, f"Payload_{subscription.id}"
    objects, quarantine = quoted(schema, "paylog_object"), quoted(schema, "paylog_quarantine")
    mine = f"o.subscription_id = '{subscription.id}'"
    columns = [column.name for column in subscription.model_schema.columns if column.name not in _IDS]
    chosen = ", ".join(f"p.{quoted(name)}" for name in columns)
    rows = ask(
        f"SELECT {chosen}, o.uri, o.version FROM {quoted(schema, table)} p "
        f"LEFT JOIN {objects} o ON o.object_id = p._object_id AND o.state NOT IN ('superseded', 'retracted') "
        "ORDER BY p.scoring_timestamp, p._record_id"
    )
    rejects = ask(
        f"SELECT o.uri, o.version, q.position, q.row, q.rows, q.reason, q.column_name, q.raw "
        f"FROM {quarantine} q JOIN {objects} o USING (object_id) WHERE {mine} "
        "AND q.state = 'open' ORDER BY 1, 2, 3, 4, 6, 7"
    )
    ledger = ask(
        "SELECT uri, version, read, loaded + duplicate, rejected, filtered, min_scoring_timestamp, "
        f"max_scoring_timestamp FROM {objects} o WHERE {mine} AND state = 'loaded' ORDER BY uri"
    )
    assert_balanced(subscription)
    return Books([*columns, "uri", "version"], rows, rejects, ledger)


def assert_balanced(subscription: Subscription) -> None:
    """Conservation, object by object and receipt by receipt, by PostgreSQL's own counts."""
    for problem, statement in _unbalanced(subscription).items():
        assert ask(statement) == [], problem


def _unbalanced(subscription: Subscription) -> dict[str, str]:
    """Queries that find what must not be."""
    schema = subscription.data_mart.schema_name
    payload = quoted(schema, f"Payload_{subscription.id}")
    objects, receipts = quoted(schema, "paylog_object"), quoted(schema, "paylog_receipt")
    quarantine, pending = quoted(schema, "paylog_quarantine"), quoted(schema, "paylog_pending")
    mine = f"o.subscription_id = '{subscription.id}'"
    names = ("read", "loaded", "duplicate", "rejected", "filtered", "pending")
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in names)
    counted = ", ".join(f"r.{name}" for name in names)
    return {
        "ledger entries that do not balance": (
            f"SELECT uri FROM {objects} o WHERE {mine} "
            "AND read <> loaded + duplicate + rejected + filtered + pending"
        ),
        "entries whose rows are not in the table": (
            f"SELECT uri, version, o.state, loaded, n FROM {objects} o LEFT JOIN "
            f"(SELECT _object_id, count(*) n FROM {payload} GROUP BY 1) p ON p._object_id = o.object_id "
            f"WHERE {mine} AND coalesce(n, 0) <> "
            "CASE WHEN o.state IN ('superseded', 'retracted') THEN 0 ELSE loaded - freed END"
        ),
        "entries whose rejects are not in quarantine": (
            f"SELECT uri, version, o.state, rejected, n FROM {objects} o LEFT JOIN "
            f"(SELECT object_id, sum(rows) n FROM {quarantine} "
            "WHERE reason <> 'UNPAIRED' OR partner_id IS NOT NULL GROUP BY 1) q "
            "USING (object_id) "
            f"WHERE {mine} AND coalesce(n, 0) <> "
            "CASE WHEN o.state IN ('superseded', 'retracted') THEN 0 ELSE rejected - freed_rejects END"
        ),
        "rows of objects that are not live": (
            f"SELECT p._object_id FROM {payload} p LEFT JOIN {objects} o ON o.object_id = p._object_id "
            f"AND {mine} AND o.state NOT IN ('superseded', 'retracted') WHERE o.object_id IS NULL"
        ),
        "receipts that do not balance": (
            f"SELECT receipt_id FROM {receipts} o WHERE {mine} AND state IN ('committed', 'retracted') "
            "AND read <> loaded + duplicate + rejected + filtered + pending"
        ),
        "receipts that are not the sum of their entries": (
            f"SELECT r.receipt_id FROM {receipts} r WHERE r.subscription_id = '{subscription.id}' "
            f"AND r.state IN ('committed', 'retracted') AND r.batch_id <> 'unpaired' "
            f"AND (r.objects, {counted}) <> "
            f"(SELECT count(*), {sums} FROM {objects} o WHERE o.receipt_id = r.receipt_id)"
        ),
        "rejects of pairs whose partner is not live": (
            f"SELECT quarantine_id FROM {quarantine} q JOIN {objects} p ON p.object_id = q.partner_id "
            f"WHERE q.subscription_id = '{subscription.id}' AND p.state IN ('superseded', 'retracted')"
        ),
        "rows of pairs whose partner is not live": (
            f"SELECT scoring_id FROM {payload} r JOIN {objects} p ON p.object_id = r._partner_id "
            "WHERE p.state IN ('superseded', 'retracted')"
        ),
        "waiting halves that the receipts do not account for": (
            f"SELECT waiting, accounted FROM (SELECT count(*) waiting FROM {pending} o WHERE {mine}), "
            f"(SELECT coalesce(sum(pending - settled), 0) accounted FROM {receipts} o WHERE {mine} "
            "AND state IN ('committed', 'retracted')) WHERE waiting <> accounted"
        ),
        "waiting halves of objects that are not live": (
            f"SELECT w.position FROM {pending} w JOIN {objects} o USING (object_id) "
            f"WHERE {mine} AND o.state IN ('superseded', 'retracted')"
        ),
        "entries of receipts that were not committed": (
            f"SELECT o.uri FROM {objects} o LEFT JOIN {receipts} r ON r.receipt_id = o.receipt_id "
            f"AND r.state IN ('committed', 'retracted') WHERE {mine} AND r.receipt_id IS NULL"
        ),
    }


def receipt_ids(subscription: Subscription, state: str = "committed") -> list[int]:
    """Receipts kept so far."""
    receipts = quoted(subscription.data_mart.schema_name, "paylog_receipt")
    return [
        number
        for (number,) in ask(
            f"SELECT receipt_id FROM {receipts} WHERE subscription_id = '{subscription.id}' "
            f"AND state = '{state}' ORDER BY 1"
        )
    ]


def already_loaded(subscription: Subscription, runs: Sequence[str]) -> int:
    """Objects that these runs found in the ledger when they came to load them."""
    receipts = quoted(subscription.data_mart.schema_name, "paylog_receipt")
    named = ", ".join(f"'{run_id}'" for run_id in runs)
    return int(
        ask(f"SELECT coalesce(sum(already_loaded), 0) FROM {receipts} WHERE run_id IN ({named})")[0][0]
    )


def assert_nothing_held(seconds: float = 10.0) -> None:
    """No session of a dead worker, and so no lock, is left in the database."""
    statement = (
        "SELECT a.state, l.locktype, l.mode FROM pg_stat_activity a LEFT JOIN pg_locks l USING (pid) "
        "WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state <> 'idle'"
    )
    deadline = time.monotonic() + seconds
    while held := ask(statement):
        assert time.monotonic() < deadline, held
        time.sleep(0.05)
