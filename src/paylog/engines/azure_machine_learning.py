"""Azure Machine Learning: the data collector of online endpoints, and ``ModelDataCollector`` of AKS (v1).

Collector (Microsoft Learn, "Collect production data from models deployed for real-time inferencing"):
JSON lines in append blobs, each a CloudEvent of one collection, named at the end of its ``type``.
``model_inputs`` and ``model_outputs`` (``data``: a list of rows) and ``request`` and ``response``
(``data``: the body) are halves that share ``correlationid``; ``model_inputs_outputs`` holds both sides.
``dataref``, or ``data`` beside ``datainblob``, names a blob with the data.

v1: CSV with a header and ``$aml_dc_*`` columns; rows of ``inputs`` and ``predictions`` pair by
correlation id and their order within it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Raw, Struct

from paylog.codecs import CHECKED_JSON, JSON, UNKNOWN, MediaType, Side
from paylog.codecs.body import load_json, media_type
from paylog.engines import Decoded, Engine, Events, HalfSide, Halves, Part, Reader, documents
from paylog.engines.csv_tables import CsvReader
from paylog.engines.documents import RecordBlock
from paylog.engines.envelopes import decode_envelopes
from paylog.engines.patterns import NoPattern, SidePattern, in_order
from paylog.engines.tables import TableBlock
from paylog.errors import Reason, RejectedRecord
from paylog.native.pattern import Accepts, Kind, Node, Pattern, absent, body, exactly, passed_over, wanted
from paylog.native.pattern import record as pattern_of
from paylog.records import CaptureObject, Reject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_TYPE = "azureml.inference."
_COMMA_ENDS = b",\n", b",\r\n", b", \n", b", \r\n"
_STRAY_COMMA = re.compile(rb",[ \t\r]*(?=\n|\Z)")
_JSON_STARTS = {b"{", b"["}
_ID, _TIME, _V1 = "$aml_dc_correlation_id", "$aml_dc_scoring_timestamp", ("$aml_dc_", "$aml_")


class _Record(Struct, gc=False):
    type: str | None = None
    time: str | None = None
    correlationid: str | None = None
    xrequestid: str | None = None
    datacontenttype: str | None = None
    data: Raw = Raw()
    dataref: str | None = None
    datainblob: str | bool | None = None


# None: a record holds both sides; ``other``: it is of a collection of something else.
_Side: TypeAlias = HalfSide | Literal["other"] | None
_MISSING: dict[_Side, Reason] = {
    None: Reason.MISSING_REQUEST,
    HalfSide.REQUEST: Reason.MISSING_REQUEST,
    HalfSide.RESPONSE: Reason.MISSING_RESPONSE,
}


class AzureMachineLearning(Engine):
    """Decoder of the data collector's blobs, and of v1's CSV by the extension."""

    signs = (
        frozenset({"specversion", "type", "correlationid", "contentrange"}),
        frozenset({_ID, _TIME}),
    )

    def __init__(self, subscription: Subscription) -> None:
        self._decoder = msgspec.json.Decoder(_Record)
        self._csv = CsvReader(known=(_ID,), ordered=True)
        self._sides: dict[str, _Side] = {}
        self._numbers = _Numbers()

    def appends(self, item: CaptureObject) -> bool:
        """The blob of the current hour grows. v1's CSV is read again as a whole: its header is its head."""
        return item.key.endswith((".jsonl", ".json"))

    def reader(self, item: CaptureObject) -> Reader:
        if not item.key.endswith(".csv"):
            return documents.line_blocks
        self._numbers = numbers = _Numbers()

        def read(chunks: Iterator[bytes], max_record_bytes: int) -> Iterator[Part]:
            for part in self._csv(chunks, max_record_bytes):
                if isinstance(part, Reject):
                    numbers.unread.append(part.position)
                yield part

        return read

    def pattern(self, record: bytes, request: Side, response: Side) -> Pattern | None:
        """Records of one row with both sides, and halves."""
        requests, responses = SidePattern(request, "request "), SidePattern(response, "response ")
        try:
            example = load_json(record)
            kind = example["type"]
            if isinstance(side := self._side(kind, ""), HalfSide):
                return Pattern(_half(example), {}, {}, half=side)
            (row,) = example["data"]
            if side is not None or not isinstance(row, dict):
                return None
            members = *requests.of_members(row), *responses.of_members(row)
            root = pattern_of(
                in_order(
                    example,
                    [
                        wanted("event_id", Accepts.TEXT, "correlationid"),
                        wanted("timestamp", Accepts.TEXT, "time"),
                        exactly(msgspec.json.encode(kind), "type"),
                        Node(Kind.SINGLE, (pattern_of(in_order(row, members)),), "data"),
                        absent("dataref"),
                        absent("datainblob"),
                    ],
                )
            )
        except (NoPattern, RejectedRecord, AttributeError, KeyError, TypeError, ValueError):
            return None
        return Pattern(root, requests.slots, responses.slots)

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        if isinstance(block, TableBlock):
            return self._decode_v1(block, item)
        records, positions, rejects = decode_envelopes(_without_commas(block), self._decoder)
        decoded = Decoded(rejects=rejects)
        bodies = [bytes(record.data) for record in records]
        alike = {(record.type, record.dataref, record.datainblob) for record in records}
        if len(alike) == 1 and {body[:1] for body in bodies} <= _JSON_STARTS:
            kind, *apart = alike.pop()
            side = self._side(kind, item.key)
            if apart == [None, None] and side != "other":
                _add(decoded, side, CHECKED_JSON, records, positions, bodies, block)
                return decoded
        self._sort_out(decoded, records, positions, block, item)
        return decoded

    def _sort_out(
        self,
        decoded: Decoded,
        records: Sequence[_Record],
        positions: Sequence[int],
        block: RecordBlock,
        item: CaptureObject,
    ) -> None:
        """Tell collections, bodies stored apart and records without data apart."""
        lines = block.records()
        by_kind: dict[tuple[_Side, MediaType], tuple[list[int], list[bytes]]] = {}
        for i, record in enumerate(records):
            side = self._side(record.type, item.key)
            if side == "other":
                decoded.filtered += 1
                continue
            try:
                media, body = self._content(record, side)
            except RejectedRecord as error:
                line = lines[positions[i] - block.first]
                decoded.rejects.append(Reject(positions[i], error.reason, line))
                continue
            which, bodies = by_kind.setdefault((side, media), ([], []))
            which.append(i)
            bodies.append(body)
        for (side, media), (which, bodies) in by_kind.items():
            chosen, places = [records[i] for i in which], [positions[i] for i in which]
            _add(decoded, side, media, chosen, places, bodies, block)

    def _side(self, kind: str | None, key: str) -> _Side:
        name = kind or key
        if name not in self._sides:
            if len(self._sides) > 1000:
                self._sides.clear()
            collection = kind.removeprefix(_TYPE) if kind else key
            self._sides[name] = _side_of(collection.lower())
        return self._sides[name]

    def _content(self, record: _Record, side: _Side) -> tuple[MediaType, bytes]:
        """Media type and bytes of the data. Raises RejectedRecord."""
        data = bytes(record.data)
        if not record.dataref and record.datainblob in (None, False, "false"):
            if data[:1] in (b"[", b"{"):
                return CHECKED_JSON, data
            if not data or data == b"null":
                raise RejectedRecord(_MISSING[side])
            if data[:1] != b'"':
                return CHECKED_JSON, data
            text: str = msgspec.json.decode(data, type=str)
            media = media_type(record.datacontenttype)
            return (UNKNOWN if media == JSON else media), text.encode()
        reference = record.dataref or (msgspec.json.decode(data, type=str) if data[:1] == b'"' else "")
        if self.payload is None or not reference:
            raise RejectedRecord(Reason.MISSING_PAYLOAD)
        return media_type(record.datacontenttype), self.payload(reference)

    def _decode_v1(self, block: TableBlock, item: CaptureObject) -> Decoded:
        """Rows of one designation. Their bodies are the rows themselves, as JSON."""
        side = _side_of(item.key.lower())
        rows = block.table.to_pylist()
        which = [i for i, row in enumerate(rows) if row.get(_ID) != _ID]
        decoded = Decoded(filtered=len(rows) - len(which))
        if not isinstance(side, HalfSide):
            decoded.filtered = len(rows)
            return decoded
        names = [name for name in block.table.column_names if not name.startswith(_V1)]
        positions = [int(block.positions[i]) for i in which]
        decoded.halves.append(
            Halves(
                side=side,
                positions=positions,
                keys=self._numbers.of([rows[i].get(_ID) for i in which], positions),
                bodies=[json.dumps({name: rows[i][name] for name in names}).encode() for i in which],
                media=CHECKED_JSON,
                raw=lambda i: block.raw(which[i]),
                timestamps=[_utc(rows[i].get(_TIME)) for i in which],
                row_ids=True,
            )
        )
        return decoded


class _Numbers:
    """Numbers the rows of a v1 object that share a correlation id.

    :param unread: positions of records that could not be read, as far as they are known.
    """

    def __init__(self) -> None:
        self.unread: list[int] = []
        self._last: str | None = None
        self._number = self._passed = 0
        self._sure = True

    def of(self, ids: Sequence[str | None], positions: Sequence[int]) -> list[str | None]:
        """``<id>-<n>``, n from 1 for each run of rows with one id, which may go over several blocks.

        None where a record before it in its run, or right before the run, was not read: it may have been
        one of them, and the row must not meet another one's prediction.
        """
        keys: list[str | None] = []
        passed = np.searchsorted(np.array(sorted(self.unread), np.int64), np.array(positions, np.int64))
        for key, unread in zip(ids, passed.tolist(), strict=True):
            if key != self._last:
                self._last, self._number, self._sure = key, 0, True
            self._number += 1
            self._sure &= unread == self._passed
            self._passed = unread
            keys.append(f"{key}-{self._number}" if key and self._sure else None)
        return keys


def _half(example: Mapping[str, Any]) -> Node:
    """A record of one side. Raises NoPattern."""
    text = Accepts.TEXT | Accepts.NONE
    return pattern_of(
        in_order(
            example,
            [
                wanted("event_id", Accepts.TEXT, "correlationid"),
                wanted("timestamp", Accepts.TEXT, "time"),
                exactly(msgspec.json.encode(example["type"]), "type"),
                body("data"),
                passed_over("xrequestid", text),
                passed_over("datacontenttype", text),
                absent("dataref"),
                absent("datainblob"),
            ],
        )
    )


def _side_of(collection: str) -> _Side:
    """Which side a collection's name (v1: the path) means."""
    name = collection.rsplit("/", 1)[-1]
    inputs, outputs = "input" in collection, "output" in collection or "prediction" in collection
    if "inputs_outputs" in collection:
        return None
    if name.startswith("request") or "/request/" in collection or (inputs and not outputs):
        return HalfSide.REQUEST
    if name.startswith("response") or "/response/" in collection or (outputs and not inputs):
        return HalfSide.RESPONSE
    return "other"


def _without_commas(block: RecordBlock) -> RecordBlock:
    """Some writers end a line in a comma: that is no part of the record."""
    if block.elements:
        return RecordBlock(b"", block.first, [one.rstrip().removesuffix(b",") for one in block.elements])
    if not any(end in block.data for end in _COMMA_ENDS) and not block.data[-64:].rstrip().endswith(b","):
        return block
    return RecordBlock(_STRAY_COMMA.sub(b"", block.data), block.first)


def _add(
    decoded: Decoded,
    side: _Side,
    media: MediaType,
    records: Sequence[_Record],
    positions: Sequence[int],
    bodies: list[bytes],
    block: RecordBlock,
) -> None:
    """Halves of a side, or events where records hold both."""
    shared: dict[str, Any] = {
        "positions": positions,
        "raw": lambda i: block.records()[positions[i] - block.first],
        "timestamps": [record.time for record in records],
    }
    keys = [record.correlationid or record.xrequestid for record in records]
    if isinstance(side, HalfSide):
        decoded.halves.append(Halves(side=side, keys=keys, bodies=bodies, media=media, **shared))
        return
    decoded.events.append(
        Events(
            event_ids=keys,
            requests=bodies,
            responses=bodies,
            request_type=media,
            response_type=media,
            **shared,
        )
    )


def _utc(time: str | None) -> str | None:
    """v1 writes UTC without saying so."""
    return f"{time}Z" if time and not time.endswith("Z") else time
