"""KServe, Seldon, BentoML and Watson Machine Learning under the shared contract."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from paylog.subscription import Subscription
from paylog.testing.contract import EngineContract, declare
from paylog.testing.inference_logs import (
    BentoMLLog,
    KServeLog,
    Protocol,
    SeldonLog,
    WatsonMachineLearningLog,
    Written,
)
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.scoring_logs import ScoringLog

SPAN: dict[str, Any] = {
    "model": CREDIT_RISK,
    "records": 24,
    "objects_count": 2,
    "rows_per_record": 3,
    "start": datetime(2024, 1, 19, 19, tzinfo=UTC),
    "end": datetime(2024, 1, 19, 20, tzinfo=UTC),
}


class LogContract(EngineContract):
    """The contract on what a log generator writes."""

    __test__ = False
    provider: ClassVar[str]
    log: ClassVar[ScoringLog]
    declared: ClassVar[dict[str, Any]] = {}

    def subscription(self) -> Subscription:
        types = {feature.name: str(feature.type) for feature in CREDIT_RISK.features}
        return declare(self.provider, types, CREDIT_RISK.class_labels, **self.declared)

    def objects(self) -> Sequence[bytes]:
        return [item.data for item in self.log.objects()]

    def key(self, number: int) -> str:
        return [item.key for item in self.log.objects()][number]


class TestKServeV1(LogContract):
    __test__ = True
    provider, log = "kserve", KServeLog(**SPAN)


class TestKServeV2Apart(LogContract):
    __test__ = True
    provider, log = "kserve", KServeLog(**SPAN, protocol=Protocol.V2, apart=True)
    declared: ClassVar = {"response": {"predict": "prediction", "predict_proba": "probability"}}


class TestKServeCloudEvents(LogContract):
    __test__ = True
    provider, log = "kserve", KServeLog(**SPAN, written=Written.CLOUD_EVENTS, apart=True)


class TestSeldon(LogContract):
    __test__ = True
    provider, log = "seldon", SeldonLog(**SPAN)
    declared: ClassVar = {
        "response": {"prediction": "prediction", "proba_0": "P(No Risk)", "proba_1": "P(Risk)"}
    }


class TestBentoML(LogContract):
    __test__ = True
    named_rows = False
    provider, log = "bentoml", BentoMLLog(**SPAN)
    declared: ClassVar = {"timezone": "UTC"}


class TestWatsonMachineLearning(LogContract):
    __test__ = True
    provider, log = "watson_machine_learning", WatsonMachineLearningLog(**SPAN)
