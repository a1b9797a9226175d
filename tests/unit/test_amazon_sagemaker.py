"""SageMaker Data Capture: every content type, and what goes wrong with captures."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from paylog.errors import Reason
from paylog.records import Reject
from paylog.testing.contract import Outcome, Path, declare, outcome

FEATURES = {"amount": "integer", "sex": "string"}
LABEL_AND_SCORE = {"predicted_label": "prediction", "score": "P(Risk)"}
CSV_COLUMNS = {"label": "prediction", "p0": "P(No Risk)", "p1": "P(Risk)"}
JSON_TYPE, CSV_TYPE, LINES_TYPE = "application/json", "text/csv", "application/jsonlines"
TIME = "2024-01-19T19:27:57Z"

pytestmark = pytest.mark.parametrize("path", Path)


def side(data: str, content_type: str | None = CSV_TYPE, encoding: str | None = None) -> dict[str, Any]:
    encoding = encoding or ("CSV" if content_type and "csv" in content_type else "JSON")
    if encoding == "BASE64":
        data = base64.b64encode(data.encode()).decode()
    return {"observedContentType": content_type, "data": data, "encoding": encoding}


def capture(given: Any, taken: Any, event_id: str | None = "e1", **metadata: Any) -> str:
    sides = {"endpointInput": given, "endpointOutput": taken}
    return json.dumps(
        {
            "captureData": {name: body for name, body in sides.items() if body is not None},
            "eventMetadata": {"eventId": event_id, "inferenceTime": TIME, **metadata},
            "eventVersion": "0",
        }
    )


CSV_OUT = side("No Risk,0.75,0.25\n")
JSON_OUT = side('{"predicted_label": "Risk", "score": 0.75}', JSON_TYPE)


def load(path: Path, *records: str, response: dict[str, str] | None = None, **logs: Any) -> Outcome:
    key = logs.pop("key", "logs/part-0.jsonl")
    subscription = declare("amazon_sagemaker", FEATURES, response=response, **logs)
    found = outcome(subscription, "\n".join(records).encode(), path, key=key)
    assert found.balanced
    return found


def values(found: Outcome) -> list[tuple[Any, ...]]:
    names = "scoring_id", "amount", "sex", "prediction", "probability"
    return [tuple(row[name] for name in names) for row in found.rows]


def only_reject(found: Outcome) -> Reject:
    assert not found.rows
    assert len(found.rejects) == 1
    return found.rejects[0]


def test_csv_in_csv_out(path: Path) -> None:
    record = capture(side("250,male\n", "text/csv; charset=utf-8"), CSV_OUT, inferenceId="app-7")
    found = load(path, record, response=CSV_COLUMNS)
    assert values(found) == [("e1-1", 250, "male", "No Risk", [0.75, 0.25])]
    row = found.rows[0]
    assert row["scoring_timestamp"] == datetime(2024, 1, 19, 19, 27, 57, tzinfo=UTC)
    assert row["_transaction_id"] == "app-7"
    assert (row["prediction_probability"], row["_timestamp_approximate"]) == (0.75, False)
    assert row["deployment_id"] == "credit-risk-endpoint"


def test_csv_response_without_a_declared_mapping(path: Path) -> None:
    found = load(path, capture(side("250,male"), CSV_OUT))
    assert values(found) == [("e1-1", 250, "male", "No Risk", [0.75, 0.25])]


def test_csv_in_json_out(path: Path) -> None:
    found = load(path, capture(side("250,male"), JSON_OUT), response=LABEL_AND_SCORE)
    assert values(found) == [("e1-1", 250, "male", "Risk", [0.25, 0.75])]


def test_several_rows_a_record(path: Path) -> None:
    rows = [{"predicted_label": "Risk", "score": 0.5}, {"predicted_label": "No Risk", "score": 0}]
    answers = json.dumps({"predictions": rows})
    given = '{"instances": [{"features": [1, "a"]}, {"features": [2, "b"]}]}'
    found = load(path, capture(side(given, JSON_TYPE), side(answers, JSON_TYPE)), response=LABEL_AND_SCORE)
    assert values(found) == [("e1-1", 1, "a", "Risk", [0.5, 0.5]), ("e1-2", 2, "b", "No Risk", [1.0, 0.0])]


def test_json_lines(path: Path) -> None:
    given = '{"features": [1, "a"]}\n{"features": [2, "b"]}'
    taken = '{"predicted_label": "Risk", "score": 0.5}\n{"predicted_label": "No Risk", "score": 0.25}\n'
    found = load(path, capture(side(given, LINES_TYPE), side(taken, LINES_TYPE)), response=LABEL_AND_SCORE)
    assert values(found) == [("e1-1", 1, "a", "Risk", [0.5, 0.5]), ("e1-2", 2, "b", "No Risk", [0.75, 0.25])]


@pytest.mark.parametrize("content_type", [None, "", "text/plain"])
@pytest.mark.parametrize(
    ("given", "taken"),
    [("1,a\n", '{"predicted_label": "Risk", "score": 0.5}'), ('{"features": [1, "a"]}', "Risk,0.5")],
)
def test_base64_without_a_content_type(path: Path, content_type: str | None, given: str, taken: str) -> None:
    record = capture(side(given, content_type, "BASE64"), side(taken, content_type, "BASE64"))
    assert values(load(path, record, response=LABEL_AND_SCORE)) == [("e1-1", 1, "a", "Risk", [0.5, 0.5])]


def test_no_content_type_but_an_encoding(path: Path) -> None:
    record = capture(side("1,a", None, "CSV"), side(JSON_OUT["data"], None, "JSON"))
    assert values(load(path, record, response=LABEL_AND_SCORE)) == [("e1-1", 1, "a", "Risk", [0.25, 0.75])]


def test_scores_alone_name_the_most_probable_class(path: Path) -> None:
    records = [capture(side("1,a"), side(str(score)), f"e{score}") for score in (0.2, 0.8)]
    found = load(path, *records, response={"score": "P(Risk)"})
    assert values(found) == [
        ("e0.2-1", 1, "a", "No Risk", [0.8, 0.2]),
        ("e0.8-1", 1, "a", "Risk", [1 - 0.8, 0.8]),
    ]


def test_csv_quotes_blanks_and_a_last_line_end(path: Path) -> None:
    records = [
        capture(side('1,"a,b"\n'), CSV_OUT, "quoted"),
        capture(side("2,"), CSV_OUT, "blank"),
        capture(side('3,""'), CSV_OUT, "empty"),
        capture(side("4,say \t hi"), CSV_OUT, "tab"),
        capture(side("5,é\r\n"), CSV_OUT, "crlf"),
        capture(side('6,"two\nlines"'), CSV_OUT, "lines"),
        capture(side("\ufeff7,bom"), CSV_OUT, "bom"),
    ]
    found = load(path, *records, response=CSV_COLUMNS)
    assert [row["sex"] for row in found.rows] == ["a,b", None, "", "say \t hi", "é", "two\nlines", "bom"]
    assert [row["amount"] for row in found.rows] == [1, 2, 3, 4, 5, 6, 7]


def test_header_before_the_rows_is_dropped(path: Path) -> None:
    found = load(path, capture(side("amount,sex\n250,male\n"), CSV_OUT), response=CSV_COLUMNS)
    assert values(found) == [("e1-1", 250, "male", "No Risk", [0.75, 0.25])]


@pytest.mark.parametrize("content_type", [CSV_TYPE, None])
def test_header_that_was_scored_as_a_row(path: Path, content_type: str | None) -> None:
    encoding = "CSV" if content_type else "BASE64"
    record = capture(
        side("amount,sex\n250,male", content_type, encoding), side("Risk,0.1,0.9\nNo Risk,0.75,0.25")
    )
    found = load(path, record, response=CSV_COLUMNS)
    assert values(found) == [("e1-2", 250, "male", "No Risk", [0.75, 0.25])]
    assert [(r.reason, r.row, r.position, r.column) for r in found.rejects] == [
        (Reason.HEADER_ROW, 1, 0, None)
    ]


def test_mangled_header_is_data(path: Path) -> None:
    """AWS's own notebooks scored the header row of a pandas frame: nothing tells it from a row."""
    found = load(path, capture(side("186,0.1"), CSV_OUT), response=CSV_COLUMNS)
    assert values(found)[0][1:3] == (186, "0.1")


@pytest.mark.parametrize(
    ("given", "taken", "reason"),
    [(None, CSV_OUT, Reason.MISSING_REQUEST), (side("1,a"), None, Reason.MISSING_RESPONSE)],
)
def test_missing_side(path: Path, given: Any, taken: Any, reason: Reason) -> None:
    record = capture(given, taken)
    good = capture(side("1,a"), CSV_OUT, "good")
    found = load(path, good, record, response=CSV_COLUMNS)
    assert [row["scoring_id"] for row in found.rows] == ["good-1"]
    assert found.rejects == [Reject(1, reason, record.encode())]


@pytest.mark.parametrize(
    ("given", "taken", "rows"),
    [("1,a\n2,b", "Risk,0.1,0.9", 2), ("1,a", "Risk,0.1,0.9\nRisk,0.1,0.9\nRisk,0.1,0.9", 3), ("", "", 1)],
)
def test_row_counts_that_differ(path: Path, given: str, taken: str, rows: int) -> None:
    record = capture(side(given), side(taken))
    reject = only_reject(load(path, record, response=CSV_COLUMNS))
    assert reject == Reject(0, Reason.ROW_COUNT_MISMATCH, record.encode(), None, None, rows)


def test_a_line_with_another_number_of_cells_spoils_its_record(path: Path) -> None:
    """The other rows must not be paired with the wrong responses."""
    record = capture(side("1,a\n2\n3,c"), side("Risk,0.1,0.9\nRisk,0.2,0.8"))
    reject = only_reject(load(path, record, response=CSV_COLUMNS))
    assert (reject.reason, reject.rows) == (Reason.COLUMN_COUNT_MISMATCH, 3)


@pytest.mark.parametrize("data", ["1,a\n\n", "\n1,a", "1,a\n\n2,b\n"])
def test_blank_lines_inside_csv_shift_no_row(path: Path, data: str) -> None:
    rows = [line for line in data.splitlines() if line]
    answers = "\n".join("Risk,0.1,0.9" for _ in rows)
    neighbour = capture(side("9,z"), CSV_OUT, "z")
    found = load(path, neighbour, capture(side(data), side(answers)), neighbour, response=CSV_COLUMNS)
    assert [row["sex"] for row in found.rows] == ["z", *(line[-1] for line in rows), "z"]


@pytest.mark.parametrize("content_type", [CSV_TYPE, LINES_TYPE, None])
def test_wrong_base64(path: Path, content_type: str | None) -> None:
    given = {**side("", content_type, "BASE64"), "data": "MSxh!"}
    record = capture(given, CSV_OUT)
    good = capture(side('{"features": [1, "a"]}', LINES_TYPE, "BASE64"), CSV_OUT, "good")
    found = load(path, good, record, response=CSV_COLUMNS)
    assert [row["scoring_id"] for row in found.rows] == ["good-1"]
    assert found.rejects == [Reject(1, Reason.UNSUPPORTED_BODY, record.encode())]


@pytest.mark.parametrize(
    ("content_type", "data"), [("application/x-npy", b"\x93NUMPY"), (None, b"\x93NUMPY")]
)
def test_binary_bodies(path: Path, content_type: str | None, data: bytes) -> None:
    taken = {
        "observedContentType": content_type,
        "encoding": "BASE64",
        "data": base64.b64encode(data).decode(),
    }
    record = capture(side("1,a"), taken)
    reject = only_reject(load(path, record, response=CSV_COLUMNS))
    assert reject == Reject(0, Reason.UNSUPPORTED_CONTENT_TYPE, record.encode())


def test_csv_that_is_not_utf8(path: Path) -> None:
    given = {**side("", None, "BASE64"), "observedContentType": CSV_TYPE}
    given["data"] = base64.b64encode(b"1,\xff").decode()
    good = capture(side("1,a", CSV_TYPE, "BASE64"), CSV_OUT, "good")
    found = load(path, good, capture(given, CSV_OUT), response=CSV_COLUMNS)
    assert [row["scoring_id"] for row in found.rows] == ["good-1"]
    assert found.reasons == [Reason.INVALID_UTF8]


def test_malformed_json_body(path: Path) -> None:
    record = capture(side('{"features": [1, "a"', LINES_TYPE), JSON_OUT)
    assert only_reject(load(path, record, response=LABEL_AND_SCORE)).reason is Reason.MALFORMED_JSON


def test_broken_bodies_do_not_complete_each_other(path: Path) -> None:
    """Joined with a comma, these two bodies would be two whole objects."""
    pieces = (
        '{"predicted_label": "Risk", "score": 0.5, "x": [1',
        '2]}, {"predicted_label": "Risk", "score": 0.5}',
    )
    records = [capture(side("1,a"), JSON_OUT, f"g{i}") for i in range(4)]
    records += [capture(side("1,a"), side(piece, JSON_TYPE), f"b{i}") for i, piece in enumerate(pieces)]
    found = load(path, *records, response=LABEL_AND_SCORE)
    assert len(found.rows) == 4
    assert found.reasons == [Reason.MALFORMED_JSON] * 2


@pytest.mark.parametrize(
    "record",
    [
        '{"captureData": 5}',
        '{"groundTruthData": {}}',
        "[1, 2]",
        "7",
        '{"captureData": {"endpointInput": {"data": 5}}}',
    ],
)
def test_json_that_is_no_capture(path: Path, record: str) -> None:
    found = load(path, capture(side("1,a"), CSV_OUT), record, response=CSV_COLUMNS)
    assert found.rejects == [Reject(1, Reason.MALFORMED_RECORD, record.encode())]


def test_cut_record(path: Path) -> None:
    whole = capture(side("1,a"), CSV_OUT)
    found = load(path, whole, "", whole[:90], response=CSV_COLUMNS)
    assert found.rejects == [Reject(2, Reason.MALFORMED_JSON, whole[:90].encode())]


@pytest.mark.parametrize("time", [None, "", "yesterday", "2024-01-19T19:27:57", "1705692477"])
def test_no_timestamp(path: Path, time: str | None) -> None:
    record = capture(side("1,a"), CSV_OUT, inferenceTime=time)
    reject = only_reject(load(path, record, response=CSV_COLUMNS))
    assert reject == Reject(0, Reason.NO_TIMESTAMP, record.encode(), 1, "scoring_timestamp")


def test_a_record_without_event_id_is_named_after_its_place(path: Path) -> None:
    records = [capture(side("1,a"), CSV_OUT, event_id) for event_id in (None, "", "e9")]
    found = load(path, *records, response=CSV_COLUMNS)
    ids = [row["scoring_id"] for row in found.rows]
    assert len(set(ids)) == 3
    assert ids[2] == "e9-1"
    assert ids == [row["scoring_id"] for row in load(path, *records, response=CSV_COLUMNS).rows]


def test_variants_keep_equal_event_ids_apart(path: Path) -> None:
    """A shadow variant scores the same requests under the same ids."""
    record = capture(side("1,a"), CSV_OUT)
    rows = [
        load(
            path, record, response=CSV_COLUMNS, key=f"dc/endpoint/{variant}/2024/01/19/19/27-57-123-ab.jsonl"
        ).rows[0]
        for variant in ("production", "shadow")
    ]
    assert [row["asset_revision"] for row in rows] == ["production", "shadow"]
    assert rows[0]["scoring_id"] == rows[1]["scoring_id"]
    assert rows[0]["_record_id"] != rows[1]["_record_id"]


def test_nul_character_never_reaches_the_table(path: Path) -> None:
    good = capture(side("1,a"), CSV_OUT, "good")
    record = capture(side("1,a\0b"), CSV_OUT)
    found = load(path, good, record, capture(side("1,a"), CSV_OUT, "e\0"), response=CSV_COLUMNS)
    assert [row["scoring_id"] for row in found.rows] == ["good-1"]
    assert [(r.position, r.reason, r.column) for r in found.rejects] == [
        (1, Reason.TYPE_MISMATCH, "sex"),
        (2, Reason.TYPE_MISMATCH, "scoring_id"),
    ]


def test_vector_in_a_csv_cell(path: Path) -> None:
    """As SageMaker Autopilot answers."""
    record = capture(side("1,a"), side('Risk,"[0.25, 0.75]"'))
    response = {"predicted_label": "prediction", "probabilities": "probability"}
    assert values(load(path, record, response=response)) == [("e1-1", 1, "a", "Risk", [0.25, 0.75])]


def test_more_named_features_than_the_scanner_takes(path: Path) -> None:
    names = [f"f{i}" for i in range(90)]
    subscription = declare("amazon_sagemaker", dict.fromkeys(names, "integer"), response=LABEL_AND_SCORE)
    given = json.dumps({"instances": [{name: i for i, name in enumerate(names)}]})
    found = outcome(subscription, capture(side(given, JSON_TYPE), JSON_OUT).encode(), path)
    assert [found.rows[0][name] for name in names] == list(range(90))
