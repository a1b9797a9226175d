"""KServe's inference logger: request and response are two records with one id.

A record is the logger's own (blob storage: ``id``, ``reqType``, ``bytes``, ``contentType``,
``occurrenceTime``; a JSON object, or an array of a batch; CSV or Parquet with the same columns, all
text), or a CloudEvent. A response that was not 200 is never logged. Source: kserve/pkg/logger.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from paylog.codecs import JSON, Side, binary_tensors
from paylog.engines import Decoded, Engine, HalfSide, Reader, documents
from paylog.engines.cloud_events import CloudEvent, Message, body_of, halves, key_of, side_of
from paylog.engines.csv_tables import CsvReader
from paylog.engines.documents import RecordBlock
from paylog.engines.envelopes import FAILURES, decode_envelopes
from paylog.engines.flat_rows import texts_in
from paylog.engines.parquet_tables import parquet_blocks
from paylog.engines.patterns import NoPattern, first_of, in_order
from paylog.engines.tables import TableBlock
from paylog.errors import RejectedRecord
from paylog.native.pattern import Accepts, Pattern, absent, body, exactly, null, passed_over, wanted
from paylog.native.pattern import record as pattern_of
from paylog.records import CaptureObject, Reject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_HEADER_SIZE = "inference-header-content-length"
_NO_TIME = "0001-01-01"  # the zero of Go's time
_MARK = re.compile(re.escape(binary_tensors.MARK))
_TEXT = Accepts.TEXT | Accepts.NONE
_TEXTS = "type", "reqType", "time", "occurrenceTime", "datacontenttype", "contentType", "requestid", "modelid"
_BODIES = "bytes", "data", "data_base64", "headers", "body"
_COLUMNS = ("bytes", "contentType", "reqType", "id", "component", "metadata")


class _Record(CloudEvent, gc=False, kw_only=True):
    req_type: str | None = msgspec.field(default=None, name="reqType")
    payload: bytes | None = msgspec.field(default=None, name="bytes")
    content_type: str | None = msgspec.field(default=None, name="contentType")
    occurrence_time: str | None = msgspec.field(default=None, name="occurrenceTime")
    metadata: Raw = Raw()


class KServe(Engine):
    """Decoder of the inference logger's objects."""

    signs = (frozenset({"id", "reqType", "bytes"}), frozenset({"specversion", "inferenceservicename"}))

    def __init__(self, subscription: Subscription) -> None:
        self._decoder = msgspec.json.Decoder(_Record)
        self._csv = CsvReader(known=_COLUMNS)

    def reader(self, item: CaptureObject) -> Reader:
        """By the extension, which the logger's marshaller chose."""
        name = item.key.removesuffix(".gz").removesuffix(".zst")
        if name.endswith(".parquet"):
            return parquet_blocks
        return self._csv if name.endswith(".csv") else documents.record_blocks

    def pattern(self, record: bytes, request: Side, response: Side) -> Pattern | None:
        """Records of either kind with an id, a time and a body that is JSON."""
        try:
            example = msgspec.json.decode(record)
            own = "bytes" in example
            kind, body_of_record = ("reqType", body("bytes", base64=True)) if own else ("type", body("data"))
            side = side_of(example[kind])
            component = example.get("component")
            if side is None or component not in (None, "predictor"):
                return None
            times = ("occurrenceTime", "time") if own else ("time",)
            members = [
                exactly(msgspec.json.encode(example[kind]), kind),
                null("component") if component is None else exactly(b'"predictor"', "component"),
                wanted("event_id", Accepts.TEXT, "id"),
                *first_of(example, times, "timestamp", Accepts.TEXT, needed=True),
                body_of_record,
                *map(null, () if own else ("reqType", "occurrenceTime")),
            ]
            named = {node.key for node in members}
            texts = [passed_over(name, _TEXT) for name in _TEXTS if name not in named]
            others = [absent(name) for name in _BODIES if name not in named]
            root = pattern_of(in_order(example, [*members, *texts, *others]))
        except (NoPattern, RejectedRecord, AttributeError, KeyError, TypeError, *FAILURES):
            return None
        return Pattern(root, {}, {}, half=side, checked=not own)

    def odd(self, halves: Mapping[str, pa.Array]) -> pa.Array:
        """No time yet, or a binary extension among the tensors."""
        unset = pc.match_substring_regex(halves["timestamp"], f"^(?:{_NO_TIME}|$)")
        odd, bodies = pc.or_(super().odd(halves), unset), halves["body"]
        if _MARK.search(bodies.buffers()[2]) is None:  # a look at all of them together costs nothing
            return odd
        return pc.or_(odd, pc.match_substring(bodies.cast(pa.binary()), binary_tensors.MARK))

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        if isinstance(block, TableBlock):
            indices = range(len(block.positions))
            positions, raw, decoded = block.positions.tolist(), block.raw, Decoded()
            records: Any = _table_records(block)
        else:
            records, positions, rejects = decode_envelopes(block, self._decoder)
            decoded, lines, first = Decoded(rejects=rejects), block.records(), block.first
            indices, raw = range(len(records)), lambda i: lines[positions[i] - first]
        messages = []
        for i, position, record in zip(indices, positions, records, strict=True):
            try:
                if message := _message(i, position, record):
                    messages.append(message)
                else:
                    decoded.filtered += 1
            except RejectedRecord as error:
                decoded.rejects.append(Reject(position, error.reason, raw(i)))
        decoded.halves = halves(messages, item, raw)
        return decoded


def _table_records(block: TableBlock) -> list[_Record]:
    """Records of a CSV or Parquet batch; it has no times."""
    columns = [_texts(block.table, name) for name in _COLUMNS]
    return [
        _Record(
            payload=_unbase64(body),
            content_type=content_type,
            req_type=kind,
            id=key,
            component=component,
            metadata=Raw((metadata or "null").encode()),
        )
        for body, content_type, kind, key, component, metadata in zip(*columns, strict=True)
    ]


def _texts(table: pa.Table, name: str) -> list[str | None]:
    """A column, whatever type its texts have; null where it is missing or no text."""
    column = texts_in(table, (name,))
    texts: list[str | None] = [None] * table.num_rows if column is None else column.to_pylist()
    return texts


def _unbase64(text: str | None) -> bytes | None:
    try:
        return base64.b64decode(text or "", validate=True)
    except (binascii.Error, ValueError):
        return None


def _message(index: int, position: int, record: _Record) -> Message | None:
    """One side of an event; None for what is no scoring. Raises RejectedRecord."""
    if record.headers:
        record.read_headers()
    side = side_of(record.req_type or record.type)
    if side is None:
        return None
    content = record.content() if record.payload is None else record.payload
    body, media = body_of(content, record.content_type or record.datacontenttype, side)
    if binary_tensors.MARK in body:
        body, media = binary_tensors.in_json(body, _header_size(record, side)), JSON
    # A transformer scores nothing, but logs under the predictor's ids: it must not meet its records.
    component = None if record.component == "predictor" else record.component
    time = record.occurrence_time or record.time
    if time and time.startswith(_NO_TIME):
        time = None
    return Message(index, position, side, key_of(record.id, component), body, media, time)


def _header_size(record: _Record, side: HalfSide) -> int | None:
    """The size of the JSON part of a binary request, if that header was among those logged."""
    if side is HalfSide.RESPONSE or not record.metadata:
        return None
    try:
        metadata = msgspec.json.decode(record.metadata)
        metadata = msgspec.json.decode(metadata) if isinstance(metadata, str) else metadata
        headers = {name.lower(): value for name, value in metadata.items()}
        value = headers[_HEADER_SIZE]
        return int(value[0] if isinstance(value, list) else value)
    except (*FAILURES, AttributeError, KeyError, IndexError, TypeError, ValueError):
        return None
