"""Batch transform jobs whose inputs and outputs come in different runs, and whose outputs are overwritten.

By folder, and by what the jobs' manifests name.
"""

from __future__ import annotations

import json

import pytest

from paylog.data_mart.session import quoted
from paylog.subscription import Subscription
from paylog.testing.exactly_once.books import ask, assert_balanced
from paylog.testing.exactly_once.runs import run, run_until_done
from paylog.testing.exactly_once.served_model import DAY, LogFolder, subscription_of
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.table_logs import BatchTransformLog

RESPONSE = {"response": {"label": "prediction", "p0": "P(No Risk)", "p1": "P(Risk)"}}
LOG = BatchTransformLog(
    model=CREDIT_RISK, start=DAY.start, end=DAY.end, records=30, objects_count=3, layout=""
)


def batches(layout: str = "") -> Subscription:
    sections = {"logs": {"layout": layout}}
    return subscription_of("batches", "amazon_sagemaker_batch", CREDIT_RISK, "string", RESPONSE, sections)


def loaded(subscription: Subscription) -> list[tuple[object, ...]]:
    assert_balanced(subscription)
    table = quoted(subscription.data_mart.schema_name, f"Payload_{subscription.id}")
    names = ", ".join(quoted(name) for name in ("LoanAmount", "Age", "prediction"))
    return ask(f"SELECT scoring_id, {names}, probability FROM {table} ORDER BY scoring_id")


@pytest.mark.parametrize("first", ["in", "out"])
def test_one_side_comes_a_run_late(folder: LogFolder, first: str) -> None:
    subscription, objects = batches(), list(LOG.objects())
    for one in objects:
        if one.key.startswith(f"{first}/"):
            folder.write(one.key, one.data)
    assert run(subscription).counts.pending == 30
    assert loaded(subscription) == []
    folder.fill(LOG)
    run_until_done(subscription)
    rows = loaded(subscription)
    scored = {(row["LoanAmount"], row["Age"], row["prediction"]) for row in LOG.truth()}
    assert {row[1:4] for row in rows} == scored
    assert len(rows) == 30

    output = next(one for one in objects if one.key.endswith(".out"))
    turned = output.data.replace(b"No Risk", b"Risk")
    folder.write(output.key, turned)  # the job ran again
    run_until_done(subscription)
    again = loaded(subscription)
    assert [row[0] for row in again] == [row[0] for row in rows]
    name = output.key.removeprefix("out/").removesuffix(".out")
    assert {row[3] for row in again if str(row[0]).startswith(f"{name}:")} == {"Risk"}


CAPTURED = "{capture/input,capture/output}/%Y/%m/%d/%H/"


def manifest(folder: LogFolder, side: str, number: int, names: list[str]) -> None:
    """Of one job of that hour; ``side`` is ``in`` or ``out``."""
    uuid = f"d58dcdb4-6b44-4806-8b5a-b3ee4265bb{number:02d}"
    captured = f"capture/{side}put/{DAY.start:%Y/%m/%d}/{number:02d}/{uuid}.json"
    folder.write(captured, json.dumps([{"prefix": f"s3://bucket/{side}/"}, *names]).encode())


def test_manifests_are_followed(folder: LogFolder) -> None:
    """What no manifest names stays out; what one names and comes late does not; elsewhere is a reject."""
    subscription = batches(CAPTURED)
    inputs, outputs = ([one for one in LOG.objects() if one.key.startswith(side)] for side in ("in/", "out/"))
    names = [one.key.removeprefix("in/") for one in inputs]
    for one in (*inputs, outputs[0], outputs[2]):
        folder.write(one.key, one.data)
    folder.write("in/never-scored.csv", inputs[0].data)
    manifest(folder, "in", 1, names[:2])
    manifest(folder, "out", 1, [f"{name}.out" for name in names[:2]])
    first = run(subscription)
    assert (first.counts.loaded, first.counts.pending, first.counts.rejected) == (10, 10, 0)

    folder.write(outputs[1].key, outputs[1].data)  # named before it was there
    manifest(folder, "in", 2, [names[2], names[0]])
    manifest(folder, "out", 2, [f"{names[2]}.out", "../secret.csv.out"])
    second = run(subscription)
    assert (second.counts.loaded, second.counts.rejected, second.settled) == (20, 1, 10)
    assert second.waiting == 0
    scored = {(row["LoanAmount"], row["Age"], row["prediction"]) for row in LOG.truth()}
    assert {row[1:4] for row in loaded(subscription)} == scored
    reasons = ask(f"SELECT reason, convert_from(raw, 'UTF8') FROM {quarantine(subscription)}")
    assert reasons == [("FOREIGN_PAYLOAD", "s3://bucket/out/../secret.csv.out")]

    turned = outputs[0].data.replace(b"No Risk", b"Risk")
    folder.write(outputs[0].key, turned)  # the job ran again
    run_until_done(subscription)
    again = loaded(subscription)
    assert len(again) == 30
    assert {row[3] for row in again if str(row[0]).startswith(f"{names[0]}:")} == {"Risk"}


def quarantine(subscription: Subscription) -> str:
    return quoted(subscription.data_mart.schema_name, "paylog_quarantine")
