"""Writes scored records as Amazon SageMaker endpoint Data Capture does."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from paylog.testing.payload_records import json_cells, label_text
from paylog.testing.scored_model import Model
from paylog.testing.scored_record import Defect, ScoredRecord


class ContentTypes(StrEnum):
    """Which content types the endpoint takes and gives."""

    CSV_IN_JSON_OUT = "csv_in_json_out"
    CSV_BOTH = "csv_both"
    JSONLINES_BOTH = "jsonlines_both"
    JSON_IN_BASE64_OUT = "json_in_base64_out"


class _Side(NamedTuple):
    """Content type, encoding and body writer of one side."""

    content_type: str | None
    encoding: str
    body: Callable[[ScoredRecord], str]


def _json_text(text: str) -> str:
    """``text`` (ASCII, no control characters but newlines) as the inside of a JSON string."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _rows(record: ScoredRecord, model: Model, comma: str, quote: str) -> list[str]:
    """The request rows as cells between commas; a missing feature makes them one short."""
    count = len(model.features) - (record.defect is Defect.MISSING_FEATURE)
    cells = json_cells(model, count, comma) if quote else ",".join(["%s"] * count)
    return [cells % row[:count] for row in record.request_rows(model, quote)]


def _requests(model: Model) -> dict[str, _Side]:
    def csv(record: ScoredRecord) -> str:
        return "".join(f"{row}\n" for row in _rows(record, model, ",", ""))

    def lines(record: ScoredRecord) -> str:
        return "\n".join(f'{{"features":[{row}]}}' for row in _rows(record, model, ", ", '"'))

    def instances(record: ScoredRecord) -> str:
        rows = ", ".join(f'{{"features": [{row}]}}' for row in _rows(record, model, ", ", '"'))
        return f'{{"instances": [{rows}]}}'

    return {
        "csv": _Side("text/csv", "CSV", csv),
        "jsonlines": _Side("application/jsonlines", "JSON", lines),
        "json": _Side("application/json", "JSON", instances),
    }


def _responses(model: Model) -> dict[str, _Side]:
    def csv(record: ScoredRecord) -> str:
        scores = record.response_scores()
        return "\n".join(f"{model.class_labels[s >= 0.5]},{1.0 - s!r},{s!r}" for s in scores)

    def lines(record: ScoredRecord) -> str:
        scores = record.response_scores()
        return "".join(f'{{"predicted_label":{label_text(model, s)},"score":{s!r}}}\n' for s in scores)

    def predictions(record: ScoredRecord) -> str:
        scores = record.response_scores()
        rows = (f'{{"score": {s!r}, "predicted_label": {label_text(model, s)}}}' for s in scores)
        return f'{{"predictions": [{", ".join(rows)}]}}'

    def encoded(record: ScoredRecord) -> str:
        return base64.b64encode(predictions(record).encode()).decode()

    return {
        "csv": _Side("text/csv; charset=utf-8", "CSV", csv),
        "jsonlines": _Side("application/jsonlines", "JSON", lines),
        "json": _Side("application/json", "JSON", predictions),
        "base64": _Side(None, "BASE64", encoded),
    }


def renderer(model: Model, types: ContentTypes) -> Callable[[ScoredRecord], str]:
    """Scored record → one capture line. The inference time has a resolution of one second."""
    given, taken = {
        ContentTypes.CSV_IN_JSON_OUT: ("csv", "json"),
        ContentTypes.CSV_BOTH: ("csv", "csv"),
        ContentTypes.JSONLINES_BOTH: ("jsonlines", "jsonlines"),
        ContentTypes.JSON_IN_BASE64_OUT: ("json", "base64"),
    }[types]
    request, response = _requests(model)[given], _responses(model)[taken]

    def side(name: str, mode: str, side: _Side, record: ScoredRecord) -> str:
        kind = json.dumps(side.content_type)
        data = _json_text(side.body(record))
        return (
            f'"{name}":{{"observedContentType":{kind},"mode":"{mode}","data":"{data}"'
            f',"encoding":"{side.encoding}"}}'
        )

    def render(record: ScoredRecord) -> str:
        sides = side("endpointInput", "INPUT", request, record)
        if record.defect is not Defect.MISSING_RESPONSE:
            sides += "," + side("endpointOutput", "OUTPUT", response, record)
        metadata = f'"eventId":"{record.id}"'
        if record.defect is not Defect.NO_TIMESTAMP:
            metadata += f',"inferenceTime":"{record.time[:19]}Z"'
        return f'{{"captureData":{{{sides}}},"eventMetadata":{{{metadata}}},"eventVersion":"0"}}'

    return render
