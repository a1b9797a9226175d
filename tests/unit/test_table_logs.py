"""What the generators of tables and of batch transform jobs write is read back."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from paylog.errors import Reason
from paylog.testing.decoded import Outcome, Path, capture_object, declare, decoding, together
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.scoring_logs import Defect, ScoringLog
from paylog.testing.table_logs import (
    BatchTransformLog,
    FileFormat,
    FlatLog,
    InferenceTableLog,
    RequestShape,
    VertexLog,
)

SPAN: dict[str, Any] = {
    "model": CREDIT_RISK,
    "records": 60,
    "objects_count": 3,
    "rows_per_record": 3,
    "start": datetime(2024, 1, 19, 19, tzinfo=UTC),
    "end": datetime(2024, 1, 19, 20, tzinfo=UTC),
}
FEATURES = [feature.name for feature in CREDIT_RISK.features]
OUTPUTS = ("prediction", "probability", "scoring_id", "scoring_timestamp")
SCORES = {"response": {"scores": "probability", "classes": "ignore"}}
CELLS = {"response": {"label": "prediction", "p0": "P(No Risk)", "p1": "P(Risk)"}}
LOGS: dict[str, tuple[ScoringLog, str, dict[str, Any]]] = {
    **{f"files {kind}": (FlatLog(**SPAN, format=kind), "files", {}) for kind in FileFormat},
    "files csv, by position": (
        FlatLog(**SPAN, format=FileFormat.CSV, header=False),
        "files",
        {"columns": (*FEATURES, *OUTPUTS)},
    ),
    **{
        f"databricks {shape}": (InferenceTableLog(**SPAN, shape=shape), "databricks", {})
        for shape in RequestShape
    },
    "databricks in lines": (InferenceTableLog(**SPAN, parquet=False), "databricks", {}),
    "vertex": (VertexLog(**SPAN), "vertex_ai", SCORES),
    "batch transform": (BatchTransformLog(**SPAN), "amazon_sagemaker_batch", CELLS),
}


def load(log: ScoringLog, provider: str, declared: dict[str, Any]) -> Outcome:
    types = {feature.name: str(feature.type) for feature in CREDIT_RISK.features}
    subscription = declare(provider, types, CREDIT_RISK.class_labels, **declared)
    return together(subscription, [(capture_object(one.data, one.key), one.data) for one in log.objects()])


def comparable(row: dict[str, Any], *, by_id: bool, timed: bool) -> tuple[Any, ...]:
    names = (*(("scoring_id",) if by_id else ()), *(("scoring_timestamp",) if timed else ()))
    return (*(row[name] for name in (*names, *FEATURES, "prediction")), tuple(row["probability"]))


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize("name", LOGS)
def test_what_was_scored_is_what_is_read(name: str, path: Path) -> None:
    log = LOGS[name][0]
    batch = isinstance(log, BatchTransformLog)
    shown = {"by_id": not isinstance(log, VertexLog | BatchTransformLog), "timed": not batch}
    with decoding(path):
        found = load(*LOGS[name])
    assert not found.rejects
    assert not found.pending
    assert found.balanced
    read = Counter(comparable(row, **shown) for row in found.rows)
    assert read == Counter(comparable(row, **shown) for row in log.truth())
    assert not any(row["_timestamp_approximate"] for row in found.rows)


def test_planted_defects_are_told() -> None:
    defects = {Defect.TYPE_MISMATCH: 3, Defect.MISSING_FEATURE: 3, Defect.ROW_COUNT_MISMATCH: 3}
    log = InferenceTableLog(**SPAN, defects=defects, parquet=False)
    found = load(log, "databricks", {})
    assert Counter(found.reasons) == {
        Reason.TYPE_MISMATCH: 3,
        Reason.MISSING_FEATURE: 3,
        Reason.ROW_COUNT_MISMATCH: 3,
    }
    counts = log.expected.counts
    assert len(found.rows) == counts.loaded
    assert sum(reject.rows for reject in found.rejects) == counts.rejected
