"""The feedback data set of a subscription: labelled rows, which quality is measured with.

Layout of OpenScale's ``Feedback_<X>``: the features, the label, ``record_timestamp``. A call is stored
as a whole or not at all; the same call again adds nothing, as a row's id comes from its call and place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import Connection, Select, Uuid, column, func, select, table
from sqlalchemy.dialects.postgresql import insert

from paylog.data_mart.payload_table import read_columns
from paylog.data_mart.session import quoted, run
from paylog.data_mart.setup import lock
from paylog.errors import SchemaMismatch
from paylog.model_schema import PG_TYPES, Field

if TYPE_CHECKING:
    import pandas as pd

RECORD_TIMESTAMP = "record_timestamp"
RECORD_ID = "_record_id"
_ROWS_A_STATEMENT = 1000
# Of one statement, in PostgreSQL's protocol.
_PARAMETERS = 65_535


def feedback_table_name(subscription_id: str) -> str:
    """OpenScale's name of the feedback table."""
    return f"Feedback_{subscription_id}"


@dataclass(frozen=True, slots=True)
class FeedbackCounts:
    """Rows of one call: read = loaded + duplicate."""

    read: int
    loaded: int
    duplicate: int


class FeedbackTable:
    """``Feedback_<subscription id>`` in one schema.

    :param fields: the features and the label, in order.
    """

    def __init__(self, schema: str, subscription_id: str, fields: Sequence[Field]) -> None:
        self.schema = schema
        self.name = feedback_table_name(subscription_id)
        self.fields = tuple(fields)

    def ensure(self, connection: Connection) -> None:
        """Create the table, if it is absent.

        :raises SchemaMismatch: it is there, with other columns.
        """
        if not read_columns(connection, self.schema, self.name):
            lock(connection, "feedback table", self.schema, self.name)
        present = read_columns(connection, self.schema, self.name)
        if not present:
            run(connection, self._definition())
            return
        wrong = [
            f.name
            for f in self.fields
            if f.name not in present or present[f.name].pg_type != PG_TYPES[f.type]
        ]
        if wrong:
            raise SchemaMismatch(
                f"Feedback table {self.schema}.{self.name} does not fit the model schema in {wrong}. "
                "Rename it; a new one is made."
            )

    def insert(self, connection: Connection, rows: pa.Table) -> FeedbackCounts:
        """Add rows (the fields, ``record_timestamp``, ``_record_id`` as UUID) that are not there yet."""
        target = table(
            self.name,
            *(column(name) for name in rows.column_names if name != RECORD_ID),
            column(RECORD_ID, Uuid),
            schema=self.schema,
        )
        loaded = 0
        most = min(_ROWS_A_STATEMENT, _PARAMETERS // rows.num_columns)
        for batch in rows.to_batches(max_chunksize=most):
            statement = insert(target).values(batch.to_pylist()).on_conflict_do_nothing()
            added = connection.execute(statement.returning(target.c[RECORD_ID]))
            loaded += len(added.all())
        return FeedbackCounts(rows.num_rows, loaded, rows.num_rows - loaded)

    def frame(self, connection: Connection, limit: int | None) -> pd.DataFrame:
        """The rows in the order of their time, without paylog's own columns."""
        import pandas as pd

        return pd.read_sql(self._query(limit), connection)

    def rows(
        self, connection: Connection, limit: int | None, offset: int
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and the rows that ``frame`` would hold, in Python's types."""
        found = connection.execute(self._query(limit).offset(offset))
        return list(found.keys()), [tuple(row) for row in found]

    def count(self, connection: Connection) -> int:
        """How many rows there are."""
        target = table(self.name, schema=self.schema)
        return connection.execute(select(func.count()).select_from(target)).scalar_one()

    def _query(self, limit: int | None) -> Select[Any]:
        names = [*(f.name for f in self.fields), RECORD_TIMESTAMP]
        target = table(self.name, *map(column, (*names, RECORD_ID)), schema=self.schema)
        query = select(*(target.c[name] for name in names))
        return query.order_by(target.c[RECORD_TIMESTAMP], target.c[RECORD_ID]).limit(limit)

    def _definition(self) -> str:
        columns = ", ".join(f"{quoted(f.name)} {PG_TYPES[f.type]}" for f in self.fields)
        return (
            f"CREATE TABLE {quoted(self.schema, self.name)} ({columns}, "
            f"{RECORD_TIMESTAMP} timestamp with time zone NOT NULL, {quoted(RECORD_ID)} uuid PRIMARY KEY)"
        )
