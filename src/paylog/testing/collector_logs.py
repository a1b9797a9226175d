"""Scoring logs as Azure Machine Learning's data collector writes them, of the same scorer as the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from paylog.model_schema import FieldType
from paylog.testing.scored_model import Model
from paylog.testing.scored_record import Cell, Defect, ScoredRecord
from paylog.testing.scoring_logs import LogObject, ScoringLog

INPUTS, OUTPUTS, BOTH = "model_inputs", "model_outputs", "model_inputs_outputs"


@dataclass(frozen=True, kw_only=True)
class CollectorLog(ScoringLog):
    """``model_inputs`` and ``model_outputs`` in blobs of their own, or both sides in one collection.

    :param together: one collection, ``model_inputs_outputs``.
    """

    together: bool = False
    layout: str = "%Y/%m/%d/%H/"
    resolution: ClassVar = timedelta(seconds=1)

    def objects(self) -> Iterator[LogObject]:
        for one in super().objects():
            if self.together:
                yield one._replace(key=f"{BOTH}/{one.key}")
                continue
            lines = one.data.splitlines(keepends=True)
            for at, collection in enumerate((INPUTS, OUTPUTS)):
                yield LogObject(f"{collection}/{one.key}", b"".join(lines[at::2]), one.last_scored)

    def render(self, records: list[ScoredRecord]) -> bytes:
        return "".join(f"{json.dumps(line)}\n" for one in records for line in self._lines(one)).encode()

    def name(self, first: datetime, identity: str) -> str:
        return f"{identity}.jsonl"

    def _lines(self, record: ScoredRecord) -> Iterator[dict[str, Any]]:
        names = [feature.name for feature in self.model.features]
        if record.defect is Defect.MISSING_FEATURE:
            names = names[:-1]
        inputs = [
            {name: _value(self.model, i, row[i]) for i, name in enumerate(names)}
            for row in record.request_rows(self.model, "")
        ]
        outputs = [
            {"prediction": self.model.class_labels[score >= 0.5], "probability": [1.0 - score, score]}
            for score in record.response_scores()
        ]
        if self.together:
            rows = [{**given, **said} for given, said in zip(inputs, outputs, strict=True)]
            yield collected(BOTH, rows, record.id, record.time)
            return
        yield collected(INPUTS, inputs, record.id, record.time)
        yield collected(OUTPUTS, outputs, record.id, record.time)


def collected(collection: str, data: Any, correlation_id: str, time: str, **more: Any) -> dict[str, Any]:
    """One record of the collector. ``time`` without a zone is cut to whole seconds, as the collector does."""
    return {
        "specversion": "1.0",
        "id": f"{collection}-{correlation_id}",
        "source": "/subscriptions/0/onlineEndpoints/credit/deployments/blue",
        "type": f"azureml.inference.{collection}",
        "datacontenttype": "application/json",
        "time": f"{time[:19]}Z",
        "data": data,
        "contentrange": "bytes 0-1/2",
        "correlationid": correlation_id,
        "xrequestid": correlation_id,
        **more,
    }


def _value(model: Model, at: int, cell: Cell) -> Any:
    return cell == "true" if model.features[at].type is FieldType.BOOLEAN else cell
