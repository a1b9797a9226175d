"""The monthly partitions of a payload table, as PostgreSQL has them; making old ones go.

A partition goes in two steps: it is detached without blocking loads (``DETACH … CONCURRENTLY`` waits for
transactions that use the table, and holds no lock meanwhile), then the table on its own is dropped. What
was interrupted between the two is found by its comment and finished the next time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from paylog.data_mart.session import quoted

# How long a detach waits for loads in progress, and a drop for readers of the partition.
DETACH_PATIENCE, DROP_PATIENCE = "10min", "5s"
_CONDEMNED = "paylog: retention drops this table"
_NAME = re.compile(r"(.+)_(\d{4})_(\d{2})")

_LEAVES = """
SELECT leaf.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false),
       obj_description(leaf.oid, 'pg_class') IS NOT DISTINCT FROM %(condemned)s,
       pg_table_size(leaf.oid), pg_indexes_size(leaf.oid), greatest(leaf.reltuples, 0)::bigint
FROM pg_class leaf JOIN pg_namespace n ON n.oid = leaf.relnamespace
LEFT JOIN (pg_inherits i JOIN pg_class parent ON parent.oid = i.inhparent AND parent.relname = %(name)s)
    ON i.inhrelid = leaf.oid
WHERE n.nspname = %(schema)s AND leaf.relkind = 'r' AND starts_with(leaf.relname, %(name)s || '_')
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """One month of a payload table.

    :param attached: False: it was detached and stays as a table of its own.
    :param leaving: its detachment was begun and not finished.
    :param condemned: it is to be dropped, detached already or not.
    :param rows: PostgreSQL's estimate.
    """

    name: str
    month: datetime
    attached: bool
    leaving: bool
    condemned: bool
    table_bytes: int
    index_bytes: int
    rows: int


def read(link: psycopg.Connection, schema: str, table: str) -> list[Partition]:
    """The partitions of a payload table by month, detached ones too."""
    values = {"schema": schema, "name": table, "condemned": _CONDEMNED}
    found = []
    for name, *facts in link.execute(_LEAVES, values):
        named = _NAME.fullmatch(name)
        if named and named[1] == table and 1 <= int(named[3]) <= 12:
            found.append(Partition(name, datetime(int(named[2]), int(named[3]), 1, tzinfo=UTC), *facts))
    return sorted(found, key=lambda partition: partition.month)


def remove(link: psycopg.Connection, schema: str, table: str, partition: Partition, *, drop: bool) -> None:
    """Detach a partition and, if asked, drop it; goes on where it was interrupted.

    :param link: in autocommit.
    """
    leaf = quoted(schema, partition.name)
    if drop and not partition.condemned:
        _run(link, DROP_PATIENCE, f"COMMENT ON TABLE {leaf} IS '{_CONDEMNED}'")
    if partition.attached:
        how = "FINALIZE" if partition.leaving else "CONCURRENTLY"
        _run(link, DETACH_PATIENCE, f"ALTER TABLE {quoted(schema, table)} DETACH PARTITION {leaf} {how}")
    if drop:
        _run(link, DROP_PATIENCE, f"DROP TABLE {leaf}")


def _run(link: psycopg.Connection, patience: str, statement: str) -> None:
    link.execute(f"SET lock_timeout = '{patience}'".encode())
    link.execute(statement.encode())
