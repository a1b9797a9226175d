"""BentoML's monitor: a flat row a line, ``{column.., "timestamp", "request_id", "trace_id"}``.

A request of several rows is several lines with one ``request_id`` (a 64-bit number as text, "None" when
it was not HTTP) and one time: no id names a row. So a row is named after its line, in the file as it was
first called: once a day ``data.1.log`` becomes ``data.1.log.2024-01-19``. Source: bentoml 1.4,
bentoml/_internal/monitoring/default.py.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct

from paylog import identity
from paylog.codecs import CHECKED_JSON, Side
from paylog.engines import Decoded, Engine, Events, Texts
from paylog.engines.documents import RecordBlock
from paylog.engines.envelopes import decode_envelopes
from paylog.engines.patterns import NoPattern, flat_pattern
from paylog.engines.tables import TableBlock
from paylog.errors import RejectedRecord
from paylog.native.pattern import Accepts, Pattern, wanted
from paylog.records import CaptureObject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_LIVE = re.compile(r"(?:^|/)data\.\d+\.log$")
_SCHEMA = re.compile(r"(?:^|/)schema\.\d+\.log[^/]*$")
_ROTATED = re.compile(r"(\.log)\.\d{4}-\d\d-\d\d(?:\.gz|\.zst)?$")
_NO_REQUEST = "None"
_TEXT = Accepts.TEXT | Accepts.NONE
_ENVELOPE = (
    wanted("timestamp", _TEXT, "timestamp", required=False),
    wanted("transaction_id", _TEXT, "request_id", required=False),
)
_OWN = frozenset(node.key for node in _ENVELOPE)


class _Row(Struct, gc=False):
    timestamp: str | None = None
    request_id: str | int | None = None


class BentoML(Engine):
    """Decoder of the monitor's data files; its schema files are passed over."""

    signs = (frozenset({"timestamp", "request_id"}), frozenset({"timestamp", "request_id", "trace_id"}))

    def __init__(self, subscription: Subscription) -> None:
        self._decoder = msgspec.json.Decoder(_Row)

    def skips(self, item: CaptureObject) -> bool:
        return _SCHEMA.search(item.key) is not None

    def appends(self, item: CaptureObject) -> bool:
        return _LIVE.search(item.key) is not None

    def pattern(self, record: bytes, request: Side, response: Side) -> Pattern | None:
        if not _OWN.isdisjoint((*request.wanted, *response.wanted)):
            return None
        try:
            return flat_pattern(record, _ENVELOPE, request, response)
        except (NoPattern, RejectedRecord):
            return None

    def identified(self, events: Events, item: CaptureObject) -> Events:
        """Rows named after (file, time and request, line): two days' files of one name have equal lines."""
        file = _ROTATED.sub(r"\1", item.uri)
        times, requests = _listed(events.timestamps), _listed(events.transaction_ids)
        positions = np.asarray(events.positions).tolist()
        return replace(
            events,
            event_ids=[
                identity.event_id_at(file, f"{time} {request}", position)
                for time, request, position in zip(times, requests, positions, strict=True)
            ],
            transaction_ids=[None if request == _NO_REQUEST else request for request in requests],
        )

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        assert isinstance(block, RecordBlock)
        records, positions, rejects = decode_envelopes(block, self._decoder)
        if not records:
            return Decoded(rejects=rejects)
        lines, first = block.records(), block.first
        rows = lines if len(records) == len(lines) else [lines[position - first] for position in positions]
        events = Events(
            positions=positions,
            event_ids=None,
            timestamps=[row.timestamp for row in records],
            requests=rows,
            responses=rows,
            request_type=CHECKED_JSON,
            response_type=CHECKED_JSON,
            raw=lambda i: rows[i],
            transaction_ids=[None if (key := row.request_id) is None else str(key) for row in records],
        )
        return Decoded([events], rejects)


def _listed(texts: Texts) -> list[str | None]:
    listed: list[str | None] = texts.to_pylist() if isinstance(texts, pa.Array) else texts
    return listed
