"""Seldon Core v1: exported documents and CloudEvents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paylog.decode import Decoder
from paylog.errors import Reason
from paylog.testing.contract import Path, capture_object, declare, decoding
from paylog.testing.decoded import Outcome, together

FEATURES = {"age": "integer", "job": "string"}
SCORES = {"prediction": "prediction", "proba_0": "P(No Risk)", "proba_1": "P(Risk)"}
TIME = "2024-01-19T19:57:30.123456789Z"
ASKED = {"elements": {"age": 27, "job": "clerk"}, "instance": [27, "clerk"], "ce-time": TIME}
ANSWERED = {"elements": {"prediction": "Risk", "proba_0": 0.25, "proba_1": 0.75}, "instance": [0.25, 0.75]}


def document(key: str | None = "r1", asked: Any = None, answered: Any = None, **more: Any) -> dict[str, Any]:
    sides = {
        "request": ASKED if asked is None else asked,
        "response": ANSWERED if answered is None else answered,
    }
    source = {**{name: side for name, side in sides.items() if side}, "@timestamp": TIME, "RequestId": "r1"}
    return {"_index": "inference-log", "_id": key, "_source": {**source, **more}}


def load(*lines: Any, path: Path = Path.NATIVE, response: dict[str, str] | None = None) -> Outcome:
    data = "\n".join(map(json.dumps, lines)).encode()
    decoder = Decoder(declare("seldon", FEATURES, response=response or SCORES))
    with decoding(path):
        return together(decoder, [(capture_object(data), data)])


def values(found: Outcome) -> list[tuple[Any, ...]]:
    return [(row["scoring_id"], row["age"], row["job"], row["prediction"]) for row in found.rows]


ONE = [("r1-1", 27, "clerk", "Risk")]


@pytest.mark.parametrize("path", Path)
def test_a_batch_is_a_document_a_row(path: Path) -> None:
    found = load(document(), document("r2-item-0"), document("r2-item-11"), document("an-item-x"), path=path)
    assert [row["scoring_id"] for row in found.rows] == ["r1-1", "r2-1", "r2-12", "an-item-x-1"]
    assert values(found)[:1] == ONE
    assert {str(row["scoring_timestamp"]) for row in found.rows} == {"2024-01-19 19:57:30.123456+00:00"}


def test_a_document_without_its_own_id_or_time() -> None:
    source = document()["_source"]
    bare = {"_source": {name: value for name, value in source.items() if name != "@timestamp"}}
    found = load(bare)
    assert values(found) == ONE
    assert str(found.rows[0]["scoring_timestamp"]) == "2024-01-19 19:57:30.123456+00:00"


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize("elements", [None, [], {}])
def test_without_names_the_row_goes_by_position(elements: Any, path: Path) -> None:
    by_position = {"label": "prediction", "p": "P(Risk)"}
    found = load(
        document(asked={**ASKED, "elements": elements}, answered={"instance": ["Risk", 0.75]}),
        path=path,
        response=by_position,
    )
    assert values(found) == ONE


def test_what_the_logger_did_not_take_apart_is_read_as_it_was() -> None:
    payload = {"data": {"names": ["job", "age"], "ndarray": [["clerk", 27]]}}
    assert values(load(document(asked={"dataType": "json", "payload": payload}))) == ONE


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (document(asked={}), Reason.MISSING_REQUEST),
        (document(answered={}), Reason.MISSING_RESPONSE),
        (document(answered={"dataType": "tabular"}), Reason.MISSING_RESPONSE),
        (document(None, RequestId=None), Reason.MALFORMED_RECORD),
        (document(**{"@timestamp": "soon"}), Reason.NO_TIMESTAMP),
        ({"_id": "r1", "_source": 7}, Reason.MALFORMED_RECORD),
        ({"_id": "r1"}, Reason.MALFORMED_RECORD),
    ],
)
def test_partial_and_other_documents(one: dict[str, Any], reason: Reason) -> None:
    """A body over 300 kB is left out by the logger, so that half a document is nothing rare."""
    found = load(one, document("r2"))
    assert [row["scoring_id"] for row in found.rows] == ["r2-1"]
    assert [(reject.position, reject.reason) for reject in found.rejects] == [(0, reason)]


def event(side: str, body: Any, key: str, model: str | None = "classifier", **more: Any) -> dict[str, Any]:
    """As an echo server notes it; the ids of the two sides differ."""
    headers = {
        "ce-id": f"{key}-{side}",
        "ce-requestid": "r1",
        "ce-time": TIME,
        "ce-type": f"io.seldon.serving.inference.{side}",
        "content-type": "application/json",
        **({"ce-modelid": model} if model else {}),
    }
    return {"path": "/", "headers": headers, "body": json.dumps(body), "method": "POST", **more}


BODIES = {
    "request": {"data": {"names": ["age", "job"], "ndarray": [[27, "clerk"]]}},
    "response": {"data": {"names": ["proba_0", "proba_1", "prediction"], "ndarray": [[0.25, 0.75, "Risk"]]}},
}


@pytest.mark.parametrize("path", Path)
def test_cloud_events_pair_by_request_id_and_node(path: Path) -> None:
    events = [event(side, body, "a") for side, body in BODIES.items()]
    other = [event(side, body, "b", None) for side, body in BODIES.items()]
    found = load(*events, *other[::-1], path=path)
    assert [row["scoring_id"] for row in found.rows] == ["r1/classifier-1", "r1-1"]
    assert [row["probability"] for row in found.rows] == [[0.25, 0.75]] * 2
    assert not found.rejects
    assert not found.pending


def test_feedback_is_no_scoring() -> None:
    feedback = event("request", {}, "f")
    feedback["headers"]["ce-type"] = "io.seldon.serving.feedback"
    found = load(feedback, document())
    assert found.filtered == 1
    assert values(found) == ONE


def test_kafka_headers() -> None:
    def message(side: str) -> dict[str, Any]:
        kind = f"io.seldon.serving.inference.{side}"
        headers = {"type": kind, "content-type": "application/json", "requestid": "r1", "modelid": "m"}
        return {"headers": headers, "body": BODIES[side]}

    found = load(message("request"), message("response"))
    assert [(row["scoring_id"], row["_timestamp_approximate"]) for row in found.rows] == [("r1/m-1", True)]
