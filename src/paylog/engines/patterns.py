"""Patterns of bodies, learned from one example: what both engines' record patterns are made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from paylog.codecs import NESTING, Side
from paylog.codecs.body import load_json
from paylog.errors import RejectedRecord
from paylog.native.pattern import MAX_MEMBERS, Accepts, Kind, Node, absent, cells, exactly, record, wanted

# The scanner compares keys as they are written: none that JSON writes with an escape.
_KEY = re.compile(r'[^"\\\x00-\x1f]*')
_RAW_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class NoPattern(Exception):  # noqa: N818 - an answer, not an error
    """The example is of a kind that only the Python codecs read."""


@dataclass(slots=True)
class SidePattern:
    """Pattern of one side's body; ``slots`` says which slots hold a column."""

    side: Side
    prefix: str
    slots: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of_json(self, body: bytes, key: str = "") -> Node:
        """Tree of a JSON body with one row. Raises NoPattern for other shapes."""
        try:
            document = load_json(body)
        except RejectedRecord:
            raise NoPattern from None
        node = self._tree(document, body, key)
        if not set(self.side.required) <= set(self.slots) or not self.slots:
            raise NoPattern
        return node

    def of_members(self, document: Mapping[str, Any]) -> tuple[Node, ...]:
        """Members of an object that holds the row by name, and those that must stay away from it."""
        if set(document) & (set(NESTING) - set(self.side.wanted)):
            raise NoPattern
        members = self._named(document, "").children
        if not set(self.side.required) <= set(self.slots) or not self.slots:
            raise NoPattern
        return members

    def of_csv(self, key: str) -> Node:
        """A string that holds one line of CSV."""
        children = [self._cell(name, None) for name in self.side.positional]
        return Node(Kind.CSV_TEXT, tuple(children), key)

    def _tree(self, document: Any, body: bytes, key: str) -> Node:
        if not isinstance(document, Mapping):
            raise NoPattern
        holder = next((name for name in NESTING if isinstance(document.get(name), list | dict)), None)
        if holder is None:
            return self._named(document, key)
        if not isinstance(rows := document[holder], list):
            raise NoPattern
        above = [absent(name) for name in NESTING[: NESTING.index(holder)]]
        if holder == "values" and isinstance(document.get("fields"), list):
            return self._fields_values(document, body, key)
        if holder in ("instances", "predictions") and len(rows) == 1:
            return record([Node(Kind.SINGLE, (self._tree(rows[0], b"", ""),), holder), *above], key)
        if holder == "features":
            return record([self._row(self.side.positional, rows, "features"), *above], key)
        raise NoPattern

    def _fields_values(self, document: Mapping[str, Any], body: bytes, key: str) -> Node:
        names, values = tuple(map(str, document["fields"])), document["values"]
        if not body or len(values) != 1 or not isinstance(values[0], list) or len(set(names)) != len(names):
            raise NoPattern
        raw = _RAW_MEMBERS.decode(body)["fields"]
        members = {
            "fields": exactly(bytes(raw), "fields"),
            "values": cells([self._row(names, values[0], "")], "values"),
        }
        ordered = [members[name] for name in document if name in members]
        return record([*ordered, absent("meta")], key)

    def _row(self, names: tuple[str, ...], row: list[Any], key: str) -> Node:
        if len(names) != len(row):
            raise NoPattern
        return cells([self._cell(n, cell, "") for n, cell in zip(names, row, strict=True)], key)

    def _named(self, document: Mapping[str, Any], key: str) -> Node:
        """An object with a member a column; a wanted column that the example lacks must stay away."""
        members = [self._cell(n, cell, n) for n, cell in document.items() if n in self.side.wanted]
        strangers = [n for n in self.side.wanted if n not in document]
        strangers += [n for n in NESTING if n not in self.side.wanted]
        if len(members) + len(strangers) > MAX_MEMBERS:
            raise NoPattern
        return record([*members, *map(absent, strangers)], key)

    def _cell(self, name: str, example: Any, key: str = "") -> Node:
        """A cell: a scalar, or a vector of numbers where the column may be one."""
        if not _KEY.fullmatch(key):
            raise NoPattern
        if isinstance(example, list | dict):
            if name not in self.side.arrays or not isinstance(example, list) or not example:
                raise NoPattern
            slots = tuple(f"{self.prefix}{name}\0{i}" for i in range(len(example)))
            self.slots[name] = slots
            return cells([wanted(slot, Accepts.NUMBER) for slot in slots], key)
        if name not in self.side.wanted:
            return Node(Kind.VALUE, (), key)
        if name in self.side.arrays:
            raise NoPattern
        self.slots[name] = (f"{self.prefix}{name}",)
        return wanted(self.slots[name][0], key=key)
