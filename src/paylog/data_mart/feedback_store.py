"""Feedback rows of the Python client and of ``paylog serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paylog.data_mart.feedback import FeedbackCounts, FeedbackTable
from paylog.data_mart.session import Sessions

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class FeedbackStore:
    """Part of a ``DataMart``, which says what every method raises."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def prepare(self, feedback: FeedbackTable) -> None:
        """Create a feedback table, if it is absent."""
        with self._sessions.transaction(f"prepare {feedback.name!r}") as connection:
            feedback.ensure(connection)

    def store(self, feedback: FeedbackTable, rows: pa.Table) -> FeedbackCounts:
        """Add feedback rows in one transaction; the table is created if it is absent."""
        with self._sessions.transaction(f"store feedback in {feedback.name!r}") as connection:
            feedback.ensure(connection)
            return feedback.insert(connection, rows)

    def frame(self, feedback: FeedbackTable, limit: int | None = None) -> pd.DataFrame:
        """Feedback rows in the order of their time."""
        with self._sessions.transaction(f"read feedback in {feedback.name!r}") as connection:
            feedback.ensure(connection)
            return feedback.frame(connection, limit)

    def rows(
        self, feedback: FeedbackTable, limit: int | None = None, offset: int = 0
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and feedback rows in the order of their time, in Python's types."""
        with self._sessions.transaction(f"read feedback in {feedback.name!r}") as connection:
            feedback.ensure(connection)
            return feedback.rows(connection, limit, offset)

    def count(self, feedback: FeedbackTable) -> int:
        """How many feedback rows there are."""
        with self._sessions.transaction(f"count feedback in {feedback.name!r}") as connection:
            feedback.ensure(connection)
            return feedback.count(connection)
