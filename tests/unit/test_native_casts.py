"""The scanner's casts: what they accept, they read as ``paylog.casts`` does."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from paylog.casts import cast
from paylog.engines.documents import RecordBlock
from paylog.field import FieldType
from paylog.native import library
from paylog.native.columns import BATCH_ROWS, Element, Rule
from paylog.native.pattern import CELLS, Accepts, Cell, Node, Pattern, cells, record, vector, wanted
from paylog.native.scanner import Scanned, Scanner

pytestmark = pytest.mark.skipif(library() is None, reason="the native library was not built")

RANDOM = random.Random(20240119)
NUMBERS = (
    *("0", "-0", "+7", "007", "27", "27.", "27.0", "27.000", "27.5", "-27.0", " 27 ", "2.7e1", "1E5", "1e+5"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *("9007199254740992", "9007199254740993", "9007199254740993.0", "12345678901234567890123", "0" * 30),
    *(
        "NaN",
        "nan",
        "-inf",
        "+Infinity",
        "INFINITY",
        "infinit",
        "nan(1)",
        "",
        " ",
        ".",
        "-",
        "+",
        "1_0",
        "0x1F",
    ),
    *(
        ".5",
        "-.5",
        "5e-324",
        "1e-400",
        "1e999",
        "-1e999",
        "1e-320",
        "2.2250738585072011e-308",
        "1.7976931348623157e308",
    ),
    *(
        "0.653848696285311",
        "0.2694529193918944",
        "0.7305470806081056",
        "1e22",
        "1e23",
        "8.5e22",
        "1e-5",
        "true",
    ),
    *(
        "179769313486231580793e289",
        "9007199254740993e3",
        "4503599627370497.5",
        "4503599627370496.5",
        "e5",
        "1e",
        "1e+",
    ),
    *(
        "0.000000000000000000000000000123",
        "3.14159265358979323846264338327950288",
        "1" * 70,
        *("18446744073709551616", "18446744073709551616e3", "1.8446744073709551616", "36893488147419103232"),
        "1.5 x",
        "٣",
        "1,5",
    ),
)
TIMES = (
    *("2024-01-19T19:27:57Z", "2024-01-19 19:27:57.5+05:30", "2024-02-29T00:00:00.000001-0130"),
    *("2024-01-19T19:27:57.1234567Z", "2024-01-19T19:27:57.123456789123+05", "1969-12-31T23:59:59.999999Z"),
    *("2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2024-13-01T00:00:00Z"),
    *("2024-04-31T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T23:59:60Z", "2024-01-01T00:60:00Z"),
    *(
        "2024-01-01T00:00:00",
        "2024-01-01",
        "2024-01-01T00:00Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00z",
    ),
    *(
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00-23:59",
        "2024-01-01T00:00:00+5:00",
        "2024-01-01T00:00:00+",
    ),
    *(
        "1600-03-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2024-01-01T00:00:00+05:3",
        "x" * 20,
    ),
)
BOOLEANS = ("true", "True", "TRUE", "1", "false", "False", "FALSE", "0", "tRUE", "yes", "", "01", " true")


def scanned(root: Node, rules: dict[str, Rule], *lines: object) -> Scanned:
    data = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    found = Scanner(Pattern(root, {}, {}), rules).scan(RecordBlock(data, 0))
    for column in found.columns.values():
        column.validate(full=True)
    return found


def alone(token: str, cell: Cell) -> tuple[bool, Any]:
    """Whether a token fits a cell, and its value."""
    found = scanned(cells([wanted("a", cell=cell)]), {}, [token])
    return len(found.lines) == 1, found.columns["a"]


def exact(column: pa.Array) -> Any:
    """The value of a column's only row, down to a double's last bit."""
    value = (
        column[0].as_py()
        if column.type != pa.timestamp("us", tz="UTC")
        else column.cast(pa.int64())[0].as_py()
    )
    return struct.pack("=d", value) if isinstance(value, float) else value


def agree(tokens: Sequence[str], kind: FieldType) -> int:
    """Hold each token's cast against the reference; how many the scanner took."""
    taken = 0
    for token in tokens:
        fits, column = alone(token, CELLS[kind])
        expected, bad = cast(pa.array([token]), kind)
        if fits:
            assert bad is None, token
            assert exact(column) == exact(expected), token
            taken += 1
    return taken


@pytest.mark.parametrize(
    ("kind", "tokens", "taken"),
    [
        (FieldType.INTEGER, NUMBERS, 20),
        (FieldType.DOUBLE, NUMBERS, 45),
        (FieldType.TIMESTAMP, TIMES, 9),
        (FieldType.BOOLEAN, BOOLEANS, 8),
    ],
)
def test_as_the_reference(kind: FieldType, tokens: Sequence[str], taken: int) -> None:
    assert agree(tokens, kind) >= taken


def test_doubles_to_the_last_bit() -> None:
    """Shortest, full and halfway spellings of random doubles of all sizes."""
    tokens = []
    for _ in range(1500):
        number = struct.unpack("=d", RANDOM.randbytes(8))[0]
        if math.isfinite(number):
            tokens += [repr(number), f"{number:.17e}", f"{number:.16g}"]
        small = RANDOM.random() * 10.0 ** RANDOM.randint(-12, 12)
        tokens += [repr(small), f"{small:.18f}", f"{small:.19g}", str(RANDOM.getrandbits(64))]
        tokens.append(f"{RANDOM.getrandbits(63)}e{RANDOM.randint(-40, 40)}")
        tokens.append(
            f"{(RANDOM.getrandbits(53) * 2 + 1) * 2 ** RANDOM.randint(0, 9)}"
        )  # between two doubles
    found = scanned(cells([wanted("a", cell=Cell.DOUBLE)]), {}, *([token] for token in tokens[:BATCH_ROWS]))
    values = found.columns["a"].to_pylist()
    assert len(values) > 0.99 * min(len(tokens), BATCH_ROWS)
    for line, value in zip(found.lines.tolist(), values, strict=True):
        assert struct.pack("=d", value) == struct.pack("=d", float(tokens[line])), tokens[line]


def test_random_times() -> None:
    tokens = [
        f"{RANDOM.randint(1600, 8999)}-{RANDOM.randint(1, 12):02}-{RANDOM.randint(1, 31):02}T"
        f"{RANDOM.randint(0, 23):02}:{RANDOM.randint(0, 59):02}:{RANDOM.randint(0, 59):02}"
        f"{RANDOM.choice(['', '.5', '.123456', '.000001'])}{RANDOM.choice(['Z', '+05:30', '-11'])}"
        for _ in range(300)
    ]
    assert agree(tokens, FieldType.TIMESTAMP) > 280


def test_nulls_and_other_scalars() -> None:
    root = cells([wanted(kind.value, cell=cell) for kind, cell in CELLS.items()])
    row = [None, None, None, None, None]
    found = scanned(root, {}, ["x", 1, 1.5, True, TIMES[0]], row, [5, "1", "1.5", "0", TIMES[0]], row)
    assert found.lines.tolist() == [0, 1, 2, 3]
    assert found.columns["string"].to_pylist() == ["x", None, "5", None]
    assert found.columns["integer"].to_pylist() == [1, None, 1, None]
    assert found.columns["double"].to_pylist() == [1.5, None, 1.5, None]
    assert found.columns["boolean"].to_pylist() == [True, None, False, None]
    assert found.columns["timestamp"].null_count == 2
    assert len(scanned(root, {}, ["x", True, 1.5, True, TIMES[0]]).left) == 1


def test_an_irregular_line_leaves_no_trace() -> None:
    root = cells([wanted("t"), wanted("n", cell=Cell.INTEGER), wanted("b", cell=Cell.BOOLEAN)])
    good = [["a", 1, True], ["bc", None, False], [None, 3, None]]
    odd = [[None, None, "x"], ["long", 7, "x"], [None, "x", True]]
    found = scanned(root, {}, good[0], odd[0], good[1], odd[1], odd[2], good[2], odd[0])
    columns = (column.to_pylist() for column in found.columns.values())
    assert [list(row) for row in zip(*columns, strict=True)] == good
    assert [line for line, _, _ in found.left] == [1, 3, 4, 6]


def test_vectors_and_scores() -> None:
    root = cells([vector("v", 3), wanted("one"), wanted("two")])
    rules = {"two": Rule(Cell.DOUBLE, element=Element("p", 1, 2, rest=0)), "one": Rule(Cell.INTEGER)}
    found = scanned(
        root, rules, [[1, 2, 3], 5, 0.25], [[4, 5.5, 6], 6, "0.75"], [[1, 2], 5, 0.25], [[1, None, 3], 5, 0]
    )
    assert found.columns["v"].to_pylist() == [[1, 2, 3], [4, 5.5, 6]]
    assert found.columns["p"].to_pylist() == [[0.75, 0.25], [0.25, 0.75]]
    assert found.columns["one"].to_pylist() == [5, 6]


def test_rules() -> None:
    """What a rule does not allow is left to Python, which knows the reason."""
    member = wanted("a", Accepts.ANY, "a", required=False)
    cases: list[tuple[Rule, list[Any], list[Any]]] = [
        (Rule(required=True), ["x", ""], [None]),
        (Rule(Cell.INTEGER, required=True), [5], [None, "NaN", "x"]),
        (
            Rule(labels=["No Risk", "Risk", "é"]),
            ["Risk", "No Risk", "é", None],
            ["risk", "Ris", "Risk ", "", 5],
        ),
        (Rule(Cell.INTEGER, labels=[0, 1]), [0, "1", 1.0], [2, -1]),
        (
            Rule(Cell.TIMESTAMP, span=(0, 10)),
            ["1970-01-01T00:00:00.00001Z"],
            ["1970-01-01T00:00:01Z", "1969-12-31T23:59:59Z"],
        ),
        (Rule(Cell.FIRST_ROW, required=True), ["x", 7], ["", None]),
        (Rule(Cell.ROUNDED), [1, None, "2.5"], ["x", 1e300, 2**52]),
    ]
    for rule, taken, left in cases:
        found = scanned(record([member]), {"a": rule}, *({"a": value} for value in (*taken, *left)))
        assert found.lines.tolist() == list(range(len(taken))), rule
        lacking = scanned(record([member]), {"a": rule}, {})
        assert bool(lacking.left) is rule.required
    within = record([record([wanted("a", key="a")], "b", required=False)])
    with pytest.raises(ValueError, match="required"):
        Scanner(Pattern(within, {}, {}), {"a": Rule(required=True)})


def test_scoring_ids_and_rounding() -> None:
    rules = {"id": Rule(Cell.FIRST_ROW), "ms": Rule(Cell.ROUNDED)}
    times = [0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.6, 4503599627370495.5, 12, "383", 0.49999999999999994]
    found = scanned(cells([wanted("id"), wanted("ms")]), rules, *([f"e{i}", t] for i, t in enumerate(times)))
    assert found.columns["id"].to_pylist() == [f"e{i}-1" for i in range(len(times))]
    assert found.columns["ms"].to_pylist() == [round(float(t)) for t in times]


def test_texts_of_any_length() -> None:
    """Longer than a batch has room for at first, alone and among short ones."""
    lengths = [0, 1, 15, 16, 17, 300_000, 5, 2_000_000, 3]
    scanner = Scanner(Pattern(cells([wanted("a")]), {}, {}))
    block = RecordBlock("\n".join(json.dumps(["é" * n]) for n in lengths).encode(), 0)
    block.data = block.data.replace(b"\\u00e9", "é".encode())
    texts, at, line = [], 0, 0
    while at < len(block.data):
        found = scanner.scan(block, at, line)
        texts += found.columns["a"].to_pylist()
        at, line = found.end, found.next_line
    assert [len(text) for text in texts] == lengths
