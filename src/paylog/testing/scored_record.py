"""One request/response pair of a served model, before an engine writes it down."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from paylog.model_schema import FieldType
from paylog.testing.scored_model import Model

Cell = str | int | float


class Defect(StrEnum):
    """What may be planted. All but the last two sit in records of one row, so that counts are exact."""

    MALFORMED_JSON = "malformed_json"
    MISSING_FEATURE = "missing_feature"
    TYPE_MISMATCH = "type_mismatch"
    NO_TIMESTAMP = "no_timestamp"
    MISSING_RESPONSE = "missing_response"
    ROW_COUNT_MISMATCH = "row_count_mismatch"
    DUPLICATE = "duplicate"


class ScoredRecord(NamedTuple):
    """Feature rows with P(second class label) for each.

    :param time: scoring timestamp, ISO 8601 with microseconds and no zone; UTC.
    :param rows: cells in feature order; booleans already as ``true`` and ``false``.
    :param milliseconds: response time.
    """

    id: str
    time: str
    rows: list[tuple[Cell, ...]]
    scores: list[float]
    milliseconds: int
    defect: Defect | None = None

    def request_rows(self, model: Model, quote: str) -> list[tuple[Cell, ...]]:
        """The rows as requested: with a string where a number belongs, if that is the defect."""
        if self.defect is not Defect.TYPE_MISMATCH:
            return self.rows
        at = next(i for i, f in enumerate(model.features) if f.type is FieldType.INTEGER)
        return [(*row[:at], f"{quote}unknown{quote}", *row[at + 1 :]) for row in self.rows]

    def response_scores(self) -> list[float]:
        """The scores as answered: one too few, if that is the defect."""
        return self.scores[:-1] if self.defect is Defect.ROW_COUNT_MISMATCH else self.scores
