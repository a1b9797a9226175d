"""The upkeep of a subscription's data mart: what its retention says is due, and doing it.

Partitions of the months to come are made ahead; months, rejects, ledger entries and receipts that are too
old go. What is dropped does not come back: the marks of ``data_mart/retention.py`` are moved first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from paylog.data_mart.maintenance import Cleared, Cutoffs
from paylog.data_mart.retention import Marks, month_of
from paylog.errors import RetriableError
from paylog.subscription.quantities import format_size
from paylog.subscription.retention import OldPartitions, Retention

if TYPE_CHECKING:
    from paylog.data_mart import DataMart
    from paylog.data_mart.partitions import Partition
    from paylog.subscription import Subscription

log = logging.getLogger(__name__)

MONTHS_AHEAD = 2
_RUN = "maintenance"


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the data mart holds of a subscription; ``control_bytes`` is of the whole schema.

    :param rows: PostgreSQL's estimate.
    """

    partitions: int
    rows: int
    table_bytes: int
    index_bytes: int
    detached_bytes: int
    control_bytes: int


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What is due, or was done.

    :param made: months to come that get a partition, like ``2026-11``.
    :param removed: partitions that are too old.
    :param left: old partitions that could not go now, and why.
    :param expired: halves of pairs that waited too long.
    """

    subscription_id: str
    applied: bool
    made: tuple[str, ...]
    removed: tuple[str, ...]
    action: str
    left: str | None
    retained_from: datetime | None
    expired: int
    cleared: Cleared
    sizes: Sizes

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        since = self.retained_from
        return asdict(self) | {"retained_from": since.isoformat() if since else None}

    def as_text(self) -> str:
        """``2 partitions made, 1 dropped, 40 rejects removed; table 1.2 GB, indexes 0.3 GB in 14 months``."""
        gone = "detached" if self.action == OldPartitions.DETACH else "dropped"
        counts = {
            "partitions made": len(self.made),
            f"partitions {gone}": len(self.removed),
            "halves given up": self.expired,
            "rejects removed": self.cleared.rejects,
            "ledger entries removed": self.cleared.objects,
            "receipts removed": self.cleared.receipts,
            "planned batches removed": self.cleared.batches,
        }
        done = ", ".join(f"{number:,} {what}" for what, number in counts.items() if number) or "nothing to do"
        held = f"; {self.left}" if self.left else ""
        sizes = self.sizes
        table, indexes = format_size(sizes.table_bytes), format_size(sizes.index_bytes)
        return f"{done}{held}; table {table}, indexes {indexes} in {sizes.partitions} months"


def maintain(subscription: Subscription, *, apply: bool, now: datetime | None = None) -> Upkeep:
    """Look what is due, and do it if ``apply``. Safe beside loads, and to repeat after an interruption.

    :raises RetriableError: another maintenance of the subscription is at work.
    """
    from paylog.pipeline import open_data_mart

    with open_data_mart(subscription) as data_mart:
        if apply:
            data_mart.setup()
            data_mart.ensure(subscription)
        return _Round(subscription, data_mart, now or datetime.now(UTC)).done(apply)


def prepare_months(subscription: Subscription, data_mart: DataMart, now: datetime | None = None) -> None:
    """Make the partitions of this month and of those to come."""
    data_mart.make_partitions(subscription, months_ahead(now or datetime.now(UTC)))


def months_ahead(now: datetime) -> list[np.datetime64]:
    """This month and those to come that shall have a partition (``datetime64[M]``)."""
    first = np.datetime64(f"{now.astimezone(UTC):%Y-%m}", "M")
    return [first + np.timedelta64(n, "M") for n in range(MONTHS_AHEAD + 1)]


class _Round:
    """One look at one subscription."""

    def __init__(self, subscription: Subscription, data_mart: DataMart, now: datetime) -> None:
        self._subscription = subscription
        self._id = subscription.id
        self._mart = data_mart
        self._upkeep = data_mart.maintenance
        self._policy = subscription.retention or Retention()
        self._now = now
        cutoff = {
            name: now - age for name in ("quarantine", "ledger") if (age := getattr(self._policy, name))
        }
        self._cutoffs = Cutoffs(**cutoff)
        self._months = months_ahead(now)

    def done(self, apply: bool) -> Upkeep:
        if not self._mart.is_set_up():
            return self._result(apply, [], [], None, Marks(), 0, Cleared(), [])
        present = self._upkeep.partitions(self._id)
        since, left = self._retained_from()
        old = [each for each in present if since and each.month < since and self._goes(each)]
        missing = self._missing(present)
        overdue = self._now - self._subscription.logs.pending
        expired = self._upkeep.overdue_halves(self._id, overdue)
        marks = self._upkeep.marks(self._id)
        if not apply:
            marks = Marks(max(filter(None, (since, marks.retained_from)), default=None))
            cleared = self._upkeep.due(self._id, self._cutoffs, marks.retained_from)
            return self._result(apply, missing, old, left, marks, expired, cleared, present)
        with self._upkeep.exclusive(self._id) as link:
            self._mart.make_partitions(self._subscription, self._months)
            if since:
                marks = self._upkeep.retain(self._id, since)
            removed = []
            for partition in old:
                try:
                    self._upkeep.remove(
                        link, self._id, partition, drop=self._policy.action is OldPartitions.DROP
                    )
                except RetriableError as error:
                    left = f"{partition.name} stays for now: {error}"
                    log.warning("%s", left)
                    break
                removed.append(partition)
            if expired:
                self._mart.expire_pending(self._subscription, _RUN, (overdue, self._now))
            cleared = self._upkeep.clear(self._id, self._cutoffs, marks.retained_from)
        after = self._upkeep.partitions(self._id)
        return self._result(apply, missing, removed, left, marks, expired, cleared, after)

    def _retained_from(self) -> tuple[datetime | None, str | None]:
        """The start of the first month to keep; why it is not later, if something holds it back."""
        if self._policy.payload is None:
            return None, None
        since = month_of(self._now - self._policy.payload)
        if self._subscription.deliver is not None:
            waiting = self._upkeep.undelivered_since(self._id)
            if waiting is not None and waiting < since:
                kept = month_of(waiting)
                return kept, f"rows from {waiting:%Y-%m-%d} on are not delivered yet: older months stay"
        return since, None

    def _goes(self, partition: Partition) -> bool:
        """A detached partition stays, unless it was about to be dropped."""
        return partition.attached or (partition.condemned and self._policy.action is OldPartitions.DROP)

    def _missing(self, present: Sequence[Partition]) -> list[str]:
        known = {f"{each.month:%Y-%m}" for each in present if each.attached}
        return [str(month) for month in self._months if str(month) not in known]

    def _result(
        self,
        apply: bool,
        made: Sequence[str],
        removed: Sequence[Partition],
        left: str | None,
        marks: Marks,
        expired: int,
        cleared: Cleared,
        partitions: Sequence[Partition],
    ) -> Upkeep:
        attached = [each for each in partitions if each.attached]
        sizes = Sizes(
            len(attached),
            sum(each.rows for each in attached),
            sum(each.table_bytes for each in attached),
            sum(each.index_bytes for each in attached),
            sum(each.table_bytes + each.index_bytes for each in partitions if not each.attached),
            self._upkeep.control_bytes(),
        )
        return Upkeep(
            self._id,
            apply,
            tuple(made),
            tuple(each.name for each in removed),
            self._policy.action.value,
            left,
            marks.retained_from,
            expired,
            cleared,
            sizes,
        )
