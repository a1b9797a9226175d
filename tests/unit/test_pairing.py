"""Pairing of halves in memory, and their form in the data mart."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from paylog.codecs import CHECKED_JSON, CSV
from paylog.decode import Decoder
from paylog.engines import HalfSide, Halves
from paylog.errors import Reason
from paylog.pairing import HALF, Kinds, as_table, events_of, from_stored, match, to_stored
from paylog.testing.contract import declare

KINDS = Kinds()


def halves(side: HalfSide, keys: list[str], object_id: int = 1, **more: Any) -> pa.Table:
    """Halves with these keys, at positions 0, 1, 2 …; their bodies name side and key."""
    given = Halves(
        side=side,
        positions=range(len(keys)),
        keys=keys,
        bodies=[f"{side}-{key}".encode() for key in keys],
        media=CHECKED_JSON,
        raw=lambda i: f"raw {side}-{keys[i]}".encode(),
        **more,
    )
    return as_table(given, object_id, KINDS)


def requests(*keys: str, **more: Any) -> pa.Table:
    return halves(HalfSide.REQUEST, list(keys), **more)


def responses(*keys: str, **more: Any) -> pa.Table:
    return halves(HalfSide.RESPONSE, list(keys), **more)


def test_halves_of_one_key_pair_in_the_order_of_the_responses() -> None:
    found = match(pa.concat_tables([requests("a", "b", "c"), responses("c", "x", "a", object_id=2)]), KINDS)
    assert found.pairs.requests.column("key").to_pylist() == ["c", "a"]
    assert found.pairs.responses.column("key").to_pylist() == ["c", "a"]
    assert found.pairs.responses.column("position").to_pylist() == [0, 2]
    assert found.alone.column("key").to_pylist() == ["b", "x"]
    assert not found.repeated.num_rows


def test_of_two_halves_of_one_side_the_first_counts() -> None:
    table = pa.concat_tables([requests("a", "a"), responses("a"), responses("z"), responses("z")])
    found = match(table, KINDS)
    assert (len(found.pairs), found.alone.num_rows, found.repeated.num_rows) == (1, 1, 2)
    assert found.pairs.requests.column("position").to_pylist() == [0]


def test_keys_of_different_variants_do_not_pair() -> None:
    table = pa.concat_tables([requests("a", variant="blue"), responses("a", variant="green")])
    assert match(table, KINDS).alone.num_rows == 2
    table = pa.concat_tables([requests("a", variant="blue"), responses("a", variant="blue")])
    assert len(match(table, KINDS).pairs) == 1


def test_nothing_pairs_with_nothing() -> None:
    found = match(HALF.empty_table(), KINDS)
    assert (len(found.pairs), found.alone.num_rows, found.repeated.num_rows) == (0, 0, 0)


@pytest.mark.parametrize(
    ("request_time", "response_time", "time", "approximate"),
    [
        (("r", False), ("s", False), "r", False),
        ((None, False), ("s", False), "s", False),
        (("r", True), ("s", False), "s", False),
        (("r", True), ("s", True), "r", True),
        ((None, False), ("s", True), "s", True),
        ((None, False), (None, False), None, True),
    ],
)
def test_a_time_that_the_engine_wrote_comes_first_then_the_request(
    request_time: tuple[str | None, bool],
    response_time: tuple[str | None, bool],
    time: str | None,
    approximate: bool,
) -> None:
    request = requests("a", timestamps=[request_time[0]], approximate=request_time[1])
    response = responses("a", timestamps=[response_time[0]], approximate=response_time[1])
    found = events_of(match(pa.concat_tables([request, response]), KINDS).pairs, KINDS)
    ((events,),) = found.values()
    assert events.timestamps.to_pylist() == [time]
    if time is not None:
        assert list(events.approximate) == [approximate]


def test_events_of_one_media_type_each() -> None:
    given = Halves(HalfSide.REQUEST, [7], ["b"], [b"1,2"], CSV, lambda i: b"1,2")
    table = pa.concat_tables([requests("a"), as_table(given, 1, KINDS), responses("b", "a")])
    ((first, second),) = events_of(match(table, KINDS).pairs, KINDS).values()
    assert {first.request_type, second.request_type} == {CSV, CHECKED_JSON}
    for events in (first, second):
        key = events.event_ids[0].as_py()
        assert events.responses == [f"response-{key}".encode()]
        assert events.raw(0).endswith(f"\nraw response-{key}".encode())


def test_halves_come_back_from_the_data_mart_as_they_went() -> None:
    odd = ["plain", "nul \0 in it", "ключ", "x" * 5000]
    table = pa.concat_tables(
        [
            requests(*odd, timestamps=["t", None, "t", "t"], transaction_ids=["1", "2", None, "4"]),
            responses(*odd, response_times=["1", "2", "3", None], approximate=True, variant="blue"),
        ]
    )
    stored = to_stored(table, KINDS)
    columns = ("request", "object_id", "position", "about", "body", "raw")
    rows = list(zip(*(stored.column(name).to_pylist() for name in columns), strict=True))
    assert from_stored(rows, KINDS).equals(table.combine_chunks())
    assert from_stored([], KINDS).equals(HALF.empty_table())
    assert len(set(stored.column("pair").to_pylist())) == 2 * len(odd)


def test_a_body_that_is_the_whole_record_is_stored_once() -> None:
    given = Halves(HalfSide.REQUEST, [0], ["k"], [b"{}"], CSV, lambda i: b"{}")
    stored = to_stored(as_table(given, 1, KINDS), KINDS)
    assert stored.column("raw").to_pylist() == [None]
    rows = [tuple(stored.column(i)[0].as_py() for i in range(1, 7))]
    assert from_stored(rows, KINDS).column("raw").to_pylist() == [b"{}"]


def test_pairs_become_rows_and_rejects() -> None:
    decoder = Decoder(declare("custom_machine_learning", {"age": "integer"}))
    good = [b'{"fields":["age"],"values":[[41]]}', b'{"fields":["age"],"values":[["old"]]}']
    said = [b'{"fields":["prediction","probability"],"values":[["Risk",[0.25,0.75]]]}'] * 2
    times = ["2024-01-19T19:57:30Z", "2024-01-19T19:57:31Z"]
    sides = [
        Halves(HalfSide.REQUEST, [0, 1], ["a", "b"], good, CHECKED_JSON, good.__getitem__, times),
        Halves(HalfSide.RESPONSE, [0, 1], ["a", "b"], said, CHECKED_JSON, said.__getitem__),
    ]
    pairs = match(pa.concat_tables([as_table(side, 1, KINDS) for side in sides]), KINDS).pairs
    ((variant, events),) = events_of(pairs, KINDS).items()
    blocks = list(decoder.pairs(events, variant))
    (row,) = [row for block in blocks for row in block.records.to_pylist()]
    (reject,) = [reject for block in blocks for reject in block.rejects]
    assert (row["scoring_id"], row["age"], row["_position"]) == ("a-1", 41, 0)
    assert (reject.reason, reject.position, reject.raw) == (
        Reason.TYPE_MISMATCH,
        1,
        good[1] + b"\n" + said[1],
    )
