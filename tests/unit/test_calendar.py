"""How complete a day is, from coverage, counts and failures."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from paylog.calendar import Calendar, DayState, Interval, overlap
from paylog.records import Counts

FIRST = datetime(2024, 3, 4, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
READ = (3, Counts(read=10, loaded=9, rejected=1))


def calendar(
    *covered: Interval,
    read: tuple[int, ...] = (),
    failures: tuple[Interval, ...] = (),
    since: datetime | None = FIRST,
    due: datetime = FIRST + 10 * DAY,
) -> Calendar:
    """:param read: days, from the first one on, of which something was read."""
    return Calendar(covered, {(FIRST + n * DAY).date(): READ for n in read}, failures, since, due)


def state(found: Calendar, number: int = 0) -> DayState:
    (day,) = found.days((FIRST + number * DAY).date(), (FIRST + number * DAY).date())
    return day.state


def test_a_covered_day_is_complete_or_empty() -> None:
    found = calendar((FIRST, FIRST + 2 * DAY), read=(0,))
    assert (state(found, 0), state(found, 1), state(found, 2)) == (
        DayState.COMPLETE,
        DayState.EMPTY,
        DayState.MISSING,
    )


def test_a_day_covered_hour_by_hour_is_complete() -> None:
    hours = [(FIRST + n * HOUR, FIRST + (n + 1) * HOUR) for n in range(24)]
    assert state(calendar(*hours, read=(0,))) == DayState.COMPLETE
    assert state(calendar(*hours[:11], *hours[12:], read=(0,))) == DayState.PARTIAL


def test_rows_without_coverage_are_a_part() -> None:
    assert state(calendar(read=(0,))) == DayState.PARTIAL


def test_a_failure_counts_until_the_day_is_covered() -> None:
    failed = (FIRST + 9 * HOUR, FIRST + 10 * HOUR)
    assert state(calendar(failures=(failed,))) == DayState.FAILED
    gap = ((FIRST, failed[0]), (failed[1], FIRST + DAY))
    assert state(calendar(*gap, read=(0,), failures=(failed,))) == DayState.FAILED
    assert state(calendar((FIRST, FIRST + DAY), read=(0,), failures=(failed,))) == DayState.COMPLETE
    assert state(calendar((FIRST, FIRST + DAY), failures=(failed,)), 1) == DayState.MISSING
    assert state(calendar(failures=(failed,), since=FIRST + DAY)) == DayState.FAILED


def test_today_is_complete_through_what_is_due() -> None:
    due = FIRST + 9 * HOUR
    assert state(calendar((FIRST, due), read=(0,), due=due)) == DayState.COMPLETE
    assert state(calendar((FIRST, due - HOUR), read=(0,), due=due)) == DayState.PARTIAL
    assert state(calendar((FIRST - DAY, FIRST), due=due - 9 * HOUR)) == DayState.FUTURE
    assert state(calendar((FIRST - DAY, FIRST), due=due)) == DayState.MISSING


def test_what_is_before_the_first_window_is_early_unless_it_was_backfilled() -> None:
    found = calendar((FIRST + 2 * DAY, FIRST + 3 * DAY), since=FIRST + DAY)
    assert (state(found, 0), state(found, 1)) == (DayState.EARLY, DayState.MISSING)
    backfilled = calendar((FIRST - 3 * DAY, FIRST - 2 * DAY), (FIRST, FIRST + DAY))
    assert (state(backfilled, -3), state(backfilled, -2)) == (DayState.EMPTY, DayState.MISSING)


def test_a_first_window_in_the_middle_of_a_day_makes_it_complete() -> None:
    start = FIRST + 6 * HOUR
    assert state(calendar((start, FIRST + DAY), read=(0,), since=start)) == DayState.COMPLETE


def test_a_subscription_that_never_ran_has_no_past() -> None:
    found = Calendar((), {}, (), None, FIRST)
    assert {day.state for day in found.days(date(2024, 3, 1), date(2024, 3, 3))} == {DayState.EARLY}


def test_every_day_of_a_range_is_given_once() -> None:
    days = calendar().days(date(2024, 2, 27), date(2024, 3, 2))
    assert [day.day.day for day in days] == [27, 28, 29, 1, 2]


@pytest.mark.parametrize(
    ("start", "end", "hours"), [(0, 24, 3), (1, 2, 1), (2, 4, 0), (5, 30, 1), (-9, -1, 0)]
)
def test_overlap_is_the_sum_of_the_parts(start: int, end: int, hours: int) -> None:
    intervals = [(FIRST, FIRST + 2 * HOUR), (FIRST + 5 * HOUR, FIRST + 6 * HOUR)]
    assert overlap(intervals, FIRST + start * HOUR, FIRST + end * HOUR) == hours * HOUR
