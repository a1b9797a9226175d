"""A page of payload records, chosen by OpenScale's filters (contract section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from paylog.data_mart.payload_table import KEY, Present, payload_table_name, read_columns
from paylog.data_mart.session import quoted
from paylog.errors import InvalidInput

MOST_ROWS = 1000
_COMPARISONS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "like": "LIKE"}


@dataclass(frozen=True)
class Choice:
    """Which records are wanted.

    :param filters: ``column:op:value``, op one of eq gt gte lt lte like in null nonnull.
    :param start, end: of [start, end) by scoring time, ISO 8601.
    """

    limit: int = 100
    offset: int = 0
    start: str | None = None
    end: str | None = None
    filters: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Columns and rows (with the internal ``_record_id`` last), and how many records match in all."""

    fields: list[str]
    rows: list[tuple[Any, ...]]
    total: int | None


def read(
    connection: Connection, schema: str, subscription_id: str, choice: Choice, *, count: bool
) -> RecordPage:
    """The chosen records in the order of their scoring time.

    :raises InvalidInput: a filter on a column that is not there, or that cannot be read.
    """
    name = payload_table_name(subscription_id)
    present = read_columns(connection, schema, name)
    if not present:
        return RecordPage([], [], 0)
    shown = [column for column in present if not column.startswith("_")]
    where, parameters = _condition(choice, present)
    source = f"FROM {_escaped(schema, name)} WHERE {where}"
    total = connection.execute(text(f"SELECT count(*) {source}"), parameters).scalar() if count else None
    columns = ", ".join(_escaped(c) for c in (*shown, KEY[1]))
    order = ", ".join(map(quoted, KEY))
    limits = {"most": min(choice.limit, MOST_ROWS), "skipped": choice.offset}
    page = f"SELECT {columns} {source} ORDER BY {order} LIMIT :most OFFSET :skipped"
    rows = connection.execute(text(page), parameters | limits) if choice.limit else ()
    return RecordPage(shown, [tuple(row) for row in rows], total)


def _escaped(*names: str) -> str:
    """A quoted name in SQLAlchemy's text, where a colon starts a parameter."""
    return quoted(*names).replace(":", r"\:")


def _condition(choice: Choice, present: dict[str, Present]) -> tuple[str, dict[str, Any]]:
    terms, parameters = ["true"], {}
    for name, operator, value in (("start", ">=", choice.start), ("end", "<", choice.end)):
        if value is not None:
            terms.append(f"{KEY[0]} {operator} CAST(:{name} AS timestamptz)")
            parameters[name] = value
    for number, written in enumerate(choice.filters):
        column, operator, value = [*written.split(":", 2), "", ""][:3]
        if column not in present or column.startswith("_"):
            raise InvalidInput(f"filter {number + 1}: there is no column {column!r}")
        place = _escaped(column)
        if operator in ("null", "nonnull"):
            terms.append(f"{place} IS {'NOT ' if operator == 'nonnull' else ''}NULL")
            continue
        kind = "text" if operator == "like" else present[column].pg_type
        values = value.split(",") if operator == "in" else [value]
        if operator not in (*_COMPARISONS, "in"):
            raise InvalidInput(f"filter {number + 1}: {operator!r} is none of {', '.join(_COMPARISONS)}")
        names = [f"f{number}_{i}" for i in range(len(values))]
        parameters |= dict(zip(names, values, strict=True))
        casts = ", ".join(f"CAST(:{n} AS {kind})" for n in names)
        terms.append(f"{place} {_COMPARISONS.get(operator, 'IN')} ({casts})")
    return " AND ".join(terms), parameters
