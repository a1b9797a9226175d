"""The payload table of one subscription: its columns, and its monthly partitions."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import BigInteger, Connection, DateTime, TableClause, Text, Uuid, column, table, text

from paylog.data_mart import partition_function
from paylog.data_mart.session import Sessions, quoted, raw, run
from paylog.data_mart.setup import lock
from paylog.errors import SchemaMismatch
from paylog.model_schema import Column, ModelSchema

log = logging.getLogger(__name__)

KEY = ("scoring_timestamp", "_record_id")
# Whole numbers up to here are the same as double precision.
_EXACT = 2**53

_COLUMNS = text(
    "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull "
    "FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND c.relname = :name AND a.attnum > 0 AND NOT a.attisdropped"
)
_KIND = text(
    "SELECT c.relkind, pg_catalog.pg_get_partkeydef(c.oid) FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = :name"
)
_PARTITIONS = text(
    "SELECT leaf.relname FROM pg_catalog.pg_inherits i "
    "JOIN pg_catalog.pg_class leaf ON leaf.oid = i.inhrelid "
    "JOIN pg_catalog.pg_class c ON c.oid = i.inhparent "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = :name"
)


class Present(NamedTuple):
    """A column that the table has."""

    pg_type: str
    required: bool


class PayloadTable:
    """``Payload_<subscription id>`` in one schema.

    :param subscription_id: at most 40 ASCII characters, so a partition's name stays under 63 bytes.
    """

    def __init__(self, sessions: Sessions, subscription_id: str, model_schema: ModelSchema) -> None:
        self._sessions = sessions
        self.subscription_id = subscription_id
        self.model_schema = model_schema
        self.schema = sessions.schema
        self.name = payload_table_name(subscription_id)
        self.qualified = quoted(self.schema, self.name)
        self.clause = payload_clause(self.schema, self.name)
        self._months: set[np.datetime64] = set()

    def ensure(self, connection: Connection) -> list[str]:
        """Create the table, or add what it lacks; returns the changes, in words. Needs the owner's rights.

        :raises SchemaMismatch: the table and the model schema cannot be brought together.
        """
        lock(connection, "payload table", self.schema, self.name)
        run(connection, "SET LOCAL lock_timeout = '30s'")
        changes = self.changes(connection)
        for change in changes:
            log.info("payload table %s: %s", self.name, change)
            run(connection, change)
        return changes

    def ensure_partitions(self, months: Iterable[np.datetime64]) -> None:
        """Create the partitions of these months (``datetime64[M]``) in a short transaction of their own."""
        missing = sorted(set(months) - self._months)
        if not missing:
            return
        with self._sessions.transaction(f"create partitions of {self.name!r}") as connection:
            present = self._partitions(connection)
            if any(self.partition(month) not in present for month in missing):
                lock(connection, "partitions", self.schema, self.name)
                present = self._partitions(connection)
                for month in missing:
                    if self.partition(month) not in present:
                        self._create_partition(connection, month)
        self._months.update(missing)

    def partition(self, month: np.datetime64) -> str:
        """Name of the partition of a month."""
        return f"{self.name}_{month.item():%Y_%m}"

    def _partitions(self, connection: Connection) -> set[str]:
        return set(connection.execute(_PARTITIONS, {"schema": self.schema, "name": self.name}).scalars())

    def _create_partition(self, connection: Connection, month: np.datetime64) -> None:
        function = quoted(self.schema, partition_function.NAME).replace("%", "%%")
        values = self.subscription_id, month.item()
        raw(connection).execute(f"SELECT {function}(%s, %s)".encode(), values)

    def compare(self, connection: Connection) -> tuple[list[str], list[str]]:
        """What ``ensure`` would do, and what keeps it from doing anything."""
        present = read_columns(connection, self.schema, self.name)
        if not present:
            return [self._definition()], []
        self._check_partitioned(connection)
        wider = self._widened(connection, present)
        problems = [
            p
            for c in self.model_schema.columns
            if c.name not in wider and (p := _problem(c, present.get(c.name)))
        ]
        widened = [f"ALTER COLUMN {quoted(name)} TYPE double precision" for name in wider]
        actions = [*self._additions(present), *widened]
        return [f"ALTER TABLE {self.qualified} {action}" for action in actions], problems

    def changes(self, connection: Connection) -> list[str]:
        """The statements that would bring the table to the model schema; none when it fits.

        :raises SchemaMismatch: no statement can.
        """
        changes, problems = self.compare(connection)
        self.check(problems)
        return changes

    def check(self, problems: Sequence[str]) -> None:
        """:raises SchemaMismatch: there is any problem."""
        if problems:
            raise SchemaMismatch(
                f"Payload table {self.schema}.{self.name} does not fit the model schema: "
                + "; ".join(problems)
                + ". Or give the subscription a new id, and so a new table."
            )

    def _widened(self, connection: Connection, present: dict[str, Present]) -> list[str]:
        """Columns of whole numbers that may become double precision: none that it holds would change."""
        wanted = [
            c.name
            for c in self.model_schema.columns
            if c.pg_type == "double precision" and c.name in present and present[c.name].pg_type == "bigint"
        ]
        return [name for name in wanted if not self._holds_beyond(connection, quoted(name))]

    def _holds_beyond(self, connection: Connection, name: str) -> bool:
        query = f"SELECT 1 FROM {self.qualified} WHERE {name} > {_EXACT} OR {name} < -{_EXACT} LIMIT 1"
        return run(connection, query).fetchone() is not None

    def _additions(self, present: dict[str, Present]) -> list[str]:
        declared = {c.name: c for c in self.model_schema.columns}
        added = [
            f"ADD COLUMN {quoted(c.name)} {c.pg_type}" for c in declared.values() if c.name not in present
        ]
        # Fields that became optional, or are gone from the model schema: their column stays.
        relaxed = [
            f"ALTER COLUMN {quoted(name)} DROP NOT NULL"
            for name, found in present.items()
            if found.required and (name not in declared or declared[name].nullable)
        ]
        return added + relaxed

    def _definition(self) -> str:
        columns = ", ".join(
            f"{quoted(c.name)} {c.pg_type}{'' if c.nullable else ' NOT NULL'}"
            for c in self.model_schema.columns
        )
        key = ", ".join(map(quoted, KEY))
        return (
            f"CREATE TABLE {self.qualified} ({columns}, PRIMARY KEY ({key})) "
            f"PARTITION BY RANGE ({quoted(KEY[0])})"
        )

    def _check_partitioned(self, connection: Connection) -> None:
        kind, key = connection.execute(_KIND, {"schema": self.schema, "name": self.name}).one()
        if kind not in ("p", b"p") or key != f"RANGE ({KEY[0]})":
            raise SchemaMismatch(
                f"{self.schema}.{self.name} is not a payload table of paylog (partitioned by {KEY[0]}). "
                "Rename it, or give the subscription another id or schema."
            )


def payload_clause(schema: str, name: str) -> TableClause:
    """The columns of a payload table that paylog's own queries use."""
    return table(
        name,
        column("scoring_id", Text),
        column("scoring_timestamp", DateTime(timezone=True)),
        column("_record_id", Uuid),
        *(
            column(name, BigInteger)
            for name in ("_object_id", "_position", "_partner_id", "_partner_position")
        ),
        schema=schema,
    )


def payload_table_name(subscription_id: str) -> str:
    """OpenScale's name of the payload table."""
    return f"Payload_{subscription_id}"


def read_columns(connection: Connection, schema: str, table_name: str) -> dict[str, Present]:
    """Columns of a table by name; empty when there is no such table."""
    rows = connection.execute(_COLUMNS, {"schema": schema, "name": table_name})
    return {name: Present(pg_type, required) for name, pg_type, required in rows}


def _problem(declared: Column, present: Present | None) -> str | None:
    if present is None:
        if declared.nullable:
            return None
        return (
            f"required column {declared.name!r} is missing and old rows have no value for it "
            f"(add it by hand: ALTER TABLE … ADD COLUMN {quoted(declared.name)} {declared.pg_type} NOT NULL "
            "DEFAULT …, or make the field optional)"
        )
    if present.pg_type != declared.pg_type:
        return (
            f"column {declared.name!r} is {present.pg_type}, the model schema says {declared.pg_type} "
            "(ALTER COLUMN … TYPE by hand, or correct the field's type)"
        )
    return None
