"""Metrics through Airflow's own statistics: StatsD, OpenTelemetry or Datadog, whichever it is set to.

Each is sent as ``paylog.<name>`` with tags; for receivers that know no tags, while Airflow's option
``[metrics] legacy_names_on`` is set, once more as ``paylog.<name>.<tag>.…`` in the order of the tags.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats

if TYPE_CHECKING:
    from paylog.data_mart import Watermark
    from paylog.records import Receipt
    from paylog.run_receipt import RunReceipt


def batch(receipt: Receipt) -> None:
    """A batch was committed."""
    owner = receipt.subscription_id
    for fate, rows in asdict(receipt.counts).items():
        if rows:
            _count(f"rows.{fate}", rows, subscription_id=owner)
    for reason, rows in receipt.reasons.items():
        _count("rejects", rows, subscription_id=owner, reason=str(reason))
    _count("batches", 1, subscription_id=owner)
    _count("objects", receipt.objects, subscription_id=owner)
    _count("bytes", receipt.bytes, subscription_id=owner)
    for full, tags in _names("batch.duration", subscription_id=owner):
        stats.timing(full, receipt.seconds * 1000, tags=tags)
    if receipt.seconds > 0:
        _level("batch.rows_per_second", receipt.counts.read / receipt.seconds, subscription_id=owner)


def run(receipt: RunReceipt) -> None:
    """A run was reconciled."""
    _level("pending", receipt.waiting, subscription_id=receipt.subscription_id)
    lag(receipt.subscription_id, receipt.complete_through)


def watermark(subscription_id: str, known: Watermark | None) -> None:
    """A look at the watermark, whether or not there was a run."""
    if known is not None:
        lag(subscription_id, known.complete_through)
        _level("late_objects", known.late_objects, subscription_id=subscription_id)


def lag(subscription_id: str, complete_through: datetime | None) -> None:
    """Seconds from the watermark to now."""
    if complete_through is not None:
        seconds = (datetime.now(UTC) - complete_through).total_seconds()
        _level("lag_seconds", seconds, subscription_id=subscription_id)


def open_alerts(subscription_id: str, number: int) -> None:
    """How many alerts are open."""
    _level("open_alerts", number, subscription_id=subscription_id)


def _count(name: str, number: int, **tags: str) -> None:
    for full, given in _names(name, **tags):
        stats.incr(full, number, tags=given)


def _level(name: str, value: float, **tags: str) -> None:
    for full, given in _names(name, **tags):
        stats.gauge(full, value, tags=given)


def _names(name: str, **tags: str) -> list[tuple[str, dict[str, str]]]:
    names = [(f"paylog.{name}", tags)]
    if conf.getboolean("metrics", "legacy_names_on"):
        names.append((".".join(["paylog", name, *tags.values()]), {}))
    return names
