"""What a run would do, without doing it: the plan, an estimate, and what a sample of the records becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paylog.forecast import Forecast, duration
from paylog.pipeline import open_data_mart, open_payloads, open_storage
from paylog.sampling import SAMPLED_OBJECTS, Sample, sample

if TYPE_CHECKING:
    from paylog.plan import Plan
    from paylog.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Preview:
    """A plan and what can be said of it beforehand. Holds no payload value.

    :param sample: None when none was wanted.
    :param budget: most rejects that the subscription allows, a share of a batch; None: any.
    """

    plan: Plan
    forecast: Forecast
    sample: Sample | None
    budget: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        planned, taken = self.plan, self.sample
        return {
            "subscription": planned.subscription_id,
            "window": [planned.window.start.isoformat(), planned.window.end.isoformat()],
            "objects": planned.objects,
            "bytes": planned.bytes,
            "new": planned.new,
            "changed": planned.changed,
            "growing": planned.growing,
            "again": planned.again,
            "already_loaded": planned.already_loaded,
            "too_young": planned.too_young,
            "late": planned.late,
            "forgotten": planned.forgotten,
            "estimate": {
                "records": self.forecast.records,
                "seconds": round(self.forecast.seconds, 1),
                "basis": self.forecast.basis,
            },
            "sample": taken
            and {
                "objects": taken.objects,
                "records": taken.records,
                "rejected": taken.rejected,
                "reasons": dict(taken.reasons.most_common()),
            },
            "batches": [
                {"batch": b.batch_id, "label": b.label, "objects": len(b.objects), "bytes": b.bytes}
                for b in planned.batches
            ],
        }

    def estimate(self) -> str:
        """``about 36,500 records in 4 s``."""
        return f"about {self.forecast.records:,} records in {duration(self.forecast.seconds)}"

    def verdict(self) -> list[str]:
        """What the sample says, one sentence a line."""
        taken = self.sample
        if taken is None:
            return []
        if not taken.records:
            return ["sample: no record found in it"]
        head = f"sample: {taken.records:,} records of {taken.objects:,} objects"
        if not taken.rejected:
            return [f"{head}, none rejected"]
        over = self.budget is not None and taken.share_rejected > self.budget
        budget = f", over the error budget of {self.budget:.1%}: batches like it are refused" if over else ""
        counted = taken.reasons.most_common()
        reasons = [f"  {rows / taken.records:.1%} {reason} ({rows:,})" for reason, rows in counted]
        return [f"{head}, {taken.share_rejected:.1%} rejected{budget}", *reasons]


def preview(
    subscription: Subscription, planned: Plan, workers: int, sampled: int = SAMPLED_OBJECTS
) -> Preview:
    """Estimate a plan, and look into some of its objects. Changes nothing.

    :param workers: that would load at the same time.
    :param sampled: objects to look into; 0: none.
    """
    from paylog.decode import Decoder

    taken = None
    if sampled and planned.batches:
        decoder = Decoder(subscription, payload=open_payloads(subscription))
        taken = sample(open_storage(subscription), decoder, planned, sampled)
    with open_data_mart(subscription) as data_mart:
        pace = data_mart.backfills.pace(subscription.id) if data_mart.is_set_up() else None
    forecast = Forecast.of(planned, pace, taken, workers)
    return Preview(planned, forecast, taken, subscription.error_budget.share)
