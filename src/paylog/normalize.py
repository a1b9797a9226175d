"""Events + model schema → record batch and rejects.

Bodies of one block are decoded together; those that a bulk codec calls irregular are decoded one
by one. Request and response rows are zipped, cast and given their identity, column by column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from paylog.casts import cast
from paylog.codecs import (
    CSV,
    JSON,
    UNKNOWN,
    Bodies,
    Mask,
    MediaType,
    Rows,
    Side,
    csv_body,
    json_columns,
    json_rows,
    json_template,
    json_tensors,
    json_typed,
)
from paylog.codecs.body import Row, as_rows, is_text, rows_of
from paylog.codecs.json_scanned import BodyScanner
from paylog.engines import Decoded, Engine, Events
from paylog.engines.documents import RecordBlock
from paylog.errors import Reason, RejectedRecord
from paylog.event_columns import EventColumns, Indices, Place
from paylog.model_schema import ARROW_TYPES, Field, FieldType, Role
from paylog.native.pattern import Pattern
from paylog.native.scanner import Scanned
from paylog.outputs import Faults, Outputs
from paylog.records import Block, Reject
from paylog.regular import TRANSACTION_ID, RegularColumns, regular_columns
from paylog.subscription import Subscription

_Decode = Callable[[Bodies, MediaType, Side], tuple[Rows | None, Mask]]
_MOST_SHAPES = 4  # of the bodies in one block, in bulk
_CODECS: tuple[Any, ...] = (json_template, json_tensors, json_rows, json_columns, json_typed)
"""Bulk codecs of JSON: each learns a shape from an example, or not, and decodes what has that shape."""


class Normalizer:
    """Normalizes the events of one subscription. Keeps what it learned of the bodies' shapes."""

    def __init__(self, subscription: Subscription) -> None:
        self.schema = subscription.model_schema
        self.zone = ZoneInfo(subscription.logs.timezone) if subscription.logs.timezone else None
        self.event_columns = EventColumns(subscription, self.zone)
        self.outputs = Outputs(self.schema, self.zone)
        features = self.schema.features
        self.inputs = self.schema.inputs
        self.response = self.outputs.side()
        self.request = Side(
            positional=tuple(f.name for f in features),
            wanted=(*(f.name for f in self.inputs), TRANSACTION_ID),
            required=tuple(f.name for f in features),
            types=(*((f.name, f.type) for f in self.inputs), (TRANSACTION_ID, FieldType.STRING)),
        )
        self._learned: dict[tuple[bool, MediaType], Any] = {}
        self._scanners = {True: BodyScanner(self.request), False: BodyScanner(self.response)}

    def blocks(self, decoded: Decoded, place: Place) -> Iterator[Block]:
        """Blocks that account for every event, half and reject of ``decoded``."""
        if decoded.rejects or decoded.filtered or decoded.halves:
            yield Block(self._empty(), decoded.rejects, decoded.filtered, decoded.halves)
        for flat in decoded.flat:
            if which := len(flat.events.positions):
                yield self._block(flat.events, np.arange(which), flat.requests, flat.responses, place)
        for events in decoded.events:
            if len(events.positions):
                yield from self._blocks(events, place)

    def regular_columns(self, pattern: Pattern) -> RegularColumns | None:
        """How the scanner can do all the work for records of this pattern, if it can."""
        if self.event_columns.from_object_time:
            return None
        return regular_columns(self.schema, pattern, self.outputs.by_meaning)

    def regular(self, found: Scanned, columns: RegularColumns, block: RecordBlock, place: Place) -> Block:
        """The regular lines of a block, whose values the native scanner has seen to."""
        own = self.event_columns
        return Block(columns.batch(found, block.first, own.seed(place), own.constants(place), own.repeated))

    def scanned(
        self, found: Scanned, pattern: Pattern, block: RecordBlock, place: Place, engine: Engine
    ) -> Block:
        """The regular lines of a block, which the native scanner has split into columns already."""
        columns, count = found.columns, len(found.lines)
        events = Events(
            positions=found.lines + block.first,
            event_ids=columns.get("event_id"),
            timestamps=columns["timestamp"],
            requests=(),
            responses=(),
            request_type=CSV if pattern.request_csv else JSON,
            response_type=JSON,
            raw=lambda i: block.line(int(found.starts[i])),
            transaction_ids=columns.get("transaction_id"),
            response_times=columns.get("response_time"),
            revisions=columns.get("revision"),
            row_ids=pattern.row_ids,
        )
        requests, responses = (
            Rows({name: columns[slot] for name, slot in slots.items()}, count)
            for slots in (pattern.requests, pattern.responses)
        )
        assert place.item is not None
        events = engine.identified(events, place.item)
        return self._block(events, np.arange(count), requests, responses, place)

    def _empty(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist([], schema=self.schema.arrow_schema)

    def _blocks(self, events: Events, place: Place) -> Iterator[Block]:
        which = np.arange(len(events.positions))
        for decode in (self._native, *(self._bulk,) * _MOST_SHAPES):
            block, which = self._together(events, which, decode, place)
            if block:
                yield block
            if not len(which) or (block is None and decode == self._bulk):
                break
        if len(which):
            yield from self._one_by_one(events, which, place)

    def _together(
        self, events: Events, which: Indices, decode: _Decode, place: Place
    ) -> tuple[Block | None, Indices]:
        """The block of those of ``which`` whose sides both are regular, and the others."""
        whole = len(which) == len(events.positions)
        given, taken = (
            bodies if whole else [bodies[i] for i in which] for bodies in (events.requests, events.responses)
        )
        requests, odd_requests = decode(given, events.request_type, self.request)
        responses, odd_responses = decode(taken, events.response_type, self.response)
        if requests is None or responses is None:
            return None, which
        odd = odd_requests | odd_responses
        requests = requests.of_bodies(~odd[~odd_requests])
        responses = responses.of_bodies(~odd[~odd_responses])
        if requests.counts is not None or responses.counts is not None:
            counts = requests.row_counts()
            unequal = (counts != responses.row_counts()) | (counts == 0)
            requests, responses = requests.of_bodies(~unequal), responses.of_bodies(~unequal)
            odd[np.flatnonzero(~odd)[unequal]] = True
        if odd.all():
            return None, which
        return self._block(events, which[~odd], requests, responses, place), which[odd]

    def _native(self, bodies: Bodies, media: MediaType, side: Side) -> tuple[Rows | None, Mask]:
        """Rows of the regular bodies by the native scanner, and which ones were irregular."""
        return self._scanners[side is self.request].rows(bodies, media)

    def _bulk(self, bodies: Bodies, media: MediaType, side: Side) -> tuple[Rows | None, Mask]:
        """Rows of the regular bodies, and which ones were irregular."""
        if not (media.checked or is_text(bodies, media)):
            return None, np.ones(len(bodies), bool)
        if media == CSV:
            return csv_body.decode(bodies, side)
        key = side is self.request, media
        for _ in range(2):
            decode, shape = self._learned.get(key) or (None, None)
            rows, odd = decode(bodies, shape, media, side) if decode else (None, np.ones(len(bodies), bool))
            if odd.sum() * 2 <= len(bodies):
                break
            example = bodies[int(np.argmax(odd))]
            shapes = ((codec.decode, codec.learn(example, media, side)) for codec in _CODECS)
            self._learned[key] = next((known for known in shapes if known[1]), None)
        return rows, odd

    def _one_by_one(self, events: Events, which: Indices, place: Place) -> Iterator[Block]:
        rejects, kept, counts = [], [], []
        request_rows: list[Row] = []
        response_rows: list[Row] = []
        for i in which:
            try:
                pair = self._pair(events, int(i))
            except RejectedRecord as error:
                reject = Reject(
                    int(events.positions[i]), error.reason, events.raw(int(i)), None, error.column, error.rows
                )
                rejects.append(reject)
                continue
            request_rows += pair[0]
            response_rows += pair[1]
            counts.append(len(pair[0]))
            kept.append(i)
        if rejects:
            yield Block(self._empty(), rejects)
        if kept:
            requests = as_rows(request_rows, counts, self.request)
            responses = as_rows(response_rows, counts, self.response)
            yield self._block(events, np.array(kept, np.int64), requests, responses, place)

    def _pair(self, events: Events, i: int) -> tuple[list[Row], list[Row]]:
        """Rows of both sides of one event. Raises RejectedRecord when they do not fit together."""
        requests = rows_of(events.requests[i], events.request_type, self.request)
        responses = rows_of(events.responses[i], events.response_type, self.response)
        if len(requests) == len(responses) + 1 and self._is_header(requests[0]):
            requests = requests[1:]
        if len(requests) != len(responses) or not requests:
            rows = max(len(requests), len(responses), 1)
            raise RejectedRecord(Reason.ROW_COUNT_MISMATCH, rows=rows)
        return requests, responses

    def _is_header(self, row: Row) -> bool:
        return all(row.get(f.name) == f.name for f in self.schema.features)

    def _block(self, events: Events, which: Indices, requests: Rows, responses: Rows, place: Place) -> Block:
        """One block of rows whose sides were zipped; ``which`` are their events."""
        counts = requests.row_counts() if requests.counts is not None else None
        owners = which if counts is None else np.repeat(which, counts)
        faults = Faults(len(owners))
        numbers = None if counts is None else _numbers(counts)
        columns = self.event_columns.of(events, owners, numbers, place, faults)
        self._headers(requests, events, faults)
        columns |= self._inputs(requests, len(owners), faults)
        columns |= self.outputs.columns(responses, len(owners), faults)
        found = requests.columns.get(TRANSACTION_ID)
        if events.transaction_ids is None:
            nothing = self.event_columns.repeated(None, pa.string(), len(owners))
            columns["_transaction_id"] = nothing if found is None else found
        columns["_transaction_id"], bad = cast(columns["_transaction_id"], FieldType.STRING)
        faults.add(bad, Reason.TYPE_MISMATCH, TRANSACTION_ID)
        batch = pa.RecordBatch.from_arrays(
            [columns[column.name] for column in self.schema.columns], schema=self.schema.arrow_schema
        )
        good = faults.good()
        if good is None:
            return Block(batch)
        rejects = self._rejects(events, owners, numbers, faults)
        return Block(batch.filter(pa.array(good)), rejects)

    def _rejects(
        self, events: Events, owners: Indices, numbers: Indices | None, faults: Faults
    ) -> list[Reject]:
        return [
            Reject(
                int(events.positions[owners[row]]),
                reason,
                events.raw(int(owners[row])),
                1 if numbers is None else int(numbers[row]),
                column,
            )
            for row, (reason, column) in sorted(faults.found.items())
        ]

    def _headers(self, requests: Rows, events: Events, faults: Faults) -> None:
        """A CSV header that was scored as a row is not a payload record."""
        if events.request_type not in (CSV, UNKNOWN):
            return
        hits: Any = None
        for feature in self.schema.features:
            if not pa.types.is_string(requests.columns[feature.name].type):
                return  # JSON without a content type
            equal = pc.equal(requests.columns[feature.name], feature.name)
            hits = equal if hits is None else pc.and_(hits, equal)
            if not pc.any(hits).as_py():
                return
        faults.add(pc.fill_null(hits, False).to_numpy(zero_copy_only=False), Reason.HEADER_ROW)

    def _inputs(self, requests: Rows, count: int, faults: Faults) -> dict[str, pa.Array]:
        return {f.name: self._input(f, requests.columns.get(f.name), count, faults) for f in self.inputs}

    def _input(self, declared: Field, tokens: pa.Array | None, count: int, faults: Faults) -> pa.Array:
        if tokens is None:
            column = pa.nulls(count, ARROW_TYPES[declared.type])
            if declared.role is Role.FEATURE:
                faults.add(np.ones(count, bool), Reason.MISSING_FEATURE, declared.name)
        else:
            column, bad = cast(tokens, declared.type, self.zone)
            faults.add(bad, Reason.TYPE_MISMATCH, declared.name)
        if declared.required and column.null_count:
            faults.add(column.is_null().to_numpy(zero_copy_only=False), Reason.NULL_VALUE, declared.name)
        return column


def _numbers(counts: Indices) -> Indices:
    """1, 2, 3 … within each event."""
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return np.arange(1, int(counts.sum()) + 1) - starts
