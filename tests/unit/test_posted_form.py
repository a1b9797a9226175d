"""Which names the responses of posted records use."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paylog.model_schema import Field, FieldType, ModelSchema, Role
from paylog.posted_form import names_fields

OWN = (["prediction", "probability"], [1, [0.2, 0.8]])
MAPPED = (["predicted_label", "score"], [1, 0.8])
RENAMED = {"predicted_label": "prediction", "score": "P(1)"}


def schema(response: dict[str, str]) -> ModelSchema:
    fields = (
        Field("Age", FieldType.INTEGER),
        Field("prediction", FieldType.INTEGER, Role.PREDICTION),
        Field("probability", FieldType.ARRAY, Role.PROBABILITY),
    )
    return ModelSchema(fields, (0, 1), response=tuple(response.items()))


def record(names: list[str], row: list[Any]) -> bytes:
    request = {"fields": ["Age"], "values": [[1]]}
    return json.dumps({"request": request, "response": {"fields": names, "values": [row]}}).encode()


@pytest.mark.parametrize(
    ("response", "posted", "own"),
    [
        (RENAMED, OWN, True),
        (RENAMED, MAPPED, False),
        (RENAMED, (OWN[0], [1, None]), True),
        (RENAMED, ([*OWN[0], "score"], [1, None, 0.8]), False),
        (RENAMED, (["something"], [1]), False),
        ({"prediction": "prediction", "probability": "P(1)"}, OWN, True),
        ({"prediction": "prediction", "probability": "P(1)"}, (OWN[0], [1, 0.8]), False),
        ({"prediction": "prediction", "probability": "P(1)", "Age": "ignore"}, (OWN[0], [1, None]), False),
        ({"prediction": "prediction", "score": "P(1)"}, OWN, True),
        ({"prediction": "prediction", "score": "P(1)"}, (["prediction", "score"], [1, 0.8]), False),
    ],
)
def test_the_names_in_the_response_decide(
    response: dict[str, str], posted: tuple[list[str], list[Any]], own: bool
) -> None:
    assert names_fields(schema(response), record(*posted)) is own


def test_records_that_cannot_be_read_decide_nothing() -> None:
    broken = b'{"request": \n\xff\n[1]\n7\n\n'
    assert names_fields(schema(RENAMED), broken + record(*OWN))
    assert not names_fields(schema(RENAMED), broken + record(*MAPPED))
    assert not names_fields(schema(RENAMED), b"[" + broken)


def test_arrays_flat_rows_and_predictions() -> None:
    assert names_fields(schema(RENAMED), b"[" + record(*OWN) + b"]")
    flat = {"scoring_id": "a", "Age": 1, "prediction": 1, "probability": [0.2, 0.8]}
    assert names_fields(schema(RENAMED), json.dumps(flat).encode())
    assert not names_fields(schema(RENAMED), b'{"Age": 1, "predicted_label": 1, "score": 0.8}')
    wrapped = {"request": {}, "response": {"predictions": [{"fields": OWN[0], "values": [OWN[1]]}]}}
    assert names_fields(schema(RENAMED), json.dumps(wrapped).encode())
