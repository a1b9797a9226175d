"""Envelopes: the records of a block decoded together, or one by one when one of them is bad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from paylog.codecs.body import load_json
from paylog.engines.documents import RecordBlock
from paylog.errors import Reason, RejectedRecord
from paylog.records import Reject

T = TypeVar("T")
_FAILURES = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode_envelopes(
    block: RecordBlock, decoder: msgspec.json.Decoder[T]
) -> tuple[list[T], Sequence[int], list[Reject]]:
    """Records, their positions, and a reject for each that does not fit the decoder's type."""
    try:
        records = _together(block, decoder)
    except _FAILURES:
        return _one_by_one(block, decoder)
    if len(records) == (len(block.elements) or block.lines):
        return records, range(block.first, block.first + len(records)), []
    return _one_by_one(block, decoder)  # blank lines: positions are line numbers all the same


def _together(block: RecordBlock, decoder: msgspec.json.Decoder[T]) -> list[T]:
    data = b"\n".join(block.elements) if block.elements else block.data
    if block.elements and data.count(b"\n") != len(block.elements) - 1:
        return [decoder.decode(element) for element in block.elements]
    return decoder.decode_lines(data)


def _one_by_one(
    block: RecordBlock, decoder: msgspec.json.Decoder[T]
) -> tuple[list[T], Sequence[int], list[Reject]]:
    records, positions, rejects = [], [], []
    for position, raw in enumerate(block.records(), block.first):
        if not raw.strip():
            continue
        try:
            records.append(decoder.decode(raw))
            positions.append(position)
        except _FAILURES:
            rejects.append(Reject(position, _reason(raw), raw))
    return records, positions, rejects


def _reason(raw: bytes) -> Reason:
    try:
        raw.decode()
        load_json(raw)
    except UnicodeDecodeError:
        return Reason.INVALID_UTF8
    except RejectedRecord as error:
        return error.reason
    return Reason.MALFORMED_RECORD
