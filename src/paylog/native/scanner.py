"""Scan a block of NDJSON by a pattern: regular lines become columns, the others are named."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from paylog.engines.documents import RecordBlock
from paylog.native import library
from paylog.native.pattern import MAX_MEMBERS, Kind, Node, Pattern
from paylog.native.scratch import Scratch

_IRREGULAR = 1
# Shorter records than this on average cost a second scan.
_LIKELY_RECORD = 128
Bytes = npt.NDArray[np.uint8]


class _Node(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int32)
        for name in (
            *("kind", "slot", "first_child", "next_sibling", "accepts", "required"),
            *("name_at", "name_size", "text_at", "text_size"),
        )
    )


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a block holds.

    :param columns: slot → texts of the regular lines, null where the record had none.
    :param regular: line numbers of the regular lines, ``irregular`` of those left over.
    """

    columns: dict[str, pa.Array]
    regular: npt.NDArray[np.int64]
    irregular: npt.NDArray[np.int64]


class Scanner:
    """Scans blocks by one pattern. Needs the native library. Not for use by several threads."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        nodes = list(pattern.root.walk())
        self._slots = [node.slot for node in nodes if node.slot is not None]
        if any(len(node.children) > MAX_MEMBERS for node in nodes if node.kind is Kind.OBJECT):
            raise ValueError("too many members in one object of a pattern")
        self._inner = frozenset(
            inner.slot
            for node in nodes
            if node.kind is Kind.JSON_TEXT
            for inner in node.walk()
            if inner.slot is not None
        )
        self._nodes, self._names = _flattened(nodes, self._slots)
        self._states, self._spans = Scratch(np.uint8), Scratch(np.int32)
        self._unescaped = Scratch(np.uint8)

    def scan(self, block: RecordBlock) -> Scanned:
        """All lines of a block; notes in it how many they are."""
        data, slots = block.data, len(self._slots)
        scratch = self._unescaped.of(len(data) if self._inner else 0)
        most = len(data) // _LIKELY_RECORD + 1
        lines = -1
        while lines < 0:
            states = self._states.of(most)
            spans = self._spans.of(most * slots * 2)
            lines = _library().paylog_scan(
                data,
                ctypes.c_int64(len(data)),
                self._nodes,
                self._names,
                ctypes.c_int32(slots),
                _address(states),
                ctypes.c_int64(most),
                _address(spans),
                _address(scratch),
                ctypes.c_int64(len(scratch)),
            )
            most = block.lines if lines < 0 else lines
        block.lines = lines
        states = states[:lines]
        regular = np.flatnonzero(states == 0)
        columns = self._columns(np.frombuffer(data, np.uint8), scratch, spans, len(regular))
        return Scanned(columns, regular, np.flatnonzero(states == _IRREGULAR))

    def _columns(
        self, record: Bytes, scratch: Bytes, spans: npt.NDArray[np.int32], lines: int
    ) -> dict[str, pa.Array]:
        """The spans of the regular lines as one string column a slot."""
        slots, bits = len(self._slots), (lines + 7) // 8
        bases = [scratch if name in self._inner else record for name in self._slots]
        offsets = np.empty((slots, lines + 1), np.int32)
        valid = np.zeros((slots, bits), np.uint8)
        nulls, starts = np.empty(slots, np.int64), np.empty(slots, np.int64)
        texts = np.empty(len(record) + len(scratch) + 16, np.uint8)
        _library().paylog_columns(
            (ctypes.c_void_p * slots)(*(base.ctypes.data for base in bases)),
            (ctypes.c_int64 * slots)(*map(len, bases)),
            _address(spans),
            ctypes.c_int32(slots),
            ctypes.c_int64(lines),
            *(_address(array) for array in (offsets, valid, nulls, starts, texts)),
        )
        whole = pa.py_buffer(texts), pa.py_buffer(offsets), pa.py_buffer(valid)
        return {
            name: pa.StringArray.from_buffers(
                lines,
                whole[1].slice(4 * slot * (lines + 1), 4 * (lines + 1)),
                whole[0].slice(int(starts[slot]), int(offsets[slot, lines])),
                whole[2].slice(slot * bits, bits) if nulls[slot] else None,
                int(nulls[slot]),
            )
            for slot, name in enumerate(self._slots)
        }


def _library() -> ctypes.CDLL:
    found = library()
    assert found is not None
    return found


def _address(array: np.ndarray[Any, Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _flattened(nodes: list[Node], slots: list[str]) -> tuple[ctypes.Array[_Node], bytes]:
    """The tree as an array in the order of ``walk``, and the texts that it refers to."""
    index = {id(node): i for i, node in enumerate(nodes)}
    flat = (_Node * len(nodes))()
    names = bytearray()
    for i, node in enumerate(nodes):
        key = node.key.encode()
        one = flat[i]
        one.kind, one.accepts, one.required = node.kind, node.accepts, node.required
        one.slot = slots.index(node.slot) if node.slot is not None else -1
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
