"""Patterns of the bodies of SPSS Collaboration and Deployment Services that have one row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from paylog.codecs.spss_body import TABLES, VALUES, spss_rows
from paylog.native.pattern import Kind, Node, absent, cells, exactly, record

Cell = Callable[[str, Any, str], Node]
"""(column, example, key) → the node of a cell."""

_RAW_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def spss_tree(document: Mapping[str, Any], body: bytes, strangers: Iterable[str], cell: Cell) -> list[Node]:
    """Members of a body; none when it has another form than one row.

    :param strangers: members that make it a body of another kind.
    """
    rows = spss_rows(document, ())
    if rows is None or len(rows) != 1:
        return []
    (names, row), others = rows[0], [absent(name) for name in strangers]
    if names is None:
        tables = document[TABLES]
        given = tables[0]["requestInputRow"][0] if len(tables) == 1 else {}
        if not isinstance(given, Mapping) or len(given.get("input") or ()) != len(row):
            return []
        named = [
            record([exactly(msgspec.json.encode(name), "name"), cell(name, value, "value")])
            for name, value in row.items()
        ]
        table = record([_single(record([cells(named, "input")]), "requestInputRow")])
        return [_single(table, TABLES), *others]
    if len(names) != len(row) or not body:
        return []
    written = _RAW_MEMBERS.decode(_RAW_MEMBERS.decode(body)["columnNames"])["name"]
    values = [record([cell(name, value, "value")]) for name, value in zip(names, row, strict=True)]
    return [
        record([exactly(bytes(written), "name")], "columnNames"),
        _single(record([cells(values, "value")]), VALUES),
        *others,
    ]


def _single(node: Node, key: str) -> Node:
    return Node(Kind.SINGLE, (node,), key)
