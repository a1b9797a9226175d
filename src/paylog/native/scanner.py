"""Scan a block of NDJSON by a pattern: regular lines become typed columns, the others are named."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from paylog.engines.documents import RecordBlock
from paylog.native import address, library
from paylog.native.columns import BATCH_ROWS, Columns, Rule
from paylog.native.pattern import MAX_MEMBERS, Kind, Node, Pattern
from paylog.native.scratch import Scratch

# What may be read, and written, behind the end of a text.
_SPARE = 16
_LINES = ("row_lines", "row_starts", "left_lines", "left_starts", "left_ends")
_DECODED = frozenset({Kind.JSON_TEXT, Kind.BASE64})
_NO_RULES: Mapping[str, Rule] = MappingProxyType({})
Lines = npt.NDArray[np.int64]


class _Node(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int32)
        for name in (
            *("kind", "slot", "first_child", "next_sibling", "accepts", "required"),
            *("name_at", "name_size", "text_at", "text_size"),
        )
    )


class _Progress(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("at", "line", "rows", "left", "most")),
        *((name, ctypes.c_void_p) for name in _LINES),
    )


@dataclass(frozen=True, slots=True)
class Scanned:
    """Consecutive lines of a block. Its line numbers are good until the next scan.

    :param columns: slot → values of the regular lines, null where the record had none.
    :param lines: line numbers of the regular lines, ``starts`` where they begin.
    :param left: (line number, start, end) of each irregular line.
    :param end: where the next line begins, ``next_line`` its number.
    """

    columns: dict[str, pa.Array]
    lines: Lines
    starts: Lines
    left: list[tuple[int, int, int]]
    end: int
    next_line: int


class Scanner:
    """Scans blocks by one pattern. Needs the native library. Not for use by several threads.

    :param rules: what the values must be besides, by slot, for a line to be regular; None: they all stay
        the texts that they are.
    """

    def __init__(self, pattern: Pattern, rules: Mapping[str, Rule] | None = _NO_RULES) -> None:
        self.pattern = pattern
        nodes = list(pattern.root.walk())
        if any(len(node.children) > MAX_MEMBERS for node in nodes if node.kind is Kind.OBJECT):
            raise ValueError("too many members in one object of a pattern")
        texts = [node for node in nodes if node.kind is Kind.JSON_TEXT]
        if any(inner.kind in _DECODED for text in texts for child in text.children for inner in child.walk()):
            raise ValueError("a text within a text of a pattern: one would be decoded over the other")
        wanted = [node for node in nodes if node.slot is not None]
        self._columns = Columns(wanted, rules)
        needed = {slot for slot, rule in (rules or {}).items() if rule.required}
        self._nodes, self._names = _flattened(nodes, wanted, needed)
        optional = _optional(pattern.root, needed)
        lacking = [i for i, node in enumerate(wanted) if id(node) in optional]
        self._optional = (ctypes.c_int32 * len(lacking))(*lacking)
        self._unescaped = Scratch(np.uint8)
        self._lines = {name: np.empty(BATCH_ROWS, np.int64) for name in _LINES}

    def scan(self, block: RecordBlock, at: int = 0, line: int = 0) -> Scanned:
        """Lines of a block from byte ``at``, line number ``line`` on, as many as one batch takes."""
        memory, progress = self._columns.memory(), self._progress(at, line)
        full = self._scan(block.data, memory, progress)
        while full >= 0 and not progress.rows and not progress.left:
            self._columns.widen(full)
            memory, progress = self._columns.memory(), self._progress(at, line)
            full = self._scan(block.data, memory, progress)
        columns = self._columns.arrays(memory, progress.rows)
        if full >= 0:  # the next batch shall be a whole one
            self._columns.widen(full)
        row_lines, row_starts, *left = (
            lines[: progress.rows if name.startswith("row") else progress.left]
            for name, lines in self._lines.items()
        )
        return Scanned(
            columns,
            row_lines,
            row_starts,
            list(zip(*(lines.tolist() for lines in left), strict=True)),
            progress.at,
            progress.line,
        )

    def whole(self, block: RecordBlock) -> Scanned:
        """All lines of a block, of several batches put together."""
        found = self.scan(block)
        parts = [found]
        while found.end < len(block.data):
            parts[-1] = replace(found, lines=found.lines.copy(), starts=found.starts.copy())
            found = self.scan(block, found.end, found.next_line)
            parts.append(found)
        if len(parts) == 1:
            return found
        return Scanned(
            {slot: pa.concat_arrays([part.columns[slot] for part in parts]) for slot in found.columns},
            np.concatenate([part.lines for part in parts]),
            np.concatenate([part.starts for part in parts]),
            [left for part in parts for left in part.left],
            found.end,
            found.next_line,
        )

    def _progress(self, at: int, line: int) -> _Progress:
        addresses = (lines.ctypes.data for lines in self._lines.values())
        return _Progress(at, line, 0, 0, BATCH_ROWS, *addresses)

    def _scan(self, data: bytes, memory: npt.NDArray[np.uint8], progress: _Progress) -> int:
        """The slot that had no room for a text, or -1."""
        native = library()
        assert native is not None
        columns = self._columns
        slot: int = native.paylog_scan(
            data,
            ctypes.c_int64(len(data)),
            self._nodes,
            self._names,
            address(self._unescaped.of(len(data) + _SPARE)),
            address(memory),
            columns.slots,
            ctypes.c_int64(len(columns.slots)),
            self._optional,
            ctypes.c_int64(len(self._optional)),
            ctypes.byref(progress),
        )
        return slot


def _optional(node: Node, needed: Set[str], inside: bool = False) -> set[int]:
    """Identities of the nodes that a regular record may lack."""
    inside = inside or not (node.required or node.slot in needed)
    if inside and node.slot in needed:
        raise ValueError(f"slot {node.slot!r} is required within a member that is not")
    found = {id(node)} if inside else set()
    return found.union(*(_optional(child, needed, inside) for child in node.children))


def _flattened(nodes: list[Node], wanted: list[Node], needed: Set[str]) -> tuple[ctypes.Array[_Node], bytes]:
    """The tree as an array in the order of ``walk``, and the texts that it refers to."""
    index = {id(node): i for i, node in enumerate(nodes)}
    slots = {id(node): i for i, node in enumerate(wanted)}
    flat = (_Node * len(nodes))()
    names = bytearray()
    for i, node in enumerate(nodes):
        key = node.key.encode()
        one = flat[i]
        one.kind, one.accepts = node.kind, node.accepts
        one.required = node.required or node.slot in needed
        one.slot = slots.get(id(node), -1)
        one.name_at, one.name_size = len(names), len(key)
        one.text_at, one.text_size = len(names) + len(key), len(node.text)
        names += key + node.text
        children = [index[id(child)] for child in node.children]
        one.first_child = children[0] if children else -1
        one.next_sibling = -1
    for node in nodes:
        children = [index[id(child)] for child in node.children]
        for left, right in pairwise(children):
            flat[left].next_sibling = right
    return flat, bytes(names)
