"""One capture object's stored bytes → normalized blocks, in the order of the layers.

storage bytes → decompressed stream → record blocks → events (engine) → rows (codecs) → blocks
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pyarrow as pa

from paylog.engines import Engine
from paylog.engines import engine as engine_of
from paylog.engines.documents import RecordBlock, record_blocks
from paylog.native import library
from paylog.native.scanner import Scanned, Scanner
from paylog.normalize import Normalizer, Place
from paylog.records import Block, CaptureObject, Reject
from paylog.regular import RegularColumns, headers_stand_out
from paylog.storage.compression import decompress
from paylog.subscription import Subscription

LEFTOVER_BYTES = 1 << 20
MOST_SCANNED = 1 << 30


@dataclass(slots=True)
class _Leftover:
    """Irregular records of several blocks: decoding a few at a time would cost more than they do."""

    records: list[bytes] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    size: int = 0

    def add(self, block: RecordBlock, lines: list[tuple[int, int, int]]) -> None:
        for line, start, end in lines:
            self.records.append(block.data[start:end])
            self.positions.append(block.first + line)
            self.size += end - start

    def block(self) -> RecordBlock:
        return RecordBlock(b"\n".join(self.records), 0)


class Decoder:
    """Decodes the capture objects of one subscription. Not for use by several threads."""

    def __init__(self, subscription: Subscription, engine: Engine | None = None) -> None:
        """``engine``: another than that of the service provider, for records that did not come from it."""
        self.logs = subscription.logs
        self.engine = engine or engine_of(subscription)
        self.normalizer = Normalizer(subscription)
        self._scanner: Scanner | None = None
        self._columns: RegularColumns | None = None
        self._empty = pa.RecordBatch.from_pylist([], schema=subscription.model_schema.arrow_schema)

    def blocks(self, item: CaptureObject, chunks: Iterator[bytes]) -> Iterator[Block]:
        """Blocks that account for every record of the object, in bounded memory.

        :param chunks: the stored bytes, compressed or not.
        :raises DecompressionLimitExceeded: the object is larger than ``logs.max_object_bytes``.
        """
        stream = decompress(chunks, item.key, self.logs.max_object_bytes)
        place = Place(item, self.engine.variant(item))
        leftover = _Leftover()
        for part in record_blocks(stream, self.logs.max_record_bytes):
            if isinstance(part, Reject):
                yield Block(self._empty, [part])
                continue
            yield from self._regular(part, leftover, place)
            if leftover.size > LEFTOVER_BYTES:
                yield from self._irregular(leftover, place)
                leftover = _Leftover()
        yield from self._irregular(leftover, place)

    def _regular(self, block: RecordBlock, leftover: _Leftover, place: Place) -> Iterator[Block]:
        """What the native scanner finds regular goes straight to columns, the rest is left over."""
        if block.elements:
            yield from self.normalizer.blocks(self.engine.decode(block), place)
            return
        at = line = 0
        while at < len(block.data):
            found = self._scan(block, at, line)
            if found is None or self._scanner is None or not len(found.lines):
                rest = RecordBlock(block.data[at:], block.first + line) if at else block
                yield from self.normalizer.blocks(self.engine.decode(rest), place)
                return
            if self._columns is not None:
                yield self.normalizer.regular(found, self._columns, block, place)
            else:
                yield self.normalizer.scanned(found, self._scanner.pattern, block, place)
            leftover.add(block, found.left)
            at, line = found.end, found.next_line
        block.lines = line

    def _irregular(self, leftover: _Leftover, place: Place) -> Iterator[Block]:
        if not leftover.records:
            return
        decoded = self.engine.decode(leftover.block())
        places = leftover.positions
        decoded.rejects = [replace(r, position=places[r.position]) for r in decoded.rejects]
        for events in decoded.events:
            events.positions = [places[position] for position in events.positions]
        yield from self.normalizer.blocks(decoded, place)

    def _scan(self, block: RecordBlock, at: int, line: int) -> Scanned | None:
        """The next batch of regular lines; by another pattern if most are irregular by the last one."""
        if library() is None or len(block.data) > MOST_SCANNED:
            return None
        if self._scanner is None:
            self._learn(_example(block, at))
        found = self._scanner.scan(block, at, line) if self._scanner else None
        if found is not None and len(found.left) > len(found.lines):
            _, start, end = found.left[0]
            self._learn(block.data[start:end])
            found = self._scanner.scan(block, at, line) if self._scanner else None
        return found

    def _learn(self, example: bytes) -> None:
        """A scanner for records like this one, which does as much of the work as its own values let it."""
        normalizer = self.normalizer
        pattern = self.engine.pattern(example, normalizer.request, normalizer.response)
        self._scanner = self._columns = None
        if pattern is None:
            return
        if not pattern.request_csv or headers_stand_out(normalizer.schema):
            columns = normalizer.regular_columns(pattern)
            ways = [(Scanner(pattern, columns.rules), columns)] if columns else []
            for scanner, columns in (*ways, (Scanner(pattern), None)):
                if not scanner.scan(RecordBlock(example, 0)).left:
                    self._scanner, self._columns = scanner, columns
                    return
        self._scanner = Scanner(pattern, rules=None)


def _example(block: RecordBlock, at: int) -> bytes:
    """The first record that is not blank."""
    return next((line for line in block.data[at:].split(b"\n") if line.strip()), b"")
