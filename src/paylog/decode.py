"""One capture object's stored bytes → normalized blocks, in the order of the layers.

storage bytes → decompressed stream → record blocks → events (engine) → rows (codecs) → blocks
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from paylog.codecs import CHECKED_JSON, JSON
from paylog.engines import Decoded, Engine, Events, HalfSide, Halves
from paylog.engines import engine as engine_of
from paylog.engines.documents import RecordBlock
from paylog.engines.tables import TableBlock
from paylog.errors import Reason
from paylog.event_columns import Place
from paylog.native import library
from paylog.native.scanner import Scanned, Scanner
from paylog.normalize import Normalizer
from paylog.records import Block, CaptureObject, Reject
from paylog.regular import RegularColumns, headers_stand_out
from paylog.storage.compression import decompress
from paylog.subscription import Subscription

LEFTOVER_BYTES = 1 << 20
MOST_SCANNED = 1 << 30
_DOCUMENTS = re.compile(r"\.(?:json|jsonl|ndjson)(?:\.(?:gz|zst))?$")
# Shapes of records that take turns: requests and responses, say.
_KNOWN = 4


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
    """Decodes the capture objects of one subscription. Not for use by several threads.

    :param engine: another than that of the service provider, for records that did not come from it.
    :param payload: reads bodies that are stored apart from their records, see ``Engine.payload``.
    """

    def __init__(
        self,
        subscription: Subscription,
        engine: Engine | None = None,
        payload: Callable[[str], bytes] | None = None,
    ) -> None:
        self.logs = subscription.logs
        self.engine = engine or engine_of(subscription)
        self.engine.payload = payload
        self.normalizer = Normalizer(subscription)
        self._scanner: Scanner | None = None
        self._columns: RegularColumns | None = None
        self._known: list[tuple[Scanner, RegularColumns | None]] = []
        self._empty = pa.RecordBatch.from_pylist([], schema=subscription.model_schema.arrow_schema)

    def blocks(
        self, item: CaptureObject, chunks: Iterator[bytes], first: int = 0, parts: int | None = None
    ) -> Iterator[Block]:
        """Blocks that account for every record of the object, in bounded memory.

        :param chunks: the stored bytes, compressed or not.
        :param first: position of the first record in them, if they are not the whole object.
        :param parts: only so many of the reader's blocks, to look at a beginning.
        :raises DecompressionLimitExceeded: the object is larger than ``logs.max_object_bytes``.
        """
        stream = decompress(chunks, item.key, self.logs.max_object_bytes)
        place = self._place(item)
        for block in self._blocks(stream, item, place, first, parts):
            yield self._with_halves(block, item, place.variant) if block.halves else block

    def stands_alone(self, item: CaptureObject) -> bool:
        """Whether a record in quarantine says all by itself: a JSON document, not a row of a table."""
        return type(self.engine).reader is Engine.reader or _DOCUMENTS.search(item.key) is not None

    def records(
        self, item: CaptureObject, records: Sequence[bytes], positions: Sequence[int]
    ) -> Iterator[Block]:
        """Blocks of single documents of the object, without the object.

        :param positions: of the records in the object, ascending.
        """
        place = self._place(item)
        for run in np.split(np.arange(len(positions)), np.flatnonzero(np.diff(positions) != 1) + 1):
            if len(run):
                together = RecordBlock(b"", positions[run[0]], [records[i] for i in run])
                for block in self._normalized(self._decode(together, place), place):
                    yield self._with_halves(block, item, place.variant) if block.halves else block

    def pairs(self, events: Sequence[Events], variant: str) -> Iterator[Block]:
        """Blocks of the events that pairs of halves made; their positions are not looked into."""
        return self.normalizer.blocks(Decoded(list(events)), Place(None, variant))

    def _place(self, item: CaptureObject) -> Place:
        # The version of an object that grows changes, the identity of its records does not.
        known = replace(item, version="") if self.engine.appends(item) else item
        return Place(known, self.engine.variant(item))

    def _blocks(
        self, stream: Iterator[bytes], item: CaptureObject, place: Place, first: int, parts: int | None
    ) -> Iterator[Block]:
        leftover = _Leftover()
        for part in islice(self.engine.reader(item)(stream, self.logs.max_record_bytes), parts):
            if isinstance(part, Reject):
                yield Block(self._empty, [replace(part, position=part.position + first)])
                continue
            if isinstance(part, TableBlock):
                part.positions = part.positions + first
                yield from self._normalized(self._decode(part, place), place)
                continue
            part.first += first
            yield from self._regular(part, leftover, place)
            if leftover.size > LEFTOVER_BYTES:
                yield from self._irregular(leftover, place)
                leftover = _Leftover()
        yield from self._irregular(leftover, place)

    def _regular(self, block: RecordBlock, leftover: _Leftover, place: Place) -> Iterator[Block]:
        """What the native scanner finds regular goes straight to columns, the rest is left over."""
        if block.elements:
            yield from self._normalized(self._decode(block, place), place)
            return
        at = line = 0
        while at < len(block.data):
            found = self._scan(block, at, line)
            if found is None or self._scanner is None or not len(found.lines):
                rest = RecordBlock(block.data[at:], block.first + line) if at else block
                yield from self._normalized(self._decode(rest, place), place)
                return
            if self._scanner.pattern.half:
                yield Block(self._empty, halves=[self._scanned_halves(found, block, leftover)])
            elif self._columns is not None:
                yield self.normalizer.regular(found, self._columns, block, place)
            else:
                yield self.normalizer.scanned(found, self._scanner.pattern, block, place, self.engine)
            leftover.add(block, found.left)
            at, line = found.end, found.next_line
        block.lines = line

    def _scanned_halves(self, found: Scanned, block: RecordBlock, leftover: _Leftover) -> Halves:
        assert self._scanner is not None
        columns, lines, starts = found.columns, found.lines.copy(), found.starts
        odd = self.engine.odd(columns)
        if pc.any(odd).as_py():
            which = np.flatnonzero(odd.to_numpy(zero_copy_only=False))
            begin = starts[which].tolist()
            ends = [at + len(block.line(at)) for at in begin]
            leftover.add(block, list(zip(lines[which].tolist(), begin, ends, strict=True)))
            columns = {slot: column.filter(pc.invert(odd)) for slot, column in columns.items()}
            lines = np.delete(lines, which)
        records = block.records()
        return Halves(
            side=HalfSide(self._scanner.pattern.half),
            positions=lines + block.first,
            keys=columns["event_id"],
            bodies=columns["body"].cast(pa.binary()),
            media=CHECKED_JSON if self._scanner.pattern.checked else JSON,
            raw=lambda i: records[lines[i]],
            timestamps=columns["timestamp"],
        )

    def _irregular(self, leftover: _Leftover, place: Place) -> Iterator[Block]:
        if not leftover.records:
            return
        decoded = self._decode(leftover.block(), place)
        places = leftover.positions
        decoded.rejects = [replace(r, position=places[r.position]) for r in decoded.rejects]
        for events in decoded.events:
            events.positions = [places[position] for position in events.positions]
        for halves in decoded.halves:
            halves.positions = [places[position] for position in halves.positions]
        for flat in decoded.flat:
            flat.events.positions = [places[position] for position in flat.events.positions]
        yield from self._normalized(decoded, place)

    def _normalized(self, decoded: Decoded, place: Place) -> Iterator[Block]:
        assert place.item is not None
        decoded.events = [self.engine.identified(events, place.item) for events in decoded.events]
        return self.normalizer.blocks(decoded, place)

    def _decode(self, block: RecordBlock | TableBlock, place: Place) -> Decoded:
        assert place.item is not None
        return self.engine.decode(block, place.item)

    def _with_halves(self, block: Block, item: CaptureObject, variant: str) -> Block:
        """The block with what halves need to be paired far from their object; keyless ones are rejects."""
        rejects = list(block.rejects)
        kept = []
        for halves in block.halves:
            keys = halves.keys if isinstance(halves.keys, list) else halves.keys.to_pylist()
            if keyless := [i for i, key in enumerate(keys) if not key]:
                rejects += [
                    Reject(int(halves.positions[i]), Reason.MALFORMED_RECORD, halves.raw(i)) for i in keyless
                ]
                halves = halves.of([i for i, key in enumerate(keys) if key])
            if self.normalizer.event_columns.from_object_time:
                times = [item.last_modified.isoformat()] * len(halves.positions)
                halves = replace(halves, timestamps=times)
            kept.append(replace(halves, variant=variant))
        return replace(block, rejects=rejects, halves=kept)

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
        normalizer, record = self.normalizer, RecordBlock(example, 0)
        for scanner, columns in self._known:
            if not scanner.scan(record).left:
                self._scanner, self._columns = scanner, columns
                return
        pattern = self.engine.pattern(example, normalizer.request, normalizer.response)
        self._scanner = self._columns = None
        if pattern is None:
            return
        if not pattern.request_csv or headers_stand_out(normalizer.schema):
            given = type(self.engine).identified is Engine.identified and not pattern.half
            columns = normalizer.regular_columns(pattern) if given else None
            ways = [(Scanner(pattern, columns.rules), columns)] if columns else []
            for scanner, columns in (*ways, (Scanner(pattern), None)):
                if not scanner.scan(record).left:
                    self._scanner, self._columns = scanner, columns
                    self._known = [*self._known[1 - _KNOWN :], (scanner, columns)]
                    return
        self._scanner = Scanner(pattern, rules=None)


def _example(block: RecordBlock, at: int) -> bytes:
    """The first record that is not blank."""
    return next((line for line in block.data[at:].split(b"\n") if line.strip()), b"")
