"""JSON bodies of few, typed columns (responses): one strict decode of all bodies together.

The shape (``fields``/``values``, ``predictions`` of objects or lists, objects a line) is learned
from one body and made a msgspec type. Bodies that do not fit it exactly are irregular.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from paylog.codecs import JSON_LINES, NESTING, Bodies, Mask, MediaType, Rows, Side
from paylog.codecs.body import load_json
from paylog.errors import RejectedRecord
from paylog.field import FieldType

_EXACT = 2**53
_UNFIT = re.compile(r'["\\\x00-\x1f]')
_STRICT_TYPES: dict[FieldType, Any] = {
    FieldType.STRING: str,
    FieldType.INTEGER: int | float,
    FieldType.DOUBLE: float,
    FieldType.BOOLEAN: bool,
    FieldType.TIMESTAMP: str,
    FieldType.ARRAY: list[float],
}
_ARROW_TYPES = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}
FAILURES = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Shape:
    """How bodies nest their rows.

    :param decoder: of one body; ``together``: of a list of bodies.
    :param rows: the list of rows of one decoded body.
    :param names: cells of a row, in order.
    :param fields: the ``fields`` that every body must repeat, None without.
    """

    decoder: msgspec.json.Decoder[Any]
    together: msgspec.json.Decoder[Any]
    rows: Callable[[Any], list[Any]]
    names: tuple[str, ...]
    fields: tuple[str, ...] | None


def learn(body: bytes, media: MediaType, side: Side) -> Shape | None:
    """The shape of a body, or None when it is none of those known here."""
    try:
        document = load_json(body.splitlines()[0] if media == JSON_LINES else body)
    except (RejectedRecord, IndexError):
        return None
    if not isinstance(document, dict):
        return None
    if media == JSON_LINES:
        return _objects(document, None, side) if b"\n" not in body.strip() else None
    if isinstance(fields := document.get("fields"), list) and isinstance(document.get("values"), list):
        return _fields_values(tuple(map(str, fields)), side)
    rows = document.get("predictions")
    if isinstance(rows, list) and rows and isinstance(rows[0], dict):
        return _objects(rows[0], "predictions", side)
    return _objects(document, None, side)


def strict_types(side: Side) -> dict[str, Any]:
    """What a strict JSON decoder may take for a cell without a cast's help, by column."""
    return {name: _STRICT_TYPES[kind] for name, kind in side.types}


def _fields_values(fields: tuple[str, ...], side: Side) -> Shape | None:
    types = strict_types(side)
    lacking = set(side.required) - set(fields)
    if len(set(fields)) != len(fields) or not set(fields) & set(types) or lacking:
        return None
    row: Any = tuple.__class_getitem__(tuple(types.get(name, msgspec.Raw) for name in fields))
    names: Any = tuple.__class_getitem__((str,) * len(fields))
    attributes: list[Any] = [("values", list[row]), ("fields", names), ("meta", None, None)]
    body = msgspec.defstruct("Body", attributes, gc=False)
    return _shape(body, lambda one: one.values, fields, fields)


def _objects(example: dict[str, Any], key: str | None, side: Side) -> Shape | None:
    types = strict_types(side)
    lacking = set(side.required) - set(example)
    if any(_UNFIT.search(name) for name in types):  # msgspec renames no attribute to these
        return None
    if not set(types) & set(example) or lacking or not set(NESTING).isdisjoint({*example, *types}):
        return None
    names = tuple(name for name in types if name in example)
    # What the example lacked must not pass unseen: a value there makes a body irregular.
    absent = [*(name for name in types if name not in example), *NESTING]
    row = _struct("Row", [*((name, types[name]) for name in names), *((name, None, None) for name in absent)])
    if key is None:
        return _shape(row, lambda one: [one], names)
    above = [(name, None, None) for name in NESTING[: NESTING.index(key)]]
    body = _struct("Body", [(key, list[row]), *above])  # type: ignore[valid-type]
    return _shape(body, lambda one: one.c0, names)


def _struct(name: str, members: list[tuple[Any, ...]]) -> Any:
    """A struct whose attributes are c0, c1, … whatever its members are called in JSON."""
    attributes: list[Any] = [(f"c{i}", *member[1:]) for i, member in enumerate(members)]
    names = {f"c{i}": member[0] for i, member in enumerate(members)}
    return msgspec.defstruct(name, attributes, rename=names, gc=False)


def _shape(
    body: Any, rows: Callable[[Any], list[Any]], names: tuple[str, ...], fields: tuple[str, ...] | None = None
) -> Shape:
    return Shape(msgspec.json.Decoder(body), msgspec.json.Decoder(list[body]), rows, names, fields)


def decode(bodies: Bodies, shape: Shape, media: MediaType, side: Side) -> tuple[Rows | None, Mask]:
    """The rows of all bodies of the shape, and which were not (irregular)."""
    irregular = np.zeros(len(bodies), bool)
    try:
        if media.checked:
            decoded = shape.together.decode(b"[" + b",".join(bodies) + b"]")
        else:  # a body that is no whole JSON document must not be completed by the next one
            decoded = list(map(shape.decoder.decode, bodies))
    except FAILURES:
        decoded = [_alone(body, shape) for body in bodies]
    if shape.fields is not None:
        decoded = [one if one is not None and one.fields == shape.fields else None for one in decoded]
    if None in decoded:
        irregular |= [one is None for one in decoded]
        decoded = [one for one in decoded if one is not None]
    if not decoded:
        return None, irregular
    per_body = [shape.rows(one) for one in decoded]
    rows = list(chain.from_iterable(per_body))
    counts = None
    if len(rows) != len(decoded) or not all(per_body):
        counts = np.array([len(one) for one in per_body], np.int64)
    try:
        return Rows(_columns(rows, shape, side), len(decoded), counts), irregular
    except (OverflowError, pa.ArrowInvalid):  # an integer that has no exact type here
        return None, np.ones(len(bodies), bool)


def _alone(body: bytes, shape: Shape) -> Any:
    try:
        return shape.decoder.decode(body)
    except FAILURES:
        return None


def _columns(rows: list[Any], shape: Shape, side: Side) -> dict[str, pa.Array]:
    types = strict_types(side)
    cells: Iterable[Any]
    if shape.fields is None:
        cells = [[getattr(row, f"c{i}") for row in rows] for i in range(len(shape.names))]
    else:
        cells = zip(*rows, strict=True) if rows else [[] for _ in shape.names]
    return {
        name: typed_array(column, types[name])
        for name, column in zip(shape.names, cells, strict=True)
        if name in types
    }


def typed_array(cells: Any, kind: Any) -> pa.Array:
    if kind == list[float]:
        return _vectors(cells)
    if kind in _ARROW_TYPES:
        return pa.array(cells, _ARROW_TYPES[kind])
    if not any(cell.__class__ is float for cell in cells):
        return pa.array(cells, pa.int64())
    if any(abs(cell) >= _EXACT for cell in cells):
        raise OverflowError
    return pa.array(map(float, cells), pa.float64())


def _vectors(cells: Any) -> pa.Array:
    lengths = np.fromiter(map(len, cells), np.int64, len(cells))
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    values = np.fromiter(chain.from_iterable(cells), np.float64, int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
