"""The model schema that the first records show."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paylog.client.proposal import model_schema
from paylog.errors import ConfigurationError, InvalidInput


def body(rows: list[list[Any]], outputs: list[list[Any]], wrapped: bool = False) -> bytes:
    request: dict[str, Any] = {"fields": ["age", "score", "ok", "sex"], "values": rows}
    response: dict[str, Any] = {"fields": ["prediction", "probability"], "values": outputs}
    if wrapped:
        request, response = {"input_data": [request]}, {"predictions": [response]}
    return json.dumps({"request": request, "response": response}).encode()


ROWS = [[1, 2, True, "M"], [None, 2.5, False, "F"]]
OUTPUTS = [["no", [0.9, 0.1]], ["yes", [0.2, 0.8]]]
PROPERTIES = {
    "prediction_field": "prediction",
    "probability_fields": ["probability"],
    "problem_type": "binary",
}


@pytest.mark.parametrize("wrapped", [False, True])
def test_types_roles_and_labels(wrapped: bool) -> None:
    section = model_schema(PROPERTIES | {"label_column": "Risk"}, body(ROWS, OUTPUTS, wrapped))
    kinds = {field["name"]: (field["type"], field.get("role", "feature")) for field in section["fields"]}
    assert kinds == {
        "age": ("integer", "feature"),
        "score": ("double", "feature"),
        "ok": ("boolean", "feature"),
        "sex": ("string", "feature"),
        "prediction": ("string", "prediction"),
        "Risk": ("string", "target"),
        "probability": ("array", "probability"),
    }
    assert section["class_labels"] == ["no", "yes"]


def test_a_training_data_schema_gives_the_types() -> None:
    schema = {"fields": [{"name": "age", "type": "double"}, {"name": "score", "type": "decimal(9,2)"}]}
    section = model_schema(PROPERTIES | {"training_data_schema": schema}, body(ROWS, OUTPUTS))
    assert [field["type"] for field in section["fields"][:2]] == ["double", "double"]


def test_labels_that_the_records_do_not_show_are_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="class_labels"):
        model_schema(PROPERTIES, body(ROWS[:1], OUTPUTS[:1]))
    section = model_schema(PROPERTIES | {"class_labels": ["no", "yes"]}, body(ROWS[:1], OUTPUTS[:1]))
    assert section["class_labels"] == ["no", "yes"]


def test_a_probability_belongs_to_the_prediction_of_its_row() -> None:
    rows, outputs = [*ROWS, ROWS[0]], [["yes", None], *OUTPUTS]
    assert model_schema(PROPERTIES, body(rows, outputs))["class_labels"] == ["no", "yes"]
    less = {"fields": ["prediction"], "values": [["yes"]]}
    first = json.dumps({"request": {"fields": ["age"], "values": [[1]]}, "response": less}).encode()
    records = first + b"\n" + body(ROWS, OUTPUTS)
    assert model_schema(PROPERTIES, records)["class_labels"] == ["no", "yes"]


def test_labels_of_one_score_are_seen_only_where_they_are_0_and_1() -> None:
    assert model_schema(PROPERTIES, body(ROWS, [[0.0, 0.1], [1.0, 0.8]]))["class_labels"] == [0, 1]
    with pytest.raises(ConfigurationError, match="class_labels"):
        model_schema(PROPERTIES, body(ROWS, [["no", 0.1], ["yes", 0.8]]))


@pytest.mark.parametrize("records", [b"5", b"[]", b'"x"'])
def test_what_is_no_record_is_refused(records: bytes) -> None:
    with pytest.raises(InvalidInput, match="record 2 is not"):
        model_schema(PROPERTIES, body(ROWS, OUTPUTS) + b"\n" + records)


def test_a_body_that_is_none_shows_no_columns() -> None:
    with pytest.raises(ConfigurationError, match="no field 'prediction'"):
        model_schema(PROPERTIES, b'{"request": "x", "response": 5}')


def test_a_prediction_that_is_not_the_likeliest_class_gives_no_labels() -> None:
    with pytest.raises(ConfigurationError, match="class_labels"):
        model_schema(PROPERTIES, body(ROWS, [["no", [0.9, 0.1]], ["yes", [0.7, 0.3]]]))


def test_missing_columns_are_named_without_values() -> None:
    with pytest.raises(ConfigurationError, match=r"\['income'\]"):
        model_schema(PROPERTIES | {"feature_fields": ["age", "income"]}, body(ROWS, OUTPUTS))
    with pytest.raises(ConfigurationError, match="no field 'label'"):
        model_schema(PROPERTIES | {"prediction_field": "label"}, body(ROWS, OUTPUTS))
