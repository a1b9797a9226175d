"""Any single body → rows of tokens: the reference of all codecs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paylog.codecs import CSV, JSON, JSON_LINES, UNKNOWN, Side
from paylog.codecs.body import Row, as_rows, load_json, media_type, rows_of
from paylog.errors import Reason, RejectedRecord

SIDE = Side(positional=("a", "b"), wanted=("a", "b"), required=("a",))
VECTOR = Side(positional=("p", "v"), wanted=("p", "v"), arrays=frozenset({"v"}))


def rejected(body: bytes, media: Any = JSON, side: Side = SIDE) -> tuple[Reason, str | None, int]:
    with pytest.raises(RejectedRecord) as caught:
        rows_of(body, media, side)
    return caught.value.reason, caught.value.column, caught.value.rows


@pytest.mark.parametrize(
    ("header", "media"),
    [
        ("text/csv; charset=utf-8", CSV),
        ("TEXT/CSV", CSV),
        (" application/json ;q=1", JSON),
        ("application/x-jsonlines", JSON_LINES),
        ("application/jsonl", JSON_LINES),
        (None, UNKNOWN),
        ("", UNKNOWN),
        ("text/plain;charset=UTF-8", UNKNOWN),
    ],
)
def test_media_types(header: str | None, media: Any) -> None:
    assert media_type(header) is media


def test_unknown_media_type() -> None:
    assert rejected(b"1,2", media_type("image/png")) == (Reason.UNSUPPORTED_CONTENT_TYPE, None, 1)


@pytest.mark.parametrize(
    "body",
    [
        '{"fields": ["b", "a"], "values": [["x", 1], [null, true]]}',
        '{"values": [[1, "x"], [true, null]]}',
        '{"instances": [{"features": [1, "x"]}, {"features": [true, null]}]}',
        '{"instances": [[1, "x"], [true, null]]}',
        '{"instances": [{"a": 1, "b": "x", "c": [9]}, {"b": null, "a": true}]}',
        '{"input_data": [{"fields": ["a", "b"], "values": [[1, "x"], [true, null]]}]}',
        '{"predictions": [{"a": 1, "b": "x"}, {"a": true, "b": null}]}',
        '{"data": [[1, "x"], [true, null]]}',
        '[[1, "x"], [true, null]]',
        '[{"a": 1, "b": "x"}, {"a": true, "b": null}]',
        '{"a": 1, "b": "x"}\n{"a": true, "b": null}\n',
        '{"features": [1, "x"]}\n\n{"features": {"a": true, "b": null}}',
        '[1, "x"]\n[true, null]',
    ],
)
def test_json_shapes(body: str) -> None:
    rows: list[Row] = [{"a": "1", "b": "x"}, {"a": "true", "b": None}]
    assert rows_of(body.encode(), JSON, SIDE) == rows
    assert rows_of(body.encode(), UNKNOWN, SIDE) == rows
    assert as_rows(rows, [2], SIDE).columns["a"].to_pylist() == ["1", "true"]


def test_json_lines_of_one_line_and_over_several() -> None:
    assert rows_of(b'[1, "x"]\n', JSON_LINES, SIDE) == [{"a": "1", "b": "x"}]
    assert rows_of(b'{"a": 1,\n"b": "x"}', JSON_LINES, SIDE) == [{"a": "1", "b": "x"}]
    assert rejected(b'{"a": 1}\n{"a"', JSON_LINES) == (Reason.MALFORMED_JSON, None, 1)


def test_numbers_are_kept_as_they_were_written() -> None:
    body = b'{"a": 12345678901234567890.10, "b": 1E+400}'
    assert rows_of(body, JSON, SIDE) == [{"a": "12345678901234567890.10", "b": "1E+400"}]
    assert load_json(b"[NaN, -Infinity]") == [None, None]


@pytest.mark.parametrize(
    ("body", "reason", "column", "rows"),
    [
        ('{"values": [[1], [2, 3]]}', Reason.COLUMN_COUNT_MISMATCH, None, 2),
        ('{"fields": ["b"], "values": [[1], [2]]}', Reason.MISSING_FEATURE, "a", 2),
        ('{"instances": [{"a": 1}, {"b": 1}, {"a": 1}]}', Reason.MISSING_FEATURE, "a", 3),
        ('{"a": {"x": 1}}', Reason.TYPE_MISMATCH, "a", 1),
        ('{"a": [1]}', Reason.TYPE_MISMATCH, "a", 1),
        ('{"a": 1', Reason.MALFORMED_JSON, None, 1),
        ("", Reason.MALFORMED_JSON, None, 1),
        ("[" * 100_000, Reason.MALFORMED_JSON, None, 1),
        ('{"data": [' * 400 + "]}" * 400 + "x", Reason.MALFORMED_JSON, None, 1),
        ('{"a": "\\ud800"}', Reason.INVALID_UTF8, None, 1),
        ('{"a": 1e}', Reason.MALFORMED_JSON, None, 1),
    ],
)
def test_json_rejects(body: str, reason: Reason, column: str | None, rows: int) -> None:
    assert rejected(body.encode()) == (reason, column, rows)


def test_nesting_without_end_is_refused() -> None:
    body = '{"data": [' * 450 + "1" + "]}" * 450
    with pytest.raises(RejectedRecord):
        rows_of(body.encode(), JSON, SIDE)


def test_invalid_utf8() -> None:
    assert rejected(b'{"a": "\xff"}') == (Reason.INVALID_UTF8, None, 1)
    assert rejected(b'{"a": "\xed\xa0\x80"}') == (Reason.INVALID_UTF8, None, 1)
    assert rejected(b"1,\xff", CSV) == (Reason.INVALID_UTF8, None, 1)
    assert rejected(b"1,\xff", UNKNOWN) == (Reason.UNSUPPORTED_CONTENT_TYPE, None, 1)
    assert rejected("1".encode("utf-16-le")) == (Reason.MALFORMED_JSON, None, 1)


def test_csv() -> None:
    assert rows_of(b'1,x\n"2","a ""b"", c"\n3,\n4,""', CSV, SIDE) == [
        {"a": "1", "b": "x"},
        {"a": "2", "b": 'a "b", c'},
        {"a": "3", "b": None},
        {"a": "4", "b": ""},
    ]
    assert rows_of(b"", CSV, SIDE) == rows_of(b"\n", CSV, SIDE) == []
    assert rows_of(b"1, x ", CSV, SIDE) == [{"a": "1", "b": " x "}]


@pytest.mark.parametrize(("body", "rows"), [(b"1", 1), (b"1,2,3", 1), (b"1,2\n3\n4,5", 3), (b" ", 1)])
def test_csv_of_another_width(body: bytes, rows: int) -> None:
    assert rejected(body, CSV) == (Reason.COLUMN_COUNT_MISMATCH, None, rows)


@pytest.mark.parametrize("cell", ['"[0.1, null]"', '"[""0.1"",null]"'])
def test_vector_spelled_out_in_a_csv_cell(cell: str) -> None:
    assert rows_of(f"1,{cell}".encode(), CSV, VECTOR) == [{"p": "1", "v": ["0.1", None]}]


@pytest.mark.parametrize(
    ("cell", "token"),
    [
        ("[0.1, 2]", ["0.1", "2"]),
        ("0.1", ["0.1"]),
        ("null", None),
        ('"x"', ["x"]),
        ('"[1]"', ["1"]),
        ("[]", []),
    ],
)
def test_vectors(cell: str, token: Any) -> None:
    rows = rows_of(f'{{"p": 1, "v": {cell}}}'.encode(), JSON, VECTOR)
    assert rows == [{"p": "1", "v": token}]
    assert as_rows(rows, [1], VECTOR).columns["v"].to_pylist() == [token]


def test_meta_rows_stand_beside_their_own() -> None:
    side = Side(positional=("a",), wanted=("a", "t"))
    document = {"fields": ["a"], "values": [[1], [2]], "meta": {"fields": ["t"], "values": [["x"], ["y"]]}}
    assert rows_of(json.dumps(document).encode(), JSON, side) == [{"t": "x", "a": "1"}, {"t": "y", "a": "2"}]
    flat = {**document, "fields": ["a", "b"], "values": [1, 2]}  # one row, which a meta of two does not fit
    assert rows_of(json.dumps(flat).encode(), JSON, side) == [{"a": "1"}]
    document["meta"] = {"fields": ["t"], "values": [["x"]]}  # not one a row: whose is it?
    assert rows_of(json.dumps(document).encode(), JSON, side) == [{"a": "1"}, {"a": "2"}]
