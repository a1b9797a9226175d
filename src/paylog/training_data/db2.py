"""Training data in a Db2 table or view, read through SQLAlchemy, ``ibm_db_sa`` and IBM's driver."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
import stamina

from paylog.errors import MissingExtra, ObjectNotFound, RetriableError
from paylog.subscription.section import did_you_mean
from paylog.subscription.training_data import Db2Reference
from paylog.training_data.db2_credentials import Db2Credentials, db2_credentials
from paylog.training_data.db2_errors import explained
from paylog.training_data.profile import DataVersion, SourceColumn

if TYPE_CHECKING:
    from paylog.connections import Connection

_ROWS = 8192
_ATTEMPTS = 3
_POOL_LOG = "paylog-db2"
_ARROW = {
    "SMALLINT": pa.int64(), "INTEGER": pa.int64(), "BIGINT": pa.int64(),
    "REAL": pa.float32(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(), "TIMESTAMP": pa.timestamp("us"),
    **dict.fromkeys(
        ("DECIMAL", "DECFLOAT", "CHARACTER", "VARCHAR", "LONG VARCHAR", "GRAPHIC", "VARGRAPHIC", "TIME"),
        pa.string(),
    ),
}  # fmt: skip
_PADDED = ("CHARACTER", "GRAPHIC")
_TABLES = sa.text("SELECT tabschema, tabname FROM syscat.tables WHERE tabschema IN (:a, :b)")
_COLUMNS = sa.text(
    "SELECT colname, typename FROM syscat.columns "
    "WHERE tabschema = :schema AND tabname = :table ORDER BY colno"
)
_ALTERED = sa.text("SELECT alter_time FROM syscat.tables WHERE tabschema = :schema AND tabname = :table")


def current_schema(connection: Connection) -> str:
    """The schema of the login, by signing in. Raises what ``Db2Table`` raises."""
    credentials = db2_credentials(connection)
    with _connected(credentials, connection.conn_id, _address(credentials)) as db:
        return _current_schema(db)


class Db2Table:
    """Rows of one table or view.

    Columns that Db2 folded to upper case get the declared name they stand for (``LOANAMOUNT`` →
    ``LoanAmount``).
    """

    def __init__(self, reference: Db2Reference, connection: Connection, declared: Sequence[str]) -> None:
        """Connects, finds the table and reads its columns.

        :param declared: names of the model schema.
        """
        self._credentials = db2_credentials(connection)
        self._conn_id = connection.conn_id
        self._rows: int | None = None
        where = _address(self._credentials)
        with _connected(self._credentials, self._conn_id, where) as db:
            self._schema, self._table = _found(db, reference, where)
            self.location = f"db2://{self._schema}.{self._table}"
            columns = _columns(db, self._schema, self._table)
        folded = {name.upper(): name for name in declared}
        names = [name if name in declared else folded.get(name, name) for name, _ in columns]
        self._originals = dict(zip(names, columns, strict=True))

    @property
    def columns(self) -> tuple[SourceColumn, ...]:
        return tuple(SourceColumn(name, kind) for name, (_, kind) in self._originals.items())

    @property
    def version(self) -> DataVersion:
        """The table's alter time, where the catalog has it, and its row count."""
        with self._connected() as db:
            rows = self._rows
            if rows is None:
                rows = db.exec_driver_sql(f"SELECT COUNT(*) FROM {self._quoted_table}").scalar_one()
            return DataVersion(self.location, f"{_altered(db, self._schema, self._table)}/{rows}")

    def chunks(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Up to 8,192 rows at once, decimals as text.

        :raises AccessDenied: the user may not read the table.
        :raises RetriableError: the connection is lost, also half-way through.
        :raises StopError: text that the driver cannot convert.
        """
        names = list(self._originals) if columns is None else list(columns)
        quoted = ", ".join(_quoted(self._originals[name][0]) for name in names)
        rows_read = 0
        with self._connected() as db:
            result = db.exec_driver_sql(f"SELECT {quoted or 1} FROM {self._quoted_table} FOR READ ONLY")
            while rows := result.fetchmany(_ROWS):
                rows_read += len(rows)
                yield self._batch(names, rows)
        self._rows = rows_read

    @property
    def _quoted_table(self) -> str:
        return f"{_quoted(self._schema)}.{_quoted(self._table)}"

    def _batch(self, names: list[str], rows: Sequence[sa.Row[Any]]) -> pa.RecordBatch:
        if not names:
            return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
        cells = zip(*rows, strict=True)
        kinds = [self._originals[name][1] for name in names]
        arrays = [_array(values, kind) for values, kind in zip(cells, kinds, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, names)

    def _connected(self) -> AbstractContextManager[sa.Connection]:
        return _connected(self._credentials, self._conn_id, self.location)


@contextmanager
def _connected(credentials: Db2Credentials, conn_id: str, where: str) -> Iterator[sa.Connection]:
    with _engine(credentials) as engine:
        connection = _signed_in(engine, conn_id, where)
        try:
            with explained(where, conn_id):
                yield connection
        finally:
            _close(connection)


def _signed_in(engine: sa.Engine, conn_id: str, where: str) -> sa.Connection:
    """A connection that answers; a passing fault is tried three times."""
    for attempt in stamina.retry_context(
        on=RetriableError, attempts=_ATTEMPTS, timeout=None, wait_initial=0.5
    ):
        with attempt, explained(where, conn_id):
            connection = engine.connect()
            try:
                _current_schema(connection)
            except sa.exc.DBAPIError:
                _close(connection)
                raise
            return connection
    raise AssertionError("unreachable: stamina raises the last error")


def _close(connection: sa.Connection) -> None:
    with suppress(sa.exc.DBAPIError):  # of a connection that is gone already
        connection.close()


def _address(credentials: Db2Credentials) -> str:
    return f"db2://{credentials.host}/{credentials.database}"


@contextmanager
def _engine(credentials: Db2Credentials) -> Iterator[sa.Engine]:
    """An engine whose URL is empty: ibm_db_sa would drop most options and cut a password at ``;``."""
    driver = _driver()
    with tempfile.TemporaryDirectory(prefix="paylog-db2-") as folder:
        file = os.path.join(folder, "server.pem") if credentials.certificate else ""
        if file:
            with open(file, "w", encoding="ascii") as pem:
                pem.write(credentials.certificate)
        text = credentials.connection_string(file)
        engine = sa.create_engine(
            "db2+ibm_db://",
            creator=lambda: driver.connect(text, "", ""),
            poolclass=sa.pool.NullPool,
            pool_logging_name=_POOL_LOG,
            hide_parameters=True,
        )
        yield engine


def _driver() -> Any:
    try:
        import ibm_db_dbi
        import ibm_db_sa  # noqa: F401 - registers the dialect
    except ImportError:
        raise MissingExtra(
            "training data in Db2 needs IBM's driver, which is not installed: pip install 'paylog[db2]'"
        ) from None
    # Both log tracebacks with SQL in them; what happened is in the error that paylog raises.
    for name in ("ibm_db_sa", f"sqlalchemy.pool.impl.NullPool.{_POOL_LOG}"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return ibm_db_dbi


def _found(db: sa.Connection, reference: Db2Reference, where: str) -> tuple[str, str]:
    """Schema and table as the catalog spells them."""
    schema, table = reference.schema_name or _current_schema(db), reference.table
    rows = db.execute(_TABLES, {"a": schema, "b": schema.upper()})
    names = {(str(s).strip(), str(t)) for s, t in rows}
    spellings = [(s, t) for s in (schema, schema.upper()) for t in (table, table.upper())]
    for spelling in spellings:
        if spelling in names:
            return spelling
    if not names:
        schemas = db.exec_driver_sql("SELECT DISTINCT tabschema FROM syscat.tables").scalars()
        near = did_you_mean(schema, [str(name).strip() for name in schemas])
        raise ObjectNotFound(f"{where}: schema {schema!r} has no tables{near}: mend training_data.schema")
    near = did_you_mean(table, [t for _, t in names])
    raise ObjectNotFound(f"{where}: no table {table!r} in schema {schema!r}{near}: mend training_data.table")


def _current_schema(db: sa.Connection) -> str:
    return str(db.exec_driver_sql("VALUES CURRENT SCHEMA").scalar_one()).strip()


def _columns(db: sa.Connection, schema: str, table: str) -> list[tuple[str, str]]:
    """Name and type, in the table's order."""
    rows = db.execute(_COLUMNS, {"schema": schema, "table": table})
    found = [(str(name), str(kind).strip()) for name, kind in rows]
    if found:
        return found
    # An alias has no columns of its own in the catalog.
    whole = f"{_quoted(schema)}.{_quoted(table)}"
    result = db.exec_driver_sql(f"SELECT * FROM {whole} FETCH FIRST 1 ROWS ONLY")
    return [(str(column[0]), "") for column in result.cursor.description] if result.cursor else []


def _altered(db: sa.Connection, schema: str, table: str) -> str:
    try:
        altered = db.execute(_ALTERED, {"schema": schema, "table": table}).scalar_one_or_none()
    except sa.exc.ProgrammingError:  # SQL0206N: catalogs older than 9.7 lack the column
        return "unknown"
    return altered.isoformat() if altered is not None else "unknown"


def _array(values: Sequence[Any], kind: str) -> pa.Array:
    if kind in _PADDED:
        values = [None if value is None else str(value).rstrip(" ") for value in values]
    arrow = _ARROW.get(kind)
    if arrow is None:
        return pa.array(values)
    if arrow == pa.string():
        values = [value if value is None or isinstance(value, bytes) else str(value) for value in values]
        if any(isinstance(value, bytes) for value in values):  # FOR BIT DATA
            return pa.array(values, pa.binary())
    if arrow == pa.bool_():
        values = [None if value is None else bool(value) for value in values]
    return pa.array(values, arrow)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
