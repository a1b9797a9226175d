"""Alerts in PostgreSQL: one open for each cause, and each notice given to exactly one who asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from payload_blocks import SCHEMA, block, capture_object, load, query, subscription

from paylog.alerts import OF_RUNS, rejects_of_run
from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.data_mart.alert_log import AlertLog, Notice
from paylog.data_mart.session import quoted
from paylog.errors import ErrorBudgetExceeded, Reason
from paylog.records import Reject
from paylog.subscription.alerts import Cause

DAY = timedelta(days=1)


def told(log: AlertLog, remind: timedelta = DAY) -> list[tuple[Notice, Cause, int]]:
    return [(notice, alert.cause, alert.times) for notice, alert in log.claim("credit", remind)]


def test_an_alert_is_told_once_when_it_opens_once_later_and_once_when_it_ends(data_mart: DataMart) -> None:
    log = data_mart.alerts
    log.see("credit", Cause.LATE, "first", {"link": "a"})
    assert told(log) == [(Notice.OPENED, Cause.LATE, 1)]
    log.see("credit", Cause.LATE, "second", {"link": "b"})
    assert told(log) == []
    (known,) = log.open("credit")
    assert (known.summary, known.details, known.times) == ("second", {"link": "b"}, 2)
    assert told(log, timedelta(0)) == [(Notice.REMINDER, Cause.LATE, 2)]
    assert told(log, timedelta(0)) == []
    log.resolve("credit", [Cause.LATE])
    assert log.open("credit") == []
    assert told(log, timedelta(0)) == [(Notice.RESOLVED, Cause.LATE, 2)]
    assert told(log, timedelta(0)) == []


def test_it_opens_anew_after_it_was_resolved(data_mart: DataMart) -> None:
    log = data_mart.alerts
    for _ in range(2):
        log.see("credit", Cause.LATE, "late", {})
        assert told(log) == [(Notice.OPENED, Cause.LATE, 1)]
        log.resolve("credit", [Cause.LATE])
        assert told(log) == [(Notice.RESOLVED, Cause.LATE, 1)]
    newest = log.newest("credit")
    assert [alert.resolved_at is not None for alert in newest] == [True, True]
    assert newest[0].alert_id > newest[1].alert_id


def test_causes_and_subscriptions_do_not_touch_each_other(data_mart: DataMart) -> None:
    log = data_mart.alerts
    for cause in Cause:
        log.see("credit", cause, "x", {})
    log.see("other", Cause.FAILED, "x", {})
    assert [cause for _, cause, _ in told(log)] == list(Cause)
    log.resolve("credit", OF_RUNS)
    assert {alert.cause for alert in log.open("credit")} == {Cause.NO_DATA, Cause.LATE}
    assert [alert.cause for alert in log.open("other")] == [Cause.FAILED]


def test_what_was_seen_after_a_run_began_is_not_resolved_by_it(data_mart: DataMart) -> None:
    log = data_mart.alerts
    log.see("credit", Cause.FAILED, "x", {})
    log.resolve("credit", OF_RUNS, seen_before=datetime.now(UTC) - timedelta(hours=1))
    assert len(log.open("credit")) == 1
    log.resolve("credit", OF_RUNS, seen_before=datetime.now(UTC) + timedelta(hours=1))
    assert log.open("credit") == []


def test_what_was_never_told_does_not_end_with_a_message(data_mart: DataMart) -> None:
    log = data_mart.alerts
    log.see("credit", Cause.LATE, "x", {})
    log.resolve("credit", [Cause.LATE])
    assert told(log, timedelta(0)) == []


@pytest.mark.parametrize("notice", list(Notice))
def test_a_notice_that_could_not_be_told_is_given_to_the_next(data_mart: DataMart, notice: Notice) -> None:
    log = data_mart.alerts
    log.see("credit", Cause.LATE, "x", {})
    if notice is not Notice.OPENED:
        assert told(log) == [(Notice.OPENED, Cause.LATE, 1)]
    if notice is Notice.RESOLVED:
        log.resolve("credit", [Cause.LATE])
    remind = timedelta(0) if notice is Notice.REMINDER else DAY
    for _ in range(2):
        ((given, alert),) = log.claim("credit", remind)
        assert given is notice
        log.release(alert.alert_id, notice)
    assert told(log, remind) == [(notice, Cause.LATE, 1)]


def test_of_tasks_that_fail_at_the_same_time_one_tells(database: Connection) -> None:
    tasks, rounds = 8, 5
    at_once = Barrier(tasks)

    def fail(number: int) -> list[tuple[Notice, Cause]]:
        with DataMart(database, SCHEMA) as mart:
            given = []
            for _ in range(rounds):
                at_once.wait(timeout=60)
                mart.alerts.see("credit", Cause.STORE_REFUSED, f"task {number}", {})
                given += [(n, alert.cause) for n, alert in mart.alerts.claim("credit", DAY)]
                at_once.wait(timeout=60)
                mart.alerts.resolve("credit", [Cause.STORE_REFUSED])
                given += [(n, alert.cause) for n, alert in mart.alerts.claim("credit", DAY)]
            return given

    with ThreadPoolExecutor(tasks) as pool:
        given = [one for some in pool.map(fail, range(tasks)) for one in some]
    assert given.count((Notice.OPENED, Cause.STORE_REFUSED)) == rounds
    assert given.count((Notice.RESOLVED, Cause.STORE_REFUSED)) == rounds
    times = query(database, f"SELECT times FROM {quoted(SCHEMA)}.paylog_alert")
    assert times == [(tasks,)] * rounds


def test_rejects_of_the_batches_of_a_run_that_were_rolled_back(data_mart: DataMart) -> None:
    owner = subscription(count=0)
    data_mart.ensure(owner)
    for name, reason in (("a", Reason.NULL_VALUE), ("b", Reason.NULL_VALUE), ("c", Reason.TYPE_MISMATCH)):
        rejects = [Reject(0, reason, b"canary", rows=2)]
        with pytest.raises(ErrorBudgetExceeded):
            load(data_mart, owner, {capture_object(name): [block(owner, (), rejects=rejects)]})
    runs = {receipt.run_id for receipt in data_mart.receipts(owner.id)}
    assert rejects_of_run(data_mart, owner.id, runs.pop()) == {"NULL_VALUE": 4, "TYPE_MISMATCH": 2}
    assert rejects_of_run(data_mart, owner.id, "another") == {}
