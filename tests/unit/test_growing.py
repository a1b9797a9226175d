"""Objects that are appended to, read from where the last read stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylog.growing import KNOWN_BYTES, GrowingObject, ObjectRewritten
from paylog.records import Extent

LIMIT = 1000


def read(
    data: bytes, after: Extent | None = None, *, complete: bool = False, chunk: int = 1 << 20
) -> tuple[int, bytes, Extent]:
    """First position, what is new, and how far the object is read now."""
    growing = GrowingObject(after, complete, LIMIT)

    def chunks() -> Iterator[bytes]:
        for at in range(growing.start, len(data), chunk):
            yield data[at : at + chunk]

    first, lines = growing.read(chunks())
    return first, b"".join(lines), growing.extent


def test_what_follows_the_last_line_end_waits() -> None:
    first, new, extent = read(b'{"a":1}\n{"a":2}\n{"a":')
    assert (first, new) == (0, b'{"a":1}\n{"a":2}\n')
    assert (extent.end_byte, extent.end_position, extent.partial) == (16, 2, True)
    first, new, extent = read(b'{"a":1}\n{"a":2}\n{"a":3}\n', extent)
    assert (first, new) == (2, b'{"a":3}\n')
    assert (extent.end_byte, extent.end_position, extent.partial) == (24, 3, False)


def test_a_whole_json_line_needs_no_end() -> None:
    _, new, extent = read(b'{"a":1}\n{"a":2}')
    assert new == b'{"a":1}\n{"a":2}'
    assert (extent.end_position, extent.partial) == (2, False)
    for end in (b"\n", b"\r\n"):
        first, new, _ = read(b'{"a":1}\n{"a":2}' + end + b'{"a":3}\n', extent)
        assert (first, new) == (2, b'{"a":3}\n')


@pytest.mark.parametrize("tail", [b"7", b"[1]", b'"text"', b"true", b'{"a":1},', b'{"a":\xff}', b'{"a"'])
def test_only_a_json_object_is_known_to_be_whole(tail: bytes) -> None:
    assert read(b"{}\n" + tail)[1:] == (b"{}\n", read(b"{}\n" + tail)[2])
    assert read(b"{}\n" + tail)[2].partial
    assert read(b"{}\n" + tail, complete=True)[1] == b"{}\n" + tail


def test_an_object_that_was_rewritten_is_recognized() -> None:
    _, _, extent = read(b'{"a":1}\n{"a":2}\n')
    for other in (b'{"a":1}\n{"a":3}\n{"a":4}\n', b'{"a":1}\n', b""):
        with pytest.raises(ObjectRewritten):
            read(other, extent)


def test_only_the_end_of_what_is_known_is_read_again() -> None:
    data = b'{"a":1}\n' * 10_000
    _, _, extent = read(data)
    growing = GrowingObject(extent, False, LIMIT)
    assert growing.start == len(data) - KNOWN_BYTES


def test_a_line_without_end_takes_no_memory() -> None:
    growing = GrowingObject(None, False, LIMIT)
    _, lines = growing.read(iter([b"x" * 400] * 50))
    assert max(map(len, lines)) <= LIMIT + 400


@given(
    records=st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=9)), max_size=12),
    cuts=st.lists(st.integers(0, 400), max_size=4),
    chunk=st.integers(1, 50),
)
def test_however_it_grows_every_record_is_read_once_at_its_place(
    records: list[dict[str, str]], cuts: list[int], chunk: int
) -> None:
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    extent: Extent | None = None
    found: dict[int, bytes] = {}
    for cut in [*sorted(cuts), len(data)]:
        first, new, extent = read(data[:cut], extent, chunk=chunk)
        for position, line in enumerate(new.splitlines(), first):
            assert position not in found
            found[position] = line
    assert found == dict(enumerate(data.splitlines()))
    assert extent is not None
    assert (extent.end_position, extent.partial) == (len(records), False)
