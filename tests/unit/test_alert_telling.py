"""What Airflow's side tells, and where it keeps what it told while the data mart is out of reach."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from credit_training import subscription

from paylog.airflow import alerts, outage
from paylog.airflow.outage import Outage
from paylog.data_mart.alert_log import Alert, Notice
from paylog.subscription import Subscription
from paylog.subscription.alerts import Cause

NOON = datetime(2024, 3, 15, 12, tzinfo=UTC)
LATE = Alert(7, "credit", Cause.LATE, "what <it> says", {"link": "http://a/b"}, 1, NOON, NOON, None)
RECORDER = "test_alert_telling.Recorder"
BROKEN = "test_alert_telling.Broken"


class Recorder:
    """Stands for a provider's notifier that knows some of the usual arguments."""

    told: list[dict[str, Any]] = []  # noqa: RUF012

    def __init__(self, to: str = "", subject: str = "", channel: str = "") -> None:
        self._arguments = {"to": to, "subject": subject, "channel": channel}

    def __call__(self, context: dict[str, Any]) -> None:
        self.told.append(self._arguments | {"names": sorted(context), "alert": context["alert"]})


class Broken(Recorder):
    def __call__(self, context: dict[str, Any]) -> None:
        raise ConnectionError("https://user:canary@example.com")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setattr(Recorder, "told", [])
    return Recorder.told


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Airflow's variables, in memory."""
    import airflow.sdk

    kept: dict[str, Any] = {}

    class Variable:
        @staticmethod
        def get(name: str, default: Any = None, deserialize_json: bool = False) -> Any:
            return kept.get(name, default)

        @staticmethod
        def set(name: str, value: Any, serialize_json: bool = False) -> None:
            kept[name] = value

        @staticmethod
        def delete(name: str) -> None:
            del kept[name]

    monkeypatch.setattr(airflow.sdk, "Variable", Variable)
    return kept


def owned(*routes: dict[str, Any], **section: Any) -> Subscription:
    return subscription(alerts={"routes": list(routes), **section})


def test_usual_arguments_are_filled_in_where_the_notifier_knows_them(told: list[dict[str, Any]]) -> None:
    owner = owned(
        {"notifier": RECORDER, "owners": ["a@example.com"], "arguments": {"channel": "#x", "subject": "mine"}}
    )
    secret = {"exception": ValueError("canary"), "params": {"x": "canary"}, "run_id": "r", "ti": 1}
    assert alerts.tell(owner, Notice.OPENED, LATE, secret)
    (one,) = told
    assert (one["to"], one["subject"], one["channel"]) == ("{{ alert.owners }}", "mine", "#x")
    assert one["names"] == ["alert", "run_id", "ti"]
    assert (one["alert"].owners, one["alert"].cause, one["alert"].state) == (
        ("a@example.com", "late", "opened")
    )


def test_one_route_that_works_is_enough_and_none_that_works_is_not(
    told: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    works, fails = {"notifier": RECORDER}, {"notifier": BROKEN}
    absent = {"notifier": "no_such_provider.Notifier"}
    assert alerts.tell(owned(fails, works, absent), Notice.OPENED, LATE, {})
    assert len(told) == 1
    assert not alerts.tell(owned(fails, absent), Notice.OPENED, LATE, {})
    assert "was not sent by test_alert_telling.Broken: ConnectionError" in caplog.text
    assert "canary" not in caplog.text


def test_a_cause_that_nobody_wants_is_told_to_nobody(told: list[dict[str, Any]]) -> None:
    assert alerts.tell(owned({"notifier": RECORDER, "causes": ["failed"]}), Notice.OPENED, LATE, {})
    assert told == []


def test_the_log_notifier_is_a_real_one(caplog: pytest.LogCaptureFixture) -> None:
    assert alerts.tell(subscription(alerts={}), Notice.OPENED, LATE, {})
    assert "what <it> says" in caplog.text
    assert "http://a/b" in caplog.text


def test_airflows_own_mail_notifier_gets_owners_subject_and_html(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        SmtpNotifier, "notify", lambda self, context: sent.append((self.to, self.subject, self.html_content))
    )
    route = {"notifier": f"{SmtpNotifier.__module__}.SmtpNotifier", "owners": ["a@x.org", "b@x.org"]}
    assert alerts.tell(owned(route), Notice.OPENED, LATE, {})
    ((to, subject, html),) = sent
    assert (to, subject) == ("a@x.org, b@x.org", "paylog · credit: payload records are late")
    assert "what &lt;it&gt; says" in html


def test_without_a_data_mart_it_is_told_once_and_ends_with_a_message(variables: dict[str, Any]) -> None:
    noted = Outage(subscription(alerts={}))
    assert noted.over() == []
    for times in (1, 2, 3):
        told = noted.see(Cause.STORE_REFUSED, f"try {times}", {"run": "r"})
        assert [notice for notice, _ in told] == ([Notice.OPENED] if times == 1 else [])
    assert [notice for notice, _ in noted.see(Cause.FAILED, "x", {})] == [Notice.OPENED]
    assert list(variables) == ["paylog_alert__credit"]
    ended = noted.over()
    assert [(n, a.cause, a.summary, a.times) for n, a in ended] == [
        (Notice.RESOLVED, Cause.STORE_REFUSED, "try 3", 3),
        (Notice.RESOLVED, Cause.FAILED, "x", 1),
    ]
    assert all(alert.resolved_at for _, alert in ended)
    assert (variables, noted.over(), noted.is_noted()) == ({}, [], False)


def test_without_a_data_mart_there_is_one_reminder(
    variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = Outage(subscription(alerts={"remind": "1h"}))

    class Later(datetime):
        hours = 0

        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return NOON + timedelta(hours=cls.hours)

    monkeypatch.setattr(outage, "datetime", Later)
    told = []
    for hours in range(4):
        Later.hours = hours
        told.append([notice for notice, _ in noted.see(Cause.STORE_REFUSED, "x", {})])
    assert told == [[Notice.OPENED], [], [Notice.REMINDER], []]
