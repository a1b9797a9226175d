"""What is wrong with a payload record, told by reason, column, position and row."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from custom_records import lines, load, only_reject, record, request, response, values

from paylog.errors import Reason
from paylog.records import Reject
from paylog.testing.contract import LAST_MODIFIED, Path

pytestmark = pytest.mark.parametrize("path", Path)


def test_a_string_body_that_is_cut(path: Path) -> None:
    broken = record(json.dumps(request([1, "a"]))[:-3])
    found = load(path, lines(record(json.dumps(request([2, "b"])), scoring_id="good"), broken))
    assert values(found) == [("good-1", 2, "b", "Risk", [0.25, 0.75])]
    assert found.rejects == [Reject(1, Reason.MALFORMED_JSON, json.dumps(broken).encode())]


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
    assert found.rejects == [Reject(1, Reason.ROW_COUNT_MISMATCH, json.dumps(bad).encode(), None, None, 3)]


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


@pytest.mark.parametrize(
    "cell", ["27.5", 27.5, "old", True, 2**63, "", [1], {"a": 1}, "0x1F", "1e999", "2_7"]
)
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


@pytest.mark.parametrize(
    "taken", [response((None, [0.25, 0.75])), {"fields": ["probability"], "values": [[[0, 1]]]}]
)
def test_missing_prediction(path: Path, taken: Any) -> None:
    good = record(scoring_id="good")
    bad = record(taken=taken)
    found = load(path, lines(good, bad))
    assert len(found.rows) == 1
    assert found.rejects == [Reject(1, Reason.MISSING_PREDICTION, json.dumps(bad).encode(), 1, "prediction")]


@pytest.mark.parametrize(
    "time", [None, 1705692477, 1705692477.5, "1705692477", "2024-01-19 19:27", "", "x" * 40]
)
def test_no_timestamp(path: Path, time: Any) -> None:
    """Never the time of loading, and no guess what a number counts."""
    bad = record(scoring_timestamp=time)
    assert only_reject(load(path, bad)) == Reject(
        0, Reason.NO_TIMESTAMP, json.dumps(bad).encode(), 1, "scoring_timestamp"
    )
    found = load(path, bad, timestamp="last_modified")
    assert [(r["scoring_timestamp"], r["_timestamp_approximate"]) for r in found.rows] == [
        (LAST_MODIFIED, True)
    ]


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
    assert [(r.position, r.reason) for r in found.rejects] == [
        (i, Reason.MALFORMED_JSON) for i in (1, 3, 4, 5)
    ]


def test_json_that_is_no_record(path: Path) -> None:
    for text in ('"text"', "7", "null", '{"asset_revision": 7}'):
        assert only_reject(load(path, text)).reason is Reason.MALFORMED_RECORD


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
