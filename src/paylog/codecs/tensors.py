"""Tensors of the Open Inference Protocol (KServe V2) → rows, one body at a time: the reference.

``{"inputs" | "outputs": [{"name", "shape", "datatype", "data", "parameters"}]}``; ``data`` is flat in
row-major order, or nested. A column is a tensor of its own, or one matrix holds them all. The
leading dimensions of the tensors of one body need not agree: ``[n,1]`` stands beside ``[1,n]``.

Source: the protocol's required API and its binary tensor data extension; MLServer's and Triton's logs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from paylog.codecs import NESTING, Side
from paylog.errors import Reason, RejectedRecord

HOLDERS = ("inputs", "outputs")
_EARLIER = NESTING[: NESTING.index(HOLDERS[0])]
Row = tuple[tuple[str, ...] | None, Any]


@dataclass(frozen=True, slots=True)
class _Tensor:
    """One tensor; ``cells`` are flat, as many as ``shape`` says."""

    name: str
    shape: tuple[int, ...]
    cells: list[Any]

    @property
    def leading(self) -> int:
        return self.shape[0] if self.shape else 1

    def row(self, i: int, rows: int) -> list[Any]:
        width = len(self.cells) // rows
        return self.cells[i * width : (i + 1) * width]


def is_tensor(document: Any) -> bool:
    """Whether a JSON value is a tensor of the protocol."""
    return (
        isinstance(document, Mapping) and isinstance(document.get("shape"), list) and "datatype" in document
    )


def tensor_rows(document: Any, side: Side) -> list[Row] | None:
    """Rows as (names or None, cells) of a parsed body; None when it holds no tensors.

    Raises RejectedRecord (``UNSUPPORTED_BODY``, ``ROW_COUNT_MISMATCH``, ``TYPE_MISMATCH``).
    """
    if not isinstance(document, Mapping) or any(isinstance(document.get(key), list) for key in _EARLIER):
        return None
    for holder in HOLDERS:
        found = document.get(holder)
        if isinstance(found, list) and found and all(map(is_tensor, found)):
            return _rows([_tensor(one) for one in found], side)
    return None


def _tensor(document: Mapping[str, Any]) -> _Tensor:
    try:
        shape = tuple(int(size) for size in document["shape"])
    except (TypeError, ValueError):
        raise RejectedRecord(Reason.UNSUPPORTED_BODY) from None
    data = document.get("data")
    cells = list(flat(data)) if isinstance(data, list) else []
    if not isinstance(data, list) or min(shape, default=1) < 0 or len(cells) != prod(shape):
        raise RejectedRecord(Reason.UNSUPPORTED_BODY)
    return _Tensor(str(document.get("name")), shape, cells)


def flat(data: list[Any]) -> Iterator[Any]:
    """The cells of nested lists, row-major."""
    for element in data:
        if isinstance(element, list):
            yield from flat(element)
        else:
            yield element


def _rows(tensors: list[_Tensor], side: Side) -> list[Row]:
    """Named columns if a tensor is named like one, else all cells of a row by position."""
    columns = [one for one in tensors if one.name in side.wanted]
    names: tuple[str, ...] | None = tuple(one.name for one in columns)
    count = _named_count(columns, side) if columns else _positional_count(tensors, side)
    if not columns:
        columns, names = tensors, None
    if count and any(len(one.cells) % count for one in columns):
        raise RejectedRecord(Reason.ROW_COUNT_MISMATCH, rows=max(one.leading for one in columns))
    rows = ([one.row(i, count) for one in columns] for i in range(count))
    if names is None:
        return [(None, [cell for cells in row for cell in cells]) for row in rows]
    scalar = [name not in side.arrays for name in names]
    return [
        (names, [cells[0] if single else cells for cells, single in zip(row, scalar, strict=True)])
        for row in rows
    ]


def _named_count(columns: list[_Tensor], side: Side) -> int:
    """How many rows: a scalar column has one cell a row, whichever of its dimensions that is."""
    scalars = [one for one in columns if one.name not in side.arrays]
    for one in scalars:
        if sum(size > 1 for size in one.shape) > 1:
            raise RejectedRecord(Reason.TYPE_MISMATCH, one.name, one.leading)
    counts = {len(one.cells) for one in scalars}
    if len(counts) > 1:
        raise RejectedRecord(Reason.ROW_COUNT_MISMATCH, rows=max(counts))
    if counts:
        return counts.pop()
    return max(one.leading if len(one.shape) > 1 else 1 for one in columns)


def _positional_count(tensors: list[_Tensor], side: Side) -> int:
    """How many rows: the leading dimension; of a single column, any dimension."""
    count = max(one.leading for one in tensors)
    cells = sum(len(one.cells) for one in tensors)
    return cells if count == 1 and len(side.positional) == 1 else count
