"""How many records a plan holds and how long loading them takes, by the subscription's own receipts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paylog.data_mart.backfills import Pace
    from paylog.plan import Plan
    from paylog.sampling import Sample

# Before the first receipt: what plain JSON of some 20 features comes to on a small machine.
RECORD_BYTES = 600.0
RECORDS_PER_SECOND = 20_000.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """An estimate, and in ``basis`` what it rests on, in words.

    :param records: scored rows, or halves of pairs.
    """

    records: int
    seconds: float
    basis: str

    @classmethod
    def of(cls, planned: Plan, pace: Pace | None, sample: Sample | None, workers: int) -> Forecast:
        """Of a plan, by the receipts so far, else by a sample, else by what is usual.

        :param workers: that load batches at the same time.
        """
        per_record, basis = RECORD_BYTES, f"no receipts yet: {RECORD_BYTES:.0f} bytes a record assumed"
        rate = RECORDS_PER_SECOND
        if pace:
            per_record, rate = pace.bytes / pace.records, pace.records / max(pace.seconds, 1e-3)
            newest = "receipt" if pace.batches == 1 else f"{pace.batches:,} receipts"
            basis = f"by the last {newest}: {per_record:,.0f} bytes a record"
        elif sample and sample.records:
            per_record = sample.bytes / sample.records
            basis = f"no receipts yet: {per_record:,.0f} bytes a record in the sample"
        records = round(planned.bytes / per_record)
        busy = max(1, min(workers, len(planned.batches)))
        workers_said = f"{busy} worker{'s' if busy > 1 else ''}"
        return cls(records, records / rate / busy, f"{basis}, {rate:,.0f} records/s a worker, {workers_said}")


def duration(seconds: float) -> str:
    """``4 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
