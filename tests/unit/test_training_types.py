"""Columns as CSV, Parquet and Db2 have them become the same values of the declared type."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from paylog.model_schema import FieldType
from paylog.training_data.typed import typed

DAY, NOON = dt.datetime(2024, 1, 31, tzinfo=dt.UTC), dt.datetime(2024, 1, 31, 12, tzinfo=dt.UTC)
FLOAT = pa.array([1.1, None], pa.float32())
ALIKE: list[tuple[FieldType, list[Any], list[pa.Array]]] = [
    (
        FieldType.INTEGER,
        [27, None],
        [
            pa.array(["27", ""]),
            pa.array([27, None], pa.int16()),
            pa.array([Decimal("27.00"), None]),
            pa.array([27.0, float("nan")]),
            pa.array(["27", None]).dictionary_encode(),
        ],
    ),
    (
        FieldType.DOUBLE,
        [1.1, None],
        [pa.array(["1.1", ""]), pa.array([Decimal("1.10"), None]), pa.array([1.1, float("inf")]), FLOAT],
    ),
    (
        FieldType.STRING,
        ["27", None],
        [pa.array(["27", ""]), pa.array([27, None]), pa.array(["27", ""], pa.large_string())],
    ),
    (
        FieldType.BOOLEAN,
        [True, None],
        [pa.array(["True", ""]), pa.array([1, None]), pa.array([True, None]), pa.array(["1", None])],
    ),
    (
        FieldType.TIMESTAMP,
        [DAY, None],
        [pa.array(["2024-01-31", ""]), pa.array([dt.date(2024, 1, 31), None]), pa.array([DAY, None])],
    ),
    (
        FieldType.TIMESTAMP,
        [NOON, None],
        [
            pa.array(["2024-01-31 12:00:00", None]),
            pa.array(["2024-01-31T13:00:00+01:00", None]),
            pa.array([dt.datetime(2024, 1, 31, 12), None]),
            pa.array([dt.datetime(2024, 1, 31, 12), None], pa.timestamp("ns")),
        ],
    ),
]


@pytest.mark.parametrize(("kind", "values", "columns"), ALIKE)
def test_alike(kind: FieldType, values: list[Any], columns: list[pa.Array]) -> None:
    for column in columns:
        found = typed(column, kind, ZoneInfo("UTC"))
        assert found.misfits is None, column.type
        assert found.values.to_pylist() == values, column.type


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        (FieldType.INTEGER, pa.array(["27.5"])),
        (FieldType.INTEGER, pa.array([2.5])),
        (FieldType.INTEGER, pa.array([True])),
        (FieldType.INTEGER, pa.array([DAY])),
        (FieldType.DOUBLE, pa.array(["1,5"])),
        (FieldType.BOOLEAN, pa.array(["yes"])),
        (FieldType.BOOLEAN, pa.array([2])),
        (FieldType.TIMESTAMP, pa.array(["31.1.2024"])),
        (FieldType.TIMESTAMP, pa.array([20240131])),
        (FieldType.STRING, pa.array([b"\x01\xff"])),
        (FieldType.STRING, pa.array([["a"]])),
    ],
)
def test_misfits(kind: FieldType, column: pa.Array) -> None:
    found = typed(column, kind, ZoneInfo("UTC"))
    assert found.misfits is not None
    assert found.misfits.tolist() == [True]
    assert found.values.null_count == 1


@pytest.mark.parametrize("kind", [k for k in FieldType if k is not FieldType.ARRAY])
def test_nothing_but_nulls(kind: FieldType) -> None:
    assert typed(pa.nulls(3), kind, ZoneInfo("UTC")).values.null_count == 3


def test_a_time_without_a_zone_is_in_the_subscriptions() -> None:
    found = typed(pa.array(["2024-01-31 13:00:00"]), FieldType.TIMESTAMP, ZoneInfo("Europe/Berlin"))
    assert found.values.to_pylist() == [NOON]
