"""Retract: take back a batch, a run or a window, as if it had never been loaded.

What was taken back may be loaded again by a later run over its window: it is an undo, not a ban.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from paylog.errors import ConfigurationError
from paylog.layout import Layout, Window
from paylog.object_ingest import ObjectIngest, unwatched
from paylog.pipeline import Workbench, open_data_mart

if TYPE_CHECKING:
    from paylog.data_mart.retracted_rows import Extent
    from paylog.data_mart.retractions import Retractions, StandingEntry
    from paylog.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Selection:
    """What is taken back: exactly one of these.

    :param batch: number of the batch's receipt.
    :param run: id of a run, a replay's too.
    :param window: objects of this time, whichever runs loaded them; one whose path has no time is of the
        window of the batch that loaded it.
    """

    batch: int | None = None
    run: str | None = None
    window: Window | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        if self.window:
            return {"window": [self.window.start.isoformat(), self.window.end.isoformat()]}
        return {"batch": self.batch} if self.run is None else {"run": self.run}

    def entries(self, subscription: Subscription, ledger: Retractions) -> list[StandingEntry]:
        """What stands of it."""
        found = ledger.standing(subscription.id, receipt_id=self.batch, run_id=self.run)
        if self.window is None:
            return list(found)
        layout, asked = Layout(subscription.layout), self.window
        times = ((entry, _time(entry, layout)) for entry in found)
        return [entry for entry, (start, end) in times if start < asked.end and end > asked.start]


@dataclass(frozen=True, slots=True)
class Retracted:
    """What went, or would go.

    :param runs: that had loaded it.
    """

    subscription_id: str
    selection: Selection
    extent: Extent
    runs: tuple[str, ...]
    done: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; no payload value is among them."""
        document = {"subscription": self.subscription_id, "done": self.done, **self.selection.as_dict()}
        return {**document, "runs": list(self.runs), **asdict(self.extent)}

    def lines(self) -> Iterator[str]:
        """For a terminal or a log."""
        counts = self.extent
        yield f"{self.subscription_id}  {'taken back' if self.done else 'would be taken back'}:"
        plural = "" if counts.objects == 1 else "s"
        yield f"  {counts.rows:,} payload records of {counts.objects:,} object{plural}"
        others = f"{counts.rows_of_others:,} of them of other objects, which hold the other halves"
        texts = {
            others: counts.rows_of_others,
            f"{counts.rejected:,} rejected rows in quarantine": counts.rejected,
            f"{counts.waiting:,} halves of pairs that wait": counts.waiting,
            f"{counts.reopened:,} records in quarantine open again, since their replay goes": counts.reopened,
            f"{counts.delivered:,} of the rows were delivered: the service still has them": counts.delivered,
        }
        yield from (f"  {text}" for text, number in texts.items() if number)


def preview(subscription: Subscription, selection: Selection) -> Retracted:
    """What ``retract`` would take back now. Changes nothing.

    :raises ConfigurationError: there is nothing of it.
    """
    with open_data_mart(subscription) as data_mart:
        found = _found(subscription, selection, data_mart.retractions)
        return _retracted(
            subscription, selection, found, data_mart.retractions.preview(subscription, _by_uri(found))
        )


def retract(subscription: Subscription, selection: Selection, *, actor: str, reason: str) -> Retracted:
    """Take it back in one transaction, and note who did it and why.

    :raises ConfigurationError: there is nothing of it.
    :raises RetriableError: a passing fault; nothing was taken back.
    """
    from paylog.data_mart.retraction import RETRACT_BATCH, Order, Retraction

    now = datetime.now(UTC)
    with Workbench(subscription) as tools:
        tools.data_mart.setup()
        found = _found(subscription, selection, tools.data_mart.retractions)
        windows = _windows(subscription, selection, found)
        order = Order(actor, reason, selection.as_dict(), windows)
        span = (min(start for start, _ in windows), max(end for _, end in windows)) if windows else (now, now)
        with tools.data_mart.loading(
            Retraction,
            subscription,
            RETRACT_BATCH,
            f"retract__{now.isoformat()}",
            span,
            normalize=tools.decoder.pairs,
        ) as load:
            extent = load.take_back(_by_uri(found), order)
            source = ObjectIngest(tools.storage, tools.decoder, load, unwatched)
            for freed in load.freed():
                source.supply(freed, tools.storage.uri(""))
            load.receipt()
    return _retracted(subscription, selection, found, extent, done=True)


def _found(subscription: Subscription, selection: Selection, ledger: Retractions) -> list[StandingEntry]:
    found = selection.entries(subscription, ledger)
    if not found:
        asked = ", ".join(f"{name} {value}" for name, value in selection.as_dict().items())
        raise ConfigurationError(
            f"{subscription.id}: nothing of {asked} is in the data mart. 'paylog status {subscription.id}' "
            "shows batches and runs."
        )
    return found


def _retracted(
    subscription: Subscription,
    selection: Selection,
    found: list[StandingEntry],
    extent: Extent,
    *,
    done: bool = False,
) -> Retracted:
    runs = tuple(dict.fromkeys(entry.run_id for entry in found))
    return Retracted(subscription.id, selection, extent, runs, done)


def _windows(
    subscription: Subscription, selection: Selection, found: list[StandingEntry]
) -> list[tuple[datetime, datetime]]:
    """What is no longer complete: the window, or the folders of the objects, or their batches' windows."""
    if selection.window is not None:
        return [(selection.window.start, selection.window.end)]
    layout = Layout(subscription.layout)
    return sorted({_time(entry, layout) for entry in found if entry.state != "replayed"})


def _time(entry: StandingEntry, layout: Layout) -> tuple[datetime, datetime]:
    """Of the folder that an object lies in; else the window that its batch was planned for."""
    period = layout.period_of(entry.uri)
    return (period.start, period.end) if period else entry.window


def _by_uri(found: list[StandingEntry]) -> dict[str, list[int]]:
    chosen: dict[str, list[int]] = {}
    for entry in found:
        chosen.setdefault(entry.uri, []).append(entry.object_id)
    return chosen
