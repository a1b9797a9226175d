"""An engine of the user's own: OpenScale payload records, request/response pairs, or flat rows.

Payload record (contract of both OpenScale SDKs): ``scoring_id``, ``scoring_timestamp``,
``request``, ``response``, ``response_time`` (ms), ``asset_revision``; the bodies are
``fields``/``values``. A record without ``request`` and ``response`` is one flat scored row, and
its ``scoring_id`` then names the row. JSON array or NDJSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec
from msgspec import Raw, Struct

from paylog.codecs import CHECKED_JSON, JSON, MediaType, Side
from paylog.engines import Decoded, Engine, Events
from paylog.engines.documents import RecordBlock
from paylog.engines.envelopes import FAILURES, decode_envelopes
from paylog.engines.patterns import NoPattern, SidePattern, flat_pattern, in_order
from paylog.engines.tables import TableBlock
from paylog.errors import Reason, RejectedRecord
from paylog.native.pattern import Accepts, Cell, Node, Pattern, absent, wanted
from paylog.native.pattern import record as pattern_of
from paylog.records import CaptureObject, Reject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_BODY_STARTS = {b"{", b"["}
_NULL = b"null"
_TEXT = Accepts.TEXT | Accepts.NONE
_NUMBER = Accepts.NUMBER | Accepts.NONE
_NO_SIDES = absent("request"), absent("response")
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def envelope(example: Mapping[str, Raw]) -> tuple[Node, ...]:
    """Members of a payload record beside its bodies."""
    # One without a time among records that have it is most often a reject.
    timed = bytes(example.get("scoring_timestamp", _NULL)) != _NULL
    return (
        wanted("event_id", _TEXT, "scoring_id", required=False),
        wanted(
            "timestamp",
            Accepts.TEXT if timed else _TEXT,
            "scoring_timestamp",
            cell=Cell.TIMESTAMP,
            required=timed,
        ),
        wanted("response_time", _NUMBER, "response_time", cell=Cell.DOUBLE, required=False),
        wanted("revision", _TEXT, "asset_revision", required=False),
    )


class PayloadRecord(Struct, gc=False):
    """An OpenScale payload record; ``request`` and ``response`` are empty in a flat row."""

    request: Raw = msgspec.field(default_factory=Raw)
    response: Raw = msgspec.field(default_factory=Raw)
    scoring_id: str | int | None = None
    scoring_timestamp: str | int | float | None = None
    response_time: Raw = msgspec.field(default_factory=Raw)
    asset_revision: str | None = None


class CustomMachineLearning(Engine):
    """Decoder of payload records and of flat scored rows."""

    signs: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset({"request", "response"}),
        frozenset({"scoring_id", "scoring_timestamp", "request", "response"}),
    )

    record_type: type[PayloadRecord] = PayloadRecord

    def __init__(self, subscription: Subscription) -> None:
        self._decoder = msgspec.json.Decoder(self.record_type)

    def pattern(self, record: bytes, request: Side, response: Side) -> Pattern | None:
        """Request/response pairs of one row each, and flat rows; others are left to ``decode``."""
        requests, responses = SidePattern(request, "request "), SidePattern(response, "response ")
        try:
            raw = _MEMBERS.decode(record)
            if {"request", "response"}.isdisjoint(raw):
                members = *envelope(raw), *_NO_SIDES
                return flat_pattern(record, members, request, response, row_ids=True)
            sides = (
                requests.of_json(bytes(raw["request"]), "request"),
                responses.of_json(bytes(raw["response"]), "response"),
            )
            root = pattern_of(in_order(raw, (*envelope(raw), *sides)))
        except (NoPattern, RejectedRecord, KeyError, *FAILURES):
            return None
        return Pattern(root, requests.slots, responses.slots)

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        assert isinstance(block, RecordBlock)
        records, positions, rejects = self._records(block)
        requests = [bytes(record.request) for record in records]
        responses = [bytes(record.response) for record in records]
        if {body[:1] for body in requests} | {body[:1] for body in responses} <= _BODY_STARTS:
            whole = _events(records, positions, requests, responses, block) if records else []
            return Decoded(whole, rejects)
        return _sorted_out(records, positions, requests, responses, block, rejects)

    def _records(self, block: RecordBlock) -> tuple[list[PayloadRecord], Sequence[int], list[Reject]]:
        return decode_envelopes(block, self._decoder)


def _sorted_out(
    records: list[PayloadRecord],
    positions: Sequence[int],
    requests: list[bytes],
    responses: list[bytes],
    block: RecordBlock,
    rejects: list[Reject],
) -> Decoded:
    """Tell pairs, flat rows and records that lack a side apart."""
    pairs: list[int] = []
    texts: list[int] = []
    flat: list[int] = []
    lines = block.records()
    for i, bodies in enumerate(zip(requests, responses, strict=True)):
        requests[i], responses[i] = (_unquoted(body) for body in bodies)
        if requests[i] and responses[i]:
            (pairs if (requests[i], responses[i]) == bodies else texts).append(i)
        elif not (bodies[0] or bodies[1]):
            flat.append(i)
        else:
            reason = Reason.MISSING_RESPONSE if requests[i] else Reason.MISSING_REQUEST
            rejects.append(Reject(positions[i], reason, lines[positions[i] - block.first]))
    events = []
    if pairs:
        events += _events(*_chosen(pairs, records, positions, requests, responses), block)
    if texts:
        events += _events(*_chosen(texts, records, positions, requests, responses), block, JSON)
    if flat:
        rows = [lines[position - block.first] for position in positions]
        flat_events = _events(*_chosen(flat, records, positions, rows, rows), block)
        flat_events[0].row_ids = True
        events += flat_events
    return Decoded(events, rejects)


def _unquoted(body: bytes) -> bytes:
    """A body that was logged as a JSON string is that string; null is no body."""
    if body[:1] == b'"':
        try:
            return msgspec.json.decode(body, type=str).encode()
        except UnicodeDecodeError:
            return body[1:-1]  # the codec will say what is wrong with it
    return b"" if body == _NULL else body


def _chosen(
    which: list[int],
    records: list[PayloadRecord],
    positions: Sequence[int],
    requests: list[bytes],
    responses: list[bytes],
) -> tuple[list[PayloadRecord], list[int], list[bytes], list[bytes]]:
    return (
        [records[i] for i in which],
        [positions[i] for i in which],
        [requests[i] for i in which],
        [responses[i] for i in which],
    )


def _events(
    records: list[PayloadRecord],
    positions: Sequence[int],
    requests: list[bytes],
    responses: list[bytes],
    block: RecordBlock,
    media: MediaType = CHECKED_JSON,
) -> list[Events]:
    events = Events(
        positions=positions,
        event_ids=[_text(record.scoring_id) for record in records],
        timestamps=[t if isinstance(t := record.scoring_timestamp, str) else None for record in records],
        requests=requests,
        responses=responses,
        request_type=media,
        response_type=media,
        raw=lambda i: block.records()[positions[i] - block.first],
        response_times=[_number(record.response_time) for record in records],
        revisions=[record.asset_revision for record in records],
    )
    return [events]


def _text(scoring_id: str | int | None) -> str | None:
    return str(scoring_id) if isinstance(scoring_id, int) else scoring_id or None


def _number(raw: Raw) -> str | None:
    """A number as it was written. Anything else stays what it is, and will be no number."""
    return None if not (token := bytes(raw)) or token == _NULL else token.decode(errors="replace")
