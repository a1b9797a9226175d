"""Alerts without Airflow: causes of errors, the section in the YAML, messages, freshness."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from credit_training import subscription
from pydantic import ValidationError

from paylog import errors
from paylog.alerts import Message, cause_of, routes_of, summary_of
from paylog.data_mart import Watermark
from paylog.data_mart.alert_log import Alert, Notice
from paylog.freshness import Freshness, freshness
from paylog.records import CaptureObject
from paylog.subscription.alerts import LOG_NOTIFIER, Alerts, Cause, Route
from paylog.subscription.section import problems_of

NOON = datetime(2024, 3, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def mistakes(section: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as error:
        Alerts.model_validate(section)
    return [f"{'.'.join(map(str, p.path))}: {p.message}" for p in problems_of(error.value)]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (errors.ErrorBudgetExceeded("x"), Cause.SCHEMA_MISMATCH),
        (errors.PayloadRefused("x"), Cause.SCHEMA_MISMATCH),
        (errors.SchemaMismatch("x"), Cause.SCHEMA_MISMATCH),
        (errors.RequirementUnmet("x"), Cause.SCHEMA_MISMATCH),
        (errors.AccessDenied("x"), Cause.STORE_REFUSED),
        (errors.ObjectNotFound("x"), Cause.STORE_REFUSED),
        (errors.ObjectChanged("x"), Cause.STORE_REFUSED),
        (errors.DeliveryFailed("x"), Cause.STORE_REFUSED),
        (errors.UnbalancedReceipt("x"), Cause.FAILED),
        (ValueError("x"), Cause.FAILED),
        (None, Cause.FAILED),
    ],
)
def test_the_cause_of_an_error(error: BaseException | None, cause: Cause) -> None:
    assert cause_of(error) is cause


def test_only_paylogs_own_errors_are_quoted() -> None:
    assert summary_of(errors.AccessDenied("bucket 'b': s3:GetObject is missing")).startswith("bucket 'b'")
    assert "canary" not in summary_of(ValueError("canary"))
    assert "killed" in summary_of(None)
    assert len(summary_of(errors.StopError("x" * 100_000))) == 2000


def test_the_section_has_defaults_and_is_off_without_it() -> None:
    assert subscription().alerts is None
    assert routes_of(subscription(), Cause.LATE) == []
    alerts = subscription(alerts={}).alerts
    assert alerts is not None
    assert (alerts.no_data, alerts.late, alerts.deadline) == (HOUR, 2 * HOUR, None)
    assert [route.notifier for route in alerts.routes] == [LOG_NOTIFIER]


def test_a_cause_goes_to_its_owners() -> None:
    routes = [{"owners": ["all@example.com"]}, {"owners": ["data team"], "causes": ["no_data", "late"]}]
    owner = subscription(alerts={"routes": routes})
    assert [route.owners for route in routes_of(owner, Cause.LATE)] == [("all@example.com",), ("data team",)]
    assert [route.owners for route in routes_of(owner, Cause.FAILED)] == [("all@example.com",)]


def test_mistakes_in_the_section_are_named() -> None:
    assert mistakes({"routes": [{"causes": ["nodata"]}]})[0].startswith(
        "routes.0.causes.0: unknown value 'nodata', did you mean 'no_data'?"
    )
    assert "import path of a notifier" in mistakes({"routes": [{"notifier": "slack"}]})[0]
    assert "not a duration" in mistakes({"late": 3})[0]
    assert "one owner an entry" in mistakes({"routes": [{"owners": ["a@b.c, d@e.f"]}]})[0]


@pytest.mark.parametrize(
    "arguments",
    [
        {"password": "canary"},
        {"Api-Key": "canary"},
        {"url": "https://user:canary@example.com"},
        {"webhook": "https://hooks.slack.com/services/canary"},
    ],
)
def test_a_secret_among_the_arguments_is_refused_and_not_repeated(arguments: dict[str, str]) -> None:
    (message,) = mistakes({"routes": [{"arguments": arguments}]})
    assert "looks like a secret" in message
    assert "canary" not in message


def test_the_documented_section_is_valid_and_every_cause_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    example = text.split("```yaml\nalerts:", 1)[1].split("```", 1)[0]
    documented = yaml.safe_load(f"alerts:{example}")["alerts"]
    assert set(documented) == set(Alerts.model_fields)
    assert set(documented["routes"][1]) == set(Route.model_fields)
    Alerts.model_validate(documented)
    assert all(f"| `{cause}` |" in text for cause in Cause)


def alert(**changes: Any) -> Alert:
    given = {
        "alert_id": 1,
        "subscription_id": "credit",
        "cause": Cause.SCHEMA_MISMATCH,
        "summary": "batch '0001': 7 of 10 <rows> were rejected",
        "details": {"link": "http://airflow/x?a=1&b=2", "reasons": {"NULL_VALUE": 6, "TYPE_MISMATCH": 1}},
        "times": 2,
        "opened_at": NOON,
        "last_seen_at": NOON + HOUR,
        "resolved_at": None,
    }
    return Alert(**given | changes)  # type: ignore[arg-type]


def test_a_message_says_what_where_and_what_to_do() -> None:
    told = Message.of(Notice.OPENED, alert(), Route(owners=("a@example.com", "b@example.com")))
    assert told.subject == "paylog · credit: the records do not match the schema"
    assert told.owners == "a@example.com, b@example.com"
    for words in (
        "batch '0001': 7 of 10 <rows> were rejected",
        "Rejected rows by reason: 6 NULL_VALUE, 1 TYPE_MISMATCH.",
        "Mend the engine's logs",
        "Since 2024-03-15 12:00 UTC, seen 2 times.",
        "http://airflow/x?a=1&b=2",
    ):
        assert words in told.text
    assert "&lt;rows&gt;" in told.html
    assert '<a href="http://airflow/x?a=1&amp;b=2">' in told.html


def test_a_reminder_and_an_end_say_so() -> None:
    assert "still: " in Message.of(Notice.REMINDER, alert(), Route()).subject
    over = Message.of(Notice.RESOLVED, alert(resolved_at=NOON + 2 * HOUR), Route())
    assert over.subject == "paylog · credit: resolved: the records do not match the schema"
    assert "From 2024-03-15 12:00 UTC to 2024-03-15 14:00 UTC." in over.text
    assert "Mend" not in over.text


def hourly(moment: datetime) -> tuple[datetime, datetime]:
    end = moment.replace(minute=0, second=0, microsecond=0)
    return end - HOUR, end


class Listing:
    """A storage that holds objects of these times, each at its last modification."""

    def __init__(self, *written: tuple[str, datetime]) -> None:
        self._items = [CaptureObject(f"file:///{key}", key, "v", 1, when) for key, when in written]

    def list(self, prefix: str) -> Any:
        return (item for item in self._items if item.key.startswith(prefix))


def looked(through: datetime | None, *written: tuple[str, datetime], **changes: Any) -> Freshness:
    """At 12:30, by an hourly schedule with an hour's patience."""
    owner = subscription(
        alerts={"no_data": "1h", "late": "1h"} | changes.pop("alerts", {}),
        logs={"connection": "logs", "layout": "%Y/%m/%d/%H/"} | changes.pop("logs", {}),
        **changes,
    )
    mark = None if through is None else Watermark(through, 0, NOON)
    return freshness(owner, Listing(*written), mark, hourly, NOON + HOUR / 2)  # type: ignore[arg-type]


AT_TEN = ("2024/03/15/10/a", NOON - HOUR)


def test_data_that_came_and_was_loaded_is_in_order() -> None:
    assert looked(NOON - HOUR, AT_TEN) == Freshness({}, frozenset({Cause.NO_DATA, Cause.LATE}))


def test_a_window_without_an_object_is_silence() -> None:
    before = ("2024/03/15/09/a", NOON - 3 * HOUR)
    found = looked(NOON - HOUR, before)
    assert found.in_order == {Cause.LATE}
    assert "since 2024-03-15 10:00 UTC" in found.wrong[Cause.NO_DATA]
    assert "deployment" in found.wrong[Cause.NO_DATA].lower()


def test_a_copied_object_counts_by_its_folder_and_one_without_a_folder_by_its_time() -> None:
    assert Cause.NO_DATA in looked(NOON, ("2024/03/15/10/a", NOON - 900 * HOUR)).in_order
    assert Cause.NO_DATA in looked(NOON, ("a", NOON - HOUR), logs={"layout": ""}).in_order
    assert Cause.NO_DATA in looked(NOON, ("a", NOON - 3 * HOUR), logs={"layout": ""}).wrong


def test_a_watermark_behind_the_last_due_window_is_late() -> None:
    found = looked(NOON - 2 * HOUR, AT_TEN)
    assert found.in_order == {Cause.NO_DATA}
    assert (
        "complete through 2024-03-15 10:00 UTC; it should be complete through 2024-03-15 11:00"
        in (found.wrong[Cause.LATE])
    )
    assert "holds no finished run" in looked(None, AT_TEN).wrong[Cause.LATE]


def test_what_settle_leaves_for_the_next_run_is_not_late() -> None:
    behind = NOON - HOUR - timedelta(seconds=90)
    assert Cause.LATE in looked(behind, AT_TEN).wrong
    assert Cause.LATE in looked(behind, AT_TEN, logs={"settle": "90s"}).in_order


def test_nothing_is_due_before_the_start_and_null_looks_at_nothing() -> None:
    nothing = Freshness({}, frozenset())
    assert looked(None, schedule={"start": "2024-03-15T11:00:00Z"}) == nothing
    assert looked(None, alerts={"no_data": None, "late": None}) == nothing
