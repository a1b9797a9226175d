"""Which records in quarantine wait for a replay, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import func, select

from paylog.data_mart.control_tables import objects, quarantine
from paylog.data_mart.session import Sessions
from paylog.errors import Reason

_ROWS_A_FETCH = 10_000


class Waiting(NamedTuple):
    """A record that waits for a replay, without its bytes."""

    quarantine_id: int
    uri: str
    bytes: int


class Replays:
    """Part of a ``DataMart``, which says what every method raises."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def waiting(self, subscription_id: str, reason: Reason | None = None) -> Iterator[Waiting]:
        """The open records of a subscription, streamed; those of one object follow each other."""
        q = quarantine.c
        query = (
            select(q.quarantine_id, objects.c.uri, func.length(q.raw))
            .join_from(quarantine, objects)
            .where(q.subscription_id == subscription_id, q.state == "open")
            .order_by(q.object_id, q.position, q.quarantine_id)
        )
        if reason is not None:
            query = query.where(q.reason == reason.value)
        with self._sessions.transaction(f"read quarantine of {subscription_id!r}") as connection:
            streamed = connection.execution_options(stream_results=True, yield_per=_ROWS_A_FETCH)
            for row in streamed.execute(query):
                yield Waiting(*row)
