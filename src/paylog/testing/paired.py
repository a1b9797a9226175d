"""Decode several objects and pair what is logged in halves, as a load does, without a data mart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from paylog.decode import Decoder
from paylog.pairing import HALF, Kinds, Pairs, as_table, events_of, match
from paylog.records import Block, CaptureObject, Reject


@dataclass(slots=True)
class PairedOutcome:
    """Rows of all objects, rejects with the position of the request, and halves left over."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    filtered: int = 0
    alone: pa.Table = field(default_factory=HALF.empty_table)
    repeated: int = 0

    @property
    def pending(self) -> int:
        """Halves that would wait in the data mart."""
        count: int = self.alone.num_rows
        return count


def paired(decoder: Decoder, objects: Iterable[tuple[CaptureObject, bytes]]) -> PairedOutcome:
    """Decode the objects, in this order, as one batch."""
    found, kinds, halves = PairedOutcome(), Kinds(), [HALF.empty_table()]
    for number, (item, data) in enumerate(objects, 1):
        for block in decoder.blocks(item, iter([data])):
            found.rows += block.records.to_pylist()
            found.rejects += block.rejects
            found.filtered += block.filtered
            halves += [as_table(some, number, kinds) for some in block.halves]
    matched = match(pa.concat_tables(halves), kinds)
    for block in _joined(decoder, matched.pairs, kinds):
        found.rows += block.records.to_pylist()
        found.rejects += block.rejects
    found.alone, found.repeated = matched.alone, matched.repeated.num_rows
    return found


def _joined(decoder: Decoder, pairs: Pairs, kinds: Kinds) -> Iterator[Block]:
    for variant, events in events_of(pairs, kinds).items():
        yield from decoder.pairs(events, variant)
