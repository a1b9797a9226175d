"""How long a plan will take, and what is said of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from paylog.data_mart.backfills import Pace
from paylog.forecast import Forecast, duration
from paylog.layout import Window
from paylog.plan import Batch, Plan
from paylog.records import CaptureObject
from paylog.sampling import Sample

START = datetime(2024, 3, 4, tzinfo=UTC)


def plan(*sizes: int) -> Plan:
    """One batch for each size."""
    batches = [
        Batch(f"{n:04d}", (CaptureObject(f"file:///{n}", str(n), "v", size, START),))
        for n, size in enumerate(sizes)
    ]
    return Plan("one", Window(START, START + timedelta(days=1)), batches)


PACE = Pace(batches=3, records=1_000, bytes=200_000, seconds=2.0)
SAMPLE = Sample(objects=2, records=100, bytes=10_000)


def test_receipts_come_before_the_sample_and_the_sample_before_what_is_usual() -> None:
    by_receipts = Forecast.of(plan(1_000_000), PACE, SAMPLE, workers=4)
    assert (by_receipts.records, by_receipts.seconds) == (5_000, 10.0)
    assert by_receipts.basis == (
        "by the last 3 receipts: 200 bytes a record, 500 records/s a worker, 1 worker"
    )
    assert Forecast.of(plan(1_000_000), None, SAMPLE, workers=1).records == 10_000
    usual = Forecast.of(plan(6_000_000), None, None, workers=1)
    assert usual.records == 10_000
    assert usual.basis.startswith("no receipts yet: 600 bytes a record assumed, ")


def test_no_more_workers_count_than_there_are_batches() -> None:
    two = Forecast.of(plan(500_000, 500_000), PACE, None, workers=8)
    assert (two.records, two.seconds) == (5_000, 5.0)
    assert two.basis.endswith("2 workers")


def test_nothing_takes_no_time() -> None:
    nothing = Forecast.of(plan(), PACE, None, workers=2)
    assert (nothing.records, nothing.seconds) == (0, 0.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (150, "2 min"), (5_000, "83 min"), (7_200, "2.0 h")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
