"""Vertex AI's logging table: ids, classes, rows without payloads."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paylog.errors import Reason
from paylog.testing.decoded import Outcome, Path, declare, outcome

RESPONSE = {"scores": "probability", "classes": "ignore"}
HEAD = {"request_id": "9007199254740993", "logging_time": "2024-01-19 19:27:57.5 UTC"}
INSTANCE = json.dumps({"a": 1})


def load(*records: dict[str, Any], path: Path = Path.NATIVE, **declared: Any) -> Outcome:
    subscription = declare("vertex_ai", {"a": "integer"}, **{"response": RESPONSE, **declared})
    found = outcome(subscription, "\n".join(map(json.dumps, records)).encode(), path)
    assert found.balanced
    return found


def logged(*predictions: Any, **head: Any) -> dict[str, Any]:
    texts = [one if isinstance(one, str) else json.dumps(one) for one in predictions]
    return {**HEAD, "request_payload": [INSTANCE] * len(texts), "response_payload": texts, **head}


@pytest.mark.parametrize("path", Path)
def test_scores_are_put_in_the_order_of_the_labels(path: Path) -> None:
    found = load(
        logged({"classes": ["No Risk", "Risk"], "scores": [0.25, 0.75]}),
        logged({"scores": [0.75, 0.25], "classes": ["Risk", "No Risk"]}, request_id="2"),
        logged({"displayNames": ["Risk"], "confidences": [0.75]}, request_id="3"),
        path=path,
    )
    assert [row["probability"] for row in found.rows] == [[0.25, 0.75], [0.25, 0.75]]
    assert {row["prediction"] for row in found.rows} == {"Risk"}
    assert [(r.position, r.reason, r.rows) for r in found.rejects] == [(2, Reason.UNKNOWN_CLASS, 1)]


def test_classes_do_not_matter_where_scores_are_not_read() -> None:
    prediction = {"classes": ["x"], "label": "Risk"}
    found = load(logged(prediction), response={"label": "prediction"})
    assert [row["prediction"] for row in found.rows] == ["Risk"]


def test_classes_that_do_not_fit_their_scores() -> None:
    found = load(logged({"classes": ["Risk", "No Risk"], "scores": [0.5]}))
    assert found.reasons == [Reason.PROBABILITY_MISMATCH]


@pytest.mark.parametrize("ids", [pa.array([b"\xff"]), pa.array([["x"]]), pa.array(["7"], pa.string_view())])
def test_an_id_of_another_type_in_a_table(ids: pa.Array) -> None:
    table = pa.Table.from_pylist([logged({"scores": [0.25, 0.75]})])
    file = io.BytesIO()
    pq.write_table(table.set_column(table.schema.get_field_index("request_id"), "request_id", ids), file)
    found = outcome(declare("vertex_ai", {"a": "integer"}, response=RESPONSE), file.getvalue())
    assert (len(found.rows), found.rejects) == (1, [])


@pytest.mark.parametrize("number", ["9007199254740993", "9007199254740993.000000000"])
def test_an_id_beyond_what_floats_hold(number: str) -> None:
    scored = {"scores": [0.25, 0.75]}
    for text in (json.dumps({**logged(scored), "request_id": number}), json.dumps(logged(scored))):
        as_number = text.replace(f'"{number}"', number)
        subscription = declare("vertex_ai", {"a": "integer"}, response=RESPONSE)
        for data in (text, as_number):
            (row,) = outcome(subscription, data.encode()).rows
            assert row["scoring_id"] == "9007199254740993-1"


def test_elements_that_are_none_are_not_lost_among_lines() -> None:
    scored = json.dumps({"scores": [0.25, 0.75]})
    pretty = json.dumps({"a": 1}, indent=1)
    whole = {**logged(scored, scored), "request_payload": [pretty, INSTANCE]}
    assert len(load(whole).rows) == 2
    for blank in ("", " ", None):
        found = load({**logged(scored), "request_payload": [INSTANCE, blank]})
        assert not found.rows
        assert sum(reject.rows for reject in found.rejects) >= 1


def test_rows_without_payloads() -> None:
    body = {"full_request": {"instances": [{"a": 1}]}, "full_response": {"predictions": [{"scores": [0, 1]}]}}
    old = {"raw_data": json.dumps(body["full_request"]), "raw_prediction": json.dumps(body["full_response"])}
    odd = {"full_request": {"a": 1}, "full_response": {"scores": [0, 1]}}
    time = {"time": "2024-01-19 19:27:57 UTC"}
    (row,) = load(time | old).rows
    assert (row["a"], row["probability"]) == (1, [0, 1])
    found = load(HEAD | body, HEAD | odd, HEAD | {"full_request": {"a": 1}}, HEAD)
    assert [(row["_position"], row["a"], row["probability"]) for row in found.rows] == [
        (0, 1, [0, 1]),
        (1, 1, [0, 1]),
    ]
    assert found.reasons == [Reason.MISSING_RESPONSE, Reason.MISSING_REQUEST]


@pytest.mark.parametrize("path", Path)
def test_rows_of_several_generations_do_not_change_each_other(path: Path) -> None:
    older, newer = (logged({"scores": [0.25, 0.75]}) for _ in range(2))
    older |= {"time": older.pop("logging_time"), "deployed_model_id": "d"}
    newer |= {"request_id": "2", "model_version": "m"}
    found = load(older, newer, path=path)
    assert found.rejects == []
    assert [row["asset_revision"] for row in found.rows] == ["d", "m"]


@pytest.mark.parametrize("texts", [pa.string(), pa.large_string()])
def test_lists_as_polars_writes_them(texts: pa.DataType) -> None:
    table = pa.Table.from_pylist([logged({"scores": [0.25, 0.75]}), logged({"scores": [0.5, 0.5]})])
    for name in ("request_payload", "response_payload"):
        column = table[name].cast(pa.large_list(texts))
        table = table.set_column(table.schema.get_field_index(name), name, column)
    file = io.BytesIO()
    pq.write_table(table, file)
    subscription = declare("vertex_ai", {"a": "integer"}, response=RESPONSE)
    found = outcome(subscription, file.getvalue())
    assert found.rejects == []
    assert [row["probability"] for row in found.rows] == [[0.25, 0.75], [0.5, 0.5]]
