"""Records in quarantine → blocks: from their bytes where these say all, else from their object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import count, groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from paylog.engines import HalfSide, Halves
from paylog.errors import ObjectNotFound, Reason
from paylog.records import Block, CaptureObject, Reject

if TYPE_CHECKING:
    from paylog.data_mart.object_load import ObjectLoad
    from paylog.data_mart.replay_load import ReplayLoad
    from paylog.data_mart.replay_outcome import OpenRecord, Origin
    from paylog.decode import Decoder
    from paylog.object_ingest import Progress
    from paylog.storage import Storage

Wanted = Mapping[int, set[int] | None]
"""Position of a record → the rows of it that are wanted, from 1; None: all of them."""

_OF_THE_OBJECT = frozenset({Reason.TRUNCATED_OBJECT, Reason.MALFORMED_PARQUET})


class LeftOpen(StrEnum):
    """Why a record stays in quarantine untried."""

    WHOLE_OBJECT = "stand for the rest of their object: load it again (paylog backfill --reprocess rejected)"
    OBJECT_GONE = "cannot be decoded without their object, which is gone from the store or has changed"
    POSTED = "were posted, not read from the logs: post them again"


@dataclass(slots=True)
class _Read:
    """How the records of one object are read.

    :param alone: by their bytes.
    :param within: out of their object.
    :param pairs: both halves of a pair by their bytes: own, the other one's.
    """

    alone: list[OpenRecord] = field(default_factory=list)
    within: list[OpenRecord] = field(default_factory=list)
    pairs: list[tuple[OpenRecord, list[Halves], list[Halves]]] = field(default_factory=list)

    @property
    def records(self) -> list[OpenRecord]:
        return [*self.alone, *self.within, *(record for record, _, _ in self.pairs)]


class RecordReplay:
    """Reads records in quarantine into a load.

    ``left`` counts those that could not be tried, by why.
    """

    def __init__(self, storage: Storage, decoder: Decoder, load: ReplayLoad, progress: Progress) -> None:
        self._storage = storage
        self._decoder = decoder
        self._load = load
        self._progress = progress
        self._root = storage.uri("")
        self._present: dict[str, CaptureObject | None] = {}
        self._others: dict[int, tuple[Origin, list[int], int]] = {}
        self._nothing = pa.RecordBatch.from_pylist([], schema=decoder.normalizer.schema.arrow_schema)
        self.left: Counter[LeftOpen] = Counter()

    def replay(self, records: Sequence[OpenRecord]) -> None:
        """Offer these records to the load."""
        ordered = sorted(records, key=lambda r: (r.origin.item.uri, r.origin.object_id, r.position))
        for _, of_object in groupby(ordered, key=lambda record: record.origin.object_id):
            self._replay_object(list(of_object))
        for origin, positions, by in self._others.values():
            for block in self._object(origin):
                self._load.pair_with(origin, block.halves, positions, by)
        self._others.clear()

    def _replay_object(self, records: Sequence[OpenRecord]) -> None:
        read = _Read()
        for record in records:
            self._assign(record, read)
        if not read.records:
            return
        filtered: set[int] = set()
        origin = records[0].origin
        with self._load.again(origin, read.records, filtered) as target:
            self._add(read.alone, self._documents(origin, read.alone), target, filtered)
            if read.within:
                self._add(read.within, self._object(origin), target, filtered)
            self._pair(read, target)

    def _assign(self, record: OpenRecord, read: _Read) -> None:
        """Decide how a record is read, or note why it is not."""
        item, other = record.origin.item, record.partner
        alone = record.reason is not Reason.LINE_TOO_LONG and bool(record.raw) and self._alone(item)
        if not item.uri.startswith(self._root):
            self.left[LeftOpen.POSTED] += 1
        elif record.reason in _OF_THE_OBJECT:
            self.left[LeftOpen.WHOLE_OBJECT] += 1
        elif other is None and alone:
            read.alone.append(record)
        elif self._current(item) and (other is None or self._current(other[0].item)):
            read.within.append(record)
        elif other and alone and (halves := self._split(record, other)):
            read.pairs.append((record, *halves))
        else:
            self.left[LeftOpen.OBJECT_GONE] += 1

    def _add(
        self, records: Sequence[OpenRecord], blocks: Iterable[Block], target: ObjectLoad, filtered: set[int]
    ) -> None:
        wanted = _wanted(records)
        unseen = set(wanted)
        for block in blocks:
            some = chosen(block, wanted)
            unseen -= _positions(some)
            target.add(some)
            self._progress(some.read, 0)
        if unseen:  # left out on purpose now, or no record at all
            filtered |= unseen
            target.add(Block(self._nothing, filtered=sum(r.rows for r in records if r.position in unseen)))

    def _pair(self, read: _Read, target: ObjectLoad) -> None:
        """See to the other halves of pairs."""
        for record in read.within:
            if record.partner:
                origin, position = record.partner
                known = self._others.setdefault(origin.object_id, (origin, [], target.object_id))
                known[1].append(position)
        for record, own, others in read.pairs:
            assert record.partner is not None
            target.add(Block(self._nothing, halves=own))
            self._load.pair_with(record.partner[0], others, [record.partner[1]], target.object_id)

    def _documents(self, origin: Origin, records: Sequence[OpenRecord]) -> Iterator[Block]:
        by_position = {record.position: record.raw for record in records}
        return self._decoder.records(self._keyed(origin.item), list(by_position.values()), list(by_position))

    def _object(self, origin: Origin) -> Iterator[Block]:
        """The blocks of an object that is there as it was."""
        if (current := self._current(origin.item)) is None:
            return
        with self._storage.open(current) as chunks:
            yield from self._decoder.blocks(self._keyed(origin.item), self._watched(chunks))

    def _split(
        self, record: OpenRecord, other: tuple[Origin, int]
    ) -> tuple[list[Halves], list[Halves]] | None:
        """Own and other half of a pair that quarantine keeps as request, line end, response."""
        lines = record.raw.split(b"\n")
        if len(lines) != 2 or not self._alone(other[0].item):
            return None
        # A row mostly belongs to its response; an engine that tells sides by folders decides.
        for own, partner in (lines[::-1], lines):
            halves = [
                self._halves(item, line, position)
                for item, line, position in (
                    (record.origin.item, own, record.position),
                    (other[0].item, partner, other[1]),
                )
            ]
            sides = [half.side for some in halves for half in some]
            asked, answered = HalfSide.REQUEST, HalfSide.RESPONSE
            if sides == ([answered, asked] if own is lines[1] else [asked, answered]):
                return halves[0], halves[1]
        return None

    def _halves(self, item: CaptureObject, line: bytes, position: int) -> list[Halves]:
        blocks = self._decoder.records(self._keyed(item), [line], [position])
        return [halves for block in blocks for halves in block.halves]

    def _alone(self, item: CaptureObject) -> bool:
        return self._decoder.stands_alone(self._keyed(item))

    def _keyed(self, item: CaptureObject) -> CaptureObject:
        return replace(item, key=item.uri.removeprefix(self._root))

    def _current(self, item: CaptureObject) -> CaptureObject | None:
        """The object as it is in the store, if its records are what they were."""
        if item.uri not in self._present:
            try:
                self._present[item.uri] = self._storage.stat(self._keyed(item).key)
            except ObjectNotFound:
                self._present[item.uri] = None
        found = self._present[item.uri]
        same = found is not None and (found.version == item.version or self._decoder.engine.appends(found))
        return found if same else None

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._progress(0, len(chunk))
            yield chunk


def _wanted(records: Sequence[OpenRecord]) -> dict[int, set[int] | None]:
    wanted: dict[int, set[int] | None] = {}
    for record in records:
        rows = wanted.setdefault(record.position, set())
        if record.row is None or rows is None:
            wanted[record.position] = None
        else:
            rows.add(record.row)
    return wanted


def chosen(block: Block, wanted: Wanted) -> Block:
    """Of a block, only the wanted rows, their rejects, and halves at wanted positions."""
    rejects = [some for reject in block.rejects for some in _chosen_rejects(reject, wanted)]
    positions = np.array(sorted(wanted), np.int64)
    halves = [
        some.of(which.tolist())
        for some in block.halves
        if len(which := np.flatnonzero(np.isin(np.asarray(some.positions, np.int64), positions)))
    ]
    owners = block.records.column("_position").to_numpy()
    kept = np.isin(owners, positions)
    rejected: dict[int, set[int]] = {}
    for reject in block.rejects:
        rejected.setdefault(reject.position, set()).add(reject.row or 0)
    numbers: dict[int, Iterator[int]] = {}
    for at in np.flatnonzero(kept).tolist():
        position = int(owners[at])
        rows = wanted[position]
        if rows is not None:
            number = next(numbers.setdefault(position, _others_than(rejected.get(position, set()))))
            kept[at] = number in rows
    records = block.records if kept.all() else block.records.filter(pa.array(kept))
    return Block(records, rejects, 0, halves)


def _others_than(rejected: set[int]) -> Iterator[int]:
    """Numbers of a record's rows, from 1, without the rejected ones."""
    return (number for number in count(1) if number not in rejected)


def _chosen_rejects(reject: Reject, wanted: Wanted) -> list[Reject]:
    if reject.position not in wanted:
        return []
    rows = wanted[reject.position]
    if rows is None or reject.row in rows:
        return [reject]
    return [replace(reject, row=row, rows=1) for row in sorted(rows)] if reject.row is None else []


def _positions(block: Block) -> set[int]:
    """The records that a block says anything of."""
    found = {reject.position for reject in block.rejects}
    found.update(block.records.column("_position").to_pylist())
    return found.union(*(map(int, halves.positions) for halves in block.halves))
