"""What the bodies of sampled records hold, by column: names where the engine logs them, and types."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from paylog.codecs import CSV, MediaType, Side
from paylog.codecs.body import load_json, table_in
from paylog.engines import Decoded, Engine, HalfSide
from paylog.errors import RejectedRecord
from paylog.inspection.glimpse import Glimpse
from paylog.inspection.shapes import inner_document, kind_of, number_kind

_NOBODY = Side((), ())
_MOST_VALUES = 50
_TENSOR_TYPES = {"BOOL": "boolean", "BYTES": "string", "FP16": "double", "FP32": "double", "FP64": "double"}


@dataclass(slots=True)
class Column:
    """One column of the requests or of the responses.

    :param name: "" in bodies without names.
    :param kinds: types of the cells, nulls aside.
    :param values: distinct ones, as many as it takes to see class labels.
    :param length: of a cell that is a list.
    """

    name: str
    kinds: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    length: int = 0

    def see(self, cell: Any, kind: str) -> None:
        if kind == "null":
            return
        if kind == "string" and isinstance(inner := inner_document(cell), list):
            cell, kind = inner, "list"
        self.kinds.add(kind)
        if kind == "list":
            self.length = max(self.length, len(cell))
        elif len(self.values) < _MOST_VALUES:
            self.values.add(str(cell))

    @property
    def type(self) -> str:
        """Field type that all cells fit; ``array`` for lists."""
        if self.kinds == {"list"}:
            return "array"
        if self.kinds and self.kinds <= {"integer", "double"}:
            return "double" if "double" in self.kinds else "integer"
        return "boolean" if self.kinds == {"boolean"} else "string"


@dataclass(slots=True)
class Bodies:
    """Columns of both sides, and the times that came with them."""

    request: dict[str, Column] = field(default_factory=dict)
    response: dict[str, Column] = field(default_factory=dict)
    times: list[Any] = field(default_factory=list)


def bodies(engine: Engine, found: Glimpse) -> Bodies:
    """Columns of the bodies that the engine finds in the samples; of those without names only if all are."""
    told = Bodies()
    for sample in found.samples:
        if engine.skips(sample.item):
            continue
        for part in sample.parts(engine.reader(sample.item)):
            _see(engine.decode(part, sample.item), told)
    told.request, told.response = _named(told.request), _named(told.response)
    return told


def _named(columns: dict[str, Column]) -> dict[str, Column]:
    return {key: column for key, column in columns.items() if column.name} or columns


def _see(decoded: Decoded, told: Bodies) -> None:
    for events in decoded.events:
        _see_bodies(events.requests, events.request_type, told.request)
        _see_bodies(events.responses, events.response_type, told.response)
        told.times += [time for time in events.timestamps if time is not None][:1]
    for half in decoded.halves:
        side = told.request if half.side is HalfSide.REQUEST else told.response
        _see_bodies(half.bodies, half.media, side)
        told.times += [time for time in half.timestamps or () if time is not None][:1]
    for flat in decoded.flat:
        told.times += [time for time in flat.events.timestamps if time is not None][:1]


def _see_bodies(texts: Iterable[bytes], media: MediaType, columns: dict[str, Column]) -> None:
    for body in texts:
        try:
            for key, name, cell, kind in _cells(bytes(body), media):
                columns.setdefault(key, Column(name)).see(cell, kind)
        except (RejectedRecord, ValueError, csv.Error):
            continue


def _cells(body: bytes, media: MediaType) -> Iterator[tuple[str, str, Any, str]]:
    """(key of the column, its name, cell, type) of every cell."""
    text = body.decode()
    if media == CSV or (not text.lstrip().startswith(("{", "[")) and "," in text):
        for row in csv.reader(text.splitlines()):
            yield from ((f"#{i}", "", cell, number_kind(cell.strip())) for i, cell in enumerate(row))
        return
    try:
        documents = [load_json(text)]
    except RejectedRecord:
        documents = [load_json(line) for line in text.splitlines() if line.strip()]
    for document in documents:
        yield from _tensors(document) or _table(document)


def _tensors(document: Any) -> list[tuple[str, str, Any, str]]:
    """Columns of the open inference protocol: a tensor each, or one for all."""
    named = document.get("inputs") or document.get("outputs") if isinstance(document, Mapping) else None
    if not isinstance(named, list) or not all(isinstance(t, Mapping) and "datatype" in t for t in named):
        return []
    cells: list[tuple[str, str, Any, str]] = []
    for tensor in named:
        name, kind = str(tensor.get("name")), _TENSOR_TYPES.get(str(tensor["datatype"]), "integer")
        width = int(tensor["shape"][1]) if len(tensor.get("shape", ())) == 2 else 1
        if width > 1 and len(named) == 1:
            cells += [(f"#{i}", "", "", kind) for i in range(width)]
        elif width > 1:
            cells.append((name, name, [None] * width, "list"))
        else:
            cells += [(name, name, cell, kind) for cell in _flat(tensor.get("data"))]
    return cells


def _flat(data: Any) -> Iterator[Any]:
    """Values of a tensor, flat or nested."""
    if isinstance(data, list):
        for element in data:
            yield from _flat(element)
    else:
        yield data


def _table(document: Any) -> Iterator[tuple[str, str, Any, str]]:
    for names, cells in table_in(document, _NOBODY):
        if isinstance(cells, Mapping):
            yield from ((name, name, cell, kind_of(cell)) for name, cell in cells.items())
        elif names is not None:
            yield from ((name, name, c, kind_of(c)) for name, c in zip(names, cells, strict=False))
        else:
            yield from ((f"#{i}", "", cell, kind_of(cell)) for i, cell in enumerate(cells))
