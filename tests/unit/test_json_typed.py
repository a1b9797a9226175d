"""JSON bodies of few, typed columns."""

from __future__ import annotations

from typing import Any

import pytest

from paylog.codecs import CHECKED_JSON, JSON, JSON_LINES, MediaType, Side
from paylog.codecs.json_typed import decode, learn
from paylog.field import FieldType

SIDE = Side(
    positional=("label", "p"),
    wanted=("label", "score", "p"),
    arrays=frozenset({"p"}),
    types=(("label", FieldType.STRING), ("score", FieldType.DOUBLE), ("p", FieldType.ARRAY)),
)
COUNT = Side(positional=("n",), wanted=("n",), types=(("n", FieldType.INTEGER),))


def table(
    bodies: list[bytes], media: MediaType = JSON, side: Side = SIDE
) -> tuple[dict[str, list[Any]], Any, list[int]]:
    """Columns, row counts and odd bodies, by the shape of the first body."""
    shape = learn(bodies[0], media, side)
    assert shape is not None
    rows, odd = decode(bodies, shape, media, side)
    left = [i for i, flag in enumerate(odd) if flag]
    if rows is None:
        return {}, None, left
    counts = None if rows.counts is None else rows.counts.tolist()
    return {name: column.to_pylist() for name, column in rows.columns.items()}, counts, left


def test_fields_and_values() -> None:
    bodies = [
        b'{"fields":["p","x","label"],"values":[[[0.25,0.75],{"any":1},"A"]]}',
        b'{"values":[[[1,0],null,"B"],[[],"y","C"]],"fields":["p","x","label"]}',
        b'{"fields":["label","x","p"],"values":[["A",1,[0.5,0.5]]]}',
        b'{"fields":["p","x","label"],"values":[[[0.25,0.75],1,"A"]],"meta":{}}',
    ]
    columns, counts, odd = table(bodies, CHECKED_JSON)
    assert columns == {"p": [[0.25, 0.75], [1.0, 0.0], []], "label": ["A", "B", "C"]}
    assert (counts, odd) == ([1, 2], [2, 3])


@pytest.mark.parametrize("media", [JSON, CHECKED_JSON, JSON_LINES])
def test_objects(media: MediaType) -> None:
    bodies = [b'{"label":"A","score":0.5}', b' {"score":1,"other":[1],"label":"B"}\n', b'{"label":"C"}']
    assert table(bodies, media) == ({"label": ["A", "B"], "score": [0.5, 1.0]}, None, [2])


def test_predictions() -> None:
    bodies = [
        b'{"predictions":[{"label":"A","score":0.5},{"label":"B","score":1}]}',
        b'{"predictions":[]}',
        b'{"predictions":[{"label":"C","score":0}],"model":"m"}',
    ]
    assert table(bodies) == ({"label": ["A", "B", "C"], "score": [0.5, 1.0, 0.0]}, [2, 0, 1], [])


@pytest.mark.parametrize(
    "odd",
    [
        *(
            b'{"label":1,"score":0.5}',
            b'{"label":"A","score":"0.5"}',
            b'{"label":null,"score":0.5}',
            b"",
            b"[]",
            b"1",
        ),
        *(b'{"label":"A","score":0.5,"p":[1]}', b'{"label":"A","score":0.5,"values":[[1]]}', b'{"label":"A"'),
        *(
            b'{"label":"A","score":0.5,"data":[]}',
            b'{"label":"A","score":0.5}{}',
            b'{"label":"\xff","score":1}',
        ),
        *(
            b'{"label":"A","score":0.5},{"label":"B","score":0.5}',
            b'{"label":"A","score":1e999}',
            b"[" * 5000,
        ),
    ],
)
def test_an_odd_body_spoils_no_other(odd: bytes) -> None:
    good = b'{"label":"A","score":0.5}'
    assert table([good, odd, good]) == ({"label": ["A", "A"], "score": [0.5, 0.5]}, None, [1])


def test_broken_bodies_do_not_complete_each_other() -> None:
    good = b'{"label":"A","score":0.5}'
    pieces = [b'{"label":"A","score":0.5,"x":[1', b'2]},{"label":"A","score":0.5}']
    assert table([good, *pieces])[2] == [1, 2]


def test_integers() -> None:
    bodies = [b'{"n":%d}' % n for n in (1, 2**53 + 1, -(2**63))]
    assert table(bodies, side=COUNT)[0] == {"n": [1, 2**53 + 1, -(2**63)]}
    assert table([b'{"n":1}', b'{"n":2.5}', b'{"n":3.0}'], side=COUNT)[0] == {"n": [1.0, 2.5, 3.0]}


@pytest.mark.parametrize("beyond", [b"9223372036854775808", b"9007199254740993.0", b"1e300"])
def test_a_number_without_an_exact_type_leaves_all_to_the_slow_codec(beyond: bytes) -> None:
    assert table([b'{"n":1}', b'{"n":%s}' % beyond], side=COUNT) == ({}, None, [0, 1])


@pytest.mark.parametrize(
    "body",
    [b"", b"[1]", b'{"x":1}', b'{"predictions":[[1]]}', b'{"fields":["label","label"],"values":[["A","B"]]}'],
)
def test_nothing_to_learn(body: bytes) -> None:
    assert learn(body, JSON, SIDE) is None


def test_a_required_column_that_is_lacking() -> None:
    side = Side(
        ("a", "b"), ("a", "b"), required=("a",), types=(("a", FieldType.STRING), ("b", FieldType.STRING))
    )
    assert learn(b'{"b":"x"}', JSON, side) is None
    assert learn(b'{"fields":["b"],"values":[["x"]]}', JSON, side) is None


def test_names_that_no_struct_takes() -> None:
    assert learn(b'{"a\\"b":1}', JSON, Side((), ('a"b',), types=(('a"b', FieldType.STRING),))) is None
