"""Payload records against the training data's profile: counted block by block, judged at the end of a batch.

Works on the Arrow columns that the load has in memory, every row of them; nothing is sampled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from paylog.errors import PayloadRefused, Reason
from paylog.model_schema import ModelSchema
from paylog.records import Block
from paylog.subscription.judgement import Gate, Judgement
from paylog.subscription.training_data import FindingSeverity as Severity
from paylog.training_data.distance import distance
from paylog.training_data.profile import Profile
from paylog.training_data.tally import Tally, tally

# Rows that are counted at a time: each kernel call costs some microseconds, whatever it counts.
COUNTED_ROWS = 16_384
# A distribution is judged from so many rows a bin on: with fewer the χ² approximation does not hold.
ROWS_A_BIN = 10


class PayloadCode(StrEnum):
    """Stable codes of what payload records have that the training data has not."""

    UNSEEN_CATEGORY = "UNSEEN_CATEGORY"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    MISSING_SHARE = "MISSING_SHARE"
    TYPE_DRIFT = "TYPE_DRIFT"
    DISTRIBUTION_SHIFT = "DISTRIBUTION_SHIFT"


@dataclass(frozen=True, slots=True)
class PayloadFinding:
    """One column of a batch that is farther from the training data than the subscription allows.

    :param rows: rows concerned; None for a distribution, which no row has.
    :param judged: rows that were judged.
    :param measured: share of rows (``MISSING_SHARE``: above the training data's), or the distance.
    :param threshold: what is allowed, of the same measure.
    """

    code: PayloadCode
    severity: Severity
    column: str
    rows: int | None
    judged: int
    measured: float
    threshold: float

    def __str__(self) -> str:
        if self.rows is None:
            return f"{self.code} {self.column!r} distance {self.measured:.2f} (allowed {self.threshold:g})"
        share = f"{self.measured:.2%}, allowed {self.threshold:.4g}"
        return f"{self.code} {self.column!r} {self.rows:,} of {self.judged:,} rows ({share})"


class PayloadJudge:
    """Counts the blocks of one batch. What an object brought can be dropped until it is kept.

    :param profile_id: the stored profile's, for whoever keeps the findings.
    """

    def __init__(
        self, judgement: Judgement, profile: Profile, schema: ModelSchema, profile_id: int = 0
    ) -> None:
        self.profile_id = profile_id
        self._judgement = judgement
        self._tallies = dict(_tallies(judgement, profile, schema))
        self._misfits: Counter[str] = Counter()
        self._kept: list[pa.RecordBatch] = []
        self._open: list[pa.RecordBatch] = []
        self._open_misfits: Counter[str] = Counter()
        self._open_rows = self._kept_rows = 0

    def add(self, block: Block) -> None:
        """Take a block of the object that is being read."""
        for reject in block.rejects:
            if reject.reason is Reason.TYPE_MISMATCH and reject.column in self._tallies:
                self._open_misfits[reject.column] += reject.rows
        if block.records.num_rows:
            self._open.append(block.records)
            self._open_rows += block.records.num_rows
        if self._open_rows >= COUNTED_ROWS:
            self._count(self._open, tentative=True)
            self._open, self._open_rows = [], 0

    def keep(self) -> None:
        """The object is complete."""
        for each in self._tallies.values():
            each.keep()
        self._misfits += self._open_misfits
        self._kept += self._open
        self._kept_rows += self._open_rows
        self._forget_open()
        if self._kept_rows >= COUNTED_ROWS:
            self._count_kept()

    def drop(self) -> None:
        """The object changed while it was read: what it brought does not count."""
        for each in self._tallies.values():
            each.drop()
        self._forget_open()

    def findings(self) -> list[PayloadFinding]:
        """What is over the limits in the objects that were kept, errors first."""
        self._count_kept()
        found = [finding for name, each in self._tallies.items() for finding in self._judged(name, each)]
        return sorted(found, key=lambda finding: finding.severity is not Severity.ERROR)

    def refuse(self, findings: Sequence[PayloadFinding], where: str) -> None:
        """Raise ``PayloadRefused`` when the gate is shut and a finding is an error."""
        errors = [str(finding) for finding in findings if finding.severity is Severity.ERROR]
        if self._judgement.gate is Gate.ERROR and errors:
            raise PayloadRefused(
                f"{where}: the payload is not like the training data: {'; '.join(errors)}. Nothing of the "
                "batch was kept. Look into the model's input; if it is right, profile the new training data "
                "(paylog training check), raise the threshold, or set judgement.gate to warn."
            )

    def _count_kept(self) -> None:
        self._count(self._kept, tentative=False)
        self._kept, self._kept_rows = [], 0

    def _forget_open(self) -> None:
        self._open, self._open_rows, self._open_misfits = [], 0, Counter()

    def _count(self, batches: list[pa.RecordBatch], *, tentative: bool) -> None:
        if batches:
            table = pa.Table.from_batches(batches)
            for name, each in self._tallies.items():
                each.count(table.column(name), tentative=tentative)

    def _judged(self, name: str, counted: Tally) -> Iterator[PayloadFinding]:
        limits, rows = self._judgement.limits(name), counted.rows
        misfits = self._misfits[name]
        shares = (
            (PayloadCode.UNSEEN_CATEGORY, limits.unseen, counted.unseen, rows, 0.0),
            (PayloadCode.OUT_OF_RANGE, limits.out_of_range, counted.out_of_range, rows, 0.0),
            (PayloadCode.MISSING_SHARE, limits.missing, counted.nulls, rows, counted.reference_nulls),
            (PayloadCode.TYPE_DRIFT, limits.type_drift, counted.fractions + misfits, rows + misfits, 0.0),
        )
        for code, limit, affected, judged, usual in shares:
            if limit is None or not judged or (limit > 0 and judged < self._judgement.min_rows):
                continue
            share = affected / judged - usual
            if share > limit:
                yield PayloadFinding(code, limits.severity, name, affected, judged, share, limit)
        yield from self._shifted(name, counted)

    def _shifted(self, name: str, counted: Tally) -> Iterator[PayloadFinding]:
        limits, judged = self._judgement.limits(name), int(counted.found.sum())
        enough = max(self._judgement.min_rows, ROWS_A_BIN * len(counted.reference))
        if limits.distance is None or judged < enough or not counted.reference.sum():
            return
        apart = distance(counted.reference, counted.found)
        if apart > limits.distance:
            shift = PayloadCode.DISTRIBUTION_SHIFT
            yield PayloadFinding(shift, limits.severity, name, None, judged, apart, limits.distance)


def _tallies(judgement: Judgement, profile: Profile, schema: ModelSchema) -> Iterator[tuple[str, Tally]]:
    for feature in schema.features:
        known = profile.column(feature.name)
        ignored = judgement.limits(feature.name).severity is Severity.IGNORE
        # A column that is missing or of another type is a finding of the training data's own check.
        if known is None or known.type is not feature.type or ignored:
            continue
        yield feature.name, tally(known, schema.arrow_schema.field(feature.name).type, profile.rows)
