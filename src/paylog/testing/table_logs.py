"""Scoring logs that are tables, or pair by line: flat files, inference tables, Vertex AI, batch transform."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from paylog.testing.inference_logs import InferenceLog
from paylog.testing.scored_record import Defect, ScoredRecord
from paylog.testing.scoring_logs import LogObject

Row = dict[str, Any]


def _parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(f"{json.dumps(row, default=datetime.isoformat)}\n" for row in rows).encode()


def _csv(rows: Sequence[Row], header: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(rows[0])
    writer.writerows([json.dumps(c) if isinstance(c, list) else c for c in row.values()] for row in rows)
    return text.getvalue().encode()


class FileFormat(StrEnum):
    """How flat rows are written."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, kw_only=True)
class FlatLog(InferenceLog):
    """Files of one flat scored row a record.

    :param header: of CSV files: whether the first line names the columns.
    """

    format: FileFormat = FileFormat.NDJSON
    header: bool = True
    plantable: ClassVar = frozenset({Defect.DUPLICATE})

    def lines(self, record: ScoredRecord) -> Iterator[Row]:
        for n, (row, score) in enumerate(zip(self.named(record), record.scores, strict=True), 1):
            outputs = {"prediction": self.label(score), "probability": [1.0 - score, score]}
            yield {**row, **outputs, "scoring_id": f"{record.id}-{n}", "scoring_timestamp": f"{record.time}Z"}

    def render(self, records: list[ScoredRecord]) -> bytes:
        rows = [row for record in records for row in self.lines(record)]
        if self.format is FileFormat.CSV:
            return _csv(rows, self.header)
        return _parquet(rows) if self.format is FileFormat.PARQUET else _lines(rows)

    def name(self, first: datetime, identity: str) -> str:
        return f"part-{identity}.{self.format}"


class RequestShape(StrEnum):
    """Which of MLflow's request formats a client uses."""

    SPLIT = "dataframe_split"
    RECORDS = "dataframe_records"
    INSTANCES = "instances"
    INPUTS = "inputs"


@dataclass(frozen=True, kw_only=True)
class InferenceTableLog(InferenceLog):
    """An export of a Databricks inference table (AI Gateway's columns)."""

    shape: RequestShape = RequestShape.SPLIT
    parquet: bool = True
    plantable: ClassVar = frozenset(
        {Defect.TYPE_MISMATCH, Defect.DUPLICATE, Defect.MISSING_FEATURE, Defect.ROW_COUNT_MISMATCH}
    )

    def lines(self, record: ScoredRecord) -> Iterator[Row]:
        time = datetime.fromisoformat(record.time).replace(tzinfo=UTC)
        answers = [
            {"prediction": self.label(score), "probability": [1.0 - score, score]}
            for score in record.response_scores()
        ]
        yield {
            "databricks_request_id": record.id,
            "request_time": time,
            "status_code": 200,
            "execution_duration_ms": record.milliseconds,
            "request": json.dumps({str(self.shape): self._request(record)}),
            "response": json.dumps({"predictions": answers}),
        }

    def _request(self, record: ScoredRecord) -> Any:
        rows = self.named(record)
        match self.shape:
            case RequestShape.SPLIT:
                table = [list(row.values()) for row in rows]
                return {"index": list(range(len(rows))), "columns": list(rows[0]), "data": table}
            case RequestShape.INPUTS:
                return {name: [row[name] for row in rows] for name in rows[0]}
        return rows

    def render(self, records: list[ScoredRecord]) -> bytes:
        rows = [row for record in records for row in self.lines(record)]
        return _parquet(rows) if self.parquet else _lines(rows)

    def name(self, first: datetime, identity: str) -> str:
        return f"part-{identity}.{'parquet' if self.parquet else 'json'}"


@dataclass(frozen=True, kw_only=True)
class VertexLog(InferenceLog):
    """An export of a Vertex AI logging table; a row's id is not the record's."""

    def lines(self, record: ScoredRecord) -> Iterator[Row]:
        labels = list(map(str, self.model.class_labels))
        scores = [{"classes": labels, "scores": [1.0 - s, s]} for s in record.response_scores()]
        yield {
            "deployed_model_id": "1",
            "logging_time": f"{record.time.replace('T', ' ')} UTC",
            "request_id": str(int(record.id.replace("-", "")[:16], 16)),
            "request_payload": [json.dumps(row) for row in self.named(record)],
            "response_payload": list(map(json.dumps, scores)),
        }


@dataclass(frozen=True, kw_only=True)
class BatchTransformLog(InferenceLog):
    """Inputs of SageMaker batch transform jobs in CSV and, as objects of their own, their outputs.

    Every row has the time of its object's first record, the start of the job, to the second.
    """

    plantable: ClassVar = frozenset({Defect.TYPE_MISMATCH})

    def objects(self) -> Iterator[LogObject]:
        for one in super().objects():
            parts = one.data.partition(b"\0")
            for key, part in ((f"in/{one.key}", parts[0]), (f"out/{one.key}.out", parts[2])):
                yield LogObject(key, part, one.last_scored)

    def render(self, records: list[ScoredRecord]) -> bytes:
        inputs = [row for record in records for row in self.named(record)]
        outputs = [
            {
                "label": self.label(s),
                "p0": 1.0 - s,
                "p1": s,
                "id": f" {record.id}",
                "time": self._start(records),
            }
            for record in records
            for s in record.response_scores()
        ]
        return _csv(inputs, header=False) + b"\0" + _csv(outputs, header=False)

    def _start(self, records: list[ScoredRecord]) -> str:
        return f"{records[0].time[:19]}Z"

    def name(self, first: datetime, identity: str) -> str:
        return f"part-{identity}.csv"
