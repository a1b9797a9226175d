"""What the page says, as JSON: no value of a payload record is in it, except in :func:`raw_record`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from paylog.airflow.dag import dag_id
from paylog.airflow.page import runs
from paylog.airflow.replay import replay_dag_id
from paylog.airflow.training_data import training_data_dag_id
from paylog.airflow.window import SchedulePeriods
from paylog.calendar import Calendar, DayState, Interval
from paylog.data_mart import DataMart
from paylog.data_mart.overview import Activity, Coverage, FailedBatch
from paylog.errors import PaylogError, Reason
from paylog.layout import Layout
from paylog.records import Counts
from paylog.subscription import Subscription
from paylog.training_status import TrainingStatus

GRACE = timedelta(minutes=30)
STRIP_DAYS = 30
_RAW_SHOWN = 65_536
_RECORDS, _RECEIPTS = 50, 12


@dataclass(frozen=True, slots=True)
class Failure:
    """A window over which a batch was rolled back, with its rejects by reason, or a run failed."""

    start: datetime
    end: datetime
    run_id: str
    state: str
    reasons: dict[str, int]


def due(subscription: Subscription, now: datetime) -> datetime:
    """Through when the logs should be loaded by now: the last closed window, after a while to load it."""
    schedule = subscription.schedule
    periods = SchedulePeriods(schedule.cron, schedule.timezone)
    return periods.closed_before(now - subscription.logs.settle - GRACE)[1]


def cards(subscriptions: Sequence[Subscription], mart: DataMart, now: datetime) -> list[dict[str, Any]]:
    """The subscriptions of one data mart on the overview of all."""
    names = [each.id for each in subscriptions]
    coverage = mart.overview.coverage(names)
    activity = mart.overview.activity(names, now - timedelta(days=1))
    alerts = mart.alerts.open_counts(names)
    return [
        _card(s, mart, coverage.get(s.id), activity.get(s.id, Activity()), alerts.get(s.id, 0), now)
        for s in subscriptions
    ]


def _card(
    subscription: Subscription,
    mart: DataMart,
    coverage: Coverage | None,
    activity: Activity,
    alerts: int,
    now: datetime,
) -> dict[str, Any]:
    first = now.date() - timedelta(days=STRIP_DAYS - 1)
    failures = _failures(subscription, mart, datetime.combine(first, time.min, UTC))
    calendar = _calendar(subscription, coverage, {}, failures, now)
    strip = calendar.days(first, now.date())
    training = TrainingStatus.of(subscription, mart)
    return {
        **_identity(subscription),
        **_watermark(coverage, calendar.due),
        # Nothing was counted for it: whether a covered day was empty is not known.
        "strip": [[day.day, "complete" if day.state is DayState.EMPTY else day.state] for day in strip],
        "activity": asdict(activity),
        "alerts": alerts,
        "training": training.state if training else None,
    }


def broken_card(subscription: Subscription, error: PaylogError | None) -> dict[str, Any]:
    """A subscription whose data mart cannot be read, or that never ran (no error)."""
    state = "unreadable" if error else "new"
    return {**_identity(subscription), "state": state, "error": str(error) if error else None}


def summary(subscription: Subscription, mart: DataMart, now: datetime, *, values: bool) -> dict[str, Any]:
    """Everything of a subscription's page but its calendar."""
    name, overview = subscription.id, mart.overview
    coverage = overview.coverage([name]).get(name)
    activity = overview.activity([name], now - timedelta(days=1)).get(name, Activity())
    budget = subscription.error_budget
    return {
        **_identity(subscription),
        **_watermark(coverage, due(subscription, now)),
        "activity": asdict(activity),
        "budget": {"share": budget.share, "count": budget.count},
        "waiting": overview.waiting(name),
        "rejects": [asdict(each) for each in overview.rejects(name)],
        "training": _training(subscription, mart),
        "delivery": mart.delivery.counts(name).as_dict() if subscription.deliver else None,
        "alerts": [_alert(alert) for alert in mart.alerts.open(name)],
        "running": _running(subscription, mart),
        "runs": [asdict(run) for run in runs.newest(dag_id(name))],
        "values": values,
    }


def days(
    subscription: Subscription, mart: DataMart, first: date, last: date, now: datetime
) -> dict[str, Any]:
    """The calendar from ``first`` to ``last``, each failure with the DAG that its run is of, if one.

    Totals are those of all time.
    """
    name = subscription.id
    read = {each.day: (each.objects, each.counts) for each in mart.overview.days(name)}
    coverage = mart.overview.coverage([name]).get(name)
    failures = _failures(subscription, mart)
    calendar = _calendar(subscription, coverage, read, failures, now)
    seen = [*read, *(failure.start.date() for failure in failures)]
    known = [*seen, *([coverage.since.date()] if coverage else [])]
    dags = runs.dags_of(_loading_dags(subscription), {failure.run_id for failure in failures})
    total = Counts()
    for _, counts in read.values():
        total += counts
    return {
        "first": first,
        "last": last,
        "earliest": min(known, default=now.date()),
        "latest": max(seen, default=None),
        "total": asdict(total) | {"objects": sum(objects for objects, _ in read.values())},
        "failures": [asdict(failure) | {"dag": dags.get(failure.run_id)} for failure in failures],
        "columns": ["day", "state", "objects", *Counts.__slots__],
        "days": [
            [day.day, day.state, day.objects, *asdict(day.counts).values()]
            for day in calendar.days(first, last)
        ],
    }


def receipts(
    subscription: Subscription, mart: DataMart, before: int | None, run_id: str | None
) -> list[dict[str, Any]]:
    """The newest receipts, older than receipt ``before``; each says which DAG its run is of, if one."""
    found = mart.overview.receipts(subscription.id, before, _RECEIPTS, run_id)
    dags = runs.dags_of(_loading_dags(subscription), {receipt.run_id for receipt in found})
    return [asdict(receipt) | {"dag": dags.get(receipt.run_id)} for receipt in found]


def rejected(
    subscription: Subscription, mart: DataMart, reason: Reason | None, before: int | None
) -> list[dict[str, Any]]:
    """Rejected records by place, the newest first; without what is in them."""
    found = mart.overview.rejected_records(subscription.id, reason, before, _RECORDS)
    shown = ("quarantine_id", "uri", "position", "row", "rows", "reason", "column", "created_at")
    return [{name: getattr(record, name) for name in shown} for record in found]


def raw_record(subscription: Subscription, mart: DataMart, quarantine_id: int) -> dict[str, Any] | None:
    """What is in a rejected record. Only for those who may see payload values."""
    raw = mart.overview.raw_record(subscription.id, quarantine_id)
    if raw is None:
        return None
    return {"bytes": len(raw), "text": raw[:_RAW_SHOWN].decode("utf-8", "backslashreplace")}


def _identity(subscription: Subscription) -> dict[str, Any]:
    training = subscription.training_data is not None
    return {
        "id": subscription.id,
        "deployment": subscription.deployment.name or subscription.deployment.id,
        "provider": str(subscription.service_provider),
        "schedule": subscription.schedule.cron,
        "timezone": subscription.schedule.timezone,
        "dag": dag_id(subscription.id),
        "replay_dag": replay_dag_id(subscription.id),
        "training_dag": training_data_dag_id(subscription.id) if training else None,
    }


def _loading_dags(subscription: Subscription) -> tuple[str, str]:
    return dag_id(subscription.id), replay_dag_id(subscription.id)


def _watermark(coverage: Coverage | None, until: datetime) -> dict[str, Any]:
    if coverage is None:
        return {"state": "new", "complete_through": None, "due": until, "late_objects": 0, "behind": None}
    behind = max(0.0, (until - coverage.complete_through).total_seconds())
    return {
        "state": "behind" if behind else "complete",
        "complete_through": coverage.complete_through,
        "since": coverage.since,
        "due": until,
        "late_objects": coverage.late_objects,
        "behind": behind,
        "updated_at": coverage.updated_at,
    }


def _calendar(
    subscription: Subscription,
    coverage: Coverage | None,
    read: dict[date, tuple[int, Counts]],
    failures: list[Failure],
    now: datetime,
) -> Calendar:
    covered = coverage.covered if coverage else ()
    since = coverage.since if coverage else None
    windows = [(failure.start, failure.end) for failure in failures]
    return Calendar(covered, read, windows, since, due(subscription, now))


def _failures(subscription: Subscription, mart: DataMart, since: datetime | None = None) -> list[Failure]:
    """Where a batch was rolled back or a run failed, recovered since or not; the newest batch first.

    :param since: from when on none may lack, older ones may.
    """
    layout = Layout(subscription.layout)
    # A folder's period may reach into the time asked for when its batch's window ends before.
    batches = mart.overview.failed_batches(subscription.id, since and layout.start_of(since))
    failed = {run.run_id: run for run in runs.newest(dag_id(subscription.id), 200, "failed")}
    found = [
        Failure(start, end, batch.run_id, batch.state, batch.reasons)
        for batch in batches
        for start, end in _periods(batch, layout)
    ]
    others = failed.keys() - {batch.run_id for batch in batches}
    planned = mart.overview.planned_windows(subscription.id, others)
    windows = {run_id: planned.get(run_id, failed[run_id].period) for run_id in others}
    found += [Failure(*window, run_id, "failed", {}) for run_id, window in windows.items() if window]
    return found


def _periods(batch: FailedBatch, layout: Layout) -> list[Interval]:
    """The folder periods of a rolled-back batch's objects; its whole window where their names tell none."""
    periods = {layout.period_of(folder) for folder in batch.folders}
    if not periods or None in periods:
        return [batch.window]
    return sorted((period.start, period.end) for period in periods if period is not None)


def _training(subscription: Subscription, mart: DataMart) -> dict[str, Any] | None:
    status = TrainingStatus.of(subscription, mart)
    if status is None:
        return None
    told = status.as_dict()
    return {name.replace(" ", "_"): value for name, value in told.items()}


def _alert(alert: Any) -> dict[str, Any]:
    shown = ("cause", "summary", "times", "opened_at")
    return {name: getattr(alert, name) for name in shown}


def _running(subscription: Subscription, mart: DataMart) -> list[dict[str, Any]]:
    """Runs that are under way; each says which DAG it is of, if one: the paylog command plans runs too."""
    states = mart.backfills.unfinished(subscription.id)
    dags = runs.dags_of(_loading_dags(subscription), {state.run_id for state in states})
    return [asdict(s) | {"share": s.share, "dag": dags.get(s.run_id)} for s in states]


def utc_now() -> datetime:
    return datetime.now(UTC)
