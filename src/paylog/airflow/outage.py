"""What is wrong while the data mart, which keeps the alerts, is itself out of reach: an Airflow variable."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from paylog.data_mart.alert_log import Alert, Notice
from paylog.subscription.alerts import Cause

if TYPE_CHECKING:
    from paylog.subscription import Subscription

log = logging.getLogger(__name__)


class Outage:
    """One note a subscription, in the variable ``paylog_alert__<subscription id>``.

    Airflow's variables know no transaction: of tasks that fail within the same instant, each may tell.
    """

    def __init__(self, subscription: Subscription) -> None:
        assert subscription.alerts is not None
        self._subscription_id = subscription.id
        self._remind = subscription.alerts.remind
        self._name = f"paylog_alert__{subscription.id}"

    def see(self, cause: Cause, summary: str, details: dict[str, Any]) -> list[tuple[Notice, Alert]]:
        """Note it; what is to be told of it now, if anything."""
        now, known = datetime.now(UTC), self._read()
        note = known or {"opened_at": now.isoformat(), "times": 0, "reminded": False}
        note |= {"cause": cause.value, "summary": summary, "details": details, "times": note["times"] + 1}
        notices = [] if known else [Notice.OPENED]
        if not note["reminded"] and datetime.fromisoformat(note["opened_at"]) < now - self._remind:
            note["reminded"] = True
            notices.append(Notice.REMINDER)
        self._write(note | {"last_seen_at": now.isoformat()})
        return [(notice, self._alert(note, now)) for notice in notices]

    def is_noted(self) -> bool:
        """Whether it is known."""
        return self._read() is not None

    def over(self) -> Iterator[tuple[Notice, Alert]]:
        """The data mart can be reached again: what is to be told of that."""
        if note := self._read():
            from airflow.sdk import Variable

            Variable.delete(self._name)
            now = datetime.now(UTC)
            yield Notice.RESOLVED, replace(self._alert(note, now), resolved_at=now)

    def _read(self) -> dict[str, Any] | None:
        from airflow.sdk import Variable

        return Variable.get(self._name, default=None, deserialize_json=True)  # type: ignore[no-any-return]

    def _write(self, note: dict[str, Any]) -> None:
        from airflow.sdk import Variable

        try:
            Variable.set(self._name, note, serialize_json=True)
        except Exception as error:
            # The process of a deadline's callback may only read variables.
            log.warning("Airflow does not keep the alert either: %s", type(error).__name__)

    def _alert(self, note: dict[str, Any], seen_at: datetime) -> Alert:
        return Alert(
            0,
            self._subscription_id,
            Cause(note["cause"]),
            note["summary"],
            note["details"],
            note["times"],
            datetime.fromisoformat(note["opened_at"]),
            seen_at,
            None,
        )
