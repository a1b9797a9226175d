"""The demo's scoring logs: three days of two models on four engines, with defects planted, always the same.

``python -m paylog.testing.demo_logs`` writes them to the store of connection ``paylog_logs``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from paylog.connections import resolve
from paylog.testing.collector_logs import CollectorLog
from paylog.testing.inference_logs import KServeLog, Protocol
from paylog.testing.scored_model import CHURN, CREDIT_RISK
from paylog.testing.scoring_logs import CaptureLog, Defect, Expected, PayloadLog, ScoringLog

BUCKET = "scoring-logs"
DAYS = tuple(datetime(2024, 3, 4, tzinfo=UTC) + timedelta(days=n) for n in range(3))
_OBJECTS = 24
_DEFECTS = {
    Defect.MALFORMED_JSON: 4,
    Defect.MISSING_FEATURE: 7,
    Defect.TYPE_MISMATCH: 5,
    Defect.NO_TIMESTAMP: 3,
    Defect.MISSING_RESPONSE: 6,
    Defect.ROW_COUNT_MISMATCH: 2,
    Defect.DUPLICATE: 8,
}


# In halves a record that is repeated counts twice, and each object would hold one: no duplicates there.
_DEFECTS_OF_HALVES = {Defect.TYPE_MISMATCH: 3, Defect.ROW_COUNT_MISMATCH: 2}


@dataclass(frozen=True)
class DayOfLogs:
    """What one engine wrote on one UTC day."""

    subscription_id: str
    prefix: str
    day: datetime
    log: ScoringLog

    @property
    def expected(self) -> Expected:
        """What loading it must count."""
        return self.log.expected


def demo_logs() -> Iterator[DayOfLogs]:
    """Every day of every model."""
    for seed, day in enumerate(DAYS, 1):
        shape: dict[str, Any] = {
            "start": day,
            "end": day + timedelta(days=1),
            "objects_count": _OBJECTS,
            "rows_per_record": 3,
            "defects": _DEFECTS,
        }
        credit = PayloadLog(model=CREDIT_RISK, records=1_500, gzip=True, seed=seed, **shape)
        churn = CaptureLog(model=CHURN, records=2_000, seed=100 + seed, **shape)
        yield DayOfLogs("credit-risk", "credit-risk/", day, credit)
        yield DayOfLogs("churn", "churn-xgb/AllTraffic/", day, churn)
        shape |= {"defects": _DEFECTS_OF_HALVES}
        azure = CollectorLog(model=CREDIT_RISK, records=800, seed=200 + seed, **shape)
        yield DayOfLogs("credit-risk-azure", "modelDataCollector/credit/blue/", day, azure)
        shape |= {"objects_count": 8, "apart": True, "protocol": Protocol.V2}
        kserve = KServeLog(model=CHURN, records=600, seed=300 + seed, **shape)
        yield DayOfLogs("churn-kserve", "default/churn/predictor/logs/", day, kserve)


def write_demo_logs(client: Any) -> tuple[int, int]:
    """Put the objects that are not there yet: ``(objects of the demo, objects written)``.

    :param client: the SDK's S3 client.
    """
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets().get("Buckets", ())}:
        client.create_bucket(Bucket=BUCKET)
    there = {
        item["Key"]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for item in page.get("Contents", ())
    }
    total = written = 0
    for day in demo_logs():
        for item in day.log.objects():
            total += 1
            key = day.prefix + item.key
            if key not in there:
                client.put_object(Bucket=BUCKET, Key=key, Body=item.data)
                written += 1
    return total, written


def main() -> None:
    from paylog.storage.cos_client import cos_client

    total, written = write_demo_logs(cos_client(resolve("paylog_logs")))
    print(f"{total} objects of scoring logs, {written} of them new")


if __name__ == "__main__":
    main()
