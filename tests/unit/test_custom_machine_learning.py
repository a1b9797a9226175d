"""Payload records, request/response pairs and flat rows of an engine of the user's own."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from paylog.errors import Reason
from paylog.records import Reject
from paylog.testing.contract import LAST_MODIFIED, Outcome, Path, declare, outcome

FEATURES = {"age": "integer", "job": "string"}
TIME = "2024-01-19T19:27:57.123456Z"
RESPONSE = {"fields": ["prediction", "probability"], "values": [["Risk", [0.25, 0.75]]]}

pytestmark = pytest.mark.parametrize("path", Path)


def request(*rows: list[Any]) -> dict[str, Any]:
    return {"fields": ["age", "job"], "values": list(rows)}


def response(*rows: tuple[Any, Any]) -> dict[str, Any]:
    return {"fields": ["prediction", "probability"], "values": [list(row) for row in rows]}


def record(given: Any = None, taken: Any = None, scoring_id: Any = "e1", **more: Any) -> dict[str, Any]:
    return {
        "scoring_id": scoring_id,
        "scoring_timestamp": TIME,
        "request": request([27, "clerk"]) if given is None else given,
        "response": RESPONSE if taken is None else taken,
        **more,
    }


def lines(*records: Any) -> bytes:
    return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in records).encode()


def load(path: Path, data: bytes | Any, features: dict[str, str] = FEATURES, **declared: Any) -> Outcome:
    version = declared.pop("version", "v1")
    data = data if isinstance(data, bytes) else lines(data)
    found = outcome(declare("custom_machine_learning", features, **declared), data, path, version=version)
    assert found.balanced
    return found


def values(found: Outcome) -> list[tuple[Any, ...]]:
    names = "scoring_id", "age", "job", "prediction", "probability"
    return [tuple(row[name] for name in names) for row in found.rows]


def only_reject(found: Outcome) -> Reject:
    assert not found.rows
    assert len(found.rejects) == 1
    return found.rejects[0]


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


def test_a_string_body_that_is_cut(path: Path) -> None:
    broken = record(json.dumps(request([1, "a"]))[:-3])
    found = load(path, lines(record(json.dumps(request([2, "b"])), scoring_id="good"), broken))
    assert values(found) == [("good-1", 2, "b", "Risk", [0.25, 0.75])]
    assert found.rejects == [Reject(1, Reason.MALFORMED_JSON, json.dumps(broken).encode())]


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


@pytest.mark.parametrize(
    ("given", "taken", "reason"),
    [("", None, Reason.MISSING_REQUEST), (None, "", Reason.MISSING_RESPONSE)],
)
def test_missing_side(path: Path, given: Any, taken: Any, reason: Reason) -> None:
    bad = record(given, taken)
    found = load(path, lines(record(scoring_id="good"), bad))
    assert [row["scoring_id"] for row in found.rows] == ["good-1"]
    assert found.rejects == [Reject(1, reason, json.dumps(bad).encode())]


@pytest.mark.parametrize("name", ["request", "response"])
@pytest.mark.parametrize("null", [True, False])
def test_side_that_is_null_or_absent(path: Path, name: str, null: bool) -> None:
    bad = record()
    bad.pop(name)
    reject = only_reject(load(path, {**bad, name: None} if null else bad))
    assert reject.reason is (Reason.MISSING_REQUEST if name == "request" else Reason.MISSING_RESPONSE)


def test_row_counts_that_differ(path: Path) -> None:
    bad = record(request([1, "a"], [2, "b"], [3, "c"]))
    found = load(path, lines(record(scoring_id="good"), bad))
    assert len(found.rows) == 1
    assert found.rejects == [
        Reject(1, Reason.ROW_COUNT_MISMATCH, json.dumps(bad).encode(), None, None, 3)
    ]


@pytest.mark.parametrize(("fields", "row"), [(["age", "job"], [1]), (["age"], [1, "a"])])
def test_column_counts_that_differ(path: Path, fields: list[str], row: list[Any]) -> None:
    bad = record({"fields": fields, "values": [row, row]}, response(("Risk", [0, 1]), ("Risk", [0, 1])))
    reject = only_reject(load(path, bad))
    assert (reject.reason, reject.rows) == (Reason.COLUMN_COUNT_MISMATCH, 2)


def test_missing_feature(path: Path) -> None:
    bad = record({"fields": ["age", "rank"], "values": [[1, "a"]]})
    found = load(path, lines(record(scoring_id="good"), bad, record(scoring_id="also")))
    assert [row["scoring_id"] for row in found.rows] == ["good-1", "also-1"]
    assert found.rejects == [Reject(1, Reason.MISSING_FEATURE, json.dumps(bad).encode(), None, "job")]


def test_null_where_a_value_is_required(path: Path) -> None:
    good = record(request([None, "a"]))
    bad = record(request([1, None]))
    found = load(path, lines(good, bad), required=["job"])
    assert [row["age"] for row in found.rows] == [None]
    assert found.rejects == [Reject(1, Reason.NULL_VALUE, json.dumps(bad).encode(), 1, "job")]


@pytest.mark.parametrize("cell", ["27.5", 27.5, "old", True, 2**63, "", [1], {"a": 1}, "0x1F", "1e999", "2_7"])
def test_type_mismatch_names_the_row_and_the_column(path: Path, cell: Any) -> None:
    taken = response(("Risk", [0.25, 0.75]), ("Risk", [0.25, 0.75]))
    bad = record(request([1, "a"], [cell, "b"]), taken)
    found = load(path, bad)
    if isinstance(cell, list | dict):  # the record's rows cannot be told apart from its nesting
        assert found.rejects == [Reject(0, Reason.TYPE_MISMATCH, json.dumps(bad).encode(), None, "age", 2)]
    else:
        assert [row["scoring_id"] for row in found.rows] == ["e1-1"]
        assert found.rejects == [Reject(0, Reason.TYPE_MISMATCH, json.dumps(bad).encode(), 2, "age")]


@pytest.mark.parametrize("label", ["Maybe", "", "risk", 1])
def test_unknown_class(path: Path, label: Any) -> None:
    bad = record(taken=response((label, [0.25, 0.75])))
    assert only_reject(load(path, bad)) == Reject(
        0, Reason.UNKNOWN_CLASS, json.dumps(bad).encode(), 1, "prediction"
    )


@pytest.mark.parametrize("vector", [[], [1.0], [0.2, 0.3, 0.5], 0.75])
def test_probability_of_another_length(path: Path, vector: Any) -> None:
    bad = record(taken=response(("Risk", vector)))
    assert only_reject(load(path, bad)) == Reject(
        0, Reason.PROBABILITY_MISMATCH, json.dumps(bad).encode(), 1, "probability"
    )


@pytest.mark.parametrize("vector", [["a", 1], [True, False], "high"])
def test_probability_that_is_no_vector_of_numbers(path: Path, vector: Any) -> None:
    reject = only_reject(load(path, record(taken=response(("Risk", vector)))))
    assert (reject.reason, reject.column) == (Reason.TYPE_MISMATCH, "probability")


@pytest.mark.parametrize("text", ["[0.25, 0.75]", '["0.25", "0.75"]', '"[0.25, 0.75]"'])
def test_spellings_of_a_probability_vector(path: Path, text: str) -> None:
    found = load(path, json.dumps(record()).replace("[0.25, 0.75]", text).encode())
    assert found.rows[0]["probability"] == [0.25, 0.75]


@pytest.mark.parametrize("text", ["null", "[NaN, 0.5]", "[null, 0.5]", "[0.5, Infinity]"])
def test_probability_that_says_nothing_is_null_whole(path: Path, text: str) -> None:
    row = load(path, json.dumps(record()).replace("[0.25, 0.75]", text).encode()).rows[0]
    assert (row["probability"], row["prediction_probability"]) == (None, None)


@pytest.mark.parametrize("taken", [response((None, [0.25, 0.75])), {"fields": ["probability"], "values": [[[0, 1]]]}])
def test_missing_prediction(path: Path, taken: Any) -> None:
    good = record(scoring_id="good")
    bad = record(taken=taken)
    found = load(path, lines(good, bad))
    assert len(found.rows) == 1
    assert found.rejects == [
        Reject(1, Reason.MISSING_PREDICTION, json.dumps(bad).encode(), 1, "prediction")
    ]


@pytest.mark.parametrize("time", [None, 1705692477, 1705692477.5, "1705692477", "2024-01-19 19:27", "", "x" * 40])
def test_no_timestamp(path: Path, time: Any) -> None:
    """Never the time of loading, and no guess what a number counts."""
    bad = record(scoring_timestamp=time)
    assert only_reject(load(path, bad)) == Reject(
        0, Reason.NO_TIMESTAMP, json.dumps(bad).encode(), 1, "scoring_timestamp"
    )
    found = load(path, bad, timestamp="last_modified")
    assert [(r["scoring_timestamp"], r["_timestamp_approximate"]) for r in found.rows] == [(LAST_MODIFIED, True)]


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
    found = load(path, lines(*(record(request([cell, "a"]), scoring_id=f"{i}") for i, cell in enumerate(cells))))
    assert [row["age"] for row in found.rows] == [
        *(2**53 + 1, -(2**63), 2**63 - 1, 9007199254740993, 27, 27, 27, 27, 0, 0)
    ]


def test_strings_are_kept_as_they_are(path: Path) -> None:
    cells = ["", " ", "null", "NaN", 'say "hi"', "a,b", "],[", "a\\b", "line\nend", "\x1f\x1e\x1d", "é\u2028😀", "\x7f"]
    found = load(path, lines(*(record(request([1, cell]), scoring_id=f"{i}") for i, cell in enumerate(cells))))
    assert [row["job"] for row in found.rows] == cells
    several = record(request(*([1, cell] for cell in cells)), response(*[("Risk", [0.25, 0.75])] * len(cells)))
    assert [row["job"] for row in sorted(load(path, several).rows, key=lambda r: int(r["scoring_id"][3:]))] == cells


def test_booleans(path: Path) -> None:
    cells = [True, False, "true", "False", 1, 0, "1", None]
    data = lines(*(record(request([cell, "a"]), scoring_id=f"{i}") for i, cell in enumerate(cells)))
    found = load(path, data, {"age": "boolean", "job": "string"})
    assert [row["age"] for row in found.rows] == [True, False, True, False, True, False, True, None]
    assert only_reject(load(path, record(request(["yes", "a"])), {"age": "boolean", "job": "string"})).column == "age"


def test_text_that_postgresql_cannot_hold(path: Path) -> None:
    bad = [record(request([1, "a\0b"])), record(scoring_id="e\0"), record(asset_revision="\0")]
    found = load(path, lines(record(scoring_id="good"), *bad))
    assert [row["scoring_id"] for row in found.rows] == ["good-1"]
    assert [(r.position, r.reason, r.column) for r in found.rejects] == [
        (1, Reason.TYPE_MISMATCH, "job"),
        (2, Reason.TYPE_MISMATCH, "scoring_id"),
        (3, Reason.TYPE_MISMATCH, "asset_revision"),
    ]


def test_half_a_character(path: Path) -> None:
    bad = json.dumps(record()).replace("clerk", "\\ud83d")
    found = load(path, lines(record(scoring_id="good"), bad))
    assert len(found.rows) == 1
    assert found.rejects == [Reject(1, Reason.INVALID_UTF8, bad.encode())]


def test_invalid_utf8(path: Path) -> None:
    good, bad = lines(record(scoring_id="good")), lines(record()).replace(b"clerk", b"cl\xe9rk")
    found = load(path, b"\n".join((good, bad, good.replace(b"good", b"fine"))))
    assert [row["scoring_id"] for row in found.rows] == ["good-1", "fine-1"]
    assert found.rejects == [Reject(1, Reason.INVALID_UTF8, bad)]


def test_malformed_lines_spoil_no_other(path: Path) -> None:
    good = json.dumps(record(scoring_id="good"))
    data = f'{good}\n{{"scoring_id":\n\n"x"}}\n{good}{good}\n{good[:-1]}\n{good}'.encode()
    found = load(path, data)
    assert [row["_position"] for row in found.rows] == [0, 6]
    assert [(r.position, r.reason) for r in found.rejects] == [(i, Reason.MALFORMED_JSON) for i in (1, 3, 4, 5)]


def test_json_that_is_no_record(path: Path) -> None:
    for text in ('"text"', "7", "null", '{"asset_revision": 7}'):
        assert only_reject(load(path, text)).reason is Reason.MALFORMED_RECORD


def test_the_last_of_equal_keys_counts(path: Path) -> None:
    text = json.dumps(record()).replace('"scoring_id": "e1"', '"scoring_id": "e0", "scoring_id": "e1"')
    assert [row["scoring_id"] for row in load(path, lines(record(scoring_id="good"), text)).rows] == ["good-1", "e1-1"]


def test_deep_nesting(path: Path) -> None:
    deep = "[" * 5000 + "]" * 5000
    text = json.dumps(record(scoring_id="deep"))[:-1] + f', "more": {deep}}}'
    found = load(path, lines(record(), text))
    assert found.rows[0]["scoring_id"] == "e1-1"
    assert found.read == 2


def test_response_time_that_is_none(path: Path) -> None:
    for time in ("soon", 1e300, 2**70, [1]):
        reject = only_reject(load(path, record(response_time=time)))
        assert (reject.reason, reject.column) == (Reason.TYPE_MISMATCH, "response_time")
    assert load(path, record(response_time=None)).rows[0]["_response_time"] is None


def test_record_over_the_limit(path: Path) -> None:
    long = json.dumps(record(request([1, "x" * 5000])))
    found = load(path, lines(record(), long, record(scoring_id="e2")), max_record_bytes=2000)
    assert [row["_position"] for row in found.rows] == [0, 2]
    assert [(r.position, r.reason) for r in found.rejects] == [(1, Reason.LINE_TOO_LONG)]


def test_truncated_object(path: Path) -> None:
    stored = gzip.compress(lines(*(record(scoring_id=f"e{i}") for i in range(3000))))
    found = load(path, stored[: len(stored) // 2])
    assert 100 < len(found.rows) < 3000
    assert [(r.reason, r.position) for r in found.rejects] == [(Reason.TRUNCATED_OBJECT, len(found.rows))]


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
    assert only_reject(
        load(path, record(taken=response(("much", None))), problem_type="regression", prediction="double")
    ).reason is Reason.TYPE_MISMATCH


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
