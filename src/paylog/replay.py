"""Replay: records in quarantine once more through decode → normalize → load, after what was wrong is mended.

A replay reads single records, not objects: by the bytes that quarantine keeps, or out of their object where
a record does not say all (a row of a CSV or Parquet table, a line that was too long). The ids are those
that a clean load would have given. Each piece is one transaction with a receipt of its own.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from paylog.layout import Layout, Window
from paylog.object_ingest import Progress, unwatched
from paylog.pipeline import Workbench, hold_against_table
from paylog.run_receipt import RunReceipt
from paylog.training_status import TrainingStatus, judge, require

if TYPE_CHECKING:
    from paylog.data_mart.replays import Waiting
    from paylog.errors import Reason
    from paylog.record_replay import LeftOpen
    from paylog.records import Receipt
    from paylog.subscription import Subscription

PIECE_RECORDS = 5_000
PIECE_BYTES = 32_000_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records are replayed.

    :param reason: only those with this reason.
    :param window: only those of objects of this time.
    """

    reason: Reason | None = None
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class ReplayReceipt:
    """What became of the records of a replay.

    :param replayed: rows that were rejected before and have been tried again.
    :param left: records that could not be tried, by why.
    """

    receipt: RunReceipt
    replayed: int = 0
    left: dict[LeftOpen, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; no payload value is among them."""
        return {**self.receipt.as_dict(), "replayed": self.replayed, "left open": dict(self.left)}

    def as_text(self) -> str:
        """For a terminal or a log."""
        lines = [self.receipt.as_text(), f"  {self.replayed:,} rows of the quarantine were tried again"]
        lines += [f"  {records:,} records {why}" for why, records in self.left.items()]
        return "\n".join(lines)


def replay(
    subscription: Subscription,
    run_id: str,
    selection: Selection | None = None,
    progress: Progress | None = None,
) -> ReplayReceipt:
    """Load what is open in quarantine again. Twice is as good as once; a crash leaves whole pieces.

    :raises ErrorBudgetExceeded: far more rows were rejected than before; nothing of the piece was kept.
    :raises PayloadRefused: a piece is not like the training data and the gate is shut.
    :raises RequirementUnmet: the subscription wants nothing loaded while its training data is as it is.
    :raises RetriableError: a passing fault; what was committed stays, run it again.
    """
    left: Counter[LeftOpen] = Counter()
    done: list[Receipt] = []
    layout = Layout(subscription.layout)
    with Workbench(subscription) as tools:
        require(subscription, TrainingStatus.of(subscription, tools.data_mart))
        chosen = selection or Selection()
        waiting = tools.data_mart.replays.waiting(subscription.id, chosen.reason)
        if chosen.window is not None:
            asked = chosen.window
            waiting = (record for record in waiting if layout.covers(record.uri, asked))
        # All of them first: no transaction stays open while they are loaded.
        for number, piece in enumerate(list(_pieces(waiting))):
            receipt = _replay_piece(subscription, tools, f"{number:04d}", run_id, piece, left, progress)
            if receipt.objects:
                done.append(receipt)
        counted = hold_against_table(subscription, run_id, tools.data_mart)
        now = datetime.now(UTC)
        window = chosen.window or Window(*_span(done, (now, now)))
        return ReplayReceipt(
            RunReceipt.of(
                subscription.id,
                run_id,
                window,
                tools.data_mart.receipts(subscription.id, run_id=run_id, limit=None),
                counted=sum(count.stored or 0 for count in counted),
                waiting=tools.data_mart.pending(subscription.id).halves,
            ),
            sum(receipt.replayed for receipt in done),
            dict(left),
        )


def _replay_piece(
    subscription: Subscription,
    tools: Workbench,
    batch_id: str,
    run_id: str,
    piece: _Piece,
    left: Counter[LeftOpen],
    progress: Progress | None,
) -> Receipt:
    """One transaction. Its receipt is not kept where none of the records could be tried."""
    from paylog.data_mart.replay_load import ReplayLoad
    from paylog.record_replay import RecordReplay

    training = TrainingStatus.of(subscription, tools.data_mart)
    judged = judge(subscription, tools.data_mart, training)
    span = _times(piece.uris, Layout(subscription.layout))
    with tools.data_mart.loading(
        ReplayLoad, subscription, batch_id, run_id, span, judged, tools.decoder.pairs
    ) as load:
        reading = RecordReplay(tools.storage, tools.decoder, load, progress or unwatched)
        reading.replay(load.take(piece.quarantine_ids))
        left.update(reading.left)
        return load.receipt()


@dataclass(slots=True)
class _Piece:
    """Some records in quarantine, by no more than their ids: there may be millions."""

    quarantine_ids: array[int] = field(default_factory=lambda: array("q"))
    uris: set[str] = field(default_factory=set)
    bytes: int = 0

    def has_room(self, record: Waiting) -> bool:
        few = len(self.quarantine_ids) < PIECE_RECORDS
        return not self.quarantine_ids or (few and self.bytes + record.bytes <= PIECE_BYTES)

    def add(self, record: Waiting) -> None:
        self.quarantine_ids.append(record.quarantine_id)
        self.uris.add(record.uri)
        self.bytes += record.bytes


def _pieces(waiting: Iterable[Waiting]) -> Iterator[_Piece]:
    piece = _Piece()
    for record in waiting:
        if not piece.has_room(record):
            yield piece
            piece = _Piece()
        piece.add(record)
    if piece.quarantine_ids:
        yield piece


def _times(uris: Iterable[str], layout: Layout) -> tuple[datetime, datetime]:
    """From when to when objects are."""
    periods = [period for uri in uris if (period := layout.period_of(uri))]
    now = datetime.now(UTC)
    if not periods:
        return now, now
    return min(period.start for period in periods), max(period.end for period in periods)


def _span(done: Iterable[Receipt], otherwise: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    windows = [(receipt.window_start, receipt.window_end) for receipt in done]
    return (min(s for s, _ in windows), max(e for _, e in windows)) if windows else otherwise
