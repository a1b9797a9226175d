"""The shape of records: their members by path, with types, and never a value unless asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from paylog.codecs.body import load_json
from paylog.errors import RejectedRecord

MOST_DEEP = 8
MOST_SHOWN = 60
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(slots=True)
class Shape:
    """One member of the records.

    :param path: ``captureData.endpointInput.data``; ``[]`` is an element of a list.
    :param kinds: types that were seen.
    :param records: that have it.
    :param example: a value, cut short; for those who ask to see values.
    """

    path: str
    kinds: set[str] = field(default_factory=set)
    records: int = 0
    example: str = ""


def shapes(records: list[Any]) -> list[Shape]:
    """The members of all records, in the order in which they appear."""
    found: dict[str, Shape] = {}
    for record in records:
        seen: set[str] = set()
        for path, kind, value in _walk(record, "", 0):
            shape = found.setdefault(path, Shape(path))
            shape.kinds.add(kind)
            shape.records += path not in seen
            shape.example = shape.example or value
            seen.add(path)
    return list(found.values())


def kind_of(value: Any) -> str:
    """Type of a value, in the words of a subscription where it has them."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case Mapping():
            return "object"
        case list():
            return "list"
    if not isinstance(value, str):
        return "double" if isinstance(value, float) else "integer"
    return number_kind(value) if type(value) is not str else "string"


def number_kind(text: str) -> str:
    """``integer``, ``double`` or ``string``, by how a cell is written."""
    if _INTEGER.fullmatch(text):
        return "integer"
    return "double" if _NUMBER.fullmatch(text) else "string"


def _walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, str, str]]:
    kind = kind_of(value)
    inner = inner_document(value) if kind == "string" else None
    if inner is not None:
        yield path, "JSON as text", ""
        yield from _walk(inner, path, depth + 1)
        return
    if path and kind != "object":
        yield path, kind, "" if kind == "list" else str(value)[:40]
    if depth == MOST_DEEP:
        return
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from _walk(member, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list):
        for element in value[:20]:
            yield from _walk(element, f"{path}[]", depth + 1)


def inner_document(text: str) -> Any:
    """The document that a text holds, if it is one."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        inner = load_json(text)
    except RejectedRecord:
        return None
    return inner if isinstance(inner, Mapping | list) else None
