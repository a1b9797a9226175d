"""A model schema proposed from training data: what it says, and that it can be used as it is."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
import yaml
from credit_training import TrainingRows, people, subscription, training_rows

from paylog.errors import ConfigurationError
from paylog.training_data.proposal import proposed_schema


def proposed(columns: dict[str, Any], label: str | None = None) -> dict[str, Any]:
    text = proposed_schema(TrainingRows(pa.RecordBatch.from_pydict(columns)), label)
    schema: dict[str, Any] = yaml.safe_load(text)["model_schema"]
    return schema


def fields(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in schema["fields"]}


def test_types_categories_and_roles() -> None:
    text = proposed_schema(TrainingRows(training_rows()))
    schema = yaml.safe_load(text)["model_schema"]
    found = fields(schema)
    assert schema["problem_type"] == "binary"
    assert schema["class_labels"] == ["No Risk", "Risk"]
    assert {name: f["type"] for name, f in found.items()} == {
        "purpose": "string", "amount": "integer", "rate": "double", "points": "integer", "owner": "boolean",
        "note": "string", "Risk": "string", "prediction": "string", "probability": "array",
    }  # fmt: skip
    assert found["purpose"]["categories"] == ["car", "furniture", "repairs"]
    assert "categorical" not in found["note"]
    assert "# over 1,000 values, an id or free text: is it a feature?" in text
    assert found["Risk"]["role"] == "target"
    assert next(iter(found)) == "purpose"


def test_it_can_be_used_as_it_is() -> None:
    schema = proposed({k: [str(x) for x in v] for k, v in people(500).items()} | {"y": ["0", "1"] * 250})
    assert schema["class_labels"] == [0, 1]
    used = subscription(model_schema=schema)
    assert [f.name for f in used.model_schema.features][:2] == ["purpose", "amount"]
    assert used.model_schema.prediction.type == "integer"


def test_a_regression_and_names_that_yaml_would_take_for_something_else() -> None:
    columns = {"no": [1.5, 2.5] * 50, "a: b": ["yes", "no"] * 50, "price": [n / 7 for n in range(100)]}
    schema = proposed(columns)
    assert schema["problem_type"] == "regression"
    assert "class_labels" not in schema
    found = fields(schema)
    assert found["no"]["type"] == "double"
    assert found["a: b"]["categories"] == ["no", "yes"]
    assert found["price"] == {"name": "price", "type": "double", "role": "target"}
    subscription(model_schema=schema)


def test_nulls_constants_and_a_label_that_is_asked_for() -> None:
    columns = {"empty": [None] * 40, "same": ["x"] * 40, "a": [1, None] * 20, "b": ["u", "v", "w", "u"] * 10}
    rows = TrainingRows(pa.RecordBatch.from_pydict(columns))
    text = proposed_schema(rows, "b")
    found = fields(yaml.safe_load(text)["model_schema"])
    assert "# all null: is it a feature?" in text
    assert "constant: is it a feature?" in text
    assert "required" not in found["a"]
    assert "# 1 values, 20 nulls" in text
    assert found["b"]["role"] == "target"
    with pytest.raises(ConfigurationError, match="did you mean 'same'"):
        proposed_schema(rows, "sane")


def test_times_and_prediction_names_that_are_taken() -> None:
    schema = proposed({"day": ["2024-01-31", "2024-02-01"] * 9, "prediction": ["a", "b"] * 9})
    found = fields(schema)
    assert found["day"]["type"] == "timestamp"
    assert found["model_prediction"]["role"] == "prediction"


def test_nothing_to_propose_from() -> None:
    with pytest.raises(ConfigurationError, match="no rows"):
        proposed({"a": pa.array([], pa.int64()), "b": pa.array([], pa.int64())})
