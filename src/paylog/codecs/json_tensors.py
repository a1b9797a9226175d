"""Tensor bodies (KServe V2) of one form: a strict, typed decode of each, then a column at a time.

The form (names, ranks, which tensor is which column) is learned from one body and made a msgspec
type. What does not fit it exactly is irregular and left to ``codecs.tensors``.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from paylog.codecs import NESTING, Bodies, Mask, MediaType, Rows, Side
from paylog.codecs.body import load_json
from paylog.codecs.json_typed import FAILURES, strict_types, typed_array
from paylog.codecs.tensors import HOLDERS, is_tensor
from paylog.errors import RejectedRecord

_NUMBER: Any = int | float
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
_UNREAD = msgspec.Raw
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Column:
    """A tensor that is of use: one column, a vector column, or (``name`` None) all of them."""

    at: int
    name: str | None
    kind: Any
    vector: bool
    nested: bool


@dataclass(frozen=True, slots=True)
class Form:
    """How bodies hold their tensors.

    :param tensors: the tensors of a decoded body.
    """

    decoder: msgspec.json.Decoder[Any]
    tensors: Callable[[Any], tuple[Any, ...]]
    columns: tuple[_Column, ...]


def learn(body: bytes, media: MediaType, side: Side) -> Form | None:
    """The form of a body, or None when it holds no tensors, or such as only the reference reads."""
    try:
        document = load_json(body)
    except RejectedRecord:
        return None
    holder = next((key for key in HOLDERS if _are_tensors(document, key)), None)
    if holder is None:
        return None
    columns = _columns(document[holder], side)
    if columns is None:
        return None
    types = {column.at: _data_type(column) for column in columns}
    tensors = tuple(
        msgspec.defstruct(
            "Tensor",
            [
                ("name", Literal[tensor["name"]]),
                ("shape", _of_types([_Size] * len(tensor["shape"]))),
                ("data", types.get(at, _UNREAD)),
            ],
            gc=False,
        )
        for at, tensor in enumerate(document[holder])
    )
    # Rows under an earlier member would be the body's.
    above = {f"m{i}": name for i, name in enumerate(NESTING[: NESTING.index(holder)])}
    members: list[Any] = [("tensors", _of_types(tensors)), *((name, None, None) for name in above)]
    struct = msgspec.defstruct("Body", members, rename={"tensors": holder, **above}, gc=False)
    return Form(msgspec.json.Decoder(struct), lambda one: one.tensors, columns)


def _are_tensors(document: Any, key: str) -> bool:
    found = document.get(key) if isinstance(document, dict) else None
    return (
        isinstance(found, list)
        and bool(found)
        and all(is_tensor(one) and type(one.get("name")) is str and one.get("data") for one in found)
    )


def _of_types(types: Any) -> Any:
    return tuple.__class_getitem__(tuple(types))


def _data_type(column: _Column) -> Any:
    flat = list.__class_getitem__(float if column.vector else column.kind)
    return list.__class_getitem__(flat) if column.nested else flat


def _columns(tensors: list[dict[str, Any]], side: Side) -> tuple[_Column, ...] | None:
    types = strict_types(side)
    names = [tensor["name"] for tensor in tensors]
    nested = [isinstance(tensor["data"], list) and isinstance(tensor["data"][0], list) for tensor in tensors]
    if not all(isinstance(tensor["data"], list) for tensor in tensors) or len(set(names)) != len(names):
        return None
    wanted = [at for at, name in enumerate(names) if name in side.wanted]
    if not wanted:
        kind = _matrix_kind(tensors[0], side)
        return (_Column(0, None, kind, False, nested[0]),) if kind and len(tensors) == 1 else None
    if not set(side.required) <= set(names) or any(names[at] not in types for at in wanted):
        return None
    return tuple(
        _Column(at, names[at], types[names[at]], names[at] in side.arrays, nested[at]) for at in wanted
    )


def _matrix_kind(tensor: dict[str, Any], side: Side) -> Any:
    """Type of the cells of a matrix of all columns; None where the columns' types need the reference."""
    types = strict_types(side)
    of_columns = [types.get(name) for name in side.positional]
    if tensor["datatype"] == "BYTES":
        return None if side.arrays.intersection(side.positional) else str
    return _NUMBER if all(kind in (_NUMBER, float) for kind in of_columns) else None


def decode(bodies: Bodies, form: Form, media: MediaType, side: Side) -> tuple[Rows | None, Mask]:
    """The rows of all bodies of the form, and which were not (irregular)."""
    with _collector_at_rest():
        return _decode(bodies, form, side)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """A body is dozens of small lists, none in a cycle: looking through them costs ten times the decode."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _decode(bodies: Bodies, form: Form, side: Side) -> tuple[Rows | None, Mask]:
    decoded = [_decoded(body, form) for body in bodies]
    irregular = np.array([one is None for one in decoded], bool)
    tensors = [form.tensors(one) for one in decoded if one is not None]
    if not tensors:
        return None, irregular
    found = [[one[column.at] for one in tensors] for column in form.columns]
    counts, fits = _counts(found, form, side)
    if not fits.all():
        irregular[np.flatnonzero(~irregular)[~fits]] = True
        found = [[one for one, fit in zip(of, fits, strict=True) if fit] for of in found]
        counts = counts[fits]
    if not len(counts):
        return None, irregular
    try:
        columns = _arrays(found, counts, form, side)
    except (OverflowError, pa.ArrowInvalid):  # an integer that has no exact type here
        return None, np.ones(len(bodies), bool)
    return Rows(columns, len(counts), None if (counts == 1).all() else counts), irregular


def _decoded(body: bytes, form: Form) -> Any:
    try:
        return form.decoder.decode(body)
    except FAILURES:
        return None


def _counts(found: list[list[Any]], form: Form, side: Side) -> tuple[Counts, Mask]:
    """Rows of each body, and which bodies' shapes fit that; as ``codecs.tensors`` counts them."""
    shapes = [np.array([one.shape for one in of], np.float64).reshape(len(of), -1) for of in found]
    sizes = [_sizes(of, column) for of, column in zip(found, form.columns, strict=True)]
    scalar = [column.name is not None and not column.vector for column in form.columns]
    if any(scalar):
        counts = sizes[scalar.index(True)]
    elif form.columns[0].name is None:
        leading = _leading(shapes[0])
        counts = np.where((leading == 1) & (len(side.positional) == 1), sizes[0], leading)
    else:
        counts = np.max([_leading(s) if s.shape[1] > 1 else np.ones(len(s)) for s in shapes], axis=0)
    fits = counts > 0
    for shape, size, single in zip(shapes, sizes, scalar, strict=True):
        fits &= shape.prod(axis=1) == size
        if single:
            fits &= (size == counts) & (shape.max(axis=1, initial=1) == size)
        else:
            fits &= size % np.maximum(counts, 1) == 0
    if form.columns[0].name is None:
        fits &= sizes[0] == counts * len(side.positional)
    return counts.astype(np.int64), fits


def _leading(shape: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return shape[:, 0] if shape.shape[1] else np.ones(len(shape))


def _sizes(of: list[Any], column: _Column) -> npt.NDArray[np.float64]:
    cells = (sum(map(len, one.data)) for one in of) if column.nested else (len(one.data) for one in of)
    return np.fromiter(cells, np.float64, len(of))


def _arrays(found: list[list[Any]], counts: Counts, form: Form, side: Side) -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {}
    for of, column in zip(found, form.columns, strict=True):
        parts = chain.from_iterable(one.data for one in of)
        cells = list(chain.from_iterable(parts) if column.nested else parts)
        if column.name is None:
            width = len(side.positional)
            for at, name in enumerate(side.positional):
                if name in side.wanted:
                    columns[name] = typed_array(cells[at::width], column.kind)
        elif column.vector:
            widths = np.repeat(_sizes(of, column).astype(np.int64) // counts, counts)
            offsets = np.concatenate(([0], np.cumsum(widths))).astype(np.int32)
            columns[column.name] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(cells, pa.float64()))
        else:
            columns[column.name] = typed_array(cells, column.kind)
    return columns
