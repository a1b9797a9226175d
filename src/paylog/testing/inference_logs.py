"""Scoring logs as KServe, Seldon Core, BentoML and Watson Machine Learning write them, of the same scorer."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from paylog.model_schema import FieldType
from paylog.testing.scored_model import Model
from paylog.testing.scored_record import Cell, Defect, ScoredRecord
from paylog.testing.scoring_logs import LogObject, ScoringLog

_PLAIN = frozenset({Defect.MISSING_FEATURE, Defect.TYPE_MISMATCH, Defect.DUPLICATE})
_TENSORS = {FieldType.STRING: "BYTES", FieldType.BOOLEAN: "BOOL", FieldType.INTEGER: "INT64"}


@dataclass(frozen=True, kw_only=True)
class InferenceLog(ScoringLog):
    """A log of JSON documents, a line each, of which a record may have several."""

    layout: str = ""
    plantable: ClassVar[frozenset[Defect]] = _PLAIN

    def __post_init__(self) -> None:
        if unfit := {defect for defect, count in self.defects.items() if count} - self.plantable:
            raise ValueError(f"this log cannot hold {', '.join(sorted(unfit))}")

    def render(self, records: list[ScoredRecord]) -> bytes:
        return "".join(f"{json.dumps(one)}\n" for record in records for one in self.lines(record)).encode()

    def lines(self, record: ScoredRecord) -> Iterator[Any]:
        """The documents that the engine writes of one scored record."""
        raise NotImplementedError

    def name(self, first: datetime, identity: str) -> str:
        return f"{identity}.ndjson"

    def cells(self, record: ScoredRecord) -> list[list[Any]]:
        """The request's rows as JSON values; a missing feature makes them one short."""
        count = len(self.model.features) - (record.defect is Defect.MISSING_FEATURE)
        rows = record.request_rows(self.model, "")
        return [[_value(self.model, i, row[i]) for i in range(count)] for row in rows]

    def named(self, record: ScoredRecord) -> list[dict[str, Any]]:
        """The request's rows by name."""
        names = [feature.name for feature in self.model.features]
        return [dict(zip(names, row, strict=False)) for row in self.cells(record)]

    def label(self, score: float) -> str | int:
        return self.model.class_labels[score >= 0.5]


def _value(model: Model, at: int, cell: Cell) -> Any:
    return cell == "true" if model.features[at].type is FieldType.BOOLEAN else cell


class Protocol(StrEnum):
    """Which protocol a KServe service speaks."""

    V1 = "v1"
    V2 = "v2"


class Written(StrEnum):
    """How a KServe log is written: a JSON array of logger records, or one CloudEvent a line."""

    BATCH = "batch"
    CLOUD_EVENTS = "cloud_events"


@dataclass(frozen=True, kw_only=True)
class KServeLog(InferenceLog):
    """The inference logger of a KServe predictor.

    :param apart: responses are in objects of their own, which follow those of their requests.
    """

    protocol: Protocol = Protocol.V1
    written: Written = Written.BATCH
    apart: bool = False
    plantable: ClassVar = frozenset({Defect.TYPE_MISMATCH, Defect.ROW_COUNT_MISMATCH, Defect.DUPLICATE})

    def objects(self) -> Iterator[LogObject]:
        for one in super().objects():
            records = json.loads(one.data) if self.written is Written.BATCH else one.data.splitlines()
            if not self.apart:
                yield one
                continue
            for at, side in enumerate(("request", "response")):
                part = records[at::2]
                data = json.dumps(part).encode() if self.written is Written.BATCH else b"\n".join(part)
                yield LogObject(one.key.replace("-request.", f"-{side}."), data, one.last_scored)

    def render(self, records: list[ScoredRecord]) -> bytes:
        if self.written is Written.CLOUD_EVENTS:
            return super().render(records)
        return json.dumps([one for record in records for one in self.lines(record)]).encode()

    def name(self, first: datetime, identity: str) -> str:
        return f"{identity}-request.{'json' if self.written is Written.BATCH else 'ndjson'}"

    def lines(self, record: ScoredRecord) -> Iterator[Any]:
        sides = {"request": self._request(record), "response": self._response(record)}
        for side, body in sides.items():
            kind = f"org.kubeflow.serving.inference.{side}"
            about = {"id": record.id, "namespace": "default", "component": "predictor"}
            if self.written is Written.CLOUD_EVENTS:
                attributes = {"specversion": "1.0", "type": kind, "inferenceservicename": "credit"}
                yield {**attributes, **about, "time": f"{record.time}Z", "data": body}
                continue
            encoded = base64.b64encode(json.dumps(body).encode()).decode()
            content = {"bytes": encoded, "contentType": "application/json", "reqType": kind}
            yield {**content, **about, "inferenceService": "credit", "occurrenceTime": f"{record.time}Z"}

    def _request(self, record: ScoredRecord) -> dict[str, Any]:
        rows = self.cells(record)
        if self.protocol is Protocol.V1:
            return {"instances": rows}
        tensors = [
            _tensor(
                feature.name, [len(rows), 1], _TENSORS.get(feature.type, "FP64"), [row[i] for row in rows]
            )
            for i, feature in enumerate(self.model.features[: len(rows[0])])
        ]
        return {"id": record.id, "inputs": tensors}

    def _response(self, record: ScoredRecord) -> dict[str, Any]:
        scores = record.response_scores()
        labels, vectors = [self.label(score) for score in scores], [[1.0 - score, score] for score in scores]
        if self.protocol is Protocol.V1:
            pairs = zip(labels, vectors, strict=True)
            return {"predictions": [{"prediction": label, "probability": vector} for label, vector in pairs]}
        flat = [cell for vector in vectors for cell in vector]
        kind = "BYTES" if isinstance(self.model.class_labels[0], str) else "INT64"
        predicted = _tensor("predict", [len(scores)], kind, labels)
        return {"outputs": [predicted, _tensor("predict_proba", [len(scores), 2], "FP64", flat)]}


def _tensor(name: str, shape: list[int], datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


@dataclass(frozen=True, kw_only=True)
class SeldonLog(InferenceLog):
    """Documents of Seldon's request logger, exported from Elasticsearch: one a row."""

    def lines(self, record: ScoredRecord) -> Iterator[Any]:
        single = len(record.rows) == 1
        for i, (row, score) in enumerate(zip(self.named(record), record.scores, strict=True)):
            outputs = {"prediction": self.label(score), "proba_0": 1.0 - score, "proba_1": score}
            source = {
                "request": {"elements": row, "instance": list(row.values()), "dataType": "tabular"},
                "response": {"elements": outputs, "instance": [1.0 - score, score]},
                "@timestamp": f"{record.time}Z",
                "RequestId": record.id,
            }
            yield {"_id": record.id if single else f"{record.id}-item-{i}", "_source": source}


@dataclass(frozen=True, kw_only=True)
class BentoMLLog(InferenceLog):
    """A BentoML monitor's files; a row's id is not the record's, and its time is UTC without saying so."""

    def lines(self, record: ScoredRecord) -> Iterator[Any]:
        for row, score in zip(self.named(record), record.scores, strict=True):
            outputs = {"prediction": self.label(score), "probability": [1.0 - score, score]}
            request = str(int(record.id.replace("-", "")[:16], 16))
            yield {**row, **outputs, "timestamp": record.time, "request_id": request, "trace_id": "0"}

    def name(self, first: datetime, identity: str) -> str:
        return f"data.{int(identity[:4], 16)}.log"


@dataclass(frozen=True, kw_only=True)
class WatsonMachineLearningLog(InferenceLog):
    """Payload records with the bodies of Watson Machine Learning's scoring API."""

    plantable: ClassVar = _PLAIN | {Defect.ROW_COUNT_MISMATCH}

    def lines(self, record: ScoredRecord) -> Iterator[Any]:
        rows = self.cells(record)
        names = [feature.name for feature in self.model.features[: len(rows[0])]]
        answers = [[[1.0 - score, score], self.label(score)] for score in record.response_scores()]
        response = {"fields": ["probability", "prediction"], "values": answers}
        yield {
            "scoring_id": record.id,
            "scoring_timestamp": f"{record.time}Z",
            "request": {"input_data": [{"fields": names, "values": rows}]},
            "response": {"predictions": [response]},
            "response_time": record.milliseconds,
        }
