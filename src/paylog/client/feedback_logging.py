"""``subscription.feedback_logging``: labelled rows, which quality is measured with."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa

from paylog.casts import cast
from paylog.client.supporting_classes.enums import FeedbackFormat
from paylog.data_mart.feedback import RECORD_ID, RECORD_TIMESTAMP, FeedbackCounts, FeedbackTable
from paylog.errors import ConfigurationError, InvalidInput
from paylog.model_schema import TIMESTAMP, Field, FieldType, Role

if TYPE_CHECKING:
    import pandas as pd

    from paylog.client.subscription import SubscriptionClient


_MOST_PROBLEMS = 20
Cells = dict[str, list[Any]]


class FeedbackLogging:
    """Feedback records of one subscription (contract section 1.6)."""

    def __init__(self, subscription: SubscriptionClient) -> None:
        self._subscription = subscription

    def store(
        self,
        feedback_data: Any,
        fields: Sequence[str] | None = None,
        feedback_format: str = FeedbackFormat.WML,
        data_header: bool = False,
        data_delimiter: str = ",",
    ) -> FeedbackCounts:
        """Store all rows or none; the same call again adds nothing.

        :param feedback_data: ``wml``: list of rows; ``dict``: list of dicts; ``text``: CSV text or file.
        :param fields: names of the columns of ``wml`` rows and of CSV without a header. Left out: the
            features, then the label. A column ``record_timestamp`` is the rows' time, else now.
        :raises InvalidInput: rows do not fit the model schema; says which rows and columns, without values.
        :raises ConfigurationError: the model schema is not known yet, has no label, or unknown format.
        """
        declared = self._fields()
        if fields and not (isinstance(fields, Iterable) and all(isinstance(f, str) for f in fields)):
            raise InvalidInput("fields is a list of names")
        names = list(fields) if fields else [field.name for field in declared]
        if feedback_format == FeedbackFormat.WML:
            cells = _by_column(names, feedback_data)
        elif feedback_format == FeedbackFormat.DICT:
            cells = _of_dicts([field.name for field in declared], feedback_data)
        elif feedback_format == FeedbackFormat.CSV:
            cells = _of_csv(None if data_header else names, feedback_data, data_delimiter)
        else:
            raise ConfigurationError(f"feedback_format is one of {', '.join(FeedbackFormat)}")
        rows = _typed(declared, cells)
        return self._subscription.client.mart.feedback.store(self._table(declared), rows)

    def get_table_content(
        self, format: str = "pandas", limit: int | None = None, offset: int = 0
    ) -> pd.DataFrame | dict[str, Any]:
        """The rows in the order of their time; ``python``: ``{"fields": […], "values": [(…), …]}``.

        :param offset: rows that are left out at the beginning; ``python`` only.
        """
        table, mart = self._table(self._fields()), self._subscription.client.mart
        if format == "pandas":
            return mart.feedback.frame(table, limit)
        fields, values = mart.feedback.rows(table, limit, offset)
        return {"fields": fields, "values": values}

    def get_records_count(self) -> int:
        """Feedback rows in the table."""
        return self._subscription.client.mart.feedback.count(self._table(self._fields()))

    def prepare(self) -> None:
        """Make the table where the model schema is known and has a label; the first ``store`` does it too."""
        mart, uid = self._subscription.client.mart, self._subscription.uid
        if mart.registry.document(uid) is not None and self._subscription.declared().model_schema.of_role(
            Role.TARGET
        ):
            mart.feedback.prepare(self._table(self._fields()))

    def _table(self, fields: Sequence[Field]) -> FeedbackTable:
        return FeedbackTable(self._subscription.client.mart.schema, self._subscription.uid, fields)

    def _fields(self) -> list[Field]:
        schema = self._subscription.declared().model_schema
        label = schema.of_role(Role.TARGET)
        if not label:
            raise ConfigurationError(
                f"subscription {self._subscription.uid} has no label column: feedback needs one "
                "(label_column of the asset; a field with role target in YAML)"
            )
        return [*schema.features, label[0]]


def _by_column(names: Sequence[str], rows: Any) -> Cells:
    if not isinstance(rows, list | tuple) or not rows:
        raise InvalidInput("feedback_data is a list of at least one row")
    if uneven := [i for i, row in enumerate(rows, 1) if not _is_row(row, len(names))]:
        # Not the names: of CSV without a header that was said to have one, they are a row.
        raise InvalidInput(f"feedback rows {uneven[:_MOST_PROBLEMS]} do not have {len(names)} cells")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _is_row(row: Any, width: int) -> bool:
    return hasattr(row, "__len__") and not isinstance(row, str | Mapping) and len(row) == width


def _of_dicts(names: Sequence[str], rows: Any) -> Cells:
    if not isinstance(rows, list | tuple) or not rows or not all(isinstance(row, Mapping) for row in rows):
        raise InvalidInput("feedback_data is a list of at least one dict")
    every = {*names, *(RECORD_TIMESTAMP for row in rows if RECORD_TIMESTAMP in row)}
    return {name: [row.get(name) for row in rows] for name in every}


def _of_csv(names: Sequence[str] | None, data: Any, delimiter: str) -> Cells:
    try:
        text = data if isinstance(data, str | bytes) else data.read()
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    except (UnicodeDecodeError, csv.Error, TypeError):
        raise InvalidInput(f"feedback is not CSV in UTF-8 whose cells are apart by {delimiter!r}") from None
    if names is None:
        names, rows = rows[0] if rows else [], rows[1:]
    cells = _by_column(names, rows)
    return {name: [cell or None for cell in column] for name, column in cells.items()}


def _typed(fields: Sequence[Field], cells: Cells) -> pa.Table:
    """Cells cast as strictly as payload records are."""
    count = len(next(iter(cells.values())))
    columns: dict[str, pa.Array] = {}
    problems: list[str] = []
    for field in fields:
        if field.name not in cells:
            problems.append(f"column {field.name!r} is missing")
            continue
        columns[field.name], bad = cast(_tokens(cells[field.name]), field.type)
        if bad is not None:
            places = [int(i) + 1 for i in bad.nonzero()[0][:_MOST_PROBLEMS]]
            problems.append(f"column {field.name!r} is no {field.type} in rows {places}")
    columns[RECORD_TIMESTAMP] = _times(cells.get(RECORD_TIMESTAMP), count, problems)
    if problems:
        raise InvalidInput("feedback was not stored: " + "; ".join(problems[:_MOST_PROBLEMS]))
    call = sha256(msgspec.json.encode(cells, order="sorted", enc_hook=str)).hexdigest()
    ids = [uuid.uuid5(uuid.NAMESPACE_URL, f"paylog:feedback/{call}/{i}").bytes for i in range(count)]
    table = pa.table(columns)
    return table.append_column(RECORD_ID, pa.array(ids, pa.uuid()))


def _tokens(values: Sequence[Any]) -> pa.Array:
    """Cells as JSON would write them: ``true``, ``27``, text as it is."""
    return pa.array(map(_token, values), pa.string())


def _token(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    text = msgspec.json.encode(value.tolist() if hasattr(value, "tolist") else value).decode()
    return None if text == "null" else text  # NaN, say


def _times(values: Sequence[Any] | None, count: int, problems: list[str]) -> pa.Array:
    if values is None:
        return pa.array([datetime.now(UTC)] * count, TIMESTAMP)
    times, bad = cast(
        _tokens([str(v) if isinstance(v, datetime) else v for v in values]), FieldType.TIMESTAMP, _UTC
    )
    if bad is not None or times.null_count:
        problems.append(f"column {RECORD_TIMESTAMP!r} holds what is no timestamp")
    return times


_UTC = ZoneInfo("UTC")
