"""The record batch and its counts: what flows from normalize to load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from paylog.errors import Reason

if TYPE_CHECKING:
    import pyarrow as pa

    from paylog.engines import Halves


@dataclass(frozen=True, slots=True)
class CaptureObject:
    """One object that an engine wrote.

    :param uri: whole address, ``cos://bucket/key`` or ``file:///folder/key``; the ledger's key.
    :param version: changes whenever the content does (ETag; local: mtime in ns and size).
    :param size: bytes as stored, before decompression.
    :param replaces: ledger entry that this takes the place of, even when the version is still the same.
    """

    uri: str
    key: str
    version: str
    size: int
    last_modified: datetime
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """How far an object that grows was read.

    :param end_byte: bytes read, as stored.
    :param end_position: position of the next record.
    :param digest: of the last bytes before ``end_byte``; they must still be there when it is read on.
    :param partial: the object holds more, a line that was still being written.
    """

    end_byte: int
    end_position: int
    digest: bytes
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Reject:
    """A record, or one row of it, that was not loaded, with its raw bytes.

    :param position: 0-based ordinal of the record in its object (NDJSON: the line number from 0).
    :param row: 1-based row in the record, None when the whole record is rejected.
    :param rows: scored rows it stands for; conservation counts these.
    :param partner: (object id, position) of the other half, of a pair that two objects made.
    """

    position: int
    reason: Reason
    raw: bytes
    row: int | None = None
    column: str | None = None
    rows: int = 1
    partner: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive records of one object, normalized.

    ``records`` has the columns of ``ModelSchema.arrow_schema`` in that order; ``_object_id`` is
    0 until load fills it in. ``filtered`` rows were left out on purpose (other variant, …). ``halves`` are
    no rows yet: load pairs them.
    """

    records: pa.RecordBatch
    rejects: Sequence[Reject] = ()
    filtered: int = 0
    halves: Sequence[Halves] = ()

    @property
    def read(self) -> int:
        kept: int = self.records.num_rows
        return kept + self.filtered + sum(r.rows for r in self.rejects)


@dataclass(slots=True)
class Counts:
    """Row counts of an object, a batch or a run."""

    read: int = 0
    loaded: int = 0
    duplicate: int = 0
    rejected: int = 0
    filtered: int = 0
    pending: int = 0

    @property
    def balanced(self) -> bool:
        accounted = self.loaded + self.duplicate + self.rejected + self.filtered + self.pending
        return self.read == accounted

    def __iadd__(self, other: Counts) -> Counts:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


@dataclass(frozen=True, slots=True)
class Receipt:
    """The balanced account of one committed batch.

    :param reasons: rejected rows by reason code.
    :param seconds: wall-clock time of the transaction.
    :param settled: halves that stopped waiting with this batch: paired (their rows are counted as read
        and loaded), given up (as read and rejected), or gone with their object's old version.
    :param replayed: rows that an earlier receipt counted as rejected, and that this one counts as read again.
    """

    receipt_id: int
    subscription_id: str
    batch_id: str
    run_id: str
    window_start: datetime
    window_end: datetime
    objects: int
    bytes: int
    counts: Counts
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    state: str = "committed"
    settled: int = 0
    replayed: int = 0
