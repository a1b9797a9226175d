"""Seldon Core v1: documents of its request logger in Elasticsearch, exported, or its CloudEvents.

A document holds both sides of one row (``_id`` = request id, of a batch ``<request id>-item-<i>``;
``_source.request`` and ``.response`` with ``elements`` by name and ``instance`` by position). A
CloudEvent holds one side; both have the same ``requestid``, but not the same ``id``, and each node of
an inference graph logs its own (``modelid``). Source: seldon-core 1.9 and 1.13, request logger and executor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
from msgspec import Raw, Struct

from paylog.codecs import CHECKED_JSON, Side
from paylog.codecs.body import load_json
from paylog.engines import Decoded, Engine, Events
from paylog.engines.cloud_events import CloudEvent, Message, body_of, halves, key_of, side_of
from paylog.engines.documents import RecordBlock
from paylog.engines.envelopes import decode_envelopes
from paylog.engines.patterns import NoPattern, SidePattern, in_order
from paylog.engines.tables import TableBlock
from paylog.errors import Reason, RejectedRecord
from paylog.native.pattern import Accepts, Node, Pattern, absent, wanted
from paylog.native.pattern import record as pattern_of
from paylog.records import CaptureObject, Reject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_ITEM = re.compile(r"(.*)-item-(\d{1,9})", re.DOTALL)


_TEXT = Accepts.TEXT | Accepts.NONE
_ID = wanted("event_id", Accepts.TEXT, "_id")
_SOURCE = (
    wanted("timestamp", Accepts.TEXT, "@timestamp"),
    wanted("request id", _TEXT, "RequestId", required=False),
)
# A document that also is a CloudEvent, or half of one, is for the decoder to look at.
_NO_EVENT = tuple(absent(name) for name in CloudEvent.__struct_fields__)


class _Part(Struct, gc=False):
    elements: Raw = Raw()
    instance: Raw = Raw()
    payload: Raw = Raw()
    time: str | None = msgspec.field(default=None, name="ce-time")


class _Document(Struct, gc=False):
    request: _Part | None = None
    response: _Part | None = None
    request_id: str | None = msgspec.field(default=None, name="RequestId")
    time: str | None = msgspec.field(default=None, name="@timestamp")


class _Record(CloudEvent, gc=False, kw_only=True):
    document_id: str | None = msgspec.field(default=None, name="_id")
    source: _Document | None = msgspec.field(default=None, name="_source")


class Seldon(Engine):
    """Decoder of exported documents and of CloudEvents."""

    signs = (
        frozenset({"_id", "_source"}),
        frozenset({"specversion", "requestid"}),
        frozenset({"specversion", "requestid", "inferenceservicename"}),
        frozenset({"RequestId", "request", "response"}),
    )

    def __init__(self, subscription: Subscription) -> None:
        self._decoder = msgspec.json.Decoder(_Record)

    def pattern(self, record: bytes, request: Side, response: Side) -> Pattern | None:
        """Documents whose columns have names; others and CloudEvents are left to ``decode``."""
        requests, responses = SidePattern(request, "request "), SidePattern(response, "response ")
        try:
            document = load_json(record)
            source = document["_source"]
            sides = [
                _side_pattern(side, name, source[name])
                for side, name in ((requests, "request"), (responses, "response"))
            ]
            inner = in_order(source, (*sides, *_SOURCE))
            root = pattern_of(in_order(document, (_ID, pattern_of(inner, "_source"), *_NO_EVENT)))
        except (NoPattern, RejectedRecord, KeyError, TypeError):
            return None
        return Pattern(root, requests.slots, responses.slots, row_ids=True)

    def identified(self, events: Events, item: CaptureObject) -> Events:
        ids = events.event_ids
        texts: list[str] = ids.to_pylist() if isinstance(ids, pa.Array) else ids
        return replace(events, event_ids=[_row_id(text) for text in texts])

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        assert isinstance(block, RecordBlock)
        records, positions, rejects = decode_envelopes(block, self._decoder)
        decoded, lines = Decoded(rejects=rejects), block.records()
        rows: list[_Row] = []
        messages: list[Message] = []
        for i, (position, record) in enumerate(zip(positions, records, strict=True)):
            try:
                if record.source is not None:
                    rows.append(_row(i, record.document_id, record.source))
                elif message := _message(i, position, record):
                    messages.append(message)
                else:
                    decoded.filtered += 1
            except RejectedRecord as error:
                decoded.rejects.append(Reject(position, error.reason, lines[position - block.first]))
        if rows:
            decoded.events.append(_events(rows, positions, block))
        decoded.halves = halves(messages, item, lambda i: lines[positions[i] - block.first])
        return decoded


class _Row(Struct, gc=False):
    """One document. ``at`` is the index of its record in the block."""

    at: int
    document_id: str
    time: str | None
    request: bytes
    response: bytes


def _row(at: int, document_id: str | None, document: _Document) -> _Row:
    """Raises RejectedRecord where a side or the id is missing."""
    if document.request is None or (request := _body(document.request)) is None:
        raise RejectedRecord(Reason.MISSING_REQUEST)
    if document.response is None or (response := _body(document.response)) is None:
        raise RejectedRecord(Reason.MISSING_RESPONSE)
    document_id = document.request_id if document_id is None else document_id
    if document_id is None:
        raise RejectedRecord(Reason.MALFORMED_RECORD)
    return _Row(at, document_id, document.time or document.request.time, request, response)


def _row_id(document_id: str) -> str:
    """``<request id>-<n>``, n from 1: the documents of a batch are numbered from 0, a single one is not."""
    item = _ITEM.fullmatch(document_id)
    return f"{item[1]}-{int(item[2]) + 1}" if item else document_id and f"{document_id}-1"


def _body(part: _Part) -> bytes | None:
    """One row: by name if the logger knew the names, else by position; else the body as it was."""
    if (elements := bytes(part.elements))[:1] == b"{" and elements != b"{}":
        return elements
    if (instance := bytes(part.instance)) and instance != b"null":
        return b'{"instances":[' + instance + b"]}"
    payload = bytes(part.payload)
    return payload if payload[:1] == b"{" else None


def _events(rows: list[_Row], positions: Sequence[int], block: RecordBlock) -> Events:
    places = [positions[row.at] for row in rows]
    return Events(
        positions=places,
        event_ids=[row.document_id for row in rows],
        timestamps=[row.time for row in rows],
        requests=[row.request for row in rows],
        responses=[row.response for row in rows],
        request_type=CHECKED_JSON,
        response_type=CHECKED_JSON,
        raw=lambda i: block.records()[places[i] - block.first],
        row_ids=True,
    )


def _side_pattern(side: SidePattern, name: str, part: Any) -> Node:
    """Of one side of a document: its elements by name."""
    if not isinstance(elements := part["elements"], Mapping):
        raise NoPattern
    members = pattern_of(side.of_members(elements), "elements")
    time = wanted(f"{name} time", _TEXT, "ce-time", required=False)
    return pattern_of(in_order(part, (members, time)), name)


def _message(at: int, position: int, record: _Record) -> Message | None:
    """One side of an event; None for what is no scoring. Raises RejectedRecord."""
    if record.headers:
        record.read_headers()
    side = side_of(record.type)
    if side is None:
        return None
    body, media = body_of(record.content(), record.datacontenttype, side)
    return Message(at, position, side, key_of(record.requestid, record.modelid), body, media, record.time)
