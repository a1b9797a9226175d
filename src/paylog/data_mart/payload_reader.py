"""Payload records, read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from paylog.data_mart import payload_records, record_page
from paylog.data_mart.record_page import Choice, RecordPage
from paylog.data_mart.session import Sessions

if TYPE_CHECKING:
    import pandas as pd


class PayloadReader:
    """Part of a ``DataMart``, which says what every method raises."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def frame(
        self,
        subscription_id: str,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Payload records of [start, end) by scoring time; all columns but paylog's own by default."""
        with self._sessions.transaction(f"read payload records of {subscription_id!r}") as connection:
            return payload_records.frame(
                connection, self._sessions.schema, subscription_id, (start, end), columns, limit
            )

    def count(self, subscription_id: str) -> int:
        """How many payload records a subscription has; 0 before its table exists."""
        with self._sessions.transaction(f"count payload records of {subscription_id!r}") as connection:
            return payload_records.count(connection, self._sessions.schema, subscription_id)

    def rows(self, subscription_id: str, limit: int | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and payload records in the order of time, in Python's types."""
        with self._sessions.transaction(f"read payload records of {subscription_id!r}") as connection:
            return payload_records.rows(connection, self._sessions.schema, subscription_id, limit)

    def page(self, subscription_id: str, choice: Choice, *, count: bool = False) -> RecordPage:
        """Some payload records, chosen as OpenScale's REST API does; at most 1,000."""
        with self._sessions.transaction(f"read payload records of {subscription_id!r}") as connection:
            return record_page.read(connection, self._sessions.schema, subscription_id, choice, count=count)
