"""What the log generators of KServe, Seldon, BentoML and Watson Machine Learning write is read back."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from paylog.decode import Decoder
from paylog.errors import Reason
from paylog.testing.contract import Path, capture_object, declare, decoding
from paylog.testing.decoded import Outcome, together
from paylog.testing.inference_logs import (
    BentoMLLog,
    KServeLog,
    Protocol,
    SeldonLog,
    WatsonMachineLearningLog,
    Written,
)
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.scoring_logs import Defect, ScoringLog

SPAN: dict[str, Any] = {
    "model": CREDIT_RISK,
    "records": 60,
    "objects_count": 3,
    "rows_per_record": 3,
    "start": datetime(2024, 1, 19, 19, tzinfo=UTC),
    "end": datetime(2024, 1, 19, 20, tzinfo=UTC),
}
V2 = {"predict": "prediction", "predict_proba": "probability"}
SCORES = {"prediction": "prediction", "proba_0": "P(No Risk)", "proba_1": "P(Risk)"}
LOGS: dict[str, tuple[ScoringLog, str, dict[str, Any]]] = {
    "kserve v1": (KServeLog(**SPAN), "kserve", {}),
    "kserve v1, apart": (KServeLog(**SPAN, apart=True), "kserve", {}),
    "kserve v2": (KServeLog(**SPAN, protocol=Protocol.V2), "kserve", {"response": V2}),
    "kserve events": (KServeLog(**SPAN, written=Written.CLOUD_EVENTS, apart=True), "kserve", {}),
    "seldon": (SeldonLog(**SPAN), "seldon", {"response": SCORES}),
    "bentoml": (BentoMLLog(**SPAN), "bentoml", {"timezone": "UTC"}),
    "wml": (WatsonMachineLearningLog(**SPAN), "watson_machine_learning", {}),
}


def load(log: ScoringLog, provider: str, declared: dict[str, Any]) -> Outcome:
    types = {feature.name: str(feature.type) for feature in CREDIT_RISK.features}
    decoder = Decoder(declare(provider, types, CREDIT_RISK.class_labels, **declared))
    return together(decoder, [(capture_object(one.data, one.key), one.data) for one in log.objects()])


def comparable(row: dict[str, Any], *, by_id: bool) -> tuple[Any, ...]:
    names = ("scoring_timestamp", *(f.name for f in CREDIT_RISK.features), "prediction")
    identity = (row["scoring_id"],) if by_id else ()
    return (*identity, *(row[name] for name in names), tuple(row["probability"]))


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize("name", LOGS)
def test_every_row_is_read_back(name: str, path: Path) -> None:
    log, provider, declared = LOGS[name]
    with decoding(path):
        found = load(log, provider, declared)
    assert not found.rejects
    assert not found.pending
    by_id = provider != "bentoml"
    rows = sorted(comparable(row, by_id=by_id) for row in found.rows)
    assert rows == sorted(comparable(row, by_id=by_id) for row in log.truth())
    assert len({row["_record_id"] for row in found.rows}) == len(rows)


def test_planted_defects_are_found() -> None:
    defects = {Defect.TYPE_MISMATCH: 3, Defect.MISSING_FEATURE: 2, Defect.ROW_COUNT_MISMATCH: 4}
    log = WatsonMachineLearningLog(**SPAN, defects=defects)
    found = load(log, "watson_machine_learning", {})
    reasons = Counter[Reason]()
    for reject in found.rejects:
        reasons[reject.reason] += reject.rows
    assert dict(reasons) == log.expected.reasons
    assert len(found.rows) == log.expected.counts.loaded


def test_a_log_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(ValueError, match="missing_response"):
        BentoMLLog(**SPAN, defects={Defect.MISSING_RESPONSE: 1})
