"""What goes with ledger entries that are taken back: rows, rejects, waiting halves, deliveries, replays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, exists, func, not_, or_, select

from paylog.data_mart.control_tables import deliveries, objects, partners, pending, quarantine
from paylog.data_mart.ledger import LiveEntry
from paylog.data_mart.payload_table import PayloadTable
from paylog.data_mart.session import any_of, quoted, raw

# A row's number in its record, 0 where its id names none: as deliveries note their first and last rows.
ROW_NUMBER = "-([0-9]{1,9})$"
_NUMBER = f"coalesce(substring(p.scoring_id from '{ROW_NUMBER}')::bigint, 0)"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a retraction takes back.

    :param rows: of the payload table.
    :param rows_of_others: among them, rows that other objects brought, but with halves of these.
    :param rejected: rows that are open in quarantine.
    :param waiting: halves that wait for their partners.
    :param reopened: records in quarantine whose replays go: they are open again.
    :param delivered: rows that an OpenScale service has got and keeps.
    """

    objects: int = 0
    rows: int = 0
    rows_of_others: int = 0
    rejected: int = 0
    waiting: int = 0
    reopened: int = 0
    delivered: int = 0


def extent(
    connection: Connection, table: PayloadTable, subscription_id: str, entries: Sequence[LiveEntry]
) -> Extent:
    """What taking back these entries would remove. Changes nothing."""
    ids = [entry.object_id for entry in entries]
    mine = any_of(ids)
    uris = select(func.count(objects.c.uri.distinct())).where(objects.c.object_id == mine)
    rejects = select(func.coalesce(func.sum(quarantine.c.rows), 0)).where(
        or_(quarantine.c.object_id == mine, quarantine.c.partner_id == mine), quarantine.c.state == "open"
    )
    waiting = select(func.count()).where(pending.c.subscription_id == subscription_id)
    rows, of_others, delivered = _rows(connection, table, entries)
    return Extent(
        objects=connection.execute(uris).scalar_one(),
        rows=rows,
        rows_of_others=of_others,
        rejected=int(connection.execute(rejects).scalar_one()),
        waiting=connection.execute(waiting.where(pending.c.object_id == mine)).scalar_one(),
        reopened=_reopened(connection, ids),
        delivered=delivered,
    )


def _rows(connection: Connection, table: PayloadTable, entries: Sequence[LiveEntry]) -> tuple[int, int, int]:
    """Rows that go, those of them that are other objects', and those that were delivered."""
    if (known := _concerned(connection, table, entries)) is None:
        return 0, 0, 0
    where, values = known
    ids = "_object_id = ANY(%(ids)s)"
    rows, mine = raw(connection).execute(
        f"SELECT count(*), count(*) FILTER (WHERE {ids}) FROM {where}".encode(), values
    ).fetchone() or (0, 0)  # fmt: skip
    delivered = raw(connection).execute(
        f"SELECT count(*) FROM {where} {_delivered(table)}".encode(), values
    ).fetchone() or (0,)  # fmt: skip
    return rows, rows - mine, delivered[0]


def mark_deliveries(connection: Connection, table: PayloadTable, entries: Sequence[LiveEntry]) -> None:
    """Note with deliveries how many of their rows the data mart is about to give up."""
    if (known := _concerned(connection, table, entries)) is None:
        return
    where, values = known
    target = _name(table, deliveries.name)
    raw(connection).execute(
        f"UPDATE {target} d SET retracted = d.retracted + g.rows, updated_at = now() FROM "
        f"(SELECT d.delivery_id, count(*) AS rows FROM {where} {_delivered(table)} GROUP BY 1) g "
        "WHERE d.delivery_id = g.delivery_id".encode(),
        values,
    )


def _delivered(table: PayloadTable) -> str:
    """Joins rows to the deliveries that they were in."""
    return (
        f"JOIN {_name(table, objects.name)} o ON o.object_id = p._object_id "
        f"JOIN {_name(table, deliveries.name)} d ON d.receipt_id = o.receipt_id "
        f"AND (p._object_id, p._position, {_NUMBER}) BETWEEN "
        "(d.first_object, d.first_position, d.first_row) AND (d.last_object, d.last_position, d.last_row)"
    )


def _concerned(
    connection: Connection, table: PayloadTable, entries: Sequence[LiveEntry]
) -> tuple[str, dict[str, object]] | None:
    """A FROM clause of the rows of entries and of pairs with their halves; None when there can be none."""
    ids = [entry.object_id for entry in entries]
    spans = [
        (entry.min_scoring_timestamp, entry.max_scoring_timestamp)
        for entry in entries
        if entry.min_scoring_timestamp and entry.max_scoring_timestamp
    ]
    linked = connection.execute(
        select(func.min(partners.c.min_scoring_timestamp), func.max(partners.c.max_scoring_timestamp)).where(
            partners.c.partner_id == any_of(ids)
        )
    ).one()
    if linked[0] is not None:
        spans.append((linked[0], linked[1]))
    if not spans:
        return None
    values: dict[str, object] = {"ids": ids}
    values |= {"first": min(first for first, _ in spans), "last": max(last for _, last in spans)}
    rows = (
        f"(SELECT * FROM {table.qualified.replace('%', '%%')} WHERE scoring_timestamp BETWEEN %(first)s AND "
        "%(last)s AND (_object_id = ANY(%(ids)s) OR _partner_id = ANY(%(ids)s))) p"
    )
    return rows, values


def reopen_replayed(connection: Connection, object_ids: Sequence[int]) -> None:
    """Open the records again whose replays are taken back. Their halves are theirs, wanted by nobody."""
    statement = quarantine.update().where(_closed_by(object_ids)).values(
        state="open", closed_by=None, closed_at=None
    )  # fmt: skip
    reopened = connection.execute(statement.returning(quarantine.c.partner_id, quarantine.c.partner_position))
    halves = [(row[0], row[1]) for row in reopened if row[0] is not None]
    if halves:
        ids, positions = ([half[n] for half in halves] for n in (0, 1))
        raw(connection).execute(
            b"DELETE FROM pg_temp.paylog_freed_half f USING unnest(%s::bigint[], %s::bigint[]) g (id, at) "
            b"WHERE f.object_id = g.id AND f.position = g.at",
            (ids, positions),
        )


def _reopened(connection: Connection, object_ids: Sequence[int]) -> int:
    """Records of other entries, none of whose halves goes."""
    mine = any_of(object_ids)
    partner = func.coalesce(quarantine.c.partner_id, 0)
    stays = not_(or_(quarantine.c.object_id == mine, partner == mine))
    query = select(func.count()).select_from(quarantine).where(_closed_by(object_ids), stays)
    return connection.execute(query).scalar_one()


def _closed_by(object_ids: Sequence[int]) -> ColumnElement[bool]:
    """Records that replays under these entries have closed."""
    replay, origin = objects.alias("replay"), objects.alias("origin")
    return exists().where(
        replay.c.object_id == any_of(object_ids),
        replay.c.receipt_id == quarantine.c.closed_by,
        origin.c.object_id == quarantine.c.object_id,
        origin.c.uri == replay.c.uri,
    )


def _name(table: PayloadTable, name: str) -> str:
    """A quoted name for a statement with parameters."""
    return quoted(table.schema, name).replace("%", "%%")
