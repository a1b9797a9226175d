"""JSON bodies of one row each, logged apart from their record's JSON (base64, a cell) → rows, natively."""

from __future__ import annotations

import numpy as np

from paylog.codecs import JSON, UNKNOWN, Bodies, Mask, MediaType, Rows, Side
from paylog.engines.documents import RecordBlock
from paylog.engines.patterns import NoPattern, SidePattern
from paylog.native import library
from paylog.native.pattern import Pattern
from paylog.native.scanner import Scanned, Scanner

MOST_SCANNED = 1 << 30


class LineScanner:
    """Scans lines by one pattern, to typed columns; to texts once most have a value that fits no type."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self._scanner, self._typed = Scanner(pattern), True

    def scan(self, lines: bytes) -> Scanned:
        """All of the lines."""
        block = RecordBlock(lines, 0)
        found = self._scanner.whole(block)
        if self._typed and len(found.left) > len(found.lines):
            texts = Scanner(self.pattern, rules=None)
            if len((again := texts.whole(block)).left) < len(found.left):
                self._scanner, self._typed = texts, False
                return again
        return found


class BodyScanner:
    """Scans JSON bodies of one side that have one row each, by the pattern of one of them."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._scanner: LineScanner | None = None

    def rows(self, bodies: Bodies, media: MediaType) -> tuple[Rows | None, Mask]:
        """The rows of the regular bodies, and which were irregular: all of them without the library."""
        odd = np.ones(len(bodies), bool)
        if library() is None or media.name not in (JSON.name, UNKNOWN.name) or not bodies:
            return None, odd
        lines = b"\n".join(bodies)
        if lines.count(b"\n") != len(bodies) - 1:
            lines = b"\n".join(map(_line, bodies))
        found = self._scan(lines, bodies) if len(lines) <= MOST_SCANNED else None
        if found is None or self._scanner is None or not len(found.lines):
            return None, odd
        odd[found.lines] = False
        slots = self._scanner.pattern.requests
        return Rows({name: found.columns[slot] for name, slot in slots.items()}, len(found.lines)), odd

    def _scan(self, lines: bytes, bodies: Bodies) -> Scanned | None:
        if self._scanner is None:
            self._learn(bodies[0])
        found = self._scanner.scan(lines) if self._scanner else None
        if found is not None and len(found.left) > len(found.lines):
            self._learn(bodies[found.left[0][0]])
            found = self._scanner.scan(lines) if self._scanner else None
        return found

    def _learn(self, example: bytes) -> None:
        pattern = SidePattern(self.side, "")
        try:
            self._scanner = LineScanner(Pattern(pattern.of_json(example), pattern.slots, {}))
        except NoPattern:
            self._scanner = None


def _line(body: bytes) -> bytes:
    """A body as a line; one over several lines is left out, and so is irregular."""
    line = body.rstrip()
    return b"" if b"\n" in line else line
