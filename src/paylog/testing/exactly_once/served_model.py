"""Subscriptions to the two served models, and a folder that their scoring logs are written to."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from paylog.connections import Connection
from paylog.layout import Window
from paylog.subscription import Subscription
from paylog.testing.scored_model import CHURN, CREDIT_RISK, Model
from paylog.testing.scoring_logs import CaptureLog, PayloadLog, ScoringLog

LOGS, DATA_MART = "scoring_logs", "data_mart"
MIDNIGHT = datetime(2024, 3, 4, tzinfo=UTC)
DAY = Window(MIDNIGHT, MIDNIGHT + timedelta(days=1))


def hours(first: int, end: int) -> Window:
    """From hour to hour of the day."""
    return Window(MIDNIGHT + timedelta(hours=first), MIDNIGHT + timedelta(hours=end))


def credit(name: str = "credit", **sections: Any) -> Subscription:
    """The custom engine's model; sections are added to or put in place of the usual ones."""
    return subscription_of(name, "custom_machine_learning", CREDIT_RISK, "string", {}, sections)


def churn(name: str = "churn", **sections: Any) -> Subscription:
    """The model on SageMaker."""
    mapping = {"response": {"predicted_label": "prediction", "score": "P(1)"}}
    return subscription_of(name, "amazon_sagemaker", CHURN, "integer", mapping, sections)


def subscription_of(
    name: str, provider: str, model: Model, label: str, mapping: dict[str, Any], sections: dict[str, Any]
) -> Subscription:
    """A subscription to ``model``, whose sections are added to or replaced."""
    features = [{"name": f.name, "type": str(f.type), "required": True} for f in model.features]
    outputs = [
        {"name": "prediction", "type": label, "role": "prediction"},
        {"name": "probability", "type": "array", "role": "probability"},
    ]
    document: dict[str, Any] = {
        "id": name,
        "service_provider": provider,
        "deployment": {"id": f"{provider}-endpoint"},
        "logs": {"connection": LOGS, "layout": "%Y/%m/%d/%H/"},
        "model_schema": {
            "fields": features + outputs,
            "class_labels": list(model.class_labels),
            "problem_type": "binary",
            **mapping,
        },
        "data_mart": {"connection": DATA_MART, "schema": "paylog"},
        "error_budget": {"share": 0.5},
    }
    for section, given in sections.items():
        document[section] = {**document.get(section, {}), **given}
    return Subscription.model_validate(document)


def credit_log(**settings: Any) -> PayloadLog:
    """A day of the custom engine's log."""
    return PayloadLog(model=CREDIT_RISK, start=DAY.start, end=DAY.end, **settings)


def churn_log(**settings: Any) -> CaptureLog:
    """A day of the endpoint's capture."""
    return CaptureLog(model=CHURN, start=DAY.start, end=DAY.end, **settings)


class LogFolder:
    """A folder of capture objects. Every write makes a new version, however fast they follow."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys: list[str] = []
        self._ticks = count(1)

    @property
    def connection(self) -> Connection:
        return Connection(LOGS, "paylog_folder", extra={"path": str(self.root)})

    def fill(self, log: ScoringLog) -> list[str]:
        """Write every object of a log; their keys."""
        return [self.write(item.key, item.data) for item in log.objects()]

    def write(self, key: str, data: bytes | Iterable[bytes]) -> str:
        """Write or overwrite one object, whole and at once, as object stores do."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}")
        unfinished.write_bytes(data if isinstance(data, bytes) else b"".join(data))
        moment = int(MIDNIGHT.timestamp() * 1e9) + next(self._ticks) * 1_000_000_000
        os.utime(unfinished, ns=(moment, moment))
        unfinished.replace(path)
        if key not in self.keys:
            self.keys.append(key)
        return key

    def overwrite_in_place(self, key: str, data: bytes) -> None:
        """Write into the file that a reader may have open."""
        with (self.root / key).open("r+b") as file:
            file.truncate()
            file.write(data)

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def lines(self, key: str) -> list[bytes]:
        """The records of an object, each with its end of line."""
        return self.read(key).splitlines(keepends=True)
