"""Envelopes: the records of a block, and a reject for each that is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from paylog.codecs.body import load_json
from paylog.engines.documents import RecordBlock
from paylog.errors import Reason, RejectedRecord
from paylog.records import Reject

T = TypeVar("T")
FAILURES = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_STRING_OR_NAN = re.compile(rb'"(?:[^"\\]|\\.)*+"|\bNaN\b|-?\bInfinity\b')


def decode_envelopes(
    block: RecordBlock, decoder: msgspec.json.Decoder[T]
) -> tuple[list[T], Sequence[int], list[Reject]]:
    """Records, their positions, and a reject for each that does not fit the decoder's type."""
    lines = block.records()
    try:  # each line by itself: a record must not be able to begin or end on its neighbour's line
        b"\n".join(lines).decode()
        return list(map(decoder.decode, lines)), range(block.first, block.first + len(lines)), []
    except FAILURES:
        return _one_by_one(block, decoder)


def _one_by_one(
    block: RecordBlock, decoder: msgspec.json.Decoder[T]
) -> tuple[list[T], Sequence[int], list[Reject]]:
    records, positions, rejects = [], [], []
    for position, raw in enumerate(block.records(), block.first):
        if not raw.strip():
            continue
        try:
            records.append(_decoded(raw, decoder))
            positions.append(position)
        except FAILURES:
            rejects.append(Reject(position, unfit(raw), raw))
    return records, positions, rejects


def _decoded(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        raw.decode()
        return decoder.decode(raw)
    except msgspec.DecodeError:
        if (mended := finite(raw)) == raw:
            raise
        return decoder.decode(mended)


def finite(raw: bytes) -> bytes:
    """JSON with null for NaN and Infinity, which are no JSON but which Python's json writes."""
    return _STRING_OR_NAN.sub(lambda m: m.group() if m.group()[:1] == b'"' else b"null", raw)


def unfit(raw: bytes) -> Reason:
    """Why a record could not be decoded."""
    try:
        raw.decode()
        load_json(raw)
    except UnicodeDecodeError:
        return Reason.INVALID_UTF8
    except RejectedRecord as error:
        return error.reason
    return Reason.MALFORMED_RECORD
