"""Response columns → prediction, probability and winning probability."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from paylog.codecs import Rows
from paylog.errors import Reason
from paylog.field import Field, FieldType, Role
from paylog.model_schema import ModelSchema
from paylog.outputs import Faults, Outputs

VECTOR = Field("probability", FieldType.ARRAY, Role.PROBABILITY)


def schema(
    labels: tuple[Any, ...] = ("No", "Yes"),
    response: dict[str, str] | None = None,
    kind: FieldType = FieldType.STRING,
    **more: Any,
) -> ModelSchema:
    fields = (Field("label", kind, Role.PREDICTION), *more.pop("fields", ()), VECTOR)
    return ModelSchema(fields, labels, response=tuple((response or {}).items()), **more)


def columns(
    declared: ModelSchema, **tokens: list[Any]
) -> tuple[dict[str, list[Any]], dict[int, tuple[Reason, str | None]]]:
    count = len(next(iter(tokens.values())))
    arrays = {
        name.replace("_of_", "(").replace("_end", ")"): pa.array(
            cells, pa.list_(pa.string()) if any(isinstance(cell, list) for cell in cells) else pa.string()
        )
        for name, cells in tokens.items()
    }
    faults = Faults(count)
    found = Outputs(declared).columns(Rows(arrays, count), count, faults)
    return {name: column.to_pylist() for name, column in found.items()}, faults.found


def test_the_response_names_the_fields() -> None:
    found, faults = columns(schema(), label=["Yes", "No"], probability=[["0.1", "0.9"], ["0.8", "0.2"]])
    assert found == {
        "label": ["Yes", "No"],
        "probability": [[0.1, 0.9], [0.8, 0.2]],
        "prediction_probability": [0.9, 0.8],
    }
    assert not faults


def test_sides_of_responses() -> None:
    side = Outputs(schema()).side()
    assert side.positional == ("label", "P(No)", "P(Yes)")
    assert set(side.wanted) == {"label", "probability", "P(No)", "P(Yes)"}
    assert side.arrays == {"probability"}
    side = Outputs(schema(response={"x": "ignore", "l": "prediction", "s": "P(Yes)"})).side()
    assert (side.positional, side.wanted) == (("x", "l", "s"), ("l", "s"))


def test_one_score_of_two_classes_is_enough() -> None:
    declared = schema(response={"l": "prediction", "s": "P(Yes)"})
    found, faults = columns(declared, l=["Yes", "No", "No"], s=["0.9", "0.25", "NaN"])
    assert found["probability"] == [[1 - 0.9, 0.9], [0.75, 0.25], None]
    assert found["prediction_probability"] == [0.9, 0.75, None]
    assert not faults


def test_of_three_classes_it_is_not() -> None:
    declared = schema(("a", "b", "c"), {"l": "prediction", "x": "P(a)", "y": "P(b)", "z": "P(c)"})
    found, _ = columns(declared, l=["a", "b"], x=["0.5", "0.2"], y=["0.25", None], z=["0.25", "0.5"])
    assert found["probability"] == [[0.5, 0.25, 0.25], None]
    found, _ = columns(declared, l=["a"], x=["0.5"], y=["0.25"])
    assert found["probability"] == [None]


def test_declared_order_of_labels_orders_the_vector() -> None:
    declared = schema(("c", "a", "b"), {"l": "prediction", "x": "P(a)", "y": "P(b)", "z": "P(c)"})
    found, _ = columns(declared, l=["a"], x=["0.5"], y=["0.2"], z=["0.3"])
    assert found["probability"] == [[0.3, 0.5, 0.2]]


def test_a_vector_goes_before_scores() -> None:
    found, _ = columns(
        schema(), label=["Yes", "No"], probability=[["0.1", "0.9"], None], P_of_No_end=["0.5", "0.6"]
    )
    assert found["probability"] == [[0.1, 0.9], [0.6, 0.4]]


def test_scores_alone_give_the_most_probable_label() -> None:
    declared = schema(response={"s": "P(Yes)"})
    found, faults = columns(declared, s=["0.75", None, "0.25", "0.5"])
    assert found["label"] == ["Yes", None, "No", "No"]
    assert faults == {1: (Reason.MISSING_PREDICTION, "label")}


def test_integer_labels() -> None:
    declared = schema((0, 1), {"l": "prediction", "s": "P(1)"}, FieldType.INTEGER)
    found, faults = columns(declared, l=["1", "0.0", "2", "x", None], s=["0.5"] * 5)
    assert found["label"][:2] == [1, 0]
    assert faults == {
        2: (Reason.UNKNOWN_CLASS, "label"),
        3: (Reason.TYPE_MISMATCH, "label"),
        4: (Reason.MISSING_PREDICTION, "label"),
    }


def test_labels_are_told_apart_by_case_and_space() -> None:
    _, faults = columns(schema(), label=["Yes", "yes", "Yes ", ""], probability=[["0", "1"]] * 4)
    assert faults == dict.fromkeys((1, 2, 3), (Reason.UNKNOWN_CLASS, "label"))


def test_regression_has_no_classes() -> None:
    declared = ModelSchema((Field("y", FieldType.DOUBLE, Role.PREDICTION),), problem_type="regression")
    found, faults = columns(declared, y=["17.5", "NaN"])
    assert found == {"y": [17.5, None]}
    assert faults == {1: (Reason.MISSING_PREDICTION, "y")}


@pytest.mark.parametrize("cells", [[], ["1"], ["0.1", "0.2", "0.7"]])
def test_vectors_of_another_length(cells: list[str]) -> None:
    found, faults = columns(schema(), label=["Yes", "Yes"], probability=[cells, ["0.1", "0.9"]])
    assert faults == {0: (Reason.PROBABILITY_MISMATCH, "probability")}
    assert found["probability"][1] == [0.1, 0.9]
    assert found["prediction_probability"] == [None, 0.9]


def test_decoded_target_and_its_absence() -> None:
    declared = schema(fields=(Field("decoded", FieldType.STRING, Role.DECODED_TARGET),))
    found, _ = columns(declared, label=["Yes"], decoded=["approved"])
    assert found["decoded"] == ["approved"]
    found, faults = columns(declared, label=["Yes"])
    assert (found["decoded"], found["probability"], faults) == ([None], [None], {})


def test_the_first_fault_of_a_row_counts() -> None:
    faults = Faults(3)
    assert faults.good() is None
    faults.add(None, Reason.NULL_VALUE)
    faults.add([False, True, False], Reason.NO_TIMESTAMP, "t")  # type: ignore[arg-type]
    faults.add([False, True, True], Reason.NULL_VALUE, "x")  # type: ignore[arg-type]
    assert faults.found == {1: (Reason.NO_TIMESTAMP, "t"), 2: (Reason.NULL_VALUE, "x")}
    good = faults.good()
    assert good is not None
    assert good.tolist() == [True, False, False]
