"""KServe's inference logger: every container and protocol, and what goes wrong in them."""

from __future__ import annotations

import base64
import csv
import io
import json
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paylog.decode import Decoder
from paylog.errors import Reason
from paylog.testing.contract import LAST_MODIFIED, Path, capture_object, declare, decoding
from paylog.testing.decoded import Outcome, together

FEATURES = {"age": "integer", "job": "string"}
V2 = {"predict": "prediction", "predict_proba": "probability"}
REQUEST, RESPONSE = (f"org.kubeflow.serving.inference.{side}" for side in ("request", "response"))
ASKED = {"instances": [[27, "clerk"]]}
ANSWERED = {"predictions": [{"prediction": "Risk", "probability": [0.25, 0.75]}]}
TIME = "2024-01-19T19:58:30.702456789Z"
COLUMNS = (
    "url",
    "bytes",
    "contentType",
    "reqType",
    "id",
    "sourceUri",
    "component",
    "metadata",
    "annotations",
)


def record(kind: str, body: Any, key: str | None = "e1", **more: Any) -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    written = {"bytes": base64.b64encode(data).decode(), "contentType": "application/json", "reqType": kind}
    return {"url": {"Scheme": "s3"}, **written, "id": key, "occurrenceTime": TIME, **more}


def pair(
    asked: Any = None, answered: Any = None, key: str | None = "e1", **more: Any
) -> list[dict[str, Any]]:
    return [record(REQUEST, asked or ASKED, key, **more), record(RESPONSE, answered or ANSWERED, key, **more)]


def load(
    *documents: Any, key: str = "logs/x-request.json", path: Path = Path.NATIVE, **declared: Any
) -> Outcome:
    """Each document is an object; bytes are one as they are."""
    decoder = Decoder(declare("kserve", FEATURES, **declared))
    objects = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in documents]
    items = [(capture_object(data, f"{n}/{key}"), data) for n, data in enumerate(objects)]
    with decoding(path):
        return together(decoder, items)


def values(found: Outcome) -> list[tuple[Any, ...]]:
    return [(row["scoring_id"], row["age"], row["job"], row["prediction"]) for row in found.rows]


ONE = [("e1-1", 27, "clerk", "Risk")]


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize("apart", [False, True])
def test_a_pair_in_one_object_and_in_two(apart: bool, path: Path) -> None:
    found = load(*pair(), path=path) if apart else load(pair(), path=path)
    assert values(found) == ONE
    assert str(found.rows[0]["scoring_timestamp"]) == "2024-01-19 19:58:30.702456+00:00"
    assert not found.rows[0]["_timestamp_approximate"]


@pytest.mark.parametrize("path", Path)
def test_the_responses_content_type_is_the_requests(path: Path) -> None:
    asked, answered = pair(b"27,clerk\n", contentType="text/csv")
    assert values(load([asked, answered], path=path)) == ONE
    octets = pair(contentType="application/octet-stream")
    assert values(load(octets, path=path)) == ONE
    plain = declare("kserve", FEATURES, response={"label": "prediction", "p": "P(Risk)"})
    of_csv = [asked, record(RESPONSE, b"Risk,0.75", contentType="application/json")]
    data = json.dumps(of_csv).encode()
    with decoding(path):
        assert values(together(Decoder(plain), [(capture_object(data), data)])) == ONE


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize("time", [None, "", "0001-01-01T00:00:00Z"])
def test_without_a_time_it_is_the_objects(time: str | None, path: Path) -> None:
    """Before KServe 0.18 records have none."""
    found = load(pair(occurrenceTime=time), path=path)
    assert values(found) == ONE
    assert found.rows[0]["scoring_timestamp"] == LAST_MODIFIED
    assert found.rows[0]["_timestamp_approximate"]


def test_a_transformer_logs_under_the_predictors_id() -> None:
    found = load(pair(component="predictor"), pair({"instances": [[1, "x"]]}, component="transformer"))
    assert values(found) == [*ONE, ("e1/transformer-1", 1, "x", "Risk")]


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (record(REQUEST, ASKED, None), Reason.MALFORMED_RECORD),
        (record(REQUEST, ASKED, ""), Reason.MALFORMED_RECORD),
        (record(REQUEST, ASKED, "a\0b"), Reason.MALFORMED_RECORD),
        (record("org.other.request", ASKED), Reason.MALFORMED_RECORD),
        (record(REQUEST, b""), Reason.MISSING_REQUEST),
        (record(RESPONSE, b""), Reason.MISSING_RESPONSE),
        ({**record(REQUEST, ASKED), "bytes": "a b"}, Reason.MALFORMED_RECORD),
        (record(REQUEST, b'{"inputs": [], "x": "binary_data_size"}'), None),
        (record(REQUEST, b'{"x": {"binary_data_size": 4}}abc'), Reason.UNSUPPORTED_BODY),
    ],
)
def test_records_that_are_no_half(one: dict[str, Any], reason: Reason | None) -> None:
    found = load([one, *pair(key="e2")])
    assert [row["scoring_id"] for row in found.rows] == ["e2-1"]
    if reason:
        assert [(reject.position, reject.reason) for reject in found.rejects] == [(0, reason)]


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (b'{"instances":[[27,clerk],[28,"x"]]}', Reason.MALFORMED_JSON),
        (b'{"instances":[[27,"\xff"],[28,"x"]]}', Reason.INVALID_UTF8),
    ],
)
def test_a_body_that_is_no_json_is_a_reject(odd: bytes, reason: Reason, path: Path) -> None:
    asked = b'{"instances":[[27,"clerk"],[28,"x"]]}'
    answered = {"predictions": ANSWERED["predictions"] * 2}
    events = [pair(body, answered, f"e{n}") for n, body in enumerate((asked, odd, asked, asked))]
    lines = "\n".join(json.dumps(half) for halves in zip(*events, strict=True) for half in halves)
    found = load(lines.encode(), path=path)
    assert [row["scoring_id"] for row in found.rows] == [f"e{n}-{i}" for n in (0, 2, 3) for i in (1, 2)]
    assert found.reasons == [reason]


def test_what_is_no_scoring_is_left_out() -> None:
    found = load([record("org.kubeflow.serving.inference.outlier", ASKED), *pair()])
    assert values(found) == ONE
    assert found.filtered == 1


def table() -> list[dict[str, str]]:
    """A batch as KServe's CSV and Parquet marshallers have it: all columns text, no time."""
    rows = [*pair(metadata='{"X":["y"]}'), record(REQUEST, ASKED, "e2"), {**pair()[0], "bytes": "%%%"}]
    return [{name: str(row.get(name, "")) for name in COLUMNS} for row in rows]


def as_csv(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, str]]) -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), data)
    return data.getvalue()


@pytest.mark.parametrize(("write", "suffix"), [(as_csv, "csv"), (as_parquet, "parquet")])
def test_tables(write: Any, suffix: str) -> None:
    found = load(write(table()), key=f"x-request.{suffix}")
    assert values(found) == ONE
    assert found.rows[0]["_timestamp_approximate"]
    assert found.pending == 1
    assert [reject.reason for reject in found.rejects] == [Reason.MISSING_REQUEST]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_texts_of_a_table_may_be_of_any_type(kind: pa.DataType) -> None:
    rows = pa.Table.from_pylist([{name: str(row.get(name, "")) for name in COLUMNS} for row in pair()])
    data = io.BytesIO()
    pq.write_table(rows.cast(pa.schema([(name, kind) for name in COLUMNS])), data)
    assert values(load(data.getvalue(), key="x-request.parquet")) == ONE


def test_a_table_of_something_else_is_kept_as_rejects() -> None:
    data = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "bytes": [b"\xff", b"x"], "reqType": [None, 3]}), data)
    found = load(data.getvalue(), key="x.parquet")
    assert [reject.reason for reject in found.rejects] == [Reason.MALFORMED_RECORD] * 2


def binary_pair(metadata: Any) -> list[dict[str, Any]]:
    """A V2 pair with the binary extension; the response's header length is that of the request."""
    job = struct.pack("<I", 5) + b"clerk"
    age = np.array([27], "<i8").tobytes()
    asked = [_tensor("age", "INT64", len(age)), _tensor("job", "BYTES", len(job))]
    proba = np.array([0.25, 0.75], "<f8").tobytes()
    answered = [
        {"name": "predict", "shape": [1], "datatype": "BYTES", "data": ["Risk"]},
        {**_tensor("predict_proba", "FP64", len(proba)), "shape": [1, 2]},
    ]
    bodies = (
        json.dumps({"inputs": asked}).encode() + age + job,
        json.dumps({"outputs": answered}).encode() + proba,
    )
    more = {"contentType": "application/octet-stream", "metadata": metadata}
    return [record(REQUEST, bodies[0], **more), record(RESPONSE, bodies[1], **more)]


def _tensor(name: str, datatype: str, size: int) -> dict[str, Any]:
    return {"name": name, "shape": [1], "datatype": datatype, "parameters": {"binary_data_size": size}}


@pytest.mark.parametrize("length", ["exact", "wrong", "none", "text"])
def test_binary_tensors(length: str) -> None:
    size = str(base64.b64decode(binary_pair(None)[0]["bytes"]).index(b"}]}") + 3)
    headers = {"Inference-Header-Content-Length": [size if length != "wrong" else "7"]}
    metadata = {"exact": headers, "wrong": headers, "none": None, "text": json.dumps(headers)}[length]
    found = load(binary_pair(metadata), response=V2)
    assert values(found) == ONE
    assert found.rows[0]["probability"] == [0.25, 0.75]


def event(kind: str, body: Any, **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "e1", "type": kind, "time": TIME, "data": body, **more}


def dumped(kind: str, body: Any) -> dict[str, Any]:
    headers = {"Ce-Id": ["e1"], "ce-type": kind, "CE-Time": TIME, "content-type": "application/json"}
    return {"path": "/", "headers": headers, "body": json.dumps(body) + "\n"}


@pytest.mark.parametrize("path", Path)
def test_an_event_with_members_of_both_kinds_of_record(path: Path) -> None:
    more = {"reqType": REQUEST, "occurrenceTime": "2024-01-19T20:00:00Z"}
    events = [event(REQUEST, ASKED), event(RESPONSE, ANSWERED), event(RESPONSE, ASKED, id="e2", **more)]
    events.append(event(RESPONSE, ANSWERED, id="e2"))
    found = load("\n".join(map(json.dumps, events)).encode(), key="events.ndjson", path=path)
    assert [row["scoring_id"] for row in found.rows] == ["e1-1", "e2-1"]
    assert str(found.rows[1]["scoring_timestamp"]) == "2024-01-19 20:00:00+00:00"


@pytest.mark.parametrize(
    "events",
    [
        [event(REQUEST, ASKED), event(RESPONSE, ANSWERED)],
        [event(REQUEST, json.dumps(ASKED)), event(RESPONSE, ANSWERED, datacontenttype="text/csv")],
        [event(REQUEST, "27,clerk\n", datacontenttype="text/csv"), event(RESPONSE, ANSWERED)],
        [
            event(REQUEST, None, data_base64=base64.b64encode(json.dumps(ASKED).encode()).decode()),
            event(RESPONSE, ANSWERED),
        ],
        [dumped(REQUEST, ASKED), dumped(RESPONSE, ANSWERED)],
    ],
)
def test_cloud_events_written_down(events: list[Any]) -> None:
    lines = "\n".join(map(json.dumps, events)).encode()
    found = load(lines, key="events.ndjson")
    assert values(found) == ONE
    assert str(found.rows[0]["scoring_timestamp"]) == "2024-01-19 19:58:30.702456+00:00"
