"""SageMaker endpoint Data Capture: JSON lines, request and response in one record.

Source: ``captureData{endpointInput,endpointOutput}{observedContentType,mode,data,encoding}`` and
``eventMetadata{eventId,inferenceId,inferenceTime}``; ``data`` is always a string. The event id is
the key: an inference id is what the caller sent, and callers repeat it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from paylog.codecs import CSV, JSON, JSON_LINES, MediaType, Side
from paylog.codecs.body import media_type
from paylog.engines import Decoded, Engine, Events
from paylog.engines.documents import RecordBlock
from paylog.engines.envelopes import FAILURES, decode_envelopes
from paylog.engines.patterns import NoPattern, SidePattern
from paylog.engines.tables import TableBlock
from paylog.errors import Reason
from paylog.native.pattern import Accepts, Cell, Kind, Node, Pattern, exactly, passed_over, wanted
from paylog.native.pattern import record as pattern_of
from paylog.records import CaptureObject, Reject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_KEY = re.compile(r"(?:^|/)([^/]+)/\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[^/]+\.jsonl")


class _Capture(Struct, gc=False):
    data: str = ""
    observedContentType: str | None = None  # noqa: N815 - the engine's own name
    encoding: str | None = None


class _CaptureData(Struct, gc=False):
    endpointInput: _Capture | None = None  # noqa: N815
    endpointOutput: _Capture | None = None  # noqa: N815


class _Metadata(Struct, gc=False):
    eventId: str | None = None  # noqa: N815
    inferenceId: str | None = None  # noqa: N815
    inferenceTime: str | None = None  # noqa: N815


class _Record(Struct, gc=False):
    captureData: _CaptureData | UnsetType = UNSET  # noqa: N815
    eventMetadata: _Metadata = msgspec.field(default_factory=_Metadata)  # noqa: N815


_MediaKind = tuple[str | None, str | None, str | None, str | None]


class AmazonSageMaker(Engine):
    """Decoder of endpoint Data Capture."""

    signs = (frozenset({"captureData", "eventMetadata"}),)

    def __init__(self, subscription: Subscription) -> None:
        self._decoder = msgspec.json.Decoder(_Record)

    def variant(self, item: CaptureObject) -> str:
        """The production variant: a shadow variant scores the same requests under the same ids."""
        found = _KEY.search(item.uri)
        return found.group(1) if found else ""

    def pattern(self, record: bytes, request: Side, response: Side) -> Pattern | None:
        """Captures of one row, CSV or JSON; base64 and several rows are left to ``decode``."""
        requests, responses = SidePattern(request, "request "), SidePattern(response, "response ")
        try:
            example = self._decoder.decode(record)
            kind = _kind(example)
            data: Any = example.captureData
            sides = [
                _side_pattern(requests, data.endpointInput, "endpointInput"),
                _side_pattern(responses, data.endpointOutput, "endpointOutput"),
            ]
        except (NoPattern, AttributeError, *FAILURES):
            return None
        metadata = [
            wanted("event_id", Accepts.TEXT, "eventId"),
            wanted("transaction_id", Accepts.TEXT | Accepts.NONE, "inferenceId", required=False),
            wanted("timestamp", Accepts.TEXT, "inferenceTime", cell=Cell.TIMESTAMP),
        ]
        if example.eventMetadata.inferenceId is None:
            metadata = [metadata[0], metadata[2], metadata[1]]
        whole = [pattern_of(sides, "captureData"), pattern_of(metadata, "eventMetadata")]
        root = pattern_of([*whole, passed_over("eventVersion")])
        return Pattern(root, requests.slots, responses.slots, _media(kind[0], kind[1]) == CSV)

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        assert isinstance(block, RecordBlock)
        records, positions, rejects = decode_envelopes(block, self._decoder)
        try:
            kinds = set(map(_kind, records))
        except AttributeError:  # a side is missing somewhere
            records, positions, one_sided = _two_sided(records, positions, block)
            rejects += one_sided
            kinds = set(map(_kind, records))
        events = []
        for kind in sorted(kinds, key=str):
            of_kind = records, positions
            if len(kinds) > 1:
                chosen = [i for i, record in enumerate(records) if _kind(record) == kind]
                of_kind = [records[i] for i in chosen], [positions[i] for i in chosen]
            events.append(_events(kind, *of_kind, block, rejects))
        return Decoded(events, rejects)


def _side_pattern(pattern: SidePattern, capture: _Capture, key: str) -> Node:
    """Pattern of one side: its media type exactly as in the example, and its data."""
    media = _media(capture.observedContentType, capture.encoding)
    if capture.encoding == "BASE64":
        raise NoPattern
    if media == CSV:
        data = pattern.of_csv("data")
    elif media in (JSON, JSON_LINES):
        data = Node(Kind.JSON_TEXT, (pattern.of_json(capture.data.encode()),), "data")
    else:
        raise NoPattern
    content_type = exactly(msgspec.json.encode(capture.observedContentType), "observedContentType")
    encoding = exactly(msgspec.json.encode(capture.encoding), "encoding")
    return pattern_of([content_type, passed_over("mode"), data, encoding], key)


def _kind(record: _Record) -> _MediaKind:
    """Content types and encodings; raises AttributeError where a side is missing."""
    data: Any = record.captureData
    request, response = data.endpointInput, data.endpointOutput
    return request.observedContentType, request.encoding, response.observedContentType, response.encoding


def _two_sided(
    records: list[_Record], positions: Sequence[int], block: RecordBlock
) -> tuple[list[_Record], Sequence[int], list[Reject]]:
    lines = block.records()
    kept, places, rejects = [], [], []
    for position, record in zip(positions, records, strict=True):
        data = record.captureData
        if data is UNSET:
            reason = Reason.MALFORMED_RECORD
        elif data.endpointInput is None:
            reason = Reason.MISSING_REQUEST
        elif data.endpointOutput is None:
            reason = Reason.MISSING_RESPONSE
        else:
            kept.append(record)
            places.append(position)
            continue
        rejects.append(Reject(position, reason, lines[position - block.first]))
    return kept, places, rejects


def _events(
    kind: _MediaKind,
    records: list[_Record],
    positions: Sequence[int],
    block: RecordBlock,
    rejects: list[Reject],
) -> Events:
    captures: list[Any] = [record.captureData for record in records]
    requests: Any = _bodies([data.endpointInput.data for data in captures], kind[1])
    responses: Any = _bodies([data.endpointOutput.data for data in captures], kind[3])
    if None in requests or None in responses:
        lines = block.records()
        whole = [i for i in range(len(records)) if requests[i] is not None and responses[i] is not None]
        lost = set(range(len(records))) - set(whole)
        rejects += [
            Reject(positions[i], Reason.UNSUPPORTED_BODY, lines[positions[i] - block.first])
            for i in sorted(lost)
        ]
        requests, responses = [requests[i] for i in whole], [responses[i] for i in whole]
        records, positions = [records[i] for i in whole], [positions[i] for i in whole]
    metadata = [record.eventMetadata for record in records]
    return Events(
        positions=positions,
        event_ids=[m.eventId for m in metadata],
        timestamps=[m.inferenceTime for m in metadata],
        requests=requests,
        responses=responses,
        request_type=_media(kind[0], kind[1]),
        response_type=_media(kind[2], kind[3]),
        raw=lambda i: block.records()[positions[i] - block.first],
        transaction_ids=[m.inferenceId for m in metadata],
    )


def _media(content_type: str | None, encoding: str | None) -> MediaType:
    """Content type first; where the engine noted none, CSV and JSON encodings tell as much."""
    if not content_type and encoding in ("CSV", "JSON"):
        content_type = "text/csv" if encoding == "CSV" else "application/json"
    return media_type(content_type)


def _bodies(data: list[str], encoding: str | None) -> Sequence[bytes | None]:
    if encoding == "BASE64":
        return [_unbase64(text) for text in data]
    joined = "\x1c".join(data).encode()
    parts = joined.split(b"\x1c")
    return parts if len(parts) == len(data) else [text.encode() for text in data]


def _unbase64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
