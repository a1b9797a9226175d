"""``paylog status``: how complete the data mart is."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paylog.cli.answer import moment, print_json, print_table
from paylog.cli.choice import DEFAULT_FOLDER, Folder, Json, SubscriptionIds, find_subscriptions
from paylog.cli.exit_code import reported

if TYPE_CHECKING:
    from paylog.data_mart import Watermark
    from paylog.data_mart.backfills import RunState
    from paylog.data_mart.deliveries import DeliveryCounts
    from paylog.data_mart.expiry import Waiting
    from paylog.records import Receipt
    from paylog.subscription import Subscription
    from paylog.training_status import TrainingStatus

_SECONDS_BETWEEN_LOOKS = 2.0


@dataclass(frozen=True)
class Status:
    """What the data mart says of a subscription; nothing at all before its first run."""

    subscription_id: str
    watermark: Watermark | None
    receipts: list[Receipt]
    quarantine: dict[str, int]
    training_data: TrainingStatus | None = None
    waiting: Waiting | None = None
    delivery: DeliveryCounts | None = None
    unfinished: tuple[RunState, ...] = ()

    @classmethod
    def of(cls, subscription: Subscription, receipts: int) -> Status:
        from paylog.pipeline import open_for_reading
        from paylog.training_status import TrainingStatus

        with open_for_reading(subscription) as data_mart:
            if not data_mart.is_set_up():
                return cls(subscription.id, None, [], {})
            rejects = {str(reason): n for reason, n in data_mart.quarantine_counts(subscription.id).items()}
            return cls(
                subscription.id,
                data_mart.watermark(subscription.id),
                data_mart.receipts(subscription.id, limit=receipts),
                rejects,
                TrainingStatus.of(subscription, data_mart),
                data_mart.pending(subscription.id),
                data_mart.delivery.counts(subscription.id) if subscription.deliver else None,
                tuple(data_mart.backfills.unfinished(subscription.id)),
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        known = self.watermark
        return {
            "subscription": self.subscription_id,
            "complete_through": known.complete_through.isoformat() if known else None,
            "late_objects": known.late_objects if known else 0,
            "quarantine": self.quarantine,
            "training_data": self.training_data.as_dict() if self.training_data else None,
            "pending": self.waiting.halves if self.waiting else 0,
            "delivery": self.delivery.as_dict() if self.delivery else None,
            "unfinished": [{"run": run.run_id, "progress": run.as_text()} for run in self.unfinished],
            "receipts": [asdict(receipt) for receipt in self.receipts],
        }


def status(
    subscription_ids: SubscriptionIds = None,
    receipts: Annotated[
        int, typer.Option("--receipts", min=1, max=1000, help="How many of the last batches to show.")
    ] = 5,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the runs that are under way until all have finished.")
    ] = False,
    folder: Folder = DEFAULT_FOLDER,
    as_json: Json = False,
) -> None:
    """Show the watermark, the last receipts, the quarantine by reason, and what is not delivered."""
    with reported(as_json):
        if watch:
            _watch(find_subscriptions(folder, subscription_ids))
        found = [Status.of(s, receipts) for s in find_subscriptions(folder, subscription_ids)]
        if as_json:
            print_json([each.as_dict() for each in found])
            return
        for number, each in enumerate(found):
            if number:
                typer.echo()
            _print(each)


def _watch(subscriptions: list[Subscription]) -> None:
    """A line whenever a run has come further, here or in Airflow."""
    from paylog.pipeline import open_data_mart

    said: list[str] = []
    while True:
        lines = []
        for subscription in subscriptions:
            with open_data_mart(subscription) as data_mart:
                known = data_mart.backfills.unfinished(subscription.id) if data_mart.is_set_up() else []
            lines += [f"{subscription.id}  {run.as_text()} ({run.run_id})" for run in known if run.active]
        for line in lines:
            if line not in said:
                typer.echo(line, err=True)
        if not lines:
            return
        said = lines
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _print(status: Status) -> None:
    known = status.watermark
    through = f"complete through {moment(known.complete_through)} UTC" if known else "no run has finished yet"
    late = f", {known.late_objects:,} late objects so far" if known and known.late_objects else ""
    typer.echo(f"{status.subscription_id}  {through}{late}")
    if status.receipts:
        counts = ["read", "loaded", "duplicate", "rejected", "filtered"]
        if any(r.counts.pending or r.settled for r in status.receipts):
            counts += ["pending", "settled"]
        rows = (
            (
                f"  {moment(r.window_start)} to {moment(r.window_end)}",
                r.batch_id,
                str(r.receipt_id),
                r.objects,
                *(r.settled if name == "settled" else getattr(r.counts, name) for name in counts),
                f"{r.seconds:,.1f}",
                r.state.replace("_", " "),
            )
            for r in status.receipts
        )
        right = ("receipt", "objects", *counts, "seconds")
        print_table(("  window", "batch", "receipt", "objects", *counts, "seconds", "state"), rows, right)
    for run in status.unfinished:
        typer.echo(f"  unfinished: {run.as_text()} ({run.run_id})")
    if status.waiting and status.waiting.since:
        since = moment(status.waiting.since)
        typer.echo(f"  pending: {status.waiting.halves:,} halves of pairs, the first since {since} UTC")
    if status.quarantine:
        reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in status.quarantine.items())
        typer.echo(f"  quarantine: {reasons}")
    if status.delivery:
        typer.echo(f"  delivered: {status.delivery.as_text()}")
    if status.training_data:
        typer.echo(f"  training data {status.training_data.as_text()}")
