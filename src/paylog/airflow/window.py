"""Which window of time a DAG run is about.

Airflow gives a run of logical date D the interval [D, next) when it is scheduled or backfilled, but
[previous, D) when it is triggered by hand, and a backfill that reprocesses a hand-triggered run keeps that
shifted interval. Read literally, one day would be loaded twice and its neighbour never. So the window
comes from the logical date wherever that is aligned with the schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from paylog.errors import ConfigurationError

Interval = tuple[datetime, datetime]
_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)


class SchedulePeriods:
    """The periods that a cron schedule cuts time into, daylight saving included, as Airflow cuts them."""

    def __init__(self, cron: str, zone: str) -> None:
        from airflow.timetables.interval import CronDataIntervalTimetable

        self._timetable = CronDataIntervalTimetable(cron, timezone=zone)

    def closed_before(self, moment: datetime) -> Interval:
        """The last whole period that ended at or before ``moment``."""
        end = self._boundary(moment)
        # Not the start that Airflow infers: it equals the end when clocks skip the scheduled hour.
        return self._boundary(end - _SECOND), end

    def starting_at(self, moment: datetime) -> Interval | None:
        """The period that starts exactly at ``moment``; None when none does."""
        from airflow.timetables.base import DataInterval, TimeRestriction

        info = self._timetable.next_dagrun_info(
            last_automated_data_interval=DataInterval(_pendulum(moment - _SECOND), _pendulum(moment)),
            restriction=TimeRestriction(earliest=None, latest=None, catchup=True),
        )
        if info is None or info.data_interval is None or _utc(info.data_interval.start) != moment:
            return None
        return _utc(info.data_interval.start), _utc(info.data_interval.end)

    def _boundary(self, moment: datetime) -> datetime:
        """The last boundary between periods at or before ``moment``."""
        probe = moment
        while True:
            found = _utc(self._timetable.infer_manual_data_interval(run_after=_pendulum(probe)).end)
            # Airflow gives a later one within the hour after a scheduled hour that clocks skipped.
            if found <= moment:
                return found
            probe -= _HOUR


def resolve_window(
    periods: SchedulePeriods,
    params: Mapping[str, Any],
    *,
    logical_date: datetime | None,
    data_interval: Interval | None,
    run_after: datetime,
    zone: str = "UTC",
) -> Interval:
    """The window of a run, UTC, half-open: what the form says, else the period the run stands for.

    :param params: ``window_start`` and ``window_end``, ISO 8601 or None; read in ``zone`` without an offset.
    :param run_after: the run's own date; it, not the clock, decides what "last closed period" is, so a
        retry hours later does the same window.

    Raises ``ConfigurationError`` when the form's window is incomplete, unreadable or empty.
    """
    asked = asked_window(params, periods, run_after, zone)
    if asked:
        return asked
    aligned = periods.starting_at(logical_date) if logical_date else None
    given = (_utc(data_interval[0]), _utc(data_interval[1])) if data_interval else None
    if logical_date and aligned and given in (None, periods.closed_before(logical_date)):
        return aligned
    if given and given[0] < given[1]:
        return given
    return aligned or periods.closed_before(run_after)


def asked_window(
    params: Mapping[str, Any], periods: SchedulePeriods, run_after: datetime, zone: str
) -> Interval | None:
    """What a trigger form says, None when it says nothing.

    :raises ConfigurationError: it is incomplete, unreadable or empty.
    """
    start = _moment(params.get("window_start"), "window_start", zone)
    end = _moment(params.get("window_end"), "window_end", zone)
    if start is None and end is None:
        return None
    if start is None:
        raise ConfigurationError("The trigger form has a window end but no window start: give the start too.")
    if end is None:
        end = max(periods.closed_before(run_after)[1], start)
    if start >= end:
        raise ConfigurationError(
            f"The window is empty: it starts at {start:%Y-%m-%d %H:%M} UTC and ends at "
            f"{end:%Y-%m-%d %H:%M} UTC. The end is exclusive and must come later."
        )
    return start, end


def _moment(value: Any, name: str, zone: str) -> datetime | None:
    if value in (None, ""):
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ConfigurationError(f"{name} is not a date-time: write it like 2024-01-19T00:00:00Z.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return moment.astimezone(UTC)


def _utc(moment: datetime) -> datetime:
    there = moment.astimezone(UTC)
    return datetime.combine(there.date(), there.time(), tzinfo=UTC)


def _pendulum(moment: datetime) -> Any:
    import pendulum

    return pendulum.instance(moment)
