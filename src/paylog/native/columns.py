"""The columns that ``scan.c`` fills: where each lies in a batch's memory, and as Arrow arrays."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from paylog.model_schema import TIMESTAMP
from paylog.native.pattern import Cell, Node

# Rows of one batch: enough to make a batch's Python cheap, few enough for the processor's cache.
BATCH_ROWS = 16_384
TYPES = {
    Cell.TEXT: pa.string(),
    Cell.INTEGER: pa.int64(),
    Cell.DOUBLE: pa.float64(),
    Cell.BOOLEAN: pa.bool_(),
    Cell.TIMESTAMP: TIMESTAMP,
    Cell.FIRST_ROW: pa.string(),
    Cell.ROUNDED: pa.int64(),
}
_TEXTS = (Cell.TEXT, Cell.FIRST_ROW)
_CACHE_LINE = 64
_FIRST_WIDTH = 16


class Slot(ctypes.Structure):
    """As in ``cells.h``."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("kind", "elements", "index", "rest", "required", "nullable")),
        *((name, ctypes.c_int64) for name in ("values", "valid", "text", "room", "nulls", "used")),
        *((name, ctypes.c_int64) for name in ("least", "most")),
        ("labels", ctypes.c_char_p),
        ("labels_size", ctypes.c_int64),
    )


@dataclass(frozen=True, slots=True)
class Element:
    """A place in a vector. ``rest``: the element that is one less this one, if there is one."""

    vector: str
    index: int
    elements: int
    rest: int = -1


@dataclass(frozen=True, slots=True)
class Rule:
    """What the values of a slot become and must be, if that is not what the pattern says.

    :param labels: all that they may be.
    :param span: least and greatest, of timestamps in µs since 1970.
    """

    cell: Cell | None = None
    required: bool = False
    labels: Sequence[str] | Sequence[int] = ()
    span: tuple[int, int] = (-(2**63), 2**63 - 1)
    element: Element | None = None


_NO_RULE = Rule()
_Piece: TypeAlias = Callable[[int, int], pa.Buffer]
"""Bytes of a batch's memory, from where and how many."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The column of one slot."""

    name: str
    cell: Cell
    rule: Rule
    element: Element | None
    labels: bytes


class Columns:
    """The columns of a pattern's wanted values.

    :param nodes: those of the pattern that have a slot; one C slot each.
    :param rules: by slot; None: nothing is cast, all but vectors stay texts.
    """

    def __init__(self, nodes: Sequence[Node], rules: Mapping[str, Rule] | None) -> None:
        self._places = [_place(node, rules) for node in nodes]
        self._widths = [_FIRST_WIDTH] * len(nodes)
        self._starts: dict[int, pa.Buffer] = {}
        self._memory: npt.NDArray[np.uint8] | None = None
        self.slots = (Slot * len(nodes))()
        self.size = self._lay_out()

    def memory(self) -> npt.NDArray[np.uint8]:
        """Room for one batch, which its arrays will share if they fill it."""
        if self._memory is None or len(self._memory) != self.size:
            self._memory = np.empty(self.size, np.uint8)
        return self._memory

    def widen(self, slot: int) -> None:
        """Make room for twice the text in a slot."""
        self._widths[slot] *= 2
        self.size = self._lay_out()

    def arrays(self, memory: npt.NDArray[np.uint8], rows: int) -> dict[str, pa.Array]:
        """What was scanned into ``memory``, by slot, or vector, name.

        A few rows are copied: else the batch of a small object would hold the memory of a large one.
        """
        if 2 * rows < BATCH_ROWS:
            piece = _copied(memory)
        else:
            piece, self._memory = pa.py_buffer(memory).slice, None
        found: dict[str, pa.Array] = {}
        for place, slot in zip(self._places, self.slots, strict=True):
            if place.name not in found:  # of a vector one array
                found[place.name] = self._array(piece, place.cell, slot, rows)
        return found

    def _array(self, piece: _Piece, cell: Cell, slot: Slot, rows: int) -> pa.Array:
        valid = piece(slot.valid, (rows + 7) // 8) if slot.nulls else None
        if cell in _TEXTS:
            offsets, texts = piece(slot.values, 4 * (rows + 1)), piece(slot.text, slot.used)
            return pa.StringArray.from_buffers(rows, offsets, texts, valid, slot.nulls)
        count = rows * max(1, slot.elements)
        numbers = piece(slot.values, 8 * count)
        if not slot.elements:
            return pa.Array.from_buffers(TYPES[cell], rows, [valid, numbers], slot.nulls)
        values = pa.Array.from_buffers(pa.float64(), count, [None, numbers], 0)
        starts = [None, self._vector_starts(slot.elements).slice(0, 4 * (rows + 1))]
        return pa.ListArray.from_arrays(pa.Array.from_buffers(pa.int32(), rows + 1, starts), values)

    def _vector_starts(self, elements: int) -> pa.Buffer:
        if elements not in self._starts:
            offsets = np.arange(0, elements * BATCH_ROWS + 1, elements)
            self._starts[elements] = pa.py_buffer(offsets.astype(np.int32))
        return self._starts[elements]

    def _lay_out(self) -> int:
        """Give each column its place; returns the size of all."""
        at = 0
        vectors: dict[str, int] = {}

        def space(size: int) -> int:
            # A cache line apart: columns that start alike would drive each other out of the cache.
            nonlocal at
            start, at = at, at + -(-size // _CACHE_LINE) * _CACHE_LINE + _CACHE_LINE
            return start

        for place, slot, width in zip(self._places, self.slots, self._widths, strict=True):
            _describe(slot, place)
            slot.valid = space(BATCH_ROWS // 8)
            if place.cell in _TEXTS:
                slot.values, slot.room = space(4 * (BATCH_ROWS + 1)), width * BATCH_ROWS
                slot.text = space(slot.room)
            elif place.element is None:
                slot.values = space(8 * BATCH_ROWS)
            else:
                if place.name not in vectors:
                    vectors[place.name] = space(8 * BATCH_ROWS * slot.elements)
                slot.values = vectors[place.name]
        return at


def _copied(memory: npt.NDArray[np.uint8]) -> _Piece:
    return lambda start, size: pa.py_buffer(memory[start : start + size].tobytes())


def _place(node: Node, rules: Mapping[str, Rule] | None) -> _Place:
    name, rule = str(node.slot), (rules or {}).get(str(node.slot), _NO_RULE)
    element = Element(name, node.index, node.elements) if node.elements else rule.element
    cell = Cell.TEXT if rules is None and element is None else rule.cell or node.cell
    labels = b"".join(map(_label, rule.labels))
    return _Place(element.vector if element else name, cell, rule, element, labels)


def _describe(slot: Slot, place: _Place) -> None:
    """What a slot is, but for where it lies."""
    rule, element = place.rule, place.element
    slot.kind, slot.required, slot.rest = place.cell, rule.required, -1
    slot.least, slot.most = rule.span
    if element is not None:
        slot.elements, slot.index, slot.rest = element.elements, element.index, element.rest
    if place.labels:
        slot.labels, slot.labels_size = place.labels, len(place.labels)


def _label(label: str | int) -> bytes:
    """As ``cells.h`` reads it: an integer, or the size of a text and the text."""
    if isinstance(label, int):
        return struct.pack("=q", label)
    text = label.encode()
    return struct.pack("=q", len(text)) + text
