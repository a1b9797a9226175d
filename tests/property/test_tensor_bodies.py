"""Tensor bodies of every shape: the three ways to decode give the same rows and the same reasons."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paylog.testing.contract import Outcome, Path, declare, outcome

FEATURES = {"age": "integer", "job": "string", "amount": "double"}
DATATYPES = {"age": "INT64", "job": "BYTES", "amount": "FP64"}
OUTPUTS = {"predict": "prediction", "predict_proba": "probability"}
SUBSCRIPTION = declare("custom_machine_learning", FEATURES, response=OUTPUTS)

integers = st.integers(-9, 99) | st.sampled_from(
    [2**53 + 1, -(2**63), 2**63, 7.0, 7.5, "12", "x", None, True]
)
texts = st.sampled_from(["clerk", "a,b", 'c "d"', "\u00e9\u2028", "", "null", 'x\\n"', None, 3, 4.5, False])
doubles = st.floats(allow_nan=True) | st.integers(-5, 5) | st.sampled_from(["0.5", None, 10**400, True, [1]])
CELLS: dict[str, st.SearchStrategy[Any]] = {"age": integers, "job": texts, "amount": doubles}
regular: dict[str, st.SearchStrategy[Any]] = {
    "age": st.integers(0, 99),
    "job": st.sampled_from(["clerk", "a,b"]),
    "amount": st.floats(-9, 9),
}


def tensor(name: str, shape: list[int], datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


@st.composite
def shaped(draw: st.DrawFn, name: str, rows: int, cells: list[Any]) -> dict[str, Any]:
    """One column: flat or nested, along any dimension, now and then with a shape that is not its own."""
    shape = draw(st.sampled_from([[rows], [rows, 1], [1, rows], [rows, 1, 1], [], [rows, 2], [rows + 1]]))
    data = [[cell] for cell in cells] if draw(st.integers(0, 5)) == 0 else cells
    return tensor(name, shape, DATATYPES[name], data)


@st.composite
def requests(draw: st.DrawFn, rows: int, troubled: bool) -> dict[str, Any]:
    kinds = CELLS if troubled else regular
    columns = {name: [draw(kinds[name]) for _ in range(rows)] for name in FEATURES}
    if draw(st.integers(0, 4)) == 0:
        flat = [columns[name][i] for i in range(rows) for name in FEATURES]
        return {"inputs": [tensor("input-0", [rows, 3], "FP64", flat)]}
    tensors = [
        draw(shaped(name, rows, cells)) if troubled else tensor(name, [rows, 1], DATATYPES[name], cells)
        for name, cells in columns.items()
    ]
    if troubled:
        tensors = draw(st.permutations(tensors))[: draw(st.integers(2, 3))]
        tensors += draw(st.sampled_from([[], [tensor("other", [2], "FP32", [1, 2])], tensors[:1]]))
    return {"id": "x", "inputs": tensors}


@st.composite
def responses(draw: st.DrawFn, rows: int, troubled: bool) -> dict[str, Any]:
    vectors = [[1 - p, p] for p in draw(st.lists(st.floats(0, 1), min_size=rows, max_size=rows))]
    labels = ["Risk" if vector[1] > 0.5 else "No Risk" for vector in vectors]
    cells: list[Any] = [cell for vector in vectors for cell in vector]
    shape = [rows, 2]
    if troubled:
        cells, shape = draw(
            st.sampled_from(
                [(cells, [rows, 2]), (vectors, [rows, 2]), (cells, [2 * rows]), (cells, [2, rows])]
            )
        )
    return {
        "outputs": [tensor("predict", [rows], "BYTES", labels), tensor("predict_proba", shape, "FP64", cells)]
    }


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    """Records with V2 bodies; most are regular, so that a form is learned, and some are anything but."""
    lines = []
    for i in range(draw(st.integers(2, 12))):
        rows, troubled = draw(st.sampled_from([1, 1, 1, 2, 3, 0])), draw(st.integers(0, 2)) == 0
        record = {
            "scoring_id": f"e{i}",
            "scoring_timestamp": "2024-01-19T19:27:57Z",
            "request": draw(requests(rows, troubled)),
            "response": draw(responses(rows, troubled)),
        }
        if draw(st.booleans()):  # as text it is decoded apart from its record
            record |= {side: json.dumps(record[side]) for side in ("request", "response")}
        lines.append(json.dumps(record, ensure_ascii=draw(st.booleans())))
    return "\n".join(lines).encode()


def told(found: Outcome) -> tuple[Any, ...]:
    return repr(found.rows), [(r.position, r.reason, r.row, r.column, r.rows) for r in found.rejects]


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(logs())
def test_paths_agree_and_nothing_is_lost(data: bytes) -> None:
    single = outcome(SUBSCRIPTION, data, Path.SINGLE)
    assert single.balanced
    for path in (Path.NATIVE, Path.BULK):
        assert told(outcome(SUBSCRIPTION, data, path)) == told(single)


def test_the_logs_are_not_all_rejected() -> None:
    """The property would hold of nothing as well."""
    rows: list[int] = []

    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(logs())
    def count(data: bytes) -> None:
        rows.append(len(outcome(SUBSCRIPTION, data).rows))

    count()
    assert sum(map(bool, rows)) > 20
