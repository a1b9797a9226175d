"""Columns of tables, made fit for the casts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from paylog.casts import cast
from paylog.engines.flat_rows import FlatRows, RowNames, fitted
from paylog.engines.tables import TableBlock
from paylog.model_schema import FieldType
from paylog.testing.decoded import declare

BAD = "bad"
AT = datetime(2024, 1, 19, 19, 27, 57, 123456, UTC)


def cells(column: pa.Array, kind: FieldType, zone: ZoneInfo | None = None) -> list[Any]:
    """The column after its cast; BAD where a cell does not fit."""
    found, bad = cast(fitted(column, kind), kind, zone)
    assert len(found) == len(column)
    return [BAD if bad is not None and bad[i] else cell for i, cell in enumerate(found.to_pylist())]


INTEGER, DOUBLE, STRING = FieldType.INTEGER, FieldType.DOUBLE, FieldType.STRING
BOOLEAN, TIMESTAMP, ARRAY = FieldType.BOOLEAN, FieldType.TIMESTAMP, FieldType.ARRAY


@pytest.mark.parametrize(
    ("column", "kind", "expected"),
    [
        (pa.array([1, None], pa.int8()), INTEGER, [1, None]),
        (pa.array([2**64 - 1, 7], pa.uint64()), INTEGER, [BAD, 7]),
        (pa.array([27.0, 27.5]), INTEGER, [27, BAD]),
        (pa.array([27.0, 27.5, None], pa.float32()), INTEGER, [27, BAD, None]),
        (pa.array([Decimal("27.00"), Decimal("2.50")]), INTEGER, [27, BAD]),
        (pa.array([True]), INTEGER, [BAD]),
        (pa.array(["27", "x"]), INTEGER, [27, BAD]),
        (pa.array([["1"]]), INTEGER, [BAD]),
        (pa.array([AT]), INTEGER, [BAD]),
        (pa.array([0.5, None], pa.float16()), DOUBLE, [0.5, None]),
        (pa.array([0.1], pa.float32()), DOUBLE, [0.10000000149011612]),
        (pa.array([Decimal("0.1")]), DOUBLE, [0.1]),
        (pa.array([2**53 + 1], pa.uint64()), DOUBLE, [float(2**53)]),
        (pa.array([{"a": 1}, None]), DOUBLE, [BAD, None]),
        (pa.array(["a", None], pa.large_string()), STRING, ["a", None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), STRING, ["a", "b", "a"]),
        (pa.array([7, None]), STRING, ["7", None]),
        (pa.array([b"a"]), STRING, ["a"]),
        (pa.array([b"\xff"]), STRING, [BAD]),
        (pa.array([["a"]]), STRING, [BAD]),
        (pa.array([date(2024, 1, 19)]), STRING, ["2024-01-19"]),
        (pa.array([True, None]), BOOLEAN, [True, None]),
        (pa.array([1, 0, 2]), BOOLEAN, [True, False, BAD]),
        (pa.array([AT]), TIMESTAMP, [AT]),
        (pa.array([AT], pa.timestamp("ns", "Europe/Berlin")), TIMESTAMP, [AT]),
        (pa.array([AT.replace(tzinfo=None)]), TIMESTAMP, [BAD]),
        (pa.array([1705692477]), TIMESTAMP, [BAD]),
        (pa.array([[{"a": 0.5}], None]), ARRAY, [BAD, None]),
        (pa.array([[0.5, 0.25], None, []], pa.list_(pa.float32())), ARRAY, [[0.5, 0.25], None, []]),
        (pa.array([[1, 2]], pa.list_(pa.int32(), 2)), ARRAY, [[1.0, 2.0]]),
        (pa.array([["0.5"], ["x"]], pa.large_list(pa.string())), ARRAY, [[0.5], BAD]),
        (pa.array([0.5, None]), ARRAY, [[0.5], None]),
        (pa.array([{"a": 1}]), ARRAY, [BAD]),
        (pa.array(["[0.1, 0.9]", "[1,2e-1]"]), ARRAY, [[0.1, 0.9], [1.0, 0.2]]),
        (pa.array(["[0.1, null]", " [1] ", "[]", "0.5"]), ARRAY, [[0.1, None], [1.0], [], [0.5]]),
        (pa.array(["x", "[[1]]", "[+1]", None]), ARRAY, [BAD, BAD, BAD, None]),
    ],
)  # fmt: skip
def test_columns_of_any_type(column: pa.Array, kind: FieldType, expected: list[Any]) -> None:
    assert cells(column, kind) == expected


def test_a_time_without_a_zone_needs_the_subscriptions() -> None:
    naive = pa.array([AT.replace(tzinfo=None), datetime(2024, 3, 31, 2, 30), datetime(2024, 10, 27, 2, 30)])
    berlin = cells(naive, TIMESTAMP, ZoneInfo("Europe/Berlin"))
    assert berlin[0] == datetime(2024, 1, 19, 18, 27, 57, 123456, UTC)
    assert berlin[1] == datetime(2024, 3, 31, 1, tzinfo=UTC)  # in the hour that was left out
    assert berlin[2] == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)  # twice that night: the first
    far = pa.array([2**40], pa.int64()).cast(pa.timestamp("s", "UTC"))
    assert cells(far, TIMESTAMP) == [BAD]


def test_rows_with_their_names_and_what_the_path_tells() -> None:
    schema = declare("files", {"a": "integer"}, meta={"dt": "string"}).model_schema
    table = pa.table({"id": ["x"], "a": [1], "other": [2], "prediction": ["Risk"], "at": [AT]})
    block = TableBlock(table, np.array([5]), lambda i: b"raw")
    flat = FlatRows(schema, RowNames("id", "at")).of(block, {"dt": "2024-01-19", "a": "9", "month": "1"})
    assert flat.events.event_ids.to_pylist() == ["x"]
    assert flat.events.timestamps.to_pylist() == [AT]
    assert flat.events.row_ids
    columns = {name: column.to_pylist() for name, column in flat.requests.columns.items()}
    assert columns == {"id": ["x"], "at": [AT], "a": [1], "dt": ["2024-01-19"], "prediction": ["Risk"]}


def test_an_id_that_is_none_is_left_to_the_position() -> None:
    schema = declare("files", {"a": "integer"}).model_schema
    block = TableBlock(pa.table({"scoring_id": [["x"]], "a": [1]}), np.array([0]), lambda i: b"")
    assert FlatRows(schema).of(block).events.event_ids.to_pylist() == [None]
