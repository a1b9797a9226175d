"""Whether a subscription's logs arrive and are loaded in time, which no run can say that does not happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from paylog.layout import Layout, Window
from paylog.plan import found_in
from paylog.storage import Storage
from paylog.subscription.alerts import Cause

if TYPE_CHECKING:
    from paylog.data_mart import Watermark
    from paylog.subscription import Subscription

ClosedBefore = Callable[[datetime], tuple[datetime, datetime]]
"""The last whole period of a schedule, [start, end), that ended at or before a moment."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Freshness:
    """What is wrong at a moment, and what was looked at and is in order."""

    wrong: dict[Cause, str]
    in_order: frozenset[Cause]


def freshness(
    subscription: Subscription,
    storage: Storage,
    watermark: Watermark | None,
    closed_before: ClosedBefore,
    now: datetime | None = None,
) -> Freshness:
    """Look for data of the last window that is due, and at the watermark. Of objects only manifests are read.

    :raises PaylogError: the store cannot be listed.
    """
    now, wrong, looked = now or datetime.now(UTC), dict[Cause, str](), set[Cause]()
    alerts = subscription.alerts
    if alerts is None:
        return Freshness({}, frozenset())
    if alerts.no_data is not None and (due := _due(subscription, closed_before, now - alerts.no_data)):
        looked.add(Cause.NO_DATA)
        if not _arrived(subscription, storage, Window(due.start, now)):
            wrong[Cause.NO_DATA] = _silence(subscription, due)
    if alerts.late is not None and (due := _due(subscription, closed_before, now - alerts.late)):
        looked.add(Cause.LATE)
        # What was younger than ``settle`` when the window's run came is left to the next one.
        if watermark is None or watermark.complete_through < due.end - subscription.logs.settle:
            wrong[Cause.LATE] = _lateness(subscription, watermark, due)
    return Freshness(wrong, frozenset(looked - wrong.keys()))


def _due(subscription: Subscription, closed_before: ClosedBefore, moment: datetime) -> Window | None:
    """The last window that ended by ``moment``; None before the first."""
    window = Window(*closed_before(moment))
    start = subscription.schedule.start
    return None if start is not None and window.end <= start else window


def _arrived(subscription: Subscription, storage: Storage, window: Window) -> bool:
    layout = Layout(subscription.layout)
    return any(
        item.last_modified >= window.start or (layout.time_of(item.key) or _NEVER) >= window.start
        for item in found_in(storage, subscription, window)
    )


def _silence(subscription: Subscription, due: Window) -> str:
    logs = subscription.logs
    place = f"bucket {logs.bucket!r}, " if logs.bucket else ""
    return (
        f"Deployment {subscription.deployment.id!r}: no object was written below {place}prefix "
        f"{logs.prefix!r} (connection {logs.connection!r}) since {due.start:%Y-%m-%d %H:%M} UTC; the window "
        f"that began then ended at {due.end:%Y-%m-%d %H:%M} UTC."
    )


def _lateness(subscription: Subscription, watermark: Watermark | None, due: Window) -> str:
    through = f"{watermark.complete_through:%Y-%m-%d %H:%M} UTC" if watermark else None
    known = f"is complete through {through}" if through else "holds no finished run"
    return (
        f"The data mart {known}; it should be complete through {due.end:%Y-%m-%d %H:%M} UTC "
        f"(schedule {subscription.schedule.cron!r}, {subscription.schedule.timezone})."
    )
