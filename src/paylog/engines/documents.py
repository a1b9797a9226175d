"""A capture object's bytes → blocks of whole JSON records, in bounded memory.

NDJSON (a record a line) or one JSON array of records, told apart by the first byte that is not
white space. A record that is too long, or cut off with its object, becomes a reject; the rest is read on.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import msgspec

from paylog.errors import Reason, TruncatedStream
from paylog.records import Reject

BLOCK_BYTES = 8 << 20
# Lines of fewer bytes on average come in smaller blocks, since every one may become a reject of some 300.
_SHORT, _DENSE_BYTES = 64, 1 << 17
KEPT_OF_OVERLONG = 1 << 16
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_NOT_SPACE = re.compile(rb"[^ \t\r\n]")
_BOUNDARY = re.compile(rb"\}\s*,\s*\{")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},"]', re.DOTALL)
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_MARK = re.compile(rb'\\.|["\[\]{},]', re.DOTALL)
_BOUNDARY_TRIES = 12


@dataclass(slots=True)
class RecordBlock:
    """Consecutive records of one object.

    :param data: the records as NDJSON, or empty when there are ``elements``.
    :param first: position of the first record in its object.
    :param elements: elements of an array that are written over several lines.
    """

    data: bytes
    first: int
    elements: list[bytes] = field(default_factory=list)
    _lines: int | None = None
    _records: list[bytes] | None = None

    @property
    def lines(self) -> int:
        """How many lines ``data`` has, blank ones too. Counted at the first call, unless set before."""
        if self._lines is None:
            self._lines = self.data.count(b"\n") + (not self.data.endswith(b"\n"))
        return self._lines

    @lines.setter
    def lines(self, lines: int) -> None:
        self._lines = lines

    def records(self) -> list[bytes]:
        """Raw records; blank lines stay in as empty ones, so that an index is a line number."""
        if self._records is None:
            self._records = self.elements or self.data.removesuffix(b"\n").split(b"\n")
        return self._records

    def line(self, start: int) -> bytes:
        """The record that begins at a byte of ``data``."""
        end = self.data.find(b"\n", start)
        return self.data[start : end if end >= 0 else None]


Item = RecordBlock | Reject


def record_blocks(
    chunks: Iterator[bytes], max_record_bytes: int, block_bytes: int = BLOCK_BYTES
) -> Iterator[Item]:
    """Cut a decompressed stream into blocks of about ``block_bytes``, records whole.

    Yields a :class:`Reject` for a record that is longer than ``max_record_bytes`` or that the end
    of a truncated stream cut off.
    """
    source = _Source(chunks)
    source.fill(4)
    if source.buffer[:3] == _BOM:
        del source.buffer[:3]
    source.peek_past_spaces()
    if source.buffer.lstrip(_SPACE)[:1] == b"[":
        yield from _array_blocks(source, max_record_bytes, block_bytes)
    else:
        yield from _line_blocks(source, max_record_bytes, block_bytes)


def line_blocks(
    chunks: Iterator[bytes], max_record_bytes: int, block_bytes: int = BLOCK_BYTES
) -> Iterator[Item]:
    """As ``record_blocks``, of an object that is NDJSON whatever it begins with."""
    source = _Source(chunks)
    source.fill(len(_BOM))
    if source.buffer[:3] == _BOM:
        del source.buffer[:3]
    yield from _line_blocks(source, max_record_bytes, block_bytes)


class _Source:
    """A buffer over the chunks, which remembers whether the stream was cut off."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.buffer = bytearray()
        self.ended = False
        self.truncated = False

    def next_chunk(self) -> bytes | None:
        """What is buffered, else the next chunk of the stream; None at its end."""
        if self.buffer:
            buffered = bytes(self.buffer)
            self.buffer.clear()
            return buffered
        try:
            chunk = next(self._chunks, None)
        except TruncatedStream:
            self.truncated, chunk = True, None
        self.ended = chunk is None
        return chunk

    def fill(self, size: int) -> None:
        """Read on until the buffer holds ``size`` bytes or the stream ends."""
        while len(self.buffer) < size and not self.ended:
            held = bytes(self.buffer)
            self.buffer.clear()
            self.buffer += held + (self.next_chunk() or b"")

    def peek_past_spaces(self) -> None:
        """Read on until the buffer holds more than white space."""
        while not self.ended and not _NOT_SPACE.search(self.buffer):
            self.fill(len(self.buffer) + 1)

    def skip_spaces(self) -> None:
        """Drop white space, until the buffer holds something else or the stream ends."""
        while not self.ended and not _NOT_SPACE.search(self.buffer):
            self.buffer.clear()
            self.fill(1)

    def skip_element(self) -> None:
        """Drop the rest of an array's element with its comma, in bounded memory."""
        depth, quoted = 0, False
        while self.buffer or not self.ended:
            self.fill(1 << 16)
            data = bytes(self.buffer)
            used = len(data) - (data.endswith(b"\\") and not self.ended)
            for token in _MARK.finditer(data, 0, used):
                mark = token.group()
                if mark == b'"':
                    quoted = not quoted
                elif quoted or len(mark) > 1:
                    continue
                elif mark in b"{[":
                    depth += 1
                elif depth == 0 and mark in b",]":
                    del self.buffer[: token.end() if mark == b"," else token.start()]
                    return
                elif mark in b"}]":
                    depth = max(0, depth - 1)
            del self.buffer[:used]


def _line_blocks(source: _Source, limit: int, block_bytes: int) -> Iterator[Item]:
    """Whole lines. What follows the last line end of a chunk waits for the next one."""
    position, size, skipping = 0, 0, False
    held: list[bytes] = []
    while (chunk := source.next_chunk()) is not None:
        if skipping:
            end = chunk.find(b"\n") + 1
            if not end:
                continue
            chunk, skipping = chunk[end:], False
        if size + len(chunk) < block_bytes:
            held.append(chunk)
            size += len(chunk)
            continue
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            chunk, held = b"".join((*held, chunk)), []
            size, cut = len(chunk), chunk.rfind(b"\n") + 1
        if not cut and size > limit:
            yield Reject(position, Reason.LINE_TOO_LONG, chunk[:KEPT_OF_OVERLONG])
            position, held, size, skipping = position + 1, [], 0, True
            continue
        data = b"".join((*held, memoryview(chunk)[:cut]))
        held, size = [chunk[cut:]], len(chunk) - cut
        if not data:
            continue
        position = yield from _blocks_of(data, position, limit)
    yield from _rest(b"".join(held), position, limit, truncated=source.truncated)


def _rest(data: bytes, position: int, limit: int, *, truncated: bool) -> Iterator[Item]:
    """The lines behind the last full block; the very last may lack its line end."""
    if truncated:
        cut = data.rfind(b"\n") + 1
        data, tail = data[:cut], data[cut:]
    if _NOT_SPACE.search(data):
        yield from _blocks_of(data, position, limit)
    if truncated:
        yield Reject(position + data.count(b"\n"), Reason.TRUNCATED_OBJECT, tail[:limit])


def _blocks_of(data: bytes, position: int, limit: int) -> Generator[Item, None, int]:
    """Whole lines as one block, very short ones as several; returns the position of what follows them."""
    size, start = _DENSE_BYTES if _is_dense(data) else len(data), 0
    while start < len(data):
        end = data.find(b"\n", start + size - 1) + 1 or len(data)
        block = RecordBlock(data[start:end], position)
        yield from _guarded(block, limit)
        position, start = position + block.lines, end
    return position


def _is_dense(data: bytes) -> bool:
    """Whether lines are shorter than any log's. Looks at a sixteenth of them: to count all takes time."""
    looked_at = range(0, len(data), 1 << 16)
    lines = sum(data.count(b"\n", at, at + (1 << 12)) for at in looked_at)
    return lines * _SHORT > len(looked_at) << 12


def _guarded(block: RecordBlock, limit: int) -> Iterator[Item]:
    """The block; a record over the limit (only an outsize block has one) is taken out of it."""
    records = block.records() if block.elements or len(block.data) > limit else []
    if not any(len(record) > limit for record in records):
        yield block
        return
    for i, line in enumerate(records):
        if len(line) > limit:
            yield Reject(block.first + i, Reason.LINE_TOO_LONG, line[:KEPT_OF_OVERLONG])
            records[i] = b""
    if block.elements:
        yield RecordBlock(b"", block.first, records)
    else:
        yield RecordBlock(b"\n".join(records), block.first)


def _array_blocks(source: _Source, limit: int, block_bytes: int) -> Iterator[Item]:
    del source.buffer[: source.buffer.index(b"[") + 1]
    position, wanted = 0, block_bytes
    while True:
        source.fill(wanted)
        elements, size, closed = _elements(source)
        if elements:
            yield from _guarded(_of_elements(elements, position), limit)
            position, wanted = position + len(elements), block_bytes
        del source.buffer[:size]
        if closed or (source.ended and not elements):
            break
        if not elements and len(source.buffer) > max(limit, block_bytes):
            head = source.buffer.lstrip(_SPACE)[:KEPT_OF_OVERLONG]
            yield Reject(position, Reason.LINE_TOO_LONG, bytes(head))
            source.skip_element()
            position, wanted = position + 1, block_bytes
        elif not elements:
            wanted = 2 * len(source.buffer) + 1
    if closed:
        source.skip_spaces()
    tail = bytes(source.buffer).strip(_SPACE)
    if source.truncated:
        yield Reject(position, Reason.TRUNCATED_OBJECT, tail[:limit])
    elif tail or not closed:
        yield Reject(position, Reason.MALFORMED_JSON, tail[:limit])


def _elements(source: _Source) -> tuple[list[bytes], int, bool]:
    """Whole elements at the head of the buffer, the bytes they take, whether the array was closed."""
    data = bytes(source.buffer)
    if source.ended and data.rstrip(_SPACE)[-1:] == b"]":
        body = data.rstrip(_SPACE)[:-1]
        found = _parsed(body)
        if found is not None:
            return found, len(data), True
    tail = max(0, len(data) - (1 << 18))
    for match in list(_BOUNDARY.finditer(data, tail))[: -_BOUNDARY_TRIES - 1 : -1]:
        found = _parsed(data[: match.start() + 1])
        if found is not None:
            return found, data.index(b",", match.start()) + 1, False
    return _scanned(data)


def _of_elements(elements: list[bytes], first: int) -> RecordBlock:
    """Elements as lines, unless one is written over several."""
    data = b"\n".join(elements)
    if data.count(b"\n") == len(elements) - 1:
        return RecordBlock(data, first)
    return RecordBlock(b"", first, elements)


def _parsed(body: bytes) -> list[bytes] | None:
    try:
        return [bytes(raw) for raw in _RAW_LIST.decode(b"[" + body + b"]")]
    except (msgspec.MsgspecError, RecursionError):
        return None


def _scanned(data: bytes) -> tuple[list[bytes], int, bool]:
    """Split by counting brackets: slow, but passes over elements that are not valid JSON."""
    elements, start, depth = [], 0, 0
    for token in _TOKEN.finditer(data):
        mark = token.group()
        if mark in (b"{", b"["):
            depth += 1
        elif depth == 0 and mark in (b",", b"]"):
            if element := data[start : token.start()].strip(_SPACE):
                elements.append(element)
            start = token.end()
            if mark == b"]":
                return elements, start, True
        elif mark in (b"}", b"]"):
            depth = max(0, depth - 1)
        elif mark == b'"':
            break
    return elements, start, False
