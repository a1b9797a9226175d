"""The compiled scanner: sure when a line is regular, and never wrong about it."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest

from paylog.engines.documents import RecordBlock
from paylog.native import library
from paylog.native.pattern import (
    MAX_MEMBERS,
    Accepts,
    Kind,
    Node,
    Pattern,
    absent,
    body,
    cells,
    exactly,
    record,
    wanted,
)
from paylog.native.scanner import Scanner

pytestmark = pytest.mark.skipif(library() is None, reason="the native library was not built")

FLAT = record(
    [wanted("a", key="a"), wanted("b", Accepts.TEXT | Accepts.NONE, "b", required=False), absent("c")]
)


def scan(root: Node, *lines: bytes) -> tuple[dict[str, list[Any]], list[int], list[int]]:
    """Columns, regular and irregular line numbers, of all batches."""
    scanner, block = Scanner(Pattern(root, {}, {})), RecordBlock(b"\n".join(lines), 0)
    columns: dict[str, list[Any]] = {}
    found, left, at, line = [], [], 0, 0
    while not at or at < len(block.data):
        batch = scanner.scan(block, at, line)
        for name, column in batch.columns.items():
            column.validate(full=True)
            columns.setdefault(name, []).extend(column.to_pylist())
        found += batch.lines.tolist()
        left += [(number, block.data[start:end]) for number, start, end in batch.left]
        assert batch.end > at or not block.data
        at, line = max(1, batch.end), batch.next_line
    assert all(lines[number] == raw for number, raw in left)
    return columns, found, [number for number, _ in left]


def regular(root: Node, line: bytes) -> bool:
    """Whether a line is regular, alone and between two others."""
    alone = scan(root, line)[1] == [0]
    good = b'{"a":1}'
    assert (1 in scan(root, good, line, good)[1]) is alone
    return alone


def test_values_of_regular_lines() -> None:
    columns, found, left = scan(
        FLAT,
        b'{"a":1,"b":"x"}',
        b"",
        b' { "b" : null , "a" : "\xc3\xa9" , "z":[{"a":[1,"\\u0041\\n"]}] } \r',
        b'{"a":1.5e-7}',
        b"nonsense",
        b'{"a":true,"b":""}',
    )
    assert columns == {"a": ["1", "é", "1.5e-7", "true"], "b": ["x", None, None, ""]}
    assert (found, left) == ([0, 2, 3, 5], [4])


@pytest.mark.parametrize(
    "line",
    [
        *(
            b'{"b":"x"}',
            b'{"a":1,"b":2}',
            b'{"a":1,"c":null}',
            b'{"a":1,"a":2}',
            b'{"a":[1]}',
            b'{"a":{}}',
            b"[1]",
        ),
        *(
            b'{"a":1}}',
            b'{"a":1',
            b'{"a":1}{"a":1}',
            b'{"a":1},',
            b'{"a":1 "b":"x"}',
            b'{"a":1,}',
            b"{,}",
            b'{"a"}',
        ),
        *(
            b'{"a":01}',
            b'{"a":1.}',
            b'{"a":.5}',
            b'{"a":-}',
            b'{"a":+1}',
            b'{"a":1e}',
            b'{"a":0x1}',
            b'{"a":1_0}',
        ),
        *(
            b'{"a":NaN}',
            b'{"a":tru}',
            b'{"a":nul}',
            b'{"a":truex}',
            b'{"a":"x}',
            b"{'a':1}",
            b"{a:1}",
            b'{"a":}',
        ),
        *(
            b'{"a":"\\n"}',
            b'{"\\u0061":1}',
            b'{"a":"x\x01"}',
            b'{"a":"\xff"}',
            b'{"a":"\xc3"}',
            b'{"a":"\xed\xa0\x80"}',
        ),
        *(
            b'{"a":"\xf8\x88\x80\x80\x80"}',
            b'{"a":"\xc0\x80"}',
            b'{"a":1,"z":"\\q"}',
            b'{"a":1,"z":"\\u12g4"}',
        ),
        *(b'{"a":1,"z":"\\ud800"}', b'{"a":1,"z":[1,]}', b'{"a":1,"z":' + b"[" * 200 + b"]" * 200 + b"}"),
        *(
            b'{"a":1,"z":{"y":}}',
            b'{"a":1,"z":nan}',
            b'{"a":1\x00}',
            b"\x00",
            b"\xef\xbb\xbf{}",
            b'"',
            b"\\",
            b"{",
        ),
    ],
)
def test_irregular_lines(line: bytes) -> None:
    assert not regular(FLAT, line)


def test_accepted_scalars() -> None:
    scalars = {Accepts.TEXT: b'"1"', Accepts.NUMBER: b"1", Accepts.LITERAL: b"true", Accepts.NONE: b"null"}
    for accepts, (kind, text) in itertools.product(range(1, 16), scalars.items()):
        root = record([wanted("a", Accepts(accepts), "a")])
        assert (scan(root, b'{"a":' + text + b"}")[1] == [0]) is bool(accepts & kind)


def test_exact_texts() -> None:
    root = record([exactly(b'["x", "y"]', "fields"), wanted("a", key="a")])
    assert scan(root, b'{"fields":["x", "y"],"a":1}', b'{"a":2,"fields": ["x", "y"] }')[0] == {
        "a": ["1", "2"]
    }
    for other in (b'["x","y"]', b'["x", "z"]', b'["x", "y"', b'["x", "y"]]', b"null", b""):
        assert scan(root, b'{"fields":' + other + b',"a":1}')[1] == []


def test_cells() -> None:
    root = cells([wanted("a"), cells([wanted("b"), wanted("c")]), Node(Kind.VALUE)])
    assert scan(root, b"[1,[2,3],4]", b' [ "x" , [ null , "" ] , "y" ] ')[0] == {
        "a": ["1", "x"],
        "b": ["2", None],
        "c": ["3", ""],
    }
    for line in (
        b"[1,[2],4]",
        b"[1,[2,3],4,5]",
        b"[1,[2,3]]",
        b"[]",
        b"[1,[2,3],[4]]",
        b"[1,[2,3],4",
        b"[1 [2,3],4]",
    ):
        assert scan(root, line)[1] == []


def csv(text: str) -> bytes:
    return json.dumps({"d": text}, ensure_ascii=False).encode()


CSV_ROOT = record([Node(Kind.CSV_TEXT, (wanted("a"), wanted("b")), "d")])


def test_csv_in_a_string() -> None:
    lines = ["1,x", "2,y\n", ",", " 3 ,é\n", "NaN,null"]
    assert scan(CSV_ROOT, *map(csv, lines))[0] == {
        "a": ["1", "2", None, " 3 ", "NaN"],
        "b": ["x", "y", None, "é", "null"],
    }
    for odd in [
        "",
        "\n",
        "1",
        "1,2,3",
        '1,"x"',
        "1,x\n\n",
        "\n1,x",
        "1,x\n2,y",
        "1,x\r\n",
        "1,\\",
        "\ufeff1,x",
        "1,\t",
    ]:
        assert scan(CSV_ROOT, csv(odd))[1] == [], odd
    assert scan(CSV_ROOT, b'{"d":1}', b'{"d":"1,\\\\n"}', b'{"d":"1,x')[1] == []


JSON_ROOT = record([Node(Kind.JSON_TEXT, (record([wanted("a", key="a")]),), "d"), wanted("e", key="e")])


def test_json_in_a_string() -> None:
    lines = [
        json.dumps({"d": json.dumps({"z": [i, "\n"], "a": "x" * i}) + "\n" * (i % 2), "e": i})
        for i in range(40)
    ]
    lines[7] = '{"d":"{","e":1}'
    columns, found, left = scan(JSON_ROOT, *(line.encode() for line in lines))
    assert left == [7]
    assert columns == {"a": ["x" * i for i in found], "e": [str(i) for i in found]}
    for odd in (r"{\"a\":\"\\n\"}", r"{\"a\":1} x", r"{\"a\":1", r"{\u0022a\u0022:1}", r"{\"a\":\"\b\"}", ""):
        assert scan(JSON_ROOT, b'{"d":"' + odd.encode() + b'","e":1}')[1] == [], odd


@pytest.mark.parametrize("text", ["{}", "[ 1 ]", '{"b": [{"c": "\\n\\u0041"}, null]}', '{"b":"é"}'])
def test_a_body_as_it_is_written(text: str) -> None:
    line = f'{{"a": {text} , "z": 1}}'.encode()
    assert scan(record([body("a")]), line)[0] == {"body": [text]}


@pytest.mark.parametrize("text", ["1", '"{}"', "null", "{", "[1,]", '{"a" 1}', "{}}"])
def test_what_is_no_body(text: str) -> None:
    assert not regular(record([body("a")]), f'{{"a":{text}}}'.encode())


@pytest.mark.parametrize("size", range(2, 40))
def test_a_body_in_base64(size: int) -> None:
    text = "[" + "é~ÿ?"[size % 4] * size
    encoded = base64.b64encode(text.encode())
    tree = record([body("a", base64=True)])
    assert scan(tree, b'{"a":"' + encoded + b'"}')[0] == {"body": [text]}
    for at, other in itertools.product(range(len(encoded) - 2), b"=-_ \\\x7f\xff"):
        broken = encoded[:at] + bytes([other]) + encoded[at + 1 :]
        assert broken == encoded or not scan(tree, b'{"a":"' + broken + b'"}')[1]


@pytest.mark.parametrize(
    "text", [b"", b"W", b"Ww", b"Ww=", b"Wx==", b"====", b"W===", b"Ww==W", b"Ww==Ww==", b"MQ=="]
)
def test_what_is_no_body_in_base64(text: bytes) -> None:
    """Too short, not padded, bits left over, padded in its midst, and a number."""
    assert not regular(record([body("a", base64=True)]), b'{"a":"' + text + b'"}')


def test_nesting_has_an_end() -> None:
    root = wanted("a")
    for _ in range(100):
        root = cells([root])
    assert scan(root, b"[" * 100 + b"1" + b"]" * 100)[1] == []


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 63, 64, 65, 1000])
def test_bit_maps_and_many_lines(count: int) -> None:
    lines = [b'{"a":%d%s}' % (i, b',"b":null' if i % 3 else b',"b":"%d"' % i) for i in range(count)]
    columns, found, _ = scan(FLAT, *lines)
    assert columns["b"] == [None if i % 3 else str(i) for i in range(count)]
    assert len(found) == count


def test_many_short_lines() -> None:
    """More than one batch takes."""
    lines = [b"1"] * 20_000 + [b""] * 20_000 + [b"x"] * 20_000 + [b"2"]
    columns, found, left = scan(wanted("a"), *lines)
    assert columns["a"] == ["1"] * 20_000 + ["2"]
    assert found == [*range(20_000), 60_000]
    assert left == list(range(40_000, 60_000))


def test_as_many_members_as_there_are_bits() -> None:
    names = [f"m{i}" for i in range(MAX_MEMBERS)]
    root = record([wanted(name, key=name) for name in names])
    lines = [
        json.dumps(dict.fromkeys(order, 1)).encode() for order in (names, names[::-1], names[:-1], names[1:])
    ]
    assert scan(root, *lines)[1] == [0, 1]
    with pytest.raises(ValueError, match="members"):
        Scanner(Pattern(record([wanted(str(i), key=str(i)) for i in range(MAX_MEMBERS + 1)]), {}, {}))


@pytest.mark.parametrize("inner", [Node(Kind.JSON_TEXT, (wanted("a"),), "t"), body("b", base64=True)])
def test_a_text_within_a_text_is_refused(inner: Node) -> None:
    """The inner one would be decoded into the memory that the outer one is read from."""
    outer = Node(Kind.JSON_TEXT, (record([wanted("c", key="c"), inner]),), "d")
    with pytest.raises(ValueError, match="text within a text"):
        Scanner(Pattern(record([outer]), {}, {}))
    Scanner(Pattern(record([outer.children[0].children[0], inner]), {}, {}))


def test_what_is_regular_is_json_and_means_the_same() -> None:
    """All short lines over the alphabet of JSON's trouble."""
    pieces = [b'{"a":', b"1", b"}", b",", b'"b":', b'"x"', b"null", b" ", b'"', b"\\", b"[", b"]"]
    lines = [b"".join(parts) for n in range(1, 6) for parts in itertools.product(pieces, repeat=n)]
    columns, found, left = scan(FLAT, *lines)
    assert found
    for at, line in enumerate(found):
        document = json.loads(lines[line])
        assert columns["a"][at] == (None if document["a"] is None else str(document["a"]))
        assert columns["b"][at] == document.get("b")
    blank = [i for i, line in enumerate(lines) if not line.strip()]
    assert sorted((*found, *left, *blank)) == list(range(len(lines)))
