"""Readers that tell an object's format by its first bytes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from paylog.engines import Part, documents
from paylog.engines.parquet_tables import MAGIC, parquet_blocks
from paylog.errors import TruncatedStream

_HEAD, _MOST = 1 << 10, 1 << 20


def json_or_parquet(chunks: Iterator[bytes], max_record_bytes: int) -> Iterator[Part]:
    """A ``Reader`` of exported tables."""
    head, whole = peeked(chunks)
    if head.startswith(MAGIC):
        return parquet_blocks(whole, max_record_bytes)
    return documents.record_blocks(whole, max_record_bytes)


def peeked(chunks: Iterator[bytes], *, line: bool = False) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of a stream, and the stream with them.

    :param line: up to the end of the first line, unless that is very long.
    """
    head = bytearray()
    try:
        while len(head) < _HEAD or (len(head) < _MOST and not (b"\n" in head if line else head.strip())):
            head += next(chunks)
    except StopIteration:
        return bytes(head), iter([bytes(head)])
    except TruncatedStream as cut:
        return bytes(head), _cut_off(bytes(head), cut)
    return bytes(head), chain([bytes(head)], chunks)


def _cut_off(head: bytes, cut: TruncatedStream) -> Iterator[bytes]:
    yield head
    raise cut
