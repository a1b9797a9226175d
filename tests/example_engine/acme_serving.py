"""ACME Serving: one JSON line a call, ``{"call": id, "at": time, "in": {…}, "out": {…}}``.

An engine in a package of its own: all that docs/adding-an-engine.md asks for.
"""

from __future__ import annotations

from msgspec import Raw, Struct, json

from paylog.codecs import CHECKED_JSON
from paylog.engines import Decoded, Engine, Events
from paylog.engines.documents import RecordBlock
from paylog.engines.envelopes import decode_envelopes
from paylog.engines.tables import TableBlock
from paylog.records import CaptureObject
from paylog.subscription import Subscription


class _Call(Struct, rename={"request": "in", "response": "out"}):
    call: str
    at: str
    request: Raw
    response: Raw


class AcmeServing(Engine):
    """Decoder of ACME Serving's call log."""

    layout = "%Y/%m/%d/"
    signs = (frozenset({"call", "at", "in", "out"}),)

    def __init__(self, subscription: Subscription) -> None:
        self._decoder = json.Decoder(_Call)

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        assert isinstance(block, RecordBlock)
        calls, positions, rejects = decode_envelopes(block, self._decoder)
        events = Events(
            positions=positions,
            event_ids=[call.call for call in calls],
            timestamps=[call.at for call in calls],
            requests=[bytes(call.request) for call in calls],
            responses=[bytes(call.response) for call in calls],
            request_type=CHECKED_JSON,
            response_type=CHECKED_JSON,
            raw=lambda i: block.records()[positions[i] - block.first],
        )
        return Decoded([events], rejects)
