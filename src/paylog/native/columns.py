"""The columns that ``scan.c`` fills: where each lies in a batch's memory, and as Arrow arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from paylog.model_schema import TIMESTAMP
from paylog.native.pattern import Cell, Node

# Rows of one batch: few enough for its columns to stay in the processor's cache.
BATCH_ROWS = 8192
_TYPES = {
    Cell.TEXT: pa.string(),
    Cell.INTEGER: pa.int64(),
    Cell.DOUBLE: pa.float64(),
    Cell.BOOLEAN: pa.bool_(),
    Cell.TIMESTAMP: TIMESTAMP,
}
_LINE = 64
_FIRST_WIDTH = 16


class Slot(ctypes.Structure):
    """As in ``cells.h``."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("kind", "elements", "index", "nullable")),
        *((name, ctypes.c_int64) for name in ("values", "valid", "text", "room", "nulls", "used")),
    )


class Columns:
    """The columns of a pattern's wanted values.

    :param nodes: those of the pattern that have a slot; one C slot each.
    :param typed: cast them; otherwise they all stay texts, but for vectors.
    """

    def __init__(self, nodes: Sequence[Node], *, typed: bool) -> None:
        self._nodes = nodes
        self._cells = [node.cell if typed or node.elements else Cell.TEXT for node in nodes]
        self._widths = [_FIRST_WIDTH] * len(nodes)
        self._vectors: dict[int, pa.Array] = {}
        self.slots = (Slot * len(nodes))()
        self.size = self._lay_out()

    def memory(self) -> npt.NDArray[np.uint8]:
        """Room for one batch, which its arrays will share."""
        return np.empty(self.size, np.uint8)

    def widen(self, slot: int) -> None:
        """Make room for twice the text in a slot."""
        self._widths[slot] *= 2
        self.size = self._lay_out()

    def arrays(self, memory: npt.NDArray[np.uint8], rows: int) -> dict[str, pa.Array]:
        """What was scanned into ``memory``, by slot name."""
        whole = pa.py_buffer(memory)
        return {
            str(node.slot): self._array(whole, cell, slot, rows)
            for node, cell, slot in zip(self._nodes, self._cells, self.slots, strict=True)
            if node.index == 0
        }

    def _array(self, whole: pa.Buffer, cell: Cell, slot: Slot, rows: int) -> pa.Array:
        valid = whole.slice(slot.valid, (rows + 7) // 8) if slot.nulls else None
        if cell is Cell.TEXT:
            offsets = whole.slice(slot.values, 4 * (rows + 1))
            texts = whole.slice(slot.text, slot.used)
            return pa.StringArray.from_buffers(rows, offsets, texts, valid, slot.nulls)
        count = rows * max(1, slot.elements)
        numbers = whole.slice(slot.values, 8 * count)
        if not slot.elements:
            return pa.Array.from_buffers(_TYPES[cell], rows, [valid, numbers], slot.nulls)
        values = pa.Array.from_buffers(pa.float64(), count, [None, numbers], 0)
        return pa.ListArray.from_arrays(self._starts(slot.elements).slice(0, rows + 1), values)

    def _starts(self, elements: int) -> pa.Array:
        """Offsets of vectors of so many elements."""
        if elements not in self._vectors:
            offsets = np.arange(0, elements * BATCH_ROWS + 1, elements, np.int32)
            self._vectors[elements] = pa.array(offsets)
        return self._vectors[elements]

    def _lay_out(self) -> int:
        """Give each column its place; returns the size of all."""
        at = 0

        def place(size: int) -> int:
            # A cache line apart: columns that start alike would drive each other out of the cache.
            nonlocal at
            start, at = at, at + -(-size // _LINE) * _LINE + _LINE
            return start

        for node, cell, slot, width in zip(self._nodes, self._cells, self.slots, self._widths, strict=True):
            slot.kind, slot.elements, slot.index = cell, node.elements, node.index
            slot.valid = place(BATCH_ROWS // 8)
            if cell is Cell.TEXT:
                slot.values, slot.room = place(4 * (BATCH_ROWS + 1)), width * BATCH_ROWS
                slot.text = place(slot.room)
            elif node.index == 0:
                slot.values = first = place(8 * BATCH_ROWS * max(1, node.elements))
            else:
                slot.values = first
        return at
