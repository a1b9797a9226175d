"""SPSS Collaboration and Deployment Services: the bodies of its scoring service, whose cells all are text.

Request: ``requestInputTable[].requestInputRow[].input[{name, value}]``. Response: ``columnNames.name[]`` and
``rowValues[].value[].value``. Source: IBM's OpenScale notebook for SPSS C&DS.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from paylog.codecs.seldon_body import Table

TABLES, VALUES = "requestInputTable", "rowValues"


def spss_rows(document: Any, wanted: Collection[str]) -> Table | None:
    """(names or None, cells) of each row; None when this is no body of SPSS.

    :param wanted: columns; a body that has one of them itself is a row by name.
    """
    if not isinstance(document, Mapping) or not document.keys().isdisjoint(wanted):
        return None
    if isinstance(tables := document.get(TABLES), list):
        return [(None, row) for row in _inputs(tables)]
    rows, names = document.get(VALUES), document.get("columnNames")
    if (
        not isinstance(rows, list)
        or not isinstance(names, Mapping)
        or not isinstance(names.get("name"), list)
    ):
        return None
    columns = tuple(map(str, names["name"]))
    return [(columns, [_value(cell) for cell in _list(row, "value")]) for row in rows]


def _inputs(tables: list[Any]) -> Iterator[dict[str, Any]]:
    for table in tables:
        for row in _list(table, "requestInputRow"):
            cells = [cell for cell in _list(row, "input") if isinstance(cell, Mapping)]
            yield {str(cell.get("name")): cell.get("value") for cell in cells}


def _list(holder: Any, key: str) -> list[Any]:
    found = holder.get(key) if isinstance(holder, Mapping) else None
    return found if isinstance(found, list) else []


def _value(cell: Any) -> Any:
    return cell.get("value") if isinstance(cell, Mapping) else cell
