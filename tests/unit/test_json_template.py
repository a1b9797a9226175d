"""JSON bodies that are a head, rows of scalars and a tail."""

from __future__ import annotations

import itertools

import pytest

from paylog.codecs import CHECKED_JSON, JSON, JSON_LINES, MediaType, Side
from paylog.codecs.body import rows_of
from paylog.codecs.json_template import Template, decode, learn

SIDE = Side(positional=("a", "b"), wanted=("a", "b"), required=("a",))
HEADS = {
    b'{"fields":["b","c","a"],"values":[[%s]]}': (JSON, 3),
    b'{"values": [ [%s] ] }': (JSON, 2),
    b'{"instances": [{"features": [%s]}]}': (JSON, 2),
    b'{"instances":[[%s]]}': (JSON, 2),
    b'{"features": [%s]}\n': (JSON_LINES, 2),
}
CELLS = [
    b"1",
    b"-2.5E+3",
    b'"x"',
    b'""',
    b"null",
    b"true",
    b'"null"',
    b'"a,b"',
    '"é"'.encode(),
    b'" x "',
    b'"1"',
]


def table(
    bodies: list[bytes], template: Template, media: MediaType = JSON
) -> tuple[list[dict[str, str]], list[int]]:
    rows, odd = decode(bodies, template, media, SIDE)
    if rows is None:
        assert odd.all()
        return [], list(range(len(bodies)))
    assert sum(rows.row_counts()) == len(rows.columns["a"])
    cells = zip(*(rows.columns[name].to_pylist() for name in SIDE.wanted), strict=True)
    return [dict(zip(SIDE.wanted, row, strict=True)) for row in cells], [
        i for i, flag in enumerate(odd) if flag
    ]


def reference(bodies: list[bytes], media: MediaType) -> list[dict[str, object]]:
    return [
        {name: row[name] for name in SIDE.wanted} for body in bodies for row in rows_of(body, media, SIDE)
    ]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("comma", [b",", b", ", b" ,\t"])
def test_reads_like_the_reference(head: bytes, comma: bytes) -> None:
    media, width = HEADS[head]
    combinations = itertools.islice(itertools.product(CELLS, repeat=width), 60)
    bodies = [head.replace(b"%s", comma.join(cells)) for cells in combinations]
    template = learn(bodies[0], media, SIDE)
    assert template is not None
    assert table(bodies, template, media) == (reference(bodies, media), [])


@pytest.mark.parametrize("between", [b"],[", b"], [", b"] , [", b" ],[ "])
@pytest.mark.parametrize("media", [JSON, CHECKED_JSON])
def test_several_rows_a_body(between: bytes, media: MediaType) -> None:
    bodies = [b'{"values":[[' + between.join([b'1,"x"', b'2, "y"', b'3,"z"'][:n]) + b"]]}" for n in (1, 3, 2)]
    template = learn(bodies[0], media, SIDE)
    assert template is not None
    found, odd = table(bodies, template, media)
    kept = [body for i, body in enumerate(bodies) if i not in odd]
    assert found == reference(kept, media)


@pytest.mark.parametrize(
    "odd",
    [
        *(
            b'{"values":[[1,"\\n"]]}',
            b'{"values":[[1,[2]]]}',
            b'{"values":[[1,{}]]}',
            b'{"values":[[]]}',
            b"",
            b"{}",
        ),
        *(b'{"values":[[1,"x"]]} ', b'{"fields":null,"values":[[1,"x"]]}', b'{"values":[[1,"x\x1f"]]}'),
        *(b'{"values":[[1,"a],[2"]]}', b'{"values":[[1,"x"],[2]]}'),
    ],
)
def test_an_odd_body_is_left_over(odd: bytes) -> None:
    bodies = [b'{"values":[[1,"x"]]}', b'{"values":[[2,"y"]]}']
    template = learn(bodies[0], JSON, SIDE)
    assert template is not None
    found, irregular = table([bodies[0], odd, bodies[1]], template)
    assert 1 in irregular
    assert found == reference(
        [body for i, body in enumerate([bodies[0], odd, bodies[1]]) if i not in irregular], JSON
    )


@pytest.mark.parametrize(
    "cells", [b"1,", b"1 2", b'1,"x', b"01,2", b"1,nul", b"1,2,3", b"NaN,1", b"1,'x'", b"1;2"]
)
def test_what_is_no_json_is_never_read(cells: bytes) -> None:
    template = learn(b'{"values":[[1,"x"]]}', JSON, SIDE)
    assert template is not None
    assert table([b'{"values":[[' + cells + b"]]}"] * 3, template) == ([], [0, 1, 2])


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"[]",
            b"{}",
            b"1",
            b'{"values":[[1,[2]]]}',
            b'{"values":[]}',
            b'{"fields":["b"],"values":[[1]]}',
        ),
        *(b'{"fields":["a","a"],"values":[[1,2]]}', b'{"fields":["a]","b"],"values":[[1,2]]}', b"\xff[1,2]"),
        *(b'{"a":1,"b":[2,3]}', b'{"fields":["a","b"],"values":[[1,2]],"labels":null}'),
        b'{"fields":["a","b"],"values":[[1,2]],"meta":{"fields":["t"],"values":[[1]]}}',
    ],
)
def test_nothing_to_learn(body: bytes) -> None:
    assert learn(body, JSON, SIDE) is None


@pytest.mark.parametrize(
    ("body", "odd"),
    [
        (b'{"features":[1,2]}', b'{"features":[1,2]},{"features":[3,4]}'),
        (b'{"instances":[{"features":[1,2]}]}', b'{"instances":[{"features":[1,2]}\n{"features":[3,4]}]}'),
    ],
)
def test_lines_have_no_commas_and_lists_have(body: bytes, odd: bytes) -> None:
    template = learn(body, JSON, SIDE)
    assert template is not None
    assert table([body, odd], template)[1] == [1]
