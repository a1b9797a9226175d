"""Rows that two objects made together: what becomes of one half when the other's object is replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from paylog.data_mart.control_tables import GONE, objects, partners, quarantine
from paylog.data_mart.payload_table import KEY, PayloadTable
from paylog.data_mart.session import any_of, quoted, raw, run

_FREED_HALVES = quoted("pg_temp", "paylog_freed_half")
_KEY = ", ".join(map(quoted, KEY))
_THESE = "ANY(%(ids)s::bigint[])"  # of another type the server would not hash them
_NEAR = timedelta(hours=1)
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Freed:
    """Halves of one object whose other halves are superseded: they are wanted again.

    :param replaced: the superseded object.
    :param positions: of the halves in their object.
    """

    object_id: int
    uri: str
    version: str
    replaced: int
    positions: npt.NDArray[np.int64]


def link(connection: Connection, links: Mapping[tuple[int, int], Span | None]) -> None:
    """Note which objects' rows hold halves of an earlier batch's: (partner, object) → time they span."""
    if not links:
        return
    statement = insert(partners)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["partner_id", "object_id"],
        set_={
            "min_scoring_timestamp": func.least(partners.c.min_scoring_timestamp, new.min_scoring_timestamp),
            "max_scoring_timestamp": func.greatest(
                partners.c.max_scoring_timestamp, new.max_scoring_timestamp
            ),
        },
    )
    rows = [
        {
            "partner_id": partner,
            "object_id": owner,
            "min_scoring_timestamp": span and span[0],
            "max_scoring_timestamp": span and span[1],
        }
        for (partner, owner), span in sorted(links.items())
    ]
    connection.execute(statement, rows)


def exist(connection: Connection, object_ids: Sequence[int]) -> bool:
    """Whether other objects' rows hold halves of these."""
    query = select(partners.c.partner_id).where(partners.c.partner_id == any_of(object_ids))
    return connection.execute(query.limit(1)).first() is not None


def unlink(connection: Connection, object_ids: Sequence[int]) -> dict[int, Span]:
    """Forget objects' links; by object, the time that other objects' rows with its halves span."""
    connection.execute(partners.delete().where(partners.c.object_id == any_of(object_ids)))
    gone = connection.execute(
        partners.delete()
        .where(partners.c.partner_id == any_of(object_ids))
        .returning(partners.c.partner_id, partners.c.min_scoring_timestamp, partners.c.max_scoring_timestamp)
    ).all()
    spans: dict[int, Span] = {}
    for object_id, first, last in gone:
        if first is not None:
            known = spans.get(object_id, (first, last))
            spans[object_id] = min(known[0], first), max(known[1], last)
    return spans


def free_rejects(connection: Connection, schema: str, object_ids: Sequence[int]) -> None:
    """Delete objects' rejects and those of pairs with their halves, whose other halves are freed."""
    _prepare(connection)
    _run(
        connection,
        f"WITH gone AS (DELETE FROM {_name(schema, quarantine.name)} WHERE object_id = {_THESE} "
        f"OR partner_id = {_THESE} RETURNING object_id AS _object_id, position AS _position, "
        "partner_id AS _partner_id, partner_position AS _partner_position, rows, state = 'open' AS _wanted), "
        f"{_freeing()} {_noting(schema, 'freed_rejects', 'sum(rows)')}",
        object_ids,
    )


def free_rows(
    connection: Connection, table: PayloadTable, object_ids: Sequence[int], spans: Sequence[Span]
) -> None:
    """Delete objects' rows and those of pairs with their halves; note keys and freed halves.

    :param spans: the times that all of these lie in.
    """
    _prepare(connection)
    for span in _joined(spans):
        _run(
            connection,
            f"WITH gone AS (DELETE FROM {_name(table.schema, table.name)} "
            "WHERE scoring_timestamp BETWEEN %(first)s AND %(last)s "
            f"AND (_object_id = {_THESE} OR _partner_id = {_THESE}) RETURNING {_KEY}, _object_id, _position, "
            "_partner_id, _partner_position, true AS _wanted), "
            f"keys AS (INSERT INTO pg_temp.paylog_freed SELECT {_KEY} FROM gone), "
            f"{_freeing()} {_noting(table.schema, 'freed', 'count(*)')}",
            object_ids,
            span,
        )


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Spans that touch or nearly do as one: each costs a look at all rows of its time."""
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first - joined[-1][1] <= _NEAR:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined


def freed(connection: Connection) -> list[Freed]:
    """The halves that superseded objects left behind, of objects that stand."""
    if run(connection, "SELECT to_regclass('pg_temp.paylog_freed_half')").fetchone() == (None,):
        return []
    replaced = run(
        connection,
        "SELECT object_id, min(replaced), array_agg(DISTINCT position) "
        f"FROM {_FREED_HALVES} GROUP BY object_id",
    ).fetchall()
    by_id = {row[0]: row for row in replaced}
    if not by_id:
        return []
    query = select(objects.c.object_id, objects.c.uri, objects.c.version).where(
        objects.c.object_id == any_of(by_id), objects.c.state.not_in(GONE)
    )
    return [
        Freed(row.object_id, row.uri, row.version, by_id[row.object_id][1], np.array(by_id[row.object_id][2]))
        for row in connection.execute(query.order_by(objects.c.uri))
    ]


def read_later(connection: Connection, uri: str, subscription_id: str) -> None:
    """Have an object read again as a whole: it changed, and halves of it are wanted again."""
    connection.execute(
        objects.update()
        .where(
            objects.c.subscription_id == subscription_id,
            objects.c.uri == uri,
            objects.c.state.in_(("loaded", "partial")),
        )
        .values(state="stale")
    )


def _prepare(connection: Connection) -> None:
    run(
        connection,
        "CREATE TEMP TABLE IF NOT EXISTS paylog_freed_half "
        "(replaced bigint, object_id bigint, position bigint) ON COMMIT DROP",
    )


def _freeing() -> str:
    """The half that stays of each pair in ``gone``; a reject that was replayed has no half any more."""
    mine = f"_object_id = {_THESE}"
    replaced, *other = (
        f"CASE WHEN {mine} THEN {own} ELSE {its} END"
        for own, its in (
            ("_object_id", "_partner_id"),
            ("_partner_id", "_object_id"),
            ("_partner_position", "_position"),
        )
    )
    return (
        f"halves AS (INSERT INTO {_FREED_HALVES} SELECT DISTINCT {replaced}, {', '.join(other)} "
        f"FROM gone WHERE _partner_id <> _object_id AND NOT ({mine} AND _partner_id = {_THESE}) AND _wanted)"
    )


def _noting(schema: str, column: str, rows: str) -> str:
    """Note what is in ``gone`` in the entries of other objects."""
    return (
        f"UPDATE {_name(schema, objects.name)} o SET {column} = o.{column} + g.rows "
        f"FROM (SELECT _object_id, {rows} AS rows FROM gone WHERE NOT _object_id = {_THESE} GROUP BY 1) g "
        "WHERE o.object_id = g._object_id"
    )


def _name(schema: str, name: str) -> str:
    """A quoted name for a statement with parameters."""
    return quoted(schema, name).replace("%", "%%")


def _run(connection: Connection, statement: str, object_ids: Sequence[int], span: Span | None = None) -> None:
    first, last = span or (None, None)
    values = {"ids": list(object_ids)} | ({"first": first, "last": last} if span else {})
    raw(connection).execute(statement.encode(), values)
