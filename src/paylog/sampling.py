"""A look into a few objects before a run: how many records they hold, and what would become of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paylog.errors import ObjectChanged, ObjectNotFound

if TYPE_CHECKING:
    from paylog.decode import Decoder
    from paylog.plan import Plan
    from paylog.records import CaptureObject
    from paylog.storage import Storage

SAMPLED_OBJECTS = 5


@dataclass(slots=True)
class Sample:
    """What the first block of some objects holds; counts and names of columns, never a value.

    :param records: scored rows, and halves of pairs.
    :param bytes: as stored, that these records took.
    :param reasons: rejected rows by reason, and column where one is concerned: ``TYPE_MISMATCH Age``.
    """

    objects: int = 0
    records: int = 0
    rejected: int = 0
    bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def share_rejected(self) -> float:
        return self.rejected / self.records if self.records else 0.0


def sample(storage: Storage, decoder: Decoder, planned: Plan, most: int = SAMPLED_OBJECTS) -> Sample:
    """Decode and normalize the first block of some of a plan's objects, as a run does. Loads nothing.

    :param most: objects, from all over the plan.
    :raises RetriableError: a passing fault of the storage; without what it kept out, the sample misleads.
    """
    taken = Sample()
    for item in _spread([item for batch in planned.batches for item in batch.objects], most):
        try:
            _add(taken, storage, decoder, item)
        except (ObjectNotFound, ObjectChanged):
            continue  # gone or overwritten since it was listed
    return taken


def _spread(items: Sequence[CaptureObject], most: int) -> Iterator[CaptureObject]:
    """The first, the last and some between, of those that are not empty."""
    filled = [item for item in items if item.size]
    count = min(most, len(filled))
    yield from (filled[n * (len(filled) - 1) // max(count - 1, 1)] for n in range(count))


def _add(taken: Sample, storage: Storage, decoder: Decoder, item: CaptureObject) -> None:
    fetched = 0

    def watched(chunks: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal fetched
        for chunk in chunks:
            fetched += len(chunk)
            yield chunk

    with storage.open(item) as chunks:
        for block in decoder.blocks(item, watched(chunks), parts=1):
            taken.records += block.read + sum(len(halves.positions) for halves in block.halves)
            for reject in block.rejects:
                taken.rejected += reject.rows
                taken.reasons[" ".join(filter(None, (reject.reason.value, reject.column)))] += reject.rows
    taken.objects += 1
    taken.bytes += fetched
