"""JSON bodies with a list of cells a column (``inputs``, ``outputs``, ``predictions``): each decoded by type.

The columns are learned from one body and made a msgspec type. A body that does not fit it exactly
is irregular.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from paylog.codecs import JSON_LINES, NESTING, Bodies, Mask, MediaType, Rows, Side
from paylog.codecs.body import load_json
from paylog.codecs.json_typed import FAILURES, strict_types, typed_array
from paylog.codecs.mlflow_body import COLUMNAR
from paylog.errors import RejectedRecord


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a body are called; the attribute of column ``i`` is ``c<i>``."""

    decoder: msgspec.json.Decoder[Any]
    names: tuple[str, ...]


def learn(body: bytes, media: MediaType, side: Side) -> Columns | None:
    """The columns of a body, or None when it does not hold lists of cells."""
    try:
        document = load_json(body)
    except RejectedRecord:
        return None
    if media == JSON_LINES or not isinstance(document, dict):
        return None
    holders = [key for key in NESTING if document.get(key) is not None]
    if len(holders) != 1 or holders[0] not in COLUMNAR or holders[0] in side.wanted:
        return None
    held, types = document[holders[0]], strict_types(side)
    if not isinstance(held, dict):
        return None
    names = tuple(name for name in types if isinstance(held.get(name), list))
    if not names or set(side.required) - set(names):
        return None
    absent = {name: None for name in types if name not in names}
    columns = _struct({**{name: list.__class_getitem__(types[name]) for name in names}, **absent})
    above = {key: None for key in NESTING if key != holders[0]}
    return Columns(msgspec.json.Decoder(_struct({holders[0]: columns, **above})), names)


def _struct(members: dict[str, Any]) -> Any:
    """A struct whose attributes are c0, c1, … whatever its members are called; a None may be left out."""
    attributes: list[Any] = [
        (f"c{i}", kind) if kind is not None else (f"c{i}", None, None)
        for i, kind in enumerate(members.values())
    ]
    names = {f"c{i}": name for i, name in enumerate(members)}
    return msgspec.defstruct("Columns", attributes, rename=names, gc=False)


def decode(bodies: Bodies, shape: Columns, media: MediaType, side: Side) -> tuple[Rows | None, Mask]:
    """The rows of all bodies of the shape, and which were not (irregular)."""
    found = [_cells(body, shape) for body in bodies]
    irregular = np.array([cells is None for cells in found], bool)
    kept = [cells for cells in found if cells is not None]
    if not kept:
        return None, irregular
    counts = np.array([len(cells[0]) for cells in kept], np.int64)
    types = strict_types(side)
    try:
        columns = {
            name: typed_array(list(chain.from_iterable(cells)), types[name])
            for name, cells in zip(shape.names, zip(*kept, strict=True), strict=True)
        }
    except (OverflowError, pa.ArrowInvalid):  # an integer that has no exact type here
        return None, np.ones(len(bodies), bool)
    return Rows(columns, len(kept), None if bool((counts == 1).all()) else counts), irregular


def _cells(body: bytes, shape: Columns) -> tuple[list[Any], ...] | None:
    """A list of cells a column, all of one length."""
    try:
        cells: tuple[Any, ...] = msgspec.structs.astuple(shape.decoder.decode(body).c0)[: len(shape.names)]
    except FAILURES:
        return None
    return cells if len(set(map(len, cells))) == 1 else None
