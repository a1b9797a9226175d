"""A capture object's bytes → blocks of whole records."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import pytest

from paylog.engines.documents import RecordBlock, record_blocks
from paylog.errors import Reason
from paylog.records import Reject
from paylog.storage.compression import decompress

LIMIT = 1 << 20


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    return (data[i : i + size] for i in range(0, len(data), size))


def split(
    data: bytes, *, chunk: int = 1 << 20, block: int = 1 << 20, limit: int = LIMIT
) -> tuple[dict[int, bytes], list[Reject]]:
    """Records by position (blank lines aside) and rejects."""
    records: dict[int, bytes] = {}
    rejects: list[Reject] = []
    for item in record_blocks(chunked(data, chunk), limit, block):
        if isinstance(item, Reject):
            rejects.append(item)
            continue
        for position, raw in enumerate(item.records(), item.first):
            if raw.strip():
                assert position not in records
                records[position] = raw
    return records, rejects


@pytest.mark.parametrize("data", [b"", b"\n", b" \n\t \r\n", b"\xef\xbb\xbf", b"[]", b" [ ] \n"])
def test_no_record_at_all(data: bytes) -> None:
    assert split(data) == ({}, [])


def test_lines_with_and_without_the_last_line_end() -> None:
    assert split(b'{"a":1}\n{"b":2}') == split(b'{"a":1}\n{"b":2}\n') == ({0: b'{"a":1}', 1: b'{"b":2}'}, [])


def test_blank_lines_keep_positions() -> None:
    records, rejects = split(b'\n{"a":1}\n\n  \n{"b":2}\n\n')
    assert records == {1: b'{"a":1}', 4: b'{"b":2}'}
    assert not rejects


def test_byte_order_mark_and_crlf() -> None:
    records, _ = split(b'\xef\xbb\xbf{"a":1}\r\n{"b":2}\r\n')
    assert [json.loads(raw) for raw in records.values()] == [{"a": 1}, {"b": 2}]
    assert split(b"\xef\xbb\xbf[1]", chunk=1)[0] == {0: b"1"}


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
@pytest.mark.parametrize("block", [1, 16, 100, 10_000])
def test_lines_whatever_chunks_and_blocks_are(chunk: int, block: int) -> None:
    lines = [b'{"n":%d,"text":"%s"}' % (i, b"x" * (i * 7 % 60)) for i in range(60)]
    lines[7] = lines[33] = b""
    records, rejects = split(b"\n".join(lines), chunk=chunk, block=block)
    assert records == {i: line for i, line in enumerate(lines) if line}
    assert not rejects


@pytest.mark.parametrize("chunk", [1, 5, 1000])
@pytest.mark.parametrize("block", [1, 30, 10_000])
@pytest.mark.parametrize("indent", [None, 1])
def test_array_whatever_chunks_and_blocks_are(chunk: int, block: int, indent: int | None) -> None:
    elements = [{"n": i, "text": '},{"[' * (i % 3), "list": [[i], {}]} for i in range(40)]
    records, rejects = split(json.dumps(elements, indent=indent).encode(), chunk=chunk, block=block)
    assert [json.loads(raw) for raw in records.values()] == elements
    assert list(records) == list(range(40))
    assert not rejects


@pytest.mark.parametrize("chunk", [1, 9, 1000])
@pytest.mark.parametrize("block", [1, 20, 1000])
def test_malformed_element_in_the_middle_spoils_no_other(chunk: int, block: int) -> None:
    elements = [b'{"n":%d}' % i for i in range(30)]
    elements[24] = b'{"n":,}'
    elements[26] = b"{'n'}"
    records, rejects = split(b"[" + b" , ".join(elements) + b"]", chunk=chunk, block=block)
    assert records == dict(enumerate(elements))  # the engine says what is wrong with 24 and 26
    assert not rejects


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_array_that_is_not_closed(chunk: int) -> None:
    records, rejects = split(b'[{"a":1},{"b":2},{"c":', chunk=chunk)
    assert records == {0: b'{"a":1}', 1: b'{"b":2}'}
    assert rejects == [Reject(2, Reason.MALFORMED_JSON, b'{"c":')]
    assert split(b"[", chunk=chunk) == ({}, [Reject(0, Reason.MALFORMED_JSON, b"")])


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_garbage_behind_an_array(chunk: int) -> None:
    records, rejects = split(b'[{"a":1}]  \n  {"b":2}', chunk=chunk)
    assert records == {0: b'{"a":1}'}
    assert [(r.position, r.reason) for r in rejects] == [(1, Reason.MALFORMED_JSON)]
    assert b'{"b":2}'.startswith(rejects[0].raw)


def test_brackets_that_never_balance_take_the_rest_along() -> None:
    records, rejects = split(b'[{"a":1},{"b":[},{"c":3}]')
    assert records == {0: b'{"a":1}'}
    assert [(r.position, r.reason, r.raw) for r in rejects] == [
        (1, Reason.MALFORMED_JSON, b'{"b":[},{"c":3}]')
    ]


@pytest.mark.parametrize("chunk", [3, 50, 10_000])
@pytest.mark.parametrize("block", [10, 100, 10_000])
def test_record_over_the_limit(chunk: int, block: int) -> None:
    lines = [b'{"a":1}', b'{"b":"' + b"x" * 500 + b'"}', b"", b'{"c":3}', b"y" * 201]
    records, rejects = split(b"\n".join(lines), chunk=chunk, block=block, limit=200)
    assert records == {0: lines[0], 3: lines[3]}
    assert [(r.position, r.reason) for r in rejects] == [
        (1, Reason.LINE_TOO_LONG),
        (4, Reason.LINE_TOO_LONG),
    ]
    assert all(lines[r.position].startswith(r.raw) for r in rejects)


@pytest.mark.parametrize("chunk", [3, 50, 10_000])
@pytest.mark.parametrize("block", [10, 100, 10_000])
def test_element_over_the_limit(chunk: int, block: int) -> None:
    elements = [b'{"a":1}', b'{"b":["' + b'\\"]},' * 100 + b'"]}', b'{"c":\n3}', b'{"d":4}']
    records, rejects = split(b"[" + b",".join(elements) + b"]", chunk=chunk, block=block, limit=200)
    assert records == {0: elements[0], 2: elements[2], 3: elements[3]}
    assert [(r.position, r.reason) for r in rejects] == [(1, Reason.LINE_TOO_LONG)]
    assert elements[1].startswith(rejects[0].raw)


def test_endless_line_is_passed_over_in_bounded_memory() -> None:
    """Fifty megabytes without a line end: one reject with its beginning, and the next line is read."""
    held = 0

    def chunks() -> Iterator[bytes]:
        yield b'{"a":1}\n{"b":"'
        for _ in range(50):
            yield b"x" * (1 << 20)
        yield b'"}\n{"c":3}\n'

    records = []
    for item in record_blocks(chunks(), 1 << 22):
        if isinstance(item, RecordBlock):
            held = max(held, len(item.data))
            records += [raw for raw in item.records() if raw]
        else:
            assert (item.position, item.reason) == (1, Reason.LINE_TOO_LONG)
            assert len(item.raw) <= 1 << 16
    assert records == [b'{"a":1}', b'{"c":3}']
    assert held < 1 << 23


@pytest.mark.parametrize("line", [b"x\n", b"\n", b"{}\n"])
@pytest.mark.parametrize("size", [9 << 20, 1 << 20])
def test_very_short_lines_come_a_few_at_a_time(line: bytes, size: int) -> None:
    """Each may become a reject, and a worker has 300 MB."""
    count = size // len(line)
    ordinary = [b'{"n": "%d"}' % n * 20 for n in range(2000)]
    data = line * count + b"\n".join(ordinary)
    found = [block for block in record_blocks(iter([data]), 1 << 20) if isinstance(block, RecordBlock)]
    assert max(block.lines for block in found) <= 1 << 17
    behind = 0
    for block in found:
        assert block.first == behind
        behind += block.lines
    assert behind == count + len(ordinary)
    assert b"".join(block.data for block in found) == data


def test_ordinary_lines_come_in_large_blocks() -> None:
    data = b'{"scoring_id": "a1", "scoring_timestamp": "2024-03-04T00:00:00Z", "rows": [1, 2]}\n' * 100_000
    found = list(record_blocks(iter([data]), 1 << 20))
    assert [type(block) for block in found] == [RecordBlock]


def test_truncated_gzip_loads_what_came_out_and_keeps_the_tail() -> None:
    lines = [b'{"n":%d}' % i for i in range(20_000)]
    stored = gzip.compress(b"\n".join(lines))
    stream = decompress(iter([stored[: len(stored) // 2]]), "part-0.json.gz", 1 << 30)
    records: list[bytes] = []
    rejects: list[Reject] = []
    for item in record_blocks(stream, LIMIT):
        records += item.records() if isinstance(item, RecordBlock) else []
        rejects += [item] if isinstance(item, Reject) else []
    assert records == lines[: len(records)]
    assert 1000 < len(records) < 20_000
    assert [(r.reason, r.position) for r in rejects] == [(Reason.TRUNCATED_OBJECT, len(records))]
    assert lines[len(records)].startswith(rejects[0].raw)


def test_truncated_gzip_of_an_array() -> None:
    elements = [b'{"n":%d}' % i for i in range(20_000)]
    stored = gzip.compress(b"[" + b",".join(elements) + b"]")
    stream = decompress(iter([stored[: len(stored) // 2]]), "part-0.json.gz", 1 << 30)
    items = list(record_blocks(stream, LIMIT))
    records = [raw for item in items if isinstance(item, RecordBlock) for raw in item.records()]
    assert records == elements[: len(records)]
    assert len(records) > 1000
    assert [item.reason for item in items if isinstance(item, Reject)] == [Reason.TRUNCATED_OBJECT]
