"""Patterns of bodies, learned from one example: what both engines' record patterns are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from paylog.codecs import NESTING, Side
from paylog.codecs.body import load_json
from paylog.codecs.mlflow_body import COLUMNAR
from paylog.codecs.spss_body import TABLES, VALUES
from paylog.codecs.tensors import HOLDERS, flat, is_tensor, tensor_rows
from paylog.engines.spss_patterns import spss_tree
from paylog.errors import RejectedRecord
from paylog.field import FieldType
from paylog.native.pattern import (
    CELLS,
    MAX_MEMBERS,
    Accepts,
    Cell,
    Kind,
    Node,
    Pattern,
    absent,
    cells,
    exactly,
    null,
    record,
    vector,
    wanted,
)

# The scanner compares keys as they are written: none that JSON writes with an escape.
_KEY = re.compile(r'[^"\\\x00-\x1f]*')
_RAW_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_RAW_TENSORS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_OF_ROWS = "dataframe_records", "instances", "predictions", "input_data"


class NoPattern(Exception):  # noqa: N818 - an answer, not an error
    """The example is of a kind that only the Python codecs read."""


def flat_pattern(
    example: bytes, envelope: Sequence[Node], request: Side, response: Side, *, row_ids: bool = False
) -> Pattern:
    """Of records that hold one row by name, beside the members of the envelope.

    Raises NoPattern, RejectedRecord.
    """
    document = load_json(example)
    if not isinstance(document, Mapping):
        raise NoPattern
    requests, responses = SidePattern(request, "request "), SidePattern(response, "response ")
    sides = *requests.of_members(document), *responses.of_members(document)
    root = record(in_order(document, (*envelope, *sides)))
    return Pattern(root, requests.slots, responses.slots, row_ids=row_ids)


def in_order(names: Iterable[str], members: Iterable[Node]) -> list[Node]:
    """Members of an object, each once, in the order in which they are written. Raises NoPattern."""
    order = {name: i for i, name in enumerate(names)}
    by_name = {node.key: node for node in members}
    if len(by_name) > MAX_MEMBERS:
        raise NoPattern
    return [by_name[name] for name in sorted(by_name, key=lambda name: order.get(name, len(order)))]


def first_of(
    document: Mapping[str, Any],
    names: Sequence[str],
    slot: str,
    accepts: Accepts,
    *,
    needed: bool = False,
    **more: Any,
) -> list[Node]:
    """The first of some members that the example has goes to a slot; the others must stay null or away.

    Raises NoPattern where the example's is of another type than ``accepts``, or it has none and needs one.
    """
    chosen = next((name for name in names if document.get(name) is not None), "")
    kinds = {str: Accepts.TEXT, int: Accepts.NUMBER, float: Accepts.NUMBER}
    if needed and not chosen:
        raise NoPattern
    if chosen and not accepts & kinds.get(type(document[chosen]), Accepts(0)):
        raise NoPattern
    return [wanted(slot, accepts, name, **more) if name == chosen else null(name) for name in names]


@dataclass(slots=True)
class SidePattern:
    """Pattern of one side's body; ``slots`` says which slots hold a column."""

    side: Side
    prefix: str
    slots: dict[str, str] = field(default_factory=dict)

    def of_json(self, body: bytes, key: str = "") -> Node:
        """Tree of a JSON body with one row. Raises NoPattern for other shapes."""
        try:
            node = self._tree(load_json(body), body, key)
        except (RejectedRecord, msgspec.MsgspecError, RecursionError):  # NaN, say: no JSON, but read as such
            raise NoPattern from None
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

    def of_row(self, row: Any, names: tuple[str, ...]) -> Node:
        """Tree of one row of a list of rows: an object, or cells of these ``names``."""
        if isinstance(row, Mapping):
            node = self._tree(row, b"", "")
        elif isinstance(row, list):
            node = self._row(names, row, "")
        elif len(names) == 1:
            node = self._cell(names[0], row)
        else:
            raise NoPattern
        if not set(self.side.required) <= set(self.slots) or not self.slots:
            raise NoPattern
        return node

    def of_csv(self, key: str) -> Node:
        """A string that holds one line of CSV."""
        children = [self._cell(name, None) for name in self.side.positional]
        return Node(Kind.CSV_TEXT, tuple(children), key)

    def _tree(self, document: Any, body: bytes, key: str) -> Node:
        if isinstance(document, list) and len(document) == 1 and body:
            return Node(Kind.SINGLE, (self._element(document[0], _RAW_ELEMENTS.decode(body)[0]),), key)
        if not isinstance(document, Mapping):
            raise NoPattern
        holder = next((name for name in NESTING if isinstance(document.get(name), list | dict)), None)
        if holder is None and (TABLES in document or VALUES in document):
            return self._spss(document, body, key)
        if holder is None:
            return self._named(document, key)
        if not isinstance(rows := document[holder], list):
            held = self._split(body) if holder == "dataframe_split" else self._columnar(holder, rows)
            return record([held, *(absent(name) for name in NESTING if name != holder)], key)
        above = [absent(name) for name in NESTING[: NESTING.index(holder)]]
        if holder == "values" and isinstance(document.get("fields"), list):
            return self._fields_values(document, body, key)
        if holder in _OF_ROWS and len(rows) == 1:
            row = _RAW_ELEMENTS.decode(_RAW_MEMBERS.decode(body)[holder])[0] if body else b""
            return record([Node(Kind.SINGLE, (self._element(rows[0], row),), holder), *above], key)
        if holder in HOLDERS and body and all(map(is_tensor, rows)):
            raw = bytes(_RAW_MEMBERS.decode(body)[holder])
            return record([cells(self._tensors(document, raw, holder), holder), *above], key)
        if holder == "features":
            return record([self._row(self.side.positional, rows, "features"), *above], key)
        raise NoPattern

    def _spss(self, document: Mapping[str, Any], body: bytes, key: str) -> Node:
        members = spss_tree(document, body, (*NESTING, *self.side.wanted), self._cell)
        if not 0 < len(members) <= MAX_MEMBERS:
            raise NoPattern
        return record(members, key)

    def _split(self, body: bytes) -> Node:
        """``dataframe_split`` with one row."""
        raw = _RAW_MEMBERS.decode(_RAW_MEMBERS.decode(body)["dataframe_split"]) if body else {}
        rows = load_json(bytes(raw["data"])) if "data" in raw else None
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], list):
            raise NoPattern
        columns = load_json(bytes(raw["columns"])) if "columns" in raw else None
        names = tuple(map(str, columns)) if isinstance(columns, list) else self.side.positional
        if len(set(names)) != len(names):
            raise NoPattern
        head = exactly(bytes(raw["columns"]), "columns") if isinstance(columns, list) else absent("columns")
        return record([head, cells([self._row(names, rows[0], "")], "data")], "dataframe_split")

    def _columnar(self, holder: str, columns: Mapping[str, Any]) -> Node:
        """A list of one cell a column; columns that are of no use are passed over."""
        if holder not in COLUMNAR or holder in self.side.wanted:
            raise NoPattern
        members = []
        for name in self.side.wanted:
            if name not in columns:
                members.append(absent(name))
            elif isinstance(found := columns[name], list) and len(found) == 1 and _KEY.fullmatch(name):
                members.append(Node(Kind.SINGLE, (self._cell(name, found[0]),), name))
            else:
                raise NoPattern
        return record(members, holder)

    def _element(self, row: Any, body: bytes | msgspec.Raw) -> Node:
        """The only element of a list of rows: by name, by position, or the only cell itself."""
        if isinstance(row, Mapping):
            return self._tree(row, bytes(body), "")
        if isinstance(row, list):
            return self._row(self.side.positional, row, "")
        if len(self.side.positional) != 1:
            raise NoPattern
        return self._cell(self.side.positional[0], row)

    def _tensors(self, document: Mapping[str, Any], body: bytes, holder: str) -> list[Node]:
        """Tensors of one row, each with its very name and shape."""
        if len(tensor_rows(document, self.side) or ()) != 1:
            raise NoPattern
        names = [tensor["name"] for tensor in document[holder]]
        positional = set(names).isdisjoint(self.side.wanted)
        if len(set(names)) != len(names) or (positional and len(names) > 1):
            raise NoPattern
        nodes = []
        for tensor, raw in zip(document[holder], _RAW_TENSORS.decode(body), strict=True):
            cells_ = self._tensor_cells(None if positional else tensor["name"], list(flat(tensor["data"])))
            fixed = [exactly(bytes(raw[member]), member) for member in ("name", "shape", "datatype")]
            nodes.append(record([*fixed, _like(tensor["data"], iter(cells_), "data")]))
        return nodes

    def _tensor_cells(self, name: str | None, cells_: list[Any]) -> Sequence[Node]:
        """Nodes of a tensor's cells: a row by position (``name`` None), a column, or what is not wanted."""
        if name is None:
            return self._row(self.side.positional, cells_, "").children
        if name in self.side.arrays:
            return self._cell(name, cells_).children
        return [self._cell(name, cell) for cell in cells_]

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
        slot = f"{self.prefix}{name}"
        if isinstance(example, list | dict):
            if name not in self.side.arrays or not isinstance(example, list) or not example:
                raise NoPattern
            self.slots[name] = slot
            return vector(slot, len(example), key)
        if name not in self.side.wanted:
            return Node(Kind.VALUE, (), key)
        if name in self.side.arrays:
            raise NoPattern
        self.slots[name] = slot
        kind = dict(self.side.types).get(name, FieldType.STRING)
        return wanted(slot, key=key, cell=CELLS.get(kind, Cell.TEXT))


def _like(data: list[Any], leaves: Iterator[Node], key: str = "") -> Node:
    """Nodes nested as lists are."""
    return cells([_like(one, leaves) if isinstance(one, list) else next(leaves) for one in data], key)
