"""Watson Machine Learning: wrapped bodies, free order of columns, meta columns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paylog.errors import Reason
from paylog.testing.contract import Outcome, Path, declare, outcome

FEATURES = {"age": "integer", "job": "string"}
HEAD = {"scoring_id": "e1", "scoring_timestamp": "2024-01-19T19:57:30.123456Z"}
ASKED = {"input_data": [{"fields": ["job", "age"], "values": [["clerk", 27]]}]}
ANSWERED = {"predictions": [{"fields": ["probability", "prediction"], "values": [[[0.25, 0.75], "Risk"]]}]}
ONE = [("e1-1", 27, "clerk", "Risk", [0.25, 0.75])]


def load(*records: Any, path: Path = Path.NATIVE, **declared: Any) -> Outcome:
    data = "\n".join(map(json.dumps, records)).encode()
    found = outcome(declare("watson_machine_learning", FEATURES, **declared), data, path)
    assert found.balanced
    return found


def values(found: Outcome) -> list[tuple[Any, ...]]:
    names = "scoring_id", "age", "job", "prediction", "probability"
    return [tuple(row[name] for name in names) for row in found.rows]


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize(
    "record",
    [
        {**HEAD, "request": ASKED, "response": ANSWERED},
        {**HEAD, **ASKED, **ANSWERED},
        {**ANSWERED, **ASKED, **HEAD},
        {**HEAD, "request": json.dumps(ASKED), "response": json.dumps(ANSWERED)},
        {**HEAD, "request": ASKED["input_data"][0], "response": ANSWERED["predictions"][0]},
        {**HEAD, **ASKED, "response": ANSWERED},
        {**HEAD, "request": {"input_data": [{"id": "x", **ASKED["input_data"][0]}]}, "response": ANSWERED},
    ],
)
def test_bodies_in_the_record_and_in_its_members(record: dict[str, Any], path: Path) -> None:
    assert values(load(record, path=path)) == ONE


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize("bare", [False, True])
def test_meta_columns_and_several_rows(bare: bool, path: Path) -> None:
    meta = {"fields": ["transaction_id", "branch"], "values": [["t1", "north"], ["t2", "south"]]}
    asked = {
        "input_data": [{"fields": ["age", "job"], "values": [[27, "clerk"], [31, "cook"]], "meta": meta}]
    }
    answers = [["Risk", [0.25, 0.75], 1], ["No Risk", [0.75, 0.25], 0]]
    answered = {"predictions": [{"fields": ["prediction", "probability", "rawIndex"], "values": answers}]}
    record = {**HEAD, **asked, **answered} if bare else {**HEAD, "request": asked, "response": answered}
    found = load(
        record,
        {**HEAD, "request": ASKED, "response": ANSWERED, "scoring_id": "e2"},
        path=path,
        meta={"branch": "string"},
    )
    rows = [(row["scoring_id"], row["age"], row["branch"], row["_transaction_id"]) for row in found.rows]
    assert rows == [("e1-1", 27, "north", "t1"), ("e1-2", 31, "south", "t2"), ("e2-1", 27, None, None)]


@pytest.mark.parametrize("path", Path)
def test_every_record_may_have_an_order_of_its_own(path: Path) -> None:
    records = []
    for i in range(40):
        asked: dict[str, Any] = {"job": f"j{i}", "age": i}
        answered: dict[str, Any] = {"prediction": "Risk", "probability": [0.25, 0.75]}
        fields: list[list[str]] = [list(columns)[:: 1 if i % 3 else -1] for columns in (asked, answered)]
        tables = [
            {"fields": names, "values": [[columns[name] for name in names]]}
            for names, columns in zip(fields, (asked, answered), strict=True)
        ]
        sides = {"request": {"input_data": [tables[0]]}, "response": {"predictions": [tables[1]]}}
        records.append({**HEAD, "scoring_id": f"e{i:02}", **sides})
    found = load(*records, path=path)
    assert [(row["age"], row["job"]) for row in found.rows] == [(i, f"j{i}") for i in range(40)]


@pytest.mark.parametrize("path", Path)
@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({**HEAD, **ASKED}, Reason.MISSING_RESPONSE),
        ({**HEAD, **ANSWERED}, Reason.MISSING_REQUEST),
        (
            {**HEAD, **ASKED, **ANSWERED, "input_data": [{"fields": ["age"], "values": [[1]]}]},
            Reason.MISSING_FEATURE,
        ),
        ({**HEAD, **ANSWERED, "input_data": []}, Reason.ROW_COUNT_MISMATCH),
        ({**HEAD, **ANSWERED, "input_data": 7}, Reason.MISSING_FEATURE),
    ],
)
def test_what_is_wrong_has_a_reason(record: dict[str, Any], reason: Reason, path: Path) -> None:
    assert load(record, path=path).reasons == [reason]
