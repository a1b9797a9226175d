"""Writes scored records as OpenScale payload records (``fields``/``values``)."""

from __future__ import annotations

import json
from collections.abc import Callable

from paylog.model_schema import FieldType
from paylog.testing.scored_model import Model
from paylog.testing.scored_record import Defect, ScoredRecord


def json_cells(model: Model, features: int, comma: str) -> str:
    """A %-format that takes the first ``features`` cells of a row to JSON values."""
    quoted = (FieldType.STRING,)
    return comma.join('"%s"' if f.type in quoted else "%s" for f in model.features[:features])


def label_text(model: Model, score: float) -> str:
    """The predicted class as JSON."""
    return json.dumps(model.class_labels[score >= 0.5])


def renderer(model: Model, compact: bool) -> Callable[[ScoredRecord], str]:
    """Scored record → one JSON document, without separators' spaces if ``compact``."""
    comma, colon = (",", ":") if compact else (", ", ": ")

    def members(*pairs: tuple[str, str]) -> str:
        return "{" + comma.join(f'"{name}"{colon}{value}' for name, value in pairs) + "}"

    def fields(count: int) -> str:
        return json.dumps([f.name for f in model.features[:count]], separators=(comma, colon))

    whole = len(model.features)
    shapes = {n: (fields(n), f"[{json_cells(model, n, comma)}]") for n in (whole, whole - 1)}
    outputs = json.dumps(["probability", "prediction"], separators=(comma, colon))

    def answer(score: float) -> str:
        return f"[[{1.0 - score!r}{comma}{score!r}]{comma}{label_text(model, score)}]"

    def render(record: ScoredRecord) -> str:
        features = whole - 1 if record.defect is Defect.MISSING_FEATURE else whole
        names, cells = shapes[features]
        values = comma.join(cells % row[:features] for row in record.request_rows(model, '"'))
        answers = comma.join(map(answer, record.response_scores()))
        members_ = [
            ("scoring_id", f'"{record.id}"'),
            ("scoring_timestamp", f'"{record.time}Z"'),
            ("request", members(("fields", names), ("values", f"[{values}]"))),
            ("response", members(("fields", outputs), ("values", f"[{answers}]"))),
            ("response_time", str(record.milliseconds)),
        ]
        left_out = {Defect.NO_TIMESTAMP: "scoring_timestamp", Defect.MISSING_RESPONSE: "response"}
        if record.defect in left_out:
            members_ = [m for m in members_ if m[0] != left_out[record.defect]]
        return members(*members_)

    return render
