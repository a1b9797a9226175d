"""How complete each day is: coverage, what was read and what failed, day by day (UTC)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from paylog.records import Counts

Interval = tuple[datetime, datetime]
_DAY = timedelta(days=1)


class DayState(StrEnum):
    """What is known of the logs of a day.

    ``empty``: covered, the engine wrote nothing. ``partial``: covered, or loaded, in part. ``failed``: not
    covered, and a batch or a run over it failed. ``early``: before the first window. ``future``: not due yet.
    """

    COMPLETE = "complete"
    EMPTY = "empty"
    PARTIAL = "partial"
    MISSING = "missing"
    FAILED = "failed"
    EARLY = "early"
    FUTURE = "future"


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day of a subscription."""

    day: date
    state: DayState
    objects: int = 0
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True)
class Calendar:
    """The days of a subscription.

    :param covered: windows that were loaded without a gap, in order.
    :param read: (objects, counts) of the days of which anything was read.
    :param failures: windows over which something failed, recovered since or not.
    :param since: the first moment of interest; None when nothing was ever run.
    :param due: the moment through which windows should be loaded by now.
    """

    covered: Sequence[Interval]
    read: dict[date, tuple[int, Counts]]
    failures: Sequence[Interval]
    since: datetime | None
    due: datetime

    def days(self, first: date, last: date) -> list[Day]:
        """Every day from ``first`` to ``last``, both included."""
        return [self._day(day) for day in _range(first, last)]

    def _day(self, day: date) -> Day:
        objects, counts = self.read.get(day, (0, Counts()))
        return Day(day, self._state(day, counts), objects, counts)

    def _state(self, day: date, counts: Counts) -> DayState:
        start, end = _span(day)
        begins = max(start, self._begin or end)
        due = min(end, self.due)
        loaded = overlap(self.covered, start, end)
        if loaded and loaded >= due - begins:
            return DayState.COMPLETE if counts.read else DayState.EMPTY
        if any(at < end and until > start for at, until in self.failures):
            return DayState.FAILED
        if loaded or counts.read:
            return DayState.PARTIAL
        if start >= self.due or due <= begins < end:
            return DayState.FUTURE
        return DayState.EARLY if begins >= end else DayState.MISSING

    @property
    def _begin(self) -> datetime | None:
        firsts = [at for at, _ in self.covered[:1]] + ([self.since] if self.since else [])
        return min(firsts, default=None)


def overlap(intervals: Iterable[Interval], start: datetime, end: datetime) -> timedelta:
    """How much of [start, end) is in the intervals, which do not overlap each other."""
    parts = (min(until, end) - max(at, start) for at, until in intervals if at < end and until > start)
    return sum(parts, timedelta())


def _span(day: date) -> Interval:
    start = datetime.combine(day, time(), tzinfo=UTC)
    return start, start + _DAY


def _range(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + number * _DAY
