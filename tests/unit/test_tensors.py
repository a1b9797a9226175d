"""KServe V2 tensors → rows: the reference codec, and the bulk codec held to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paylog.casts import cast
from paylog.codecs import JSON, Side, json_tensors
from paylog.codecs.body import as_rows, rows_of
from paylog.errors import Reason, RejectedRecord
from paylog.field import FieldType

INPUTS = Side(
    positional=("age", "job"),
    wanted=("age", "job"),
    required=("age", "job"),
    types=(("age", FieldType.INTEGER), ("job", FieldType.STRING)),
)
NUMBERS = Side(("a", "b"), ("a", "b"), ("a", "b"), types=(("a", FieldType.INTEGER), ("b", FieldType.DOUBLE)))
OUTPUTS = Side(
    ("label", "scores"),
    ("label", "scores"),
    arrays=frozenset({"scores"}),
    types=(("label", FieldType.STRING), ("scores", FieldType.ARRAY)),
)
SINGLE = Side(("y",), ("y",), types=(("y", FieldType.DOUBLE),))


def tensor(name: str, shape: list[int], data: Any, datatype: str = "FP64") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def body(*tensors: dict[str, Any], holder: str = "inputs", **more: Any) -> bytes:
    return json.dumps({**more, holder: tensors}).encode()


AGES, JOBS = tensor("age", [2, 1], [27, 31], "INT64"), tensor("job", [2, 1], ["clerk", "cook"], "BYTES")
TWO = [{"age": "27", "job": "clerk"}, {"age": "31", "job": "cook"}]
LABELS, SCORES = tensor("label", [2], ["a", "b"], "BYTES"), tensor("scores", [2, 2], [0.5, 0.5, 0.25, 0.75])
ANSWERS = [{"label": "a", "scores": ["0.5", "0.5"]}, {"label": "b", "scores": ["0.25", "0.75"]}]
PAIRS = [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
YS = [{"y": "1.5"}, {"y": "2.5"}, {"y": "3.5"}]
GOOD = [
    (INPUTS, body(AGES, JOBS), TWO),
    (INPUTS, body(JOBS, AGES, tensor("other", [5], [0] * 5)), TWO),
    (INPUTS, body(AGES, tensor("job", [1, 2], ["clerk", "cook"], "BYTES")), TWO),
    (INPUTS, body(tensor("age", [2, 1], [[27], [31]], "INT64"), JOBS), TWO),
    (INPUTS, body(tensor("age", [], [27]), tensor("job", [1], ["clerk"], "BYTES")), TWO[:1]),
    (INPUTS, body(tensor("x", [2, 2], ["27", "clerk", "31", "cook"], "BYTES")), TWO),
    (NUMBERS, body(tensor("x", [2, 2], [1, 2.5, 3, 4.5])), [{"a": "1", "b": "2.5"}, {"a": "3", "b": "4.5"}]),
    (NUMBERS, body(tensor("x", [1, 2], [[1, 2.5]])), [{"a": "1", "b": "2.5"}]),
    (NUMBERS, body(tensor("p", [2, 1], [1, 3]), tensor("q", [1, 2], [2, 4])), PAIRS),
    (OUTPUTS, body(LABELS, SCORES, holder="outputs", id="x"), ANSWERS),
    (OUTPUTS, body(tensor("label", [1, 2], ["a", "b"], "BYTES"), SCORES, holder="outputs"), ANSWERS),
    (OUTPUTS, body(LABELS, tensor("scores", [2, 2], [[0.5, 0.5], [0.25, 0.75]]), holder="outputs"), ANSWERS),
    (OUTPUTS, body(SCORES, holder="outputs"), [{"scores": answer["scores"]} for answer in ANSWERS]),
    (OUTPUTS, body(tensor("scores", [2], [0.5, 0.5]), holder="outputs"), [{"scores": ["0.5", "0.5"]}]),
    (SINGLE, body(tensor("output-0", [1, 3], [1.5, 2.5, 3.5]), holder="outputs"), YS),
    (SINGLE, body(tensor("output-0", [3, 1], [1.5, 2.5, 3.5]), holder="outputs"), YS),
]  # fmt: skip
BAD = [
    (INPUTS, body(AGES), Reason.MISSING_FEATURE),
    (INPUTS, body(AGES, tensor("job", [3], ["a", "b", "c"], "BYTES")), Reason.ROW_COUNT_MISMATCH),
    (INPUTS, body(tensor("age", [3, 1], [27, 31], "INT64"), JOBS), Reason.UNSUPPORTED_BODY),
    (INPUTS, body({"name": "age", "shape": [2], "datatype": "INT64"}, JOBS), Reason.UNSUPPORTED_BODY),
    (INPUTS, body(tensor("age", [-2, -1], [1, 2]), JOBS), Reason.UNSUPPORTED_BODY),
    (INPUTS, body(tensor("age", [2, 2], [1, 2, 3, 4]), JOBS), Reason.TYPE_MISMATCH),
    (NUMBERS, body(tensor("x", [2, 3], [1, 2, 3, 4, 5, 6])), Reason.COLUMN_COUNT_MISMATCH),
    (NUMBERS, body(tensor("x", [4, 1], [1, 2, 3, 4])), Reason.COLUMN_COUNT_MISMATCH),
    (OUTPUTS, body(LABELS, tensor("scores", [3], [1, 2, 3]), holder="outputs"), Reason.ROW_COUNT_MISMATCH),
]


@pytest.mark.parametrize(("side", "data", "rows"), GOOD)
def test_reference(side: Side, data: bytes, rows: list[dict[str, Any]]) -> None:
    assert rows_of(data, JSON, side) == rows


@pytest.mark.parametrize(("side", "data", "reason"), BAD)
def test_what_does_not_fit_has_a_reason(side: Side, data: bytes, reason: Reason) -> None:
    with pytest.raises(RejectedRecord) as caught:
        rows_of(data, JSON, side)
    assert caught.value.reason is reason


@pytest.mark.parametrize("learned_from", range(len(GOOD)))
def test_bulk_gives_what_the_reference_gives(learned_from: int) -> None:
    """Whatever body the form is learned from, every other is decoded alike or left over."""
    side, example, _ = GOOD[learned_from]
    form = json_tensors.learn(example, JSON, side)
    if form is None:
        assert b'"shape": [1, 2]' in example or b"other" in example or b'"q"' in example
        return
    bodies = [data for of, data, _ in (*GOOD, *BAD) if of is side]
    rows, odd = json_tensors.decode(bodies, form, JSON, side)
    assert not odd[bodies.index(example)]
    assert rows is not None
    regular = [rows_of(data, JSON, side) for data, is_odd in zip(bodies, odd, strict=True) if not is_odd]
    expected = as_rows([row for of in regular for row in of], [len(of) for of in regular], side)
    assert rows.row_counts().tolist() == expected.row_counts().tolist()
    kinds = {"job": FieldType.STRING, "label": FieldType.STRING, "scores": FieldType.ARRAY}
    for name, column in expected.columns.items():
        kind = kinds.get(name, FieldType.DOUBLE)
        assert cast(rows.columns[name], kind)[0].to_pylist() == cast(column, kind)[0].to_pylist()


def test_bulk_learns_the_usual_forms() -> None:
    learned = [json_tensors.learn(data, JSON, side) is not None for side, data, _ in GOOD]
    assert sum(learned) >= 13
    assert json_tensors.learn(b'{"instances": [[1, 2]]}', JSON, NUMBERS) is None
    assert json_tensors.learn(b"{", JSON, NUMBERS) is None
