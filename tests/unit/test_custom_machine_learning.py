"""Payload records, request/response pairs and flat rows of an engine of the user's own."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import pytest
from custom_records import RESPONSE, TIME, lines, load, only_reject, record, request, response, values

from paylog.errors import Reason
from paylog.testing.contract import Path

pytestmark = pytest.mark.parametrize("path", Path)


def test_payload_record(path: Path) -> None:
    row = load(path, record(response_time=3.5, asset_revision="r2")).rows[0]
    assert row["scoring_timestamp"] == datetime(2024, 1, 19, 19, 27, 57, 123456, tzinfo=UTC)
    assert {name: row[name] for name in ("scoring_id", "age", "job", "prediction", "probability")} == {
        "scoring_id": "e1-1",
        "age": 27,
        "job": "clerk",
        "prediction": "Risk",
        "probability": [0.25, 0.75],
    }
    assert (row["prediction_probability"], row["_response_time"], row["asset_revision"]) == (0.75, 4, "r2")


def test_rows_of_a_record_are_numbered_from_one(path: Path) -> None:
    given = request([1, "a"], [2, "b"], [3, "c"])
    taken = response(("Risk", [0.1, 0.9]), ("No Risk", [0.8, 0.2]), ("Risk", [0.3, 0.7]))
    found = load(path, lines(record(given, taken), record(scoring_id="e2")))
    assert [row["scoring_id"] for row in found.rows] == ["e1-1", "e1-2", "e1-3", "e2-1"]
    assert [row["age"] for row in found.rows] == [1, 2, 3, 27]
    assert [row["prediction"] for row in found.rows] == ["Risk", "No Risk", "Risk", "Risk"]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("compress", [False, True])
def test_json_array(path: Path, indent: int | None, compress: bool) -> None:
    records = [record(scoring_id=f"e{i}") for i in range(5)]
    data = json.dumps(records, indent=indent).encode()
    found = load(path, gzip.compress(data) if compress else data)
    assert [(row["scoring_id"], row["_position"]) for row in found.rows] == [(f"e{i}-1", i) for i in range(5)]


@pytest.mark.parametrize("space", ["", " ", "  ", "\t"])
def test_white_space_makes_no_difference(path: Path, space: str) -> None:
    taken = response(("Risk", [0.1, 0.9]), ("Risk", [0.2, 0.8]))
    text = json.dumps(record(request([1, "a"], [2, "b"]), taken, scoring_timestamp=None))
    for mark in "{}[],:":
        text = text.replace(mark, f"{space}{mark}{space}")
    found = load(path, text.encode(), timestamp="last_modified")
    assert [(row["age"], row["job"]) for row in found.rows] == [(1, "a"), (2, "b")]


def test_columns_go_by_name_and_others_are_passed_over(path: Path) -> None:
    """Spark echoes the inputs, a prediction that is an index, and vectors."""
    taken = {
        "fields": ["age", "rawPrediction", "probability", "prediction", "predictedLabel"],
        "values": [[27, [1.5, -1.5], [0.75, 0.25], 0.0, "No Risk"]],
    }
    given = {"fields": ["extra", "job", "age"], "values": [[None, "clerk", "27"]]}
    mapping = {"predictedLabel": "prediction", "probability": "probability", "prediction": "ignore"}
    found = load(path, record(given, taken), response=mapping)
    assert values(found) == [("e1-1", 27, "clerk", "No Risk", [0.75, 0.25])]


def test_flat_rows(path: Path) -> None:
    row = {"age": 27, "job": "clerk", "prediction": "Risk", "probability": [0.25, 0.75]}
    first = {**row, "scoring_id": "abc-7", "scoring_timestamp": TIME}
    found = load(path, lines(first, record(), {**first, "scoring_id": 8}))
    assert values(found) == [
        ("abc-7", 27, "clerk", "Risk", [0.25, 0.75]),
        ("e1-1", 27, "clerk", "Risk", [0.25, 0.75]),
        ("8", 27, "clerk", "Risk", [0.25, 0.75]),
    ]


def test_bodies_logged_as_strings(path: Path) -> None:
    found = load(path, record(json.dumps(request([1, "a"])), json.dumps(RESPONSE)))
    assert values(found) == [("e1-1", 1, "a", "Risk", [0.25, 0.75])]


def test_wrapped_in_input_data_and_predictions(path: Path) -> None:
    """As Watson Machine Learning v4 takes and gives."""
    found = load(path, record({"input_data": [request([1, "a"])]}, {"predictions": [RESPONSE]}))
    assert values(found) == [("e1-1", 1, "a", "Risk", [0.25, 0.75])]


def test_one_row_that_is_not_nested(path: Path) -> None:
    """As an IBM tutorial logs SageMaker requests."""
    found = load(path, record({"fields": ["age", "job"], "values": [1, "a"]}))
    assert values(found) == [("e1-1", 1, "a", "Risk", [0.25, 0.75])]


def test_meta_block(path: Path) -> None:
    given = {**request([1, "a"]), "meta": {"fields": ["sex", "transaction_id"], "values": [["F", "t-9"]]}}
    found = load(path, record(given), meta={"sex": "string"})
    assert (found.rows[0]["sex"], found.rows[0]["_transaction_id"]) == ("F", "t-9")


@pytest.mark.parametrize("text", ["[0.25, 0.75]", '["0.25", "0.75"]', '"[0.25, 0.75]"'])
def test_spellings_of_a_probability_vector(path: Path, text: str) -> None:
    found = load(path, json.dumps(record()).replace("[0.25, 0.75]", text).encode())
    assert found.rows[0]["probability"] == [0.25, 0.75]


@pytest.mark.parametrize("text", ["null", "[NaN, 0.5]", "[null, 0.5]", "[0.5, Infinity]"])
def test_probability_that_says_nothing_is_null_whole(path: Path, text: str) -> None:
    row = load(path, json.dumps(record()).replace("[0.25, 0.75]", text).encode()).rows[0]
    assert (row["probability"], row["prediction_probability"]) == (None, None)


def test_timestamp_without_a_zone_needs_the_subscriptions(path: Path) -> None:
    naive = record(scoring_timestamp="2024-07-19 19:27:57.5")
    assert only_reject(load(path, naive)).reason is Reason.NO_TIMESTAMP
    found = load(path, lines(naive, record(scoring_id="e2")), timezone="Europe/Berlin")
    assert [row["scoring_timestamp"] for row in found.rows] == [
        datetime(2024, 7, 19, 17, 27, 57, 500000, tzinfo=UTC),
        datetime(2024, 1, 19, 19, 27, 57, 123456, tzinfo=UTC),
    ]


def test_nan_and_infinity_are_null(path: Path) -> None:
    """Python's json writes them, though they are no JSON."""
    data = lines(
        record(request([float("nan"), "a"]), scoring_id="n1"),
        record(request([float("-inf"), "NaN, or so"]), scoring_id="n2"),
        record(request([1, "b"]), scoring_id="n3"),
    )
    found = load(path, data, {"age": "double", "job": "string"})
    assert [(row["age"], row["job"]) for row in found.rows] == [(None, "a"), (None, "NaN, or so"), (1.0, "b")]


def test_integers_keep_all_their_digits(path: Path) -> None:
    cells = [2**53 + 1, -(2**63), 2**63 - 1, "9007199254740993", 27.0, "27.0", "+27", " 27 ", 0, -0.0]
    found = load(
        path, lines(*(record(request([cell, "a"]), scoring_id=f"{i}") for i, cell in enumerate(cells)))
    )
    assert [row["age"] for row in found.rows] == [
        *(2**53 + 1, -(2**63), 2**63 - 1, 9007199254740993, 27, 27, 27, 27, 0, 0)
    ]


def test_strings_are_kept_as_they_are(path: Path) -> None:
    cells = [
        "",
        " ",
        "null",
        "NaN",
        'say "hi"',
        "a,b",
        "],[",
        "a\\b",
        "line\nend",
        "\x1f\x1e\x1d",
        "é\u2028😀",
        "\x7f",
    ]
    found = load(
        path, lines(*(record(request([1, cell]), scoring_id=f"{i}") for i, cell in enumerate(cells)))
    )
    assert [row["job"] for row in found.rows] == cells
    several = record(
        request(*([1, cell] for cell in cells)), response(*[("Risk", [0.25, 0.75])] * len(cells))
    )
    assert [
        row["job"] for row in sorted(load(path, several).rows, key=lambda r: int(r["scoring_id"][3:]))
    ] == cells


def test_booleans(path: Path) -> None:
    cells = [True, False, "true", "False", 1, 0, "1", None]
    data = lines(*(record(request([cell, "a"]), scoring_id=f"{i}") for i, cell in enumerate(cells)))
    found = load(path, data, {"age": "boolean", "job": "string"})
    assert [row["age"] for row in found.rows] == [True, False, True, False, True, False, True, None]
    assert (
        only_reject(load(path, record(request(["yes", "a"])), {"age": "boolean", "job": "string"})).column
        == "age"
    )


def test_the_last_of_equal_keys_counts(path: Path) -> None:
    text = json.dumps(record()).replace('"scoring_id": "e1"', '"scoring_id": "e0", "scoring_id": "e1"')
    assert [row["scoring_id"] for row in load(path, lines(record(scoring_id="good"), text)).rows] == [
        "good-1",
        "e1-1",
    ]


def test_deep_nesting(path: Path) -> None:
    deep = "[" * 5000 + "]" * 5000
    text = json.dumps(record(scoring_id="deep"))[:-1] + f', "more": {deep}}}'
    found = load(path, lines(record(), text))
    assert found.rows[0]["scoring_id"] == "e1-1"
    assert found.read == 2


def test_ids_without_a_scoring_id(path: Path) -> None:
    """From object, version and position: the same again for the same object, others for a new version."""
    data = lines(record(scoring_id=None), record(scoring_id=None))
    ids = [row["_record_id"] for row in load(path, data).rows]
    assert len(set(ids)) == 2
    assert ids == [row["_record_id"] for row in load(path, data).rows]
    assert not set(ids) & {row["_record_id"] for row in load(path, data, version="v2").rows}


def test_regression(path: Path) -> None:
    taken = {"fields": ["prediction"], "values": [[17.5]]}
    found = load(path, record(taken=taken), problem_type="regression", prediction="double")
    assert found.rows[0]["prediction"] == 17.5
    assert "probability" not in found.rows[0]
    assert (
        only_reject(
            load(path, record(taken=response(("much", None))), problem_type="regression", prediction="double")
        ).reason
        is Reason.TYPE_MISMATCH
    )


def test_a_neighbour_changes_nothing(path: Path) -> None:
    """Irregular records are decoded together: what one has must not fill in for what another lacks."""
    score = {"predicted_label": "prediction", "score": "P(Risk)", "other": "P(No Risk)"}
    answers = [{"predicted_label": "Risk", "score": 0.75}, {"predicted_label": "Risk", "other": 0.25}]
    answers += [{**answers[0], "other": 0.5}, {"score": 0.9}, {"values": [["x"]], "predicted_label": "Risk"}]
    records = [record(taken=answer, scoring_id=f"e{i}") for i, answer in enumerate(answers)]
    whole = load(path, lines(*records), response=score)
    alone = [load(path, b"\n" * i + lines(one), response=score) for i, one in enumerate(records)]
    assert whole.rows == [row for one in alone for row in one.rows]
    assert whole.rejects == [reject for one in alone for reject in one.rejects]
    assert [row["probability"] for row in whole.rows] == [[0.25, 0.75], [0.25, 0.75], [0.5, 0.75]]
    assert whole.reasons == [Reason.MISSING_PREDICTION, Reason.COLUMN_COUNT_MISMATCH]
