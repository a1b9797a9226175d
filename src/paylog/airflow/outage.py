"""What is wrong while the data mart, which keeps the alerts, is itself out of reach: an Airflow variable."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from paylog.data_mart.alert_log import Alert, Notice
from paylog.subscription.alerts import Cause

if TYPE_CHECKING:
    from paylog.subscription import Subscription

log = logging.getLogger(__name__)

_MOMENTS = ("opened_at", "last_seen_at")


class Outage:
    """The open alerts of a subscription, in the variable ``paylog_alert__<subscription id>``.

    Airflow's variables know no transaction: of tasks that fail within the same instant, each may tell.
    """

    def __init__(self, subscription: Subscription) -> None:
        assert subscription.alerts is not None
        self._subscription_id = subscription.id
        self._remind = subscription.alerts.remind
        self._name = f"paylog_alert__{subscription.id}"

    def see(self, cause: Cause, summary: str, details: dict[str, Any]) -> list[tuple[Notice, Alert]]:
        """Note it; what is to be told of it now, if anything."""
        now, notes = datetime.now(UTC), self._read()
        note = notes.get(cause.value)
        opened_at = _alert(note).opened_at if note else now
        times, reminded = (note["times"] + 1, note["reminded"]) if note else (1, False)
        alert = Alert(0, self._subscription_id, cause, summary, details, times, opened_at, now, None)
        notices = [] if note else [Notice.OPENED]
        if not reminded and opened_at < now - self._remind:
            notices.append(Notice.REMINDER)
        self._write(notes | {cause.value: _note(alert, reminded or Notice.REMINDER in notices)})
        return [(notice, alert) for notice in notices]

    def is_noted(self) -> bool:
        """Whether anything is."""
        return bool(self._read())

    def over(self) -> list[tuple[Notice, Alert]]:
        """The data mart can be reached again: what is to be told of that."""
        notes = self._read()
        if not notes:
            return []
        from airflow.sdk import Variable

        Variable.delete(self._name)
        now = datetime.now(UTC)
        return [(Notice.RESOLVED, replace(_alert(note), resolved_at=now)) for note in notes.values()]

    def _read(self) -> dict[str, Any]:
        from airflow.sdk import Variable

        return Variable.get(self._name, default=None, deserialize_json=True) or {}

    def _write(self, notes: dict[str, Any]) -> None:
        from airflow.sdk import Variable

        try:
            Variable.set(self._name, notes, serialize_json=True)
        except Exception as error:
            log.warning("Airflow does not keep the alert either: %s", type(error).__name__)


def _note(alert: Alert, reminded: bool) -> dict[str, Any]:
    moments = {name: getattr(alert, name).isoformat() for name in _MOMENTS}
    return asdict(alert) | moments | {"reminded": reminded}


def _alert(note: dict[str, Any]) -> Alert:
    moments = {name: datetime.fromisoformat(note[name]) for name in _MOMENTS}
    fields = {name: note[name] for name in Alert.__slots__}
    return Alert(**fields | moments | {"cause": Cause(note["cause"])})
