"""Batch transform jobs whose inputs and outputs come in different runs, and whose outputs are overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paylog.connections import Connection, use_resolver
from paylog.data_mart.session import quoted
from paylog.subscription import Subscription
from paylog.testing.exactly_once.books import ask, assert_balanced
from paylog.testing.exactly_once.runs import run, run_until_done
from paylog.testing.exactly_once.served_model import DATA_MART, DAY, LOGS, LogFolder, subscription_of
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.table_logs import BatchTransformLog

RESPONSE = {"response": {"label": "prediction", "p0": "P(No Risk)", "p1": "P(Risk)"}}
LOG = BatchTransformLog(
    model=CREDIT_RISK, start=DAY.start, end=DAY.end, records=30, objects_count=3, layout=""
)


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    return LogFolder(tmp_path)


@pytest.fixture(autouse=True)
def _connections(empty_database: Connection, folder: LogFolder) -> Iterator[None]:
    use_resolver({DATA_MART: empty_database, LOGS: folder.connection}.__getitem__)
    yield
    use_resolver(None)


def batches() -> Subscription:
    sections = {"logs": {"layout": ""}}
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
