"""What is wrong, by cause: from an error, or from silence; and what its owners are told.

No payload value is in any of it: of errors that are not paylog's own only the type is passed on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from paylog.errors import (
    AccessDenied,
    DeliveryFailed,
    ErrorBudgetExceeded,
    ObjectNotFound,
    PayloadRefused,
    PaylogError,
    RequirementUnmet,
    RetriableError,
    SchemaMismatch,
)
from paylog.subscription.alerts import Cause, Route

if TYPE_CHECKING:
    from paylog.data_mart import DataMart
    from paylog.data_mart.alert_log import Alert, Notice
    from paylog.subscription import Subscription

OF_RUNS = frozenset({Cause.SCHEMA_MISMATCH, Cause.STORE_REFUSED, Cause.OVERDUE, Cause.FAILED})
"""What a run that succeeds puts an end to. The others end when the data is there."""

TITLES = {
    Cause.NO_DATA: "the engine sent no data",
    Cause.SCHEMA_MISMATCH: "the records do not match the schema",
    Cause.STORE_REFUSED: "a store refused, or could not be reached",
    Cause.LATE: "payload records are late",
    Cause.OVERDUE: "a run takes too long",
    Cause.FAILED: "a run failed",
}
_ADVICE = {
    Cause.NO_DATA: "Is the engine's logging switched on, may it write there, does the model have callers? "
    "What comes late is loaded by itself. Where silence is normal, raise alerts.no_data or set it to null.",
    Cause.SCHEMA_MISMATCH: "Nothing of such a batch was kept. Mend the engine's logs, the model schema or "
    "the training data, as the message says; then clear the failed tasks, or run the window again.",
    Cause.STORE_REFUSED: "Mend the rights, the address or the store that the message names; then clear the "
    "failed tasks. Nothing is lost and nothing is loaded twice.",
    Cause.LATE: "See which windows are missing: runs that failed or wait, a DAG that is paused, a scheduler "
    "that stands still. Running such a window again loads what is missing.",
    Cause.OVERDUE: "See what the run waits for: slots of its pool, a slow store, more data than usual.",
    Cause.FAILED: "See the task's log; then clear the failed tasks. Nothing is half loaded.",
}
_KINDS: tuple[tuple[type[PaylogError], Cause], ...] = (
    (ErrorBudgetExceeded, Cause.SCHEMA_MISMATCH),
    (PayloadRefused, Cause.SCHEMA_MISMATCH),
    (SchemaMismatch, Cause.SCHEMA_MISMATCH),
    (RequirementUnmet, Cause.SCHEMA_MISMATCH),
    (AccessDenied, Cause.STORE_REFUSED),
    (ObjectNotFound, Cause.STORE_REFUSED),
    (DeliveryFailed, Cause.STORE_REFUSED),
    (RetriableError, Cause.STORE_REFUSED),
)
_LONGEST = 2000
_REASONS = 5


def cause_of(error: BaseException | None) -> Cause:
    """The cause that the end of a task stands for. None: it ended without an error, it was killed."""
    return next((cause for kind, cause in _KINDS if isinstance(error, kind)), Cause.FAILED)


def summary_of(error: BaseException | None) -> str:
    """The error in words, without a payload value."""
    if error is None:
        return "The task ended without a word: its worker was killed, lost, or out of memory."
    if isinstance(error, PaylogError):
        text = str(error)
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return f"{type(error).__name__}: the task's log says more."


def rejects_of_run(data_mart: DataMart, subscription_id: str, run_id: str) -> dict[str, int]:
    """Rejected rows by reason, the most frequent first, of the batches of a run that were rolled back."""
    reasons = Counter[str]()
    for receipt in data_mart.receipts(subscription_id, run_id=run_id, limit=None):
        if receipt.state != "committed":
            reasons.update(receipt.reasons)
    return dict(reasons.most_common())


@dataclass(frozen=True, slots=True)
class Message:
    """What the owners of one route are told of one alert. Its fields are what templates may use.

    :param state: ``opened``, ``reminder`` or ``resolved``.
    :param owners: separated by commas.
    :param link: to the task in Airflow; empty where there is none.
    :param reasons: rejected rows by reason code, the most frequent first.
    """

    subscription: str
    cause: str
    state: str
    title: str
    summary: str
    advice: str
    owners: str
    link: str
    times: int
    opened_at: datetime
    resolved_at: datetime | None
    reasons: dict[str, int]

    @classmethod
    def of(cls, notice: Notice, alert: Alert, route: Route) -> Message:
        """The message that tells ``notice`` of an alert along a route."""
        return cls(
            alert.subscription_id,
            alert.cause.value,
            notice.value,
            TITLES[alert.cause],
            alert.summary,
            _ADVICE[alert.cause],
            ", ".join(route.owners),
            str(alert.details.get("link") or ""),
            alert.times,
            alert.opened_at,
            alert.resolved_at,
            # PostgreSQL's JSONB does not keep the order.
            dict(Counter(alert.details.get("reasons")).most_common()),
        )

    @property
    def subject(self) -> str:
        """One line: ``paylog · credit-risk: the engine sent no data``."""
        mark = {"reminder": "still: ", "resolved": "resolved: "}.get(self.state, "")
        return f"paylog · {self.subscription}: {mark}{self.title}"

    @property
    def text(self) -> str:
        """The whole message as lines of text."""
        return "\n".join([self.subject, *self._lines(), *([self.link] if self.link else [])])

    @property
    def html(self) -> str:
        """The whole message as HTML."""
        lines = "<br>\n".join(escape(line) for line in self._lines())
        link = f'<p><a href="{escape(self.link)}">Open in Airflow</a></p>' if self.link else ""
        return f"<h3>{escape(self.subject)}</h3>\n<p>{lines}</p>\n{link}"

    def _lines(self) -> list[str]:
        since = f"Since {_moment(self.opened_at)}, seen {self.times} time{'s' if self.times != 1 else ''}."
        if self.resolved_at is not None:
            since = f"From {_moment(self.opened_at)} to {_moment(self.resolved_at)}."
            return [since, f"It was: {self.summary}"]
        owners = [f"Owners: {self.owners}."] if self.owners else []
        return [self.summary, *self._rejects(), self.advice, since, *owners]

    def _rejects(self) -> list[str]:
        shown = [f"{rows:,} {reason}" for reason, rows in list(self.reasons.items())[:_REASONS]]
        if rest := sum(list(self.reasons.values())[_REASONS:]):
            shown.append(f"{rest:,} of other reasons")
        return [f"Rejected rows by reason: {', '.join(shown)}."] if shown else []


def routes_of(subscription: Subscription, cause: Cause) -> list[Route]:
    """Where an alert of this cause goes."""
    routes = subscription.alerts.routes if subscription.alerts else ()
    return [route for route in routes if cause in route.causes]


def _moment(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
