"""CSV objects → blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paylog.engines.csv_tables import CsvReader
from paylog.errors import Reason, TruncatedStream
from paylog.records import Reject

Found = list[tuple[Any, ...]]
LIMIT = 1 << 20


def read(
    data: bytes,
    reader: CsvReader | None = None,
    *,
    limit: int = LIMIT,
    block: int = LIMIT,
    chunk: int = LIMIT,
) -> Found:
    """(position, row, raw) of each row and (position, reason, raw) of each reject, by position."""
    chunks = (data[i : i + chunk] for i in range(0, len(data), chunk))
    return collected((reader or CsvReader())(chunks, limit, block))


def collected(parts: Iterator[Any]) -> Found:
    found: Found = []
    for part in parts:
        if isinstance(part, Reject):
            found.append((part.position, part.reason, part.raw))
            continue
        rows = part.table.to_pylist()
        found += [(int(part.positions[i]), row, part.raw(i)) for i, row in enumerate(rows)]
    return sorted(found, key=lambda one: one[0])


TROUBLED = b'\xef\xbb\xbfa,b\r\n1,x\r\n\r\n2,"y\nz"\n3\na,b\n4,"[0.1, 0.9]"\n5,\xff\n6,""\n7,say "x"\n8,'
EXPECTED: Found = [
    (1, {"a": "1", "b": "x"}, b"1,x"),
    (3, {"a": "2", "b": "y\nz"}, b'2,"y\nz"'),
    (5, Reason.COLUMN_COUNT_MISMATCH, b"3"),
    (7, {"a": "4", "b": "[0.1, 0.9]"}, b'4,"[0.1, 0.9]"'),
    (8, Reason.INVALID_UTF8, b"5,\xff"),
    (9, {"a": "6", "b": ""}, b'6,""'),
    (10, {"a": "7", "b": 'say "x"'}, b'7,say "x"'),
    (11, {"a": "8", "b": None}, b"8,"),
]


@pytest.mark.parametrize("block", [1, 7, 30, LIMIT])
@pytest.mark.parametrize("chunk", [1, 5, LIMIT])
def test_rows_and_rejects_have_their_lines(block: int, chunk: int) -> None:
    assert read(TROUBLED, block=block, chunk=chunk) == EXPECTED


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf", b"\r\n\r\n", b"a,b", b"a,b\n"])
def test_nothing_but_a_header(data: bytes) -> None:
    assert read(data) == []


def test_header_or_position() -> None:
    reader = CsvReader(columns=("a", "b"), known=("a", "b", "id"))
    assert read(b"1,2\n3,4\n", reader)[0] == (0, {"a": "1", "b": "2"}, b"1,2")
    assert read(b"b,x,id\n1,2,3\n", reader) == [(1, {"b": "1", "x": "2", "id": "3"}, b"1,2,3")]
    assert reader.is_header(b"\xef\xbb\xbfb,x\r\n")
    assert not reader.is_header(b"1,2\n")
    assert read(b"x,y\n1,2\n", CsvReader(known=("a",))) == [(1, {"x": "1", "y": "2"}, b"1,2")]


def test_a_column_of_the_same_name_again_is_another_one() -> None:
    ((_, row, _),) = read(b"a,a,\n1,2,3\n")
    assert list(row.values()) == ["1", "2", "3"]
    assert row["a"] == "1"


def test_an_open_quote_costs_its_line_only() -> None:
    reader = CsvReader(columns=("a", "b"))
    assert read(b'1,2\n"3,4\n5,6\n', reader) == [
        (0, {"a": "1", "b": "2"}, b"1,2"),
        (1, Reason.MALFORMED_CSV, b'"3,4'),
        (2, {"a": "5", "b": "6"}, b"5,6"),
    ]


@pytest.mark.parametrize("block", [4, LIMIT])
def test_a_line_over_the_limit(block: int) -> None:
    data = b"1,2\n3," + b"4" * 100 + b"\n5,6\n"
    found = read(data, CsvReader(columns=("a", "b")), limit=20, block=block, chunk=3)
    assert [(position, row) for position, row, _ in found] == [
        (0, {"a": "1", "b": "2"}),
        (1, Reason.LINE_TOO_LONG),
        (2, {"a": "5", "b": "6"}),
    ]
    assert data[4:].startswith(found[1][2])


def test_an_object_that_was_cut_off() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a,b\n1,2\n3,"
        raise TruncatedStream("cut", 10)

    assert collected(CsvReader()(chunks(), LIMIT)) == [
        (1, {"a": "1", "b": "2"}, b"1,2"),
        (2, Reason.TRUNCATED_OBJECT, b"3,"),
    ]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"1,2", b"x", b'"', b'"a\nb",c', b"", b"\r", b"\xff,1", b'"",', b",", b'1,"2"'])
    ),
    st.integers(1, 40),
)
def test_blocks_do_not_matter_and_no_line_is_lost(lines: list[bytes], block: int) -> None:
    data = b"\n".join(lines)
    reader = CsvReader(columns=("a", "b"))
    found = read(data, reader)
    told = b"".join(raw for _, _, raw in found)
    assert sorted(told.replace(b"\n", b"").replace(b"\r", b"")) == sorted(
        data.replace(b"\n", b"").replace(b"\r", b"")
    )
    if not data.count(b'"') % 2:  # what an open quote takes with it depends on where blocks end
        assert read(data, reader, block=block, chunk=3) == found
