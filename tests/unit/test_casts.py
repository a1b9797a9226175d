"""Strict casts of token columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from paylog.casts import cast
from paylog.model_schema import ARROW_TYPES, FieldType

BERLIN = ZoneInfo("Europe/Berlin")
BAD = object()


def one_by_one(tokens: list[Any], kind: FieldType, zone: ZoneInfo | None = None) -> list[Any]:
    """Each token cast in a column of its own; BAD where it does not fit."""
    return [cells(pa.array([token], pa.string()), kind, zone)[0] for token in tokens]


def cells(tokens: pa.Array, kind: FieldType, zone: ZoneInfo | None = None) -> list[Any]:
    column, bad = cast(tokens, kind, zone)
    assert column.type == ARROW_TYPES[kind]
    assert bad is None or bad.any()
    marks = [False] * len(tokens) if bad is None else bad.tolist()
    values = column.to_pylist()
    assert all(value is None for value, mark in zip(values, marks, strict=True) if mark)
    return [BAD if mark else value for value, mark in zip(values, marks, strict=True)]


INTEGERS = {
    "27": 27,
    "27.0": 27,
    "27.": 27,
    "+27": 27,
    "-27.00": -27,
    "007": 7,
    " 27 ": 27,
    "2.7e1": 27,
    "1e2": 100,
    "9007199254740993": 2**53 + 1,
    "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63),
    "9007199254740993.0": 2**53 + 1,
    "-0": 0,
    "-0.0": 0,
    "0E5": 0,
    "NaN": None,
    "nan": None,
    "-inf": None,
    "Infinity": None,
    **dict.fromkeys(["27.5", "9223372036854775808", "-9223372036854775809", "1e30", "1e999", "0x1F"], BAD),
    **dict.fromkeys(["", " ", "true", "2_7", "+-5", "--5", "1,000", "٣", "9" * 5000, "5 5", "e5", "."], BAD),
}
DOUBLES = {
    "27": 27.0,
    "0.1": 0.1,
    ".5": 0.5,
    "5.": 5.0,
    "+1": 1.0,
    " 1 ": 1.0,
    "-1E-3": -0.001,
    "1e-999": 0.0,
    "9007199254740993": 9007199254740992.0,
    "5e-324": 5e-324,
    "1.7976931348623157e308": 1.7976931348623157e308,
    **dict.fromkeys(["NaN", "nan", "inf", "-Infinity", "+nan", "1e999", "9" * 400]),
    **dict.fromkeys(["", " ", ".", "e5", "true", "0x10", "1_0", "nan(1)", "1,5", "infinite", "1e"], BAD),
}
BOOLEANS = {
    **dict.fromkeys(["true", "True", "TRUE", "1"], True),
    **dict.fromkeys(["false", "False", "FALSE", "0"], False),
    **dict.fromkeys(["", "yes", "t", "2", " true", "tRUE", "1.0"], BAD),
}
AT = datetime(2024, 1, 19, 19, 27, 57, tzinfo=UTC)
TIMES = {
    **dict.fromkeys(["2024-01-19T19:27:57Z", "2024-01-19 19:27:57+00:00", "2024-01-20T00:57:57+0530"], AT),
    "2024-01-19T14:27:57-05": AT,
    "2024-01-19T19:27Z": AT.replace(second=0),
    **{
        f"2024-01-19T19:27:57.{'123456789'[:n]}Z": AT.replace(microsecond=int("123456"[:n].ljust(6, "0")))
        for n in range(1, 10)
    },
    "2024-01-19T19:27:57.9999999Z": AT.replace(microsecond=999999),
    **dict.fromkeys(["2024-01-19T19:27:57", "2024-01-19", "2024-01-19T19:27:57.123456789"], BAD),
    **dict.fromkeys(["1705692477", "1705692477.5", "1705692477000", "", "now", "2024-13-01T00:00:00Z"], BAD),
    **dict.fromkeys(
        ["2024-01-19T24:00:00Z", "2024-01-19T19:27:57z", "19/01/2024", "0000-01-01T00:00:00Z"], BAD
    ),
    **dict.fromkeys(
        ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "2024-01-19T19:27:57+99:99"], BAD
    ),
}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (FieldType.INTEGER, INTEGERS),
        (FieldType.DOUBLE, DOUBLES),
        (FieldType.BOOLEAN, BOOLEANS),
        (FieldType.TIMESTAMP, TIMES),
    ],
)
def test_tokens(kind: FieldType, expected: dict[str, Any]) -> None:
    """Alone, all together, and with a null between each two: neighbours make no difference."""
    tokens = list(expected)
    assert dict(zip(tokens, one_by_one(tokens, kind), strict=True)) == expected
    assert dict(zip(tokens, cells(pa.array(tokens), kind), strict=True)) == expected
    spaced = [token for each in tokens for token in (None, each)]
    assert cells(pa.array(spaced).slice(1), kind)[::2] == list(expected.values())


def test_strings() -> None:
    tokens = ["", " a ", None, "null", "a\0b", "27", "é"]
    assert cells(pa.array(tokens), FieldType.STRING) == ["", " a ", None, "null", BAD, "27", "é"]


@pytest.mark.parametrize("kind", list(FieldType))
def test_nulls_and_empty_columns(kind: FieldType) -> None:
    assert cells(pa.array([None, None], pa.string()), kind) == [None, None]
    assert cells(pa.array([], pa.string()), kind) == []


def test_a_zone_for_timestamps_without_one() -> None:
    times = {
        "2024-01-19T19:27:57": datetime(2024, 1, 19, 18, 27, 57, tzinfo=UTC),
        "2024-07-19 19:27:57.123456789": datetime(2024, 7, 19, 17, 27, 57, 123456, tzinfo=UTC),
        "2024-01-19": datetime(2024, 1, 18, 23, tzinfo=UTC),
        "2024-01-19T19:27:57Z": AT,
        "2024-01-19T19:27:57+00": AT,
        "2024-10-27T02:30:00": datetime(2024, 10, 27, 0, 30, tzinfo=UTC),  # twice that night: the first
        "1705692477": BAD,
        "0001-01-01T00:00:00": BAD,
    }
    assert cells(pa.array(list(times)), FieldType.TIMESTAMP, BERLIN) == list(times.values())
    assert one_by_one(list(times), FieldType.TIMESTAMP, BERLIN) == list(times.values())


def test_typed_columns() -> None:
    """As the strict decoder hands them over."""
    floats = pa.array([27.0, 27.5, None, float("nan"), float("inf"), -0.0])
    assert cells(floats, FieldType.INTEGER)[:3] == [27, BAD, None]
    assert cells(floats, FieldType.INTEGER)[5] == 0
    assert cells(floats, FieldType.DOUBLE) == [27.0, 27.5, None, None, None, 0.0]
    assert cells(pa.array([1, None]), FieldType.INTEGER) == [1, None]
    assert cells(pa.array([True, None]), FieldType.BOOLEAN) == [True, None]
    assert cells(pa.array([1, 2]), FieldType.STRING) == [BAD, BAD]
    assert cells(pa.array([1]), FieldType.TIMESTAMP) == [BAD]


def test_vectors() -> None:
    tokens = pa.array([["0.5", "1"], None, [], ["x", "1"], ["NaN"], ["1", "2", "3"]])
    expected = [[0.5, 1.0], None, [], BAD, [None], [1.0, 2.0, 3.0]]
    assert cells(tokens, FieldType.ARRAY) == expected
    assert cells(tokens.slice(2, 3), FieldType.ARRAY) == expected[2:5]
    assert cells(pa.array(["0.5", None]), FieldType.ARRAY) == [BAD, None]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/St_Johns"])
def test_local_times_together_are_what_they_are_one_by_one(zone: str) -> None:
    """Twice an hour in autumn, never an hour in spring; one with a zone of its own among them."""
    days = ["2024-03-31", "2024-10-27", "2024-03-10", "2024-11-03", "1893-04-01", "2024-06-01"]
    regular = [f"{day}T{hour:02}:30:00.123456" for day in days for hour in (0, 3, 12)]
    for last in ("2024-06-01", "2024-03-31T02:30:00", "2024-06-01T12:00:00+05:00", ""):
        tokens = [*regular, last]
        together = cells(pa.array(tokens), FieldType.TIMESTAMP, ZoneInfo(zone))
        assert together == one_by_one(tokens, FieldType.TIMESTAMP, ZoneInfo(zone))
