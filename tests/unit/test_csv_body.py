"""Many CSV bodies at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylog.codecs import CSV, Side
from paylog.codecs.body import rows_of
from paylog.codecs.csv_body import csv_rows, decode, plain_rows
from paylog.errors import RejectedRecord

SIDE = Side(positional=("a", "b"), wanted=("a", "b"))
ONE = Side(positional=("a",), wanted=("a",))
REGULAR = [b"1,x\n", b"2,y", b"3,\n4, z ", b"5,\xc3\xa9\n6,w\n", b",", b"7,null"]
ODD = [
    b'8,"q"',
    b"",
    b"\n",
    b"9,a\n\n",
    b"\n9,b",
    b"9,c\n\n9,d",
    b"1",
    b"1,2,3",
    b"1,2\n3",
    b"9,\r\n",
    b"9,\x1f",
]
ODD += [b"\xef\xbb\xbf9,e", b" ", b"\x1f\n", b'"']


def tokens(bodies: list[bytes], side: Side) -> tuple[list[list[dict[str, Any]]], list[int]]:
    """Rows of the regular bodies, in lists a body, and which were not."""
    rows, odd = decode(bodies, side)
    if rows is None:
        assert odd.all()
        return [], list(range(len(bodies)))
    table = list(zip(*(rows.columns[name].to_pylist() for name in side.positional), strict=True))
    counts = rows.row_counts().tolist()
    assert len(table) == sum(counts)
    assert len(counts) == rows.bodies == int((~odd).sum())
    found: list[list[dict[str, Any]]] = []
    at = 0
    for count in counts:
        found.append([dict(zip(side.positional, row, strict=True)) for row in table[at : at + count]])
        at += count
    return found, [i for i, flag in enumerate(odd) if flag]


def test_regular_bodies() -> None:
    found, odd = tokens(REGULAR, SIDE)
    assert not odd
    assert found == [rows_of(body, CSV, SIDE) for body in REGULAR]
    assert found[2] == [{"a": "3", "b": None}, {"a": "4", "b": " z "}]


def test_one_row_a_body_needs_no_counts() -> None:
    rows, _ = decode([b"1,x\n", b"2,y"], SIDE)
    assert rows is not None
    assert rows.counts is None


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("at", [0, 3, len(REGULAR)])
def test_an_odd_body_spoils_no_other(odd: bytes, at: int) -> None:
    bodies = [*REGULAR[:at], odd, *REGULAR[at:]]
    found, irregular = tokens(bodies, SIDE)
    assert irregular == [at]
    assert found == [rows_of(body, CSV, SIDE) for body in REGULAR]


def test_all_odd_ones_together() -> None:
    bodies = [body for pair in zip(REGULAR, ODD, strict=False) for body in pair] + ODD
    found, irregular = tokens(bodies, SIDE)
    assert [bodies[i] for i in irregular] == [body for body in bodies if body in ODD]
    assert found == [rows_of(body, CSV, SIDE) for body in REGULAR]
    assert tokens(ODD, SIDE) == ([], list(range(len(ODD))))


def test_invalid_utf8_leaves_all_to_the_slow_codec() -> None:
    assert tokens([*REGULAR, b"9,\xff"], SIDE)[0] == []


@pytest.mark.parametrize("bodies", [[b"a", b" ", b"b"], [b" \n", b"x\n \ny"], [b"null", b"a b"]])
def test_single_column(bodies: list[bytes]) -> None:
    found, irregular = tokens(bodies, ONE)
    assert not irregular
    assert found == [rows_of(body, CSV, ONE) for body in bodies]


def test_whatever_is_regular_reads_as_one_by_one() -> None:
    pieces = [b"1", b",", b"\n", b"x", b'"', b" ", b"\r", b"\x1f", b""]
    bodies = [b"".join((p, q, r, s)) for p in pieces for q in pieces for r in pieces for s in pieces[:4]]
    found, irregular = tokens(bodies, SIDE)
    regular = [body for i, body in enumerate(bodies) if i not in set(irregular)]
    assert len(found) == len(regular)
    assert found
    for body, rows in zip(regular, found, strict=True):
        try:
            assert rows == rows_of(body, CSV, SIDE)
        except RejectedRecord:
            pytest.fail(f"{body!r} is not CSV, yet it was read")


@given(st.text(alphabet='ab, \t\n"\r\ufeffé\x1f', max_size=12).map(str.encode))
def test_plain_text_is_read_as_arrow_reads_it(text: bytes) -> None:
    lines = plain_rows(text)
    if lines is None:
        return
    table, odd = csv_rows(text, SIDE.positional, quoted_newlines=True)
    assert table is not None
    assert [line for line in lines if len(line) == len(SIDE.positional)] == [
        list(r.values()) for r in table.to_pylist()
    ]
    assert [n for n, line in enumerate(lines) if len(line) != len(SIDE.positional)] == odd


def test_what_is_plain() -> None:
    assert plain_rows(b"1,,x\n2,3\n") == [["1", None, "x"], ["2", "3"]]
    assert [plain_rows(text) for text in (b"", b"\n", b"a\n\nb", b'"a"', b"a\r\n")] == [None] * 5
