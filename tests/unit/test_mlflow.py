"""Inference tables: what is filtered, what was never logged, whose columns are whose."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paylog.errors import Reason
from paylog.testing.decoded import Outcome, Path, declare, outcome

FEATURES = {"a": "integer", "b": "string"}
AT = datetime(2024, 1, 19, 19, 27, 57, 123456, UTC)
REQUEST = '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]]}}'
RESPONSE = '{"predictions": [{"prediction": "Risk", "probability": [0.25, 0.75]}]}'
WHOLE = {"request": REQUEST, "response": RESPONSE, "status_code": 200}


def lines(*records: dict[str, Any]) -> bytes:
    return "\n".join(map(json.dumps, records)).encode()


def load(data: bytes, path: Path = Path.NATIVE, **declared: Any) -> Outcome:
    found = outcome(declare("databricks", FEATURES, **declared), data, path)
    assert found.balanced
    return found


def as_parquet(rows: list[dict[str, Any]], **columns: pa.DataType) -> bytes:
    table = pa.Table.from_pylist(rows)
    for name, kind in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(kind))
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


GENERATIONS: dict[str, dict[str, Any]] = {
    "legacy": {
        "databricks_request_id": "id-1",
        "timestamp_ms": int(AT.timestamp() * 1000),
        "execution_time_ms": 7,
        "request_metadata": {"model_version": "3"},
    },
    "gateway": {
        "databricks_request_id": "id-1",
        "request_time": AT,
        "execution_duration_ms": 7,
        "served_entity_id": "3",
    },
    "unity": {"invocation_id": "id-1", "event_time": AT, "latency_ms": 7},
}


@pytest.mark.parametrize("in_parquet", [True, False])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_of_the_table(generation: str, in_parquet: bool) -> None:
    row = {**WHOLE, **GENERATIONS[generation], "client_request_id": "mine"}
    metadata = {"request_metadata": pa.map_(pa.string(), pa.string())} if generation == "legacy" else {}
    if in_parquet:
        rows = [row | {name: list(row[name].items()) for name in metadata}]
        data = as_parquet([row]) if not metadata else _with_map(rows, metadata)
    else:
        data = json.dumps(row, default=datetime.isoformat).encode()
    (found,) = load(data).rows
    resolution = 1000 if generation == "legacy" else 1
    assert found["scoring_id"] == "id-1-1"
    assert found["scoring_timestamp"] == AT.replace(microsecond=AT.microsecond // resolution * resolution)
    assert (found["_response_time"], found["_transaction_id"]) == (7, "mine")
    assert found["asset_revision"] == (None if generation == "unity" else "3")
    assert not found["_timestamp_approximate"]


def _with_map(rows: list[dict[str, Any]], kinds: dict[str, pa.DataType]) -> bytes:
    plain = pa.Table.from_pylist([{k: v for k, v in row.items() if k not in kinds} for row in rows])
    for name, kind in kinds.items():
        plain = plain.append_column(name, pa.array([row[name] for row in rows], kind))
    file = io.BytesIO()
    pq.write_table(plain, file)
    return file.getvalue()


def test_rows_of_another_status_are_filtered_and_bodies_over_the_limit_rejected() -> None:
    head = GENERATIONS["gateway"]
    rows = [
        {**WHOLE, **head, "databricks_request_id": "good"},
        {**WHOLE, **head, "status_code": 400, "response": '{"error_code": "BAD_REQUEST"}'},
        {**WHOLE, **head, "status_code": 500, "request": None, "response": None},
        {**WHOLE, **head, "request": None, "logging_error_codes": ["MAX_REQUEST_SIZE_EXCEEDED"]},
        {**WHOLE, **head, "response": None},
        {**WHOLE, **head, "databricks_request_id": "unknown", "status_code": None},
    ]
    found = load(as_parquet([{"logging_error_codes": [], **row} for row in rows]))
    assert [row["scoring_id"] for row in found.rows] == ["good-1", "unknown-1"]
    assert found.filtered == 2
    assert [(reject.position, reject.reason) for reject in found.rejects] == [
        (3, Reason.BODY_NOT_LOGGED),
        (4, Reason.BODY_NOT_LOGGED),
    ]
    assert json.loads(found.rejects[0].raw)["logging_error_codes"] == ["MAX_REQUEST_SIZE_EXCEEDED"]


def test_a_line_that_is_no_row_of_the_table() -> None:
    found = load(lines({}, {"request": 1}, WHOLE | GENERATIONS["legacy"]))
    assert found.reasons == [Reason.MALFORMED_RECORD, Reason.MALFORMED_RECORD]
    assert len(found.rows) == 1


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize(
    "odd", [{"request_content_type": 5}, {"timestamp_ms": 10**30}, {"status_code": 10**30}]
)
def test_one_odd_member_rejects_its_own_line_only(odd: dict[str, Any], path: Path) -> None:
    good = WHOLE | GENERATIONS["legacy"]
    found = load(lines(good | odd, good), path)
    assert (found.reasons, len(found.rows)) == ([Reason.MALFORMED_RECORD], 1)


def test_columns_of_other_types_in_a_table() -> None:
    head = {**WHOLE, **GENERATIONS["gateway"], "request_content_type": "application/json"}
    rows = [head | {"status_code": status} for status in ("200", "400", "OK")]
    words = pa.dictionary(pa.int32(), pa.string())
    latency = {"execution_duration_ms": pa.decimal128(21, 2)}
    found = load(as_parquet(rows, request_content_type=words, status_code=words, **latency))
    assert [row["_response_time"] for row in found.rows] == [7]
    assert (found.filtered, found.reasons) == (1, [Reason.MALFORMED_RECORD])


@pytest.mark.parametrize(
    ("name", "column", "reason"),
    [
        ("databricks_request_id", pa.array([b"\xff"]), None),
        ("databricks_request_id", pa.array([["x"]]), None),
        ("request", pa.array([["x"]]), Reason.BODY_NOT_LOGGED),
        ("request", pa.array([b"\xff"]), Reason.INVALID_UTF8),
        ("request_time", pa.array([2**64 - 1], pa.uint64()), Reason.NO_TIMESTAMP),
        ("status_code", pa.array([200.5], pa.float32()), Reason.MALFORMED_RECORD),
    ],
)
def test_a_column_that_is_something_else(name: str, column: pa.Array, reason: Reason | None) -> None:
    table = pa.Table.from_pylist([{**WHOLE, **GENERATIONS["gateway"]}])
    table = table.set_column(table.schema.get_field_index(name), name, column)
    file = io.BytesIO()
    pq.write_table(table, file)
    found = load(file.getvalue())
    assert (found.reasons, len(found.rows)) == ([reason] if reason else [], 0 if reason else 1)


def test_a_time_that_is_none() -> None:
    head = {"databricks_request_id": "id-1"}
    for time in ({}, {"timestamp_ms": 2**62}, {"timestamp_ms": -1}, {"request_time": "yesterday"}):
        assert load(lines(WHOLE | head | time)).reasons == [Reason.NO_TIMESTAMP]


def test_bodies_as_json_and_as_csv() -> None:
    """A logger of one's own may write bodies unquoted; a client may send CSV, with a header."""
    head = {"timestamp": AT.isoformat(), "status": 200}
    response = '{"predictions": ["Risk", "No Risk"]}'
    records = [
        {**head, "request": json.loads(REQUEST), "response": json.loads(RESPONSE)},
        {**head, "request": "a,b\n1,x\n2,y\n", "response": response, "request_content_type": "text/csv"},
        {**head, "request": "1,x", "response": RESPONSE, "request_content_type": "text/csv; header=absent"},
        {**head, "request": "1,x", "response": RESPONSE, "request_content_type": "image/png"},
    ]
    found = outcome(declare("mlflow", FEATURES), lines(*records[:1], *records[2:]))
    assert [(row["a"], row["b"]) for row in found.rows] == [(1, "x"), (1, "x")]
    assert found.reasons == [Reason.UNSUPPORTED_CONTENT_TYPE]
    labels = declare("mlflow", FEATURES, response={"label": "prediction"})
    found = outcome(labels, lines(records[1]))
    assert [(row["a"], row["b"], row["prediction"]) for row in found.rows] == [
        (1, "x", "Risk"),
        (2, "y", "No Risk"),
    ]


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize(
    ("response", "predictions"),
    [
        ({"label": "prediction"}, "Risk"),
        ({"label": "prediction"}, ["Risk"]),
        ({"label": "prediction"}, [["Risk"]]),
        ({"label": "prediction"}, {"label": "Risk"}),
        ({"label": "prediction"}, {"label": ["Risk"], "more": [1, 2]}),
        ({"no": "P(No Risk)", "yes": "P(Risk)"}, [[0.25, 0.75]]),
        ({"no": "P(No Risk)", "yes": "P(Risk)"}, {"no": [0.25], "yes": [0.75]}),
        ({"p": "probability"}, {"p": [[0.25, 0.75]]}),
    ],
)
def test_shapes_of_a_response(path: Path, response: dict[str, str], predictions: Any) -> None:
    record = {**WHOLE, **GENERATIONS["legacy"], "response": json.dumps({"predictions": predictions})}
    (row,) = load(lines(record), path, response=response).rows
    assert row["prediction"] == "Risk"
    assert row["probability"] == (None if "label" in response else [0.25, 0.75])


@pytest.mark.parametrize("path", Path)
def test_columns_of_different_lengths_are_rejected(path: Path) -> None:
    request = json.dumps({"inputs": {"a": [1, 2], "b": ["x"]}})
    found = load(lines({**WHOLE, **GENERATIONS["legacy"], "request": request}), path)
    assert [(reject.reason, reject.rows) for reject in found.rejects] == [(Reason.ROW_COUNT_MISMATCH, 2)]


@pytest.mark.parametrize("in_parquet", [True, False])
def test_rows_of_several_generations_do_not_change_each_other(in_parquet: bool) -> None:
    """An id, time or status is its own row's, whichever columns the neighbours have."""
    rows = [{**WHOLE, **row, "request_id": f"r-{n}"} for n, row in enumerate(GENERATIONS.values())]
    rows[2] |= {"invocation_id": "id-2", "status_code": None, "status": 500}
    rows.append({**WHOLE, **GENERATIONS["unity"], "request_id": "r-3", "invocation_id": None})
    if in_parquet:
        for row in rows:
            row.pop("request_metadata", None)
        data = as_parquet([dict.fromkeys(set().union(*rows)) | row for row in rows])
    else:
        data = lines(*({k: str(v) if isinstance(v, datetime) else v for k, v in row.items()} for row in rows))
    found = load(data)
    assert found.rejects == []
    assert [row["scoring_id"] for row in found.rows] == ["id-1-1", "id-1-1", "r-3-1"]
    times = [AT.replace(microsecond=123_000), AT, AT]
    assert [row["scoring_timestamp"] for row in found.rows] == times
    assert {row["_response_time"] for row in found.rows} == {7}
    assert [row["asset_revision"] for row in found.rows] == [None if in_parquet else "3", "3", None]
