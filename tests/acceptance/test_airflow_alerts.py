"""Alerts, metrics and lineage of a real Airflow: mails to a mail server, StatsD over UDP, OpenLineage."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import watched

from paylog.testing.airflow_api import FINISHED, AirflowApi
from paylog.testing.demo_logs import DAYS, demo_logs
from paylog.testing.stack import Stack

DAG, CHECK = "paylog__watched", "paylog_alerts"
MISMATCH = "paylog · watched: the records do not match the schema"
RESOLVED = "paylog · watched: resolved: the records do not match the schema"
SILENCE = "paylog · watched: the engine sent no data"
LATE = "paylog · watched: payload records are late"
OVERDUE = "paylog · watched: a run takes too long"
EXPECTED = next(d for d in demo_logs() if d.subscription_id == "churn" and d.day == DAYS[0]).expected
CONF = {
    "window_start": DAYS[0].isoformat(),
    "window_end": (DAYS[0] + timedelta(days=1)).isoformat(),
    "batch_mb": 1,
}


def run(stack: Stack, airflow: AirflowApi, *dag_ids: str) -> dict[str, str]:
    """Start a run of each at the same time; their states."""
    runs = {name: airflow.trigger(name, conf=CONF if name == DAG else None) for name in dag_ids}

    def states() -> dict[str, str]:
        return {name: str(airflow.run(name, run_id)["state"]) for name, run_id in runs.items()}

    stack.wait(lambda: set(states().values()) <= FINISHED, what=f"runs of {', '.join(runs)}", seconds=240)
    return states()


@pytest.mark.timeout(600)
def test_owners_are_told_once_of_each_cause_and_of_the_end(
    stack: Stack, airflow: AirflowApi, subscriptions: Path, receivers: watched.Receivers
) -> None:
    stack.wait(lambda: {DAG, CHECK} <= airflow.dags(), what="the DAGs with alerts")
    for name in (DAG, CHECK):
        airflow.unpause(name)
    mail = receivers.mail
    # Two batches fail at the same time; the check runs twice, since unpausing it starts a run too.
    assert run(stack, airflow, DAG, CHECK) == {DAG: "failed", CHECK: "success"}
    wanted = {MISMATCH, SILENCE, LATE, OVERDUE}
    stack.wait(lambda: set(mail.subjects()) >= wanted, what="four mails")
    watched.write(subscriptions, watched.USUAL)
    assert run(stack, airflow, DAG, CHECK) == {DAG: "success", CHECK: "success"}
    stack.wait(lambda: RESOLVED in mail.subjects(), what="the mail of the end")

    for subject in (*wanted, RESOLVED):
        assert mail.subjects().count(subject) == 1, mail.subjects()
    assert {mail.recipients for mail in mail.mails} == {watched.OWNERS}
    told = next(each for each in mail.mails if each.subject == MISMATCH)
    assert "the error budget allows 0.01%" in told.html
    assert "Rejected rows by reason: " in told.html
    assert f'href="{stack.airflow.url}/dags/{DAG}/runs/manual__' in told.html
    assert "/tasks/ingest/mapped/" in told.html


def test_metrics_reach_statsd_with_and_without_names_in_them(receivers: watched.Receivers) -> None:
    statsd, counts = receivers.statsd, EXPECTED.counts
    for fate in ("read", "loaded", "duplicate", "rejected"):
        assert statsd.total(f"airflow.paylog.rows.{fate}.watched") == getattr(counts, fate)
    for reason, rows in EXPECTED.reasons.items():
        assert statsd.total(f"airflow.paylog.rejects.watched.{reason}") == rows
    assert statsd.total("airflow.paylog.batches.watched") == 2
    assert len(statsd.samples["airflow.paylog.batch.duration.watched"]) == 2
    assert statsd.total("airflow.paylog.rows.loaded") >= counts.loaded
    for gauge in ("lag_seconds", "pending", "late_objects", "open_alerts", "batch.rows_per_second"):
        assert statsd.samples[f"airflow.paylog.{gauge}.watched"], gauge


def test_lineage_names_logs_and_table_with_row_counts(receivers: watched.Receivers) -> None:
    events = [event for event in receivers.lineage() if event["outputs"]]
    assert {event["job"]["name"] for event in events} == {f"{DAG}.ingest"}
    places = {(p["namespace"], p["name"]) for event in events for p in event["inputs"]}
    assert places == {("s3://scoring-logs", "churn-xgb/AllTraffic")}
    outputs = [output for event in events for output in event["outputs"]]
    assert {output["name"] for output in outputs} == {"datamart.paylog_demo.Payload_watched"}
    rows = [output["outputFacets"]["outputStatistics"]["rowCount"] for output in outputs]
    assert sum(rows) == EXPECTED.counts.loaded
    read = [p["inputFacets"]["inputStatistics"] for event in events for p in event["inputs"]]
    assert sum(each["rowCount"] for each in read) == EXPECTED.counts.read


def test_no_payload_value_is_in_a_mail_a_metric_or_an_event(receivers: watched.Receivers) -> None:
    words = ["Month-to-month", "radio_tv", "no_checking", "inferenceTime"]
    mails = [mail.message.as_string() + mail.html for mail in receivers.mail.mails]
    metrics = [f"{name} {samples}" for name, samples in receivers.statsd.samples.items()]
    text = "\n".join([*mails, *metrics, *map(str, receivers.lineage())])
    assert len(text) > 10_000
    assert [word for word in words if word in text] == []
