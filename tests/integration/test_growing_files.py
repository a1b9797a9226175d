"""Files in a folder that something still writes to: read on from run to run, never the unfinished line."""

from __future__ import annotations

import gzip

import pytest

from paylog import pipeline
from paylog.data_mart.session import quoted
from paylog.subscription import Subscription
from paylog.testing.exactly_once.books import ask, assert_balanced
from paylog.testing.exactly_once.runs import plan, run
from paylog.testing.exactly_once.served_model import DAY, LogFolder, subscription_of
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.table_logs import FileFormat, FlatLog

COLUMNS = (
    *(feature.name for feature in CREDIT_RISK.features),
    *("prediction", "probability", "scoring_id", "scoring_timestamp"),
)


def files() -> Subscription:
    sections = {"logs": {"layout": "", "columns": list(COLUMNS)}, "error_budget": {"share": 0.0}}
    return subscription_of("flat", "files", CREDIT_RISK, "string", {}, sections)


def log(**settings: object) -> FlatLog:
    return FlatLog(model=CREDIT_RISK, start=DAY.start, end=DAY.end, records=40, layout="", **settings)  # type: ignore[arg-type]


def loaded(subscription: Subscription) -> list[tuple[str, int]]:
    """Scoring id and line of every row."""
    assert_balanced(subscription)
    table = quoted(subscription.data_mart.schema_name, f"Payload_{subscription.id}")
    return ask(f"SELECT scoring_id, _position FROM {table} ORDER BY _position")


@pytest.mark.parametrize(
    "kind",
    [
        {"format": FileFormat.NDJSON},
        {"format": FileFormat.CSV},
        {"format": FileFormat.CSV, "header": False},
    ],
)
def test_a_file_grows_between_runs(folder: LogFolder, kind: dict[str, object]) -> None:
    subscription, (one,) = files(), log(**kind).objects()
    first = int(kind == {"format": FileFormat.CSV})
    ids = [row["scoring_id"] for row in log(**kind).truth()]
    path = folder.root / one.key
    ends = [i + 1 for i, byte in enumerate(one.data) if byte == ord("\n")]
    for size in (ends[9], ends[14] + 30, ends[14] + 50, ends[25] - 1, len(one.data), len(one.data)):
        path.write_bytes(one.data[:size])
        run(subscription)
        whole = one.data[:size].count(b"\n") - first
        if kind["format"] is FileFormat.NDJSON and size == ends[25] - 1:
            whole += 1  # an object without its line end is whole nevertheless
        assert loaded(subscription) == [(name, n + first) for n, name in enumerate(ids[:whole])]
    assert len(loaded(subscription)) == len(ids) == 40


def test_a_plan_that_is_older_than_what_is_loaded(folder: LogFolder) -> None:
    """Another run has read further meanwhile: the object is not shorter than before, the plan is old."""
    subscription, (one,) = files(), log(format=FileFormat.NDJSON).objects()
    path = folder.root / one.key
    path.write_bytes(one.data[: len(one.data) // 2])
    run_id, (batch_id,) = plan(subscription)
    path.write_bytes(one.data)
    run(subscription)
    found = loaded(subscription)
    pipeline.ingest_planned(subscription, run_id, batch_id)
    assert loaded(subscription) == found
    assert len(found) == 40


def test_a_compressed_file_does_not_grow_whatever_its_name(folder: LogFolder) -> None:
    """It is read as a whole, and again as a whole when it is replaced."""
    subscription, (one,) = files(), log(format=FileFormat.NDJSON).objects()
    ids = [row["scoring_id"] for row in log(format=FileFormat.NDJSON).truth()]
    path = folder.root / one.key
    lines = one.data.splitlines(keepends=True)
    for count in (12, 40, 40):
        path.write_bytes(gzip.compress(b"".join(lines[:count])))
        run(subscription)
        assert [name for name, _ in loaded(subscription)] == ids[:count]
