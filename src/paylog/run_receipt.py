"""The receipt of a run: its batches added up, for people and for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from paylog.layout import Window
from paylog.records import Counts, Receipt

if TYPE_CHECKING:
    from paylog.data_mart import StoredFinding
    from paylog.data_mart.deliveries import DeliveryCounts
    from paylog.training_status import TrainingStatus


@dataclass(frozen=True, slots=True)
class RunReceipt:
    """The account of all committed batches of a run.

    :param reasons: rejected rows by reason code.
    :param counted: rows that were counted once more in the payload table itself, by reconcile.
    :param complete_through: the subscription's watermark after the run, None before its first.
    :param moved_from: where the watermark stood before this run moved it, None if it did not.
    :param late_objects: of the run, older than its window.
    :param training_data: the standing check of the training data; None where the subscription has none.
    :param delivery: what became of the rows at the OpenScale service; None where none is named.
    :param payload_findings: what the run's payload records have that the training data has not.
    :param settled: halves of pairs that stopped waiting in this run: their rows are counted as read and
        loaded, or as read and rejected.
    :param waiting: halves that wait after the run.
    """

    subscription_id: str
    run_id: str
    window: Window
    batches: int
    objects: int
    bytes: int
    counts: Counts
    reasons: dict[str, int] = field(default_factory=dict)
    counted: int = 0
    complete_through: datetime | None = None
    training_data: TrainingStatus | None = None
    payload_findings: tuple[StoredFinding, ...] = ()
    settled: int = 0
    waiting: int = 0
    delivery: DeliveryCounts | None = None
    moved_from: datetime | None = None
    late_objects: int = 0

    @classmethod
    def of(
        cls,
        subscription_id: str,
        run_id: str,
        window: Window,
        receipts: Iterable[Receipt],
        *,
        counted: int = 0,
        complete_through: datetime | None = None,
        training_data: TrainingStatus | None = None,
        payload_findings: Iterable[StoredFinding] = (),
        waiting: int = 0,
        delivery: DeliveryCounts | None = None,
        moved_from: datetime | None = None,
        late_objects: int = 0,
    ) -> RunReceipt:
        """Add up the committed receipts of one run."""
        committed = [receipt for receipt in receipts if receipt.state == "committed"]
        counts, reasons = Counts(), Counter[str]()
        for receipt in committed:
            counts += receipt.counts
            reasons.update(receipt.reasons)
        return cls(
            subscription_id,
            run_id,
            window,
            len(committed),
            sum(receipt.objects for receipt in committed),
            sum(receipt.bytes for receipt in committed),
            counts,
            dict(reasons.most_common()),
            counted,
            complete_through,
            training_data,
            tuple(payload_findings),
            sum(receipt.settled for receipt in committed),
            waiting,
            delivery,
            moved_from,
            late_objects,
        )

    @property
    def rows_by_finding(self) -> dict[str, int]:
        """``UNSEEN_CATEGORY Telephone`` → rows concerned; of a shifted distribution, all rows judged."""
        found = Counter[str]()
        for finding in self.payload_findings:
            found[f"{finding.code} {finding.column}"] += (
                finding.judged if finding.rows is None else finding.rows
            )
        return dict(found.most_common())

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; no payload value is among them."""
        through = self.complete_through
        judged = (
            {
                "training data": self.training_data.as_dict(),
                "payload against training data": self.rows_by_finding,
            }
            if self.training_data
            else {}
        )
        return {
            "subscription": self.subscription_id,
            "run": self.run_id,
            "window": [self.window.start.isoformat(), self.window.end.isoformat()],
            "batches": self.batches,
            "objects": self.objects,
            "bytes": self.bytes,
            **asdict(self.counts),
            "balanced": self.counts.balanced,
            "rejected by reason": self.reasons,
            "counted in the table": self.counted,
            "settled halves": self.settled,
            "waiting halves": self.waiting,
            "complete through": through.isoformat() if through else None,
            **judged,
            **({"delivery": self.delivery.as_dict()} if self.delivery else {}),
        }

    def as_text(self) -> str:
        """The receipt as a small table for a terminal or a log."""
        counts = self.counts
        lines = [
            f"{self.subscription_id}  {self.window}",
            f"  {self.objects:,} objects in {self.batches:,} batches, {self.bytes / 1e6:,.1f} MB",
            f"  read       {counts.read:>12,}",
        ]
        for fate in ("loaded", "duplicate", "rejected", "filtered", "pending"):
            if (rows := getattr(counts, fate)) or fate in ("loaded", "rejected"):
                lines.append(f"  {fate:<10} {rows:>12,}")
        lines += [f"    {reason:<24} {rows:>8,}" for reason, rows in self.reasons.items()]
        if self.settled or self.waiting:
            lines.append(f"  {self.settled:,} halves of pairs settled, {self.waiting:,} wait")
        verdict = "balanced" if counts.balanced else "NOT BALANCED"
        lines.append(f"  {verdict}; {self.counted:,} rows counted in the table")
        if self.complete_through:
            lines.append(f"  complete through {self.complete_through:%Y-%m-%d %H:%M} UTC")
        if self.delivery:
            lines.append(f"  delivered: {self.delivery.as_text()}")
        if self.training_data:
            lines.append(f"  training data {self.training_data.as_text()}")
        lines += [f"    {finding:<24} {rows:>8,} rows" for finding, rows in self.rows_by_finding.items()]
        return "\n".join(lines)
