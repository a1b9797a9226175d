"""One capture object being loaded: what was decoded of it, buffered, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from paylog.data_mart.flush import retained, scoring_microseconds
from paylog.data_mart.ledger import Outcome
from paylog.engines import Halves
from paylog.errors import SchemaMismatch, StopError
from paylog.model_schema import ModelSchema
from paylog.records import Block, CaptureObject, Counts, Extent, Reject

if TYPE_CHECKING:
    from paylog.training_data.judgement import PayloadJudge

# First rejects of an object, and of a batch, that a message about the error budget names.
EXAMPLES = 5
EPOCH = datetime.fromtimestamp(0, UTC)
# Timestamps beyond these come from a wrong unit; each month of them would make a partition.
EARLIEST = int(np.datetime64("1970-01-01", "us").astype(int))
LATEST = int(np.datetime64("2200-01-01", "us").astype(int))
# What Arrow keeps of a column besides its values, and Python of a reject besides its bytes: of small
# objects, and of short garbage, that is most of it.
_COLUMN_BYTES, _REJECT_BYTES = 1024, 512


def _size(reject: Reject) -> int:
    return len(reject.raw) + _REJECT_BYTES


def _closed(target: ObjectLoad) -> None:
    raise StopError(f"{target.item.uri}: nothing can be added to an object that is finished.")


class ObjectLoad:
    """Takes the blocks of one object, in order.

    :param retained_from: rows scored before (µs since 1970) are filtered: retention has dropped their time.
    """

    def __init__(
        self,
        item: CaptureObject,
        object_id: int,
        model_schema: ModelSchema,
        spill_if_full: Callable[[ObjectLoad], None],
        judge: PayloadJudge | None = None,
        retained_from: int = EARLIEST,
    ) -> None:
        self.item = item
        self.object_id = object_id
        self.counts = Counts()
        self.reasons: Counter[str] = Counter()
        self.first_rejects: list[str] = []
        self.savepoint = False
        self.supersedes = False
        self.extent: Extent | None = None
        self.halves: list[Halves] = []
        self.buffered_rows = self.buffered_bytes = 0
        self._schema = model_schema.arrow_schema
        self._id_column = self._schema.get_field_index("_object_id")
        self._spill_if_full = spill_if_full
        self._judge = judge
        self._retained_from = retained_from
        self._records: list[pa.RecordBatch] = []
        self._rejects: list[Reject] = []
        self._range: tuple[datetime, datetime] | None = None

    def add(self, block: Block) -> None:
        """Count and buffer a block; writes it, with what came before, when the buffer is full.

        :raises SchemaMismatch: the block's columns are not those of the model schema.
        """
        self.counts.read += block.read
        self.counts.filtered += block.filtered
        if block.records.num_rows:
            self._add_records(block.records)
        if self._judge is not None:
            self._judge.add(block)
        for reject in block.rejects:
            self._add_reject(reject)
        self.halves += block.halves
        self._spill_if_full(self)

    def close(self) -> None:
        """Let go of the load: else both, with all they hold, would wait for the garbage collector."""
        self._spill_if_full = _closed

    @property
    def buffered(self) -> bool:
        return bool(self._records or self._rejects)

    def take_records(self) -> list[pa.RecordBatch]:
        """Empty the buffer of records."""
        taken, self._records = self._records, []
        self.buffered_rows = self.buffered_bytes = 0
        return taken

    def take_rejects(self) -> list[Reject]:
        """Empty the buffer of rejects."""
        taken, self._rejects = self._rejects, []
        self.buffered_bytes -= sum(map(_size, taken))
        return taken

    def take_halves(self) -> list[Halves]:
        """Halves that came since the last call."""
        taken, self.halves = self.halves, []
        return taken

    def add_written(self, sent: int, inserted: int) -> None:
        """Count rows that were written: those that PostgreSQL did not insert were there already."""
        self.counts.loaded += inserted
        self.counts.duplicate += sent - inserted

    def outcome(self) -> Outcome:
        """What the ledger keeps."""
        earliest, latest = self._range or (None, None)
        return Outcome(self.object_id, self.counts, earliest, latest, self.extent)

    def _add_records(self, records: pa.RecordBatch) -> None:
        if not records.schema.equals(self._schema):
            raise SchemaMismatch(f"{self.item.uri}: the decoded columns are not those of the model schema.")
        moments = scoring_microseconds(records)
        first, last = int(moments.min()), int(moments.max())
        self._check_times(first, last)
        if first < self._retained_from:
            records, behind = retained(records, self._retained_from)
            self.counts.filtered += behind
            if not records.num_rows:
                return
            first = int(scoring_microseconds(records).min())
        self.widen_range(first, last)
        ids = pa.array(np.full(records.num_rows, self.object_id, dtype=np.int64))
        field = self._schema.field(self._id_column)
        self._records.append(records.set_column(self._id_column, field, ids))
        self.buffered_rows += records.num_rows
        self.buffered_bytes += records.get_total_buffer_size() + _COLUMN_BYTES * records.num_columns

    def widen_range(self, first: int, last: int) -> tuple[datetime, datetime]:
        """Note that rows of these times (µs since 1970) came out of the object; returns the times."""
        self._check_times(first, last)
        earliest, latest = EPOCH + timedelta(microseconds=first), EPOCH + timedelta(microseconds=last)
        known = self._range or (earliest, latest)
        self._range = min(known[0], earliest), max(known[1], latest)
        return earliest, latest

    def _check_times(self, first: int, last: int) -> None:
        if not EARLIEST <= first <= last < LATEST:
            raise SchemaMismatch(
                f"{self.item.uri}: a scoring timestamp lies outside 1970 to 2199. "
                "Check the unit of the timestamps in the logs."
            )

    def _add_reject(self, reject: Reject) -> None:
        self._rejects.append(reject)
        self.buffered_bytes += _size(reject)
        self.count_reject(reject)

    def count_reject(self, reject: Reject) -> None:
        """Count a reject that is kept elsewhere."""
        self.counts.rejected += reject.rows
        self.reasons[reject.reason.value] += reject.rows
        if len(self.first_rejects) < EXAMPLES:
            column = f" column {reject.column!r}" if reject.column else ""
            place = f"{self.item.uri} record {reject.position}"
            self.first_rejects.append(f"{place}: {reject.reason.value}{column}")
