"""Which window a run is about, whatever started it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from paylog.airflow.description import window_label
from paylog.airflow.window import Interval, SchedulePeriods, resolve_window
from paylog.errors import ConfigurationError
from paylog.layout import Window

NOW = datetime(2024, 3, 10, 12, 34, 56, tzinfo=UTC)


def day(number: int, month: int = 1) -> datetime:
    return datetime(2024, month, number, tzinfo=UTC)


@pytest.fixture(scope="module")
def daily() -> SchedulePeriods:
    return SchedulePeriods("0 0 * * *", "UTC")


def window(periods: SchedulePeriods, params: dict[str, Any] | None = None, **run: Any) -> Interval:
    given: dict[str, Any] = {"logical_date": None, "data_interval": None, "run_after": NOW, **run}
    return resolve_window(periods, params or {}, **given)


def test_a_scheduled_run_does_the_period_that_its_logical_date_starts(daily: SchedulePeriods) -> None:
    assert window(daily, logical_date=day(5), data_interval=(day(5), day(6))) == (day(5), day(6))


def test_a_manual_run_of_an_aligned_date_does_not_do_the_one_before(
    daily: SchedulePeriods,
) -> None:
    # What Airflow gives a run that is triggered by hand, and what a backfill that reprocesses it keeps.
    assert window(daily, logical_date=day(5), data_interval=(day(4), day(5))) == (day(5), day(6))


def test_a_manual_run_at_any_other_moment_does_the_last_closed_period(daily: SchedulePeriods) -> None:
    moment = day(5) + timedelta(hours=7, minutes=3)
    assert window(daily, logical_date=moment, data_interval=(day(4), day(5))) == (day(4), day(5))


def test_an_interval_given_with_the_trigger_is_done(daily: SchedulePeriods) -> None:
    asked = (day(1), day(9))
    assert window(daily, logical_date=day(5), data_interval=asked) == asked


def test_a_run_without_any_date_does_the_last_closed_period_before_its_own_date(
    daily: SchedulePeriods,
) -> None:
    assert window(daily) == (day(9, 3), day(10, 3))


def test_an_empty_interval_is_never_used(daily: SchedulePeriods) -> None:
    assert window(daily, data_interval=(day(5), day(5))) == (day(9, 3), day(10, 3))


def test_the_form_wins(daily: SchedulePeriods) -> None:
    params = {"window_start": "2024-01-02T00:00:00Z", "window_end": "2024-01-04T06:00:00+02:00"}
    expected = (day(2), day(4) + timedelta(hours=4))
    assert window(daily, params, logical_date=day(5), data_interval=(day(5), day(6))) == expected


def test_a_start_alone_goes_to_the_last_closed_period(daily: SchedulePeriods) -> None:
    assert window(daily, {"window_start": "2024-03-01T00:00:00Z"}) == (day(1, 3), day(10, 3))


def test_a_moment_without_a_zone_is_in_the_schedules() -> None:
    berlin = SchedulePeriods("0 0 * * *", "Europe/Berlin")
    params = {"window_start": "2024-07-01T00:00:00", "window_end": "2024-07-02T00:00:00"}
    start, end = window(berlin, params, zone="Europe/Berlin")
    assert (start, end) == (datetime(2024, 6, 30, 22, tzinfo=UTC), datetime(2024, 7, 1, 22, tzinfo=UTC))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"window_end": "2024-01-04T00:00:00Z"}, "no window start"),
        ({"window_start": "2024-01-04T00:00:00Z", "window_end": "2024-01-04T00:00:00Z"}, "window is empty"),
        ({"window_start": "yesterday", "window_end": "2024-01-04T00:00:00Z"}, "not a date-time"),
        ({"window_start": "2024-06-04T00:00:00Z"}, "window is empty"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(
    daily: SchedulePeriods, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        window(daily, params)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("cron", ["0 0 * * *", "0 * * * *", "30 2 * * *", "0 6 * * 1"])
@pytest.mark.parametrize("begin", [day(8, 3), day(30, 3), day(25, 10), day(1, 11)])
def test_consecutive_periods_leave_no_gap_when_clocks_change(cron: str, zone: str, begin: datetime) -> None:
    periods = SchedulePeriods(cron, zone)
    start, end = periods.closed_before(begin)
    for _ in range(80 if cron == "0 * * * *" else 5):
        following = periods.starting_at(end)
        assert following is not None
        assert following[0] == end
        assert following[1] > end
        assert periods.closed_before(end) == (start, end)
        # As scheduled, and as triggered by hand for the same logical date: one and the same window.
        for interval in ((end, following[1]), (start, end), None):
            assert window(periods, logical_date=end, data_interval=interval) == following
        start, end = following


def test_no_period_is_called_closed_before_it_ends() -> None:
    periods = SchedulePeriods("30 2 * * *", "Europe/Berlin")
    for minutes in range(0, 24 * 60, 7):
        moment = datetime(2024, 3, 31, tzinfo=UTC) + timedelta(minutes=minutes)
        start, end = periods.closed_before(moment)
        assert start < end <= moment


@pytest.mark.parametrize(
    ("start", "end", "label"),
    [
        (day(5), day(6), "2024-01-05"),
        (day(5), day(8), "2024-01-05 to 2024-01-07"),
        (day(5), day(5) + timedelta(hours=1), "2024-01-05 00:00 to 01:00 UTC"),
        (day(5) + timedelta(hours=23), day(6), "2024-01-05 23:00 to 2024-01-06 00:00 UTC"),
    ],
)
def test_a_window_is_said_shortly(start: datetime, end: datetime, label: str) -> None:
    assert window_label(Window(start, end)) == label
