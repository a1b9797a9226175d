"""Alerts: at most one open for each cause of a subscription, and what was told of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert

from paylog.data_mart.operation_tables import alerts
from paylog.data_mart.session import Sessions
from paylog.subscription.alerts import Cause


class Notice(StrEnum):
    """What is told of an alert, each at most once."""

    OPENED = "opened"
    REMINDER = "reminder"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that somebody must know of; no payload value is in it.

    :param summary: what was seen last, in words.
    :param details: JSON of what was seen last: ``run``, ``task``, ``link``, ``reasons`` (rows by code).
    :param times: how often it was seen.
    """

    alert_id: int
    subscription_id: str
    cause: Cause
    summary: str
    details: dict[str, Any]
    times: int
    opened_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None


_COLUMNS = [alerts.c[name] for name in Alert.__slots__]
_TOLD = {notice: alerts.c[f"told_{notice}_at"] for notice in Notice}


class AlertLog:
    """Part of a ``DataMart``, which says what every method raises."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def see(self, subscription_id: str, cause: Cause, summary: str, details: dict[str, Any]) -> None:
        """Open an alert, or note that the open one of this cause was seen again."""
        new = insert(alerts).values(
            subscription_id=subscription_id, cause=cause.value, summary=summary, details=details
        )
        seen = new.on_conflict_do_update(
            index_elements=["subscription_id", "cause"],
            index_where=alerts.c.resolved_at.is_(None),
            set_={
                "summary": new.excluded.summary,
                "details": new.excluded.details,
                "times": alerts.c.times + 1,
                "last_seen_at": func.now(),
            },
        )
        with self._sessions.transaction(f"note an alert of {subscription_id!r}") as connection:
            connection.execute(seen)

    def resolve(
        self, subscription_id: str, causes: Iterable[Cause], *, seen_before: datetime | None = None
    ) -> None:
        """Close the open alerts of these causes.

        :param seen_before: only those that were not seen since.
        """
        mine = [
            alerts.c.subscription_id == subscription_id,
            alerts.c.cause.in_([cause.value for cause in causes]),
            alerts.c.resolved_at.is_(None),
        ]
        if seen_before is not None:
            mine.append(alerts.c.last_seen_at < seen_before)
        with self._sessions.transaction(f"resolve alerts of {subscription_id!r}") as connection:
            connection.execute(update(alerts).where(*mine).values(resolved_at=func.now()))

    def claim(self, subscription_id: str, remind: timedelta) -> list[tuple[Notice, Alert]]:
        """What is to be told now. It is the caller who tells it: nobody else is given the same."""
        with self._sessions.transaction(f"read alerts of {subscription_id!r}") as connection:
            return [
                (notice, alert)
                for notice in Notice
                for alert in _claimed(connection, subscription_id, notice, remind)
            ]

    def release(self, alert_id: int, notice: Notice) -> None:
        """A claimed notice could not be told: the next one to ask is given it."""
        with self._sessions.transaction(f"release alert {alert_id}") as connection:
            statement = update(alerts).where(alerts.c.alert_id == alert_id)
            connection.execute(statement.values({_TOLD[notice]: None}))

    def open(self, subscription_id: str) -> list[Alert]:
        """The open ones, the oldest first."""
        query = select(*_COLUMNS).where(
            alerts.c.subscription_id == subscription_id, alerts.c.resolved_at.is_(None)
        )
        with self._sessions.transaction(f"read alerts of {subscription_id!r}") as connection:
            return [_alert(row) for row in connection.execute(query.order_by(alerts.c.alert_id))]

    def open_counts(self, subscription_ids: Collection[str]) -> dict[str, int]:
        """How many are open, by subscription id, of those that have any."""
        query = (
            select(alerts.c.subscription_id, func.count())
            .where(alerts.c.subscription_id.in_(subscription_ids), alerts.c.resolved_at.is_(None))
            .group_by(alerts.c.subscription_id)
        )
        with self._sessions.transaction("count open alerts") as connection:
            return dict(connection.execute(query).all())

    def newest(self, subscription_id: str, limit: int = 100) -> list[Alert]:
        """Open and resolved ones, the newest first."""
        query = select(*_COLUMNS).where(alerts.c.subscription_id == subscription_id)
        with self._sessions.transaction(f"read alerts of {subscription_id!r}") as connection:
            rows = connection.execute(query.order_by(alerts.c.alert_id.desc()).limit(limit))
            return [_alert(row) for row in rows]


def _claimed(connection: Connection, subscription_id: str, notice: Notice, remind: timedelta) -> list[Alert]:
    # Of two that ask at the same time the second waits for the row, and then finds it told.
    statement = (
        update(alerts)
        .where(alerts.c.subscription_id == subscription_id, _TOLD[notice].is_(None), _due(notice, remind))
        .values({_TOLD[notice]: func.now()})
        .returning(*_COLUMNS)
    )
    return sorted(map(_alert, connection.execute(statement)), key=lambda alert: alert.alert_id)


def _due(notice: Notice, remind: timedelta) -> ColumnElement[bool]:
    unresolved, opened = alerts.c.resolved_at.is_(None), _TOLD[Notice.OPENED]
    match notice:
        case Notice.OPENED:
            return unresolved
        case Notice.REMINDER:
            return and_(unresolved, opened < func.now() - remind)
        case Notice.RESOLVED:
            return and_(~unresolved, opened.is_not(None))


def _alert(row: Row[Any]) -> Alert:
    return Alert(**dict(row._mapping) | {"cause": Cause(row.cause)})
