"""What is known of a subscription's training data: checks, profiles, and payload that is unlike it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paylog.data_mart import training_checks, training_findings
from paylog.data_mart.session import Sessions
from paylog.data_mart.training_checks import StoredCheck, StoredProfile
from paylog.data_mart.training_findings import StoredFinding

if TYPE_CHECKING:
    from paylog.subscription import Subscription
    from paylog.training_data import CheckResult


class TrainingRecords:
    """Part of a ``DataMart``, which says what every method raises."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def keep(self, subscription: Subscription, result: CheckResult, seconds: float) -> StoredCheck:
        """Store a check of the training data, and its profile where that is not the last one's."""
        with self._sessions.transaction(f"keep the training check of {subscription.id!r}") as connection:
            return training_checks.write(connection, subscription, result, seconds)

    def checks(self, subscription_id: str, limit: int = 1) -> list[StoredCheck]:
        """The newest checks of the training data first."""
        with self._sessions.transaction(f"read training checks of {subscription_id!r}") as connection:
            return training_checks.read(connection, subscription_id, limit)

    def profile(self, subscription_id: str, profile_id: int | None = None) -> StoredProfile | None:
        """A profile of the training data; the newest without an id, None when there is none."""
        with self._sessions.transaction(f"read the training profile of {subscription_id!r}") as connection:
            return training_checks.read_profile(connection, subscription_id, profile_id)

    def findings(
        self, subscription_id: str, run_id: str | None = None, limit: int | None = 100
    ) -> list[StoredFinding]:
        """What payload records had that the training data has not: of one run or of all, newest first."""
        with self._sessions.transaction(f"read payload findings of {subscription_id!r}") as connection:
            return training_findings.read(connection, subscription_id, run_id, limit)
