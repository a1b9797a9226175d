"""Vertex AI request/response logging: a BigQuery table, exported as NDJSON or Parquet.

``request_payload`` and ``response_payload`` hold one JSON instance and one JSON prediction an element, in
parallel. ``request_id`` is a NUMERIC beyond 2^53, so it stays text. Rows without payloads may have
``full_request`` and ``full_response`` (newer schema) or ``raw_data`` and ``raw_prediction`` (AI Platform).
Classification models list ``classes`` beside their ``scores``: these are put in the model schema's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, Raw, Struct, UnsetType

from paylog.codecs import JSON, JSON_LINES, MediaType, Side
from paylog.codecs.body import load_json
from paylog.engines import Decoded, Engine, Events, Reader
from paylog.engines.documents import RecordBlock
from paylog.engines.envelopes import FAILURES, decode_envelopes
from paylog.engines.flat_rows import fitted, texts_in
from paylog.engines.patterns import NoPattern, SidePattern, first_of, in_order
from paylog.engines.readers import json_or_parquet
from paylog.engines.tables import TableBlock, first_column
from paylog.errors import Reason, RejectedRecord
from paylog.model_schema import FieldType
from paylog.native.pattern import Accepts, Kind, Node, Pattern, absent, exactly
from paylog.native.pattern import record as pattern_of
from paylog.outputs import Outputs
from paylog.records import CaptureObject, Reject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_PAYLOADS = ("request_payload", "response_payload")
_WHOLE = (("full_request", "raw_data"), ("full_response", "raw_prediction"))
_MEMBERS = "instances", "predictions"
_SCORED = {"classes": "scores", "displayNames": "confidences"}
_CLASSES = r'^\s*\{\s*"(?:classes|displayNames)"\s*:\s*(?P<classes>\[[^\]]*\])'
_REVISIONS = "model_version", "deployed_model_id"
_NO_JSON = "\x01"  # stands for an element that is none, and would be lost among lines


class _Record(Struct, gc=False):
    request_payload: list[str] | None = None
    response_payload: list[str] | None = None
    full_request: Raw | UnsetType = UNSET
    full_response: Raw | UnsetType = UNSET
    raw_data: Raw | UnsetType = UNSET
    raw_prediction: Raw | UnsetType = UNSET
    request_id: Raw | UnsetType = UNSET
    logging_time: str | None = None
    time: str | None = None
    model_version: str | None = None
    deployed_model_id: str | None = None


class VertexAI(Engine):
    """Decoder of exported logging tables."""

    signs = (frozenset({"request_payload", "response_payload"}), frozenset({"raw_data", "raw_prediction"}))

    def __init__(self, subscription: Subscription) -> None:
        self._decoder = msgspec.json.Decoder(_Record)
        schema = subscription.model_schema
        read = Outputs(schema).types()
        scored = any(scores in read for scores in _SCORED.values())
        self._labels = [str(label) for label in schema.class_labels] if scored else []

    def reader(self, item: CaptureObject) -> Reader:
        return json_or_parquet

    def pattern(self, record: bytes, request: Side, response: Side) -> Pattern | None:
        """Rows of one instance and one prediction, classes in the model schema's order."""
        sides = SidePattern(request, "request "), SidePattern(response, "response ")
        try:
            document = msgspec.json.decode(record)
            payloads = [
                self._payload_pattern(side, n, document[n]) for side, n in zip(sides, _PAYLOADS, strict=True)
            ]
            text, number = Accepts.TEXT, Accepts.NUMBER
            members = [
                *payloads,
                *first_of(document, ("request_id",), "event_id", text | number, needed=True),
                *first_of(document, ("logging_time", "time"), "timestamp", text, needed=True),
                *first_of(document, _REVISIONS, "revision", text | Accepts.NONE, required=False),
            ]
            root = pattern_of(in_order(document, members))
        except (NoPattern, KeyError, TypeError, ValueError, *FAILURES, RejectedRecord):
            return None
        return Pattern(root, sides[0].slots, sides[1].slots)

    def _payload_pattern(self, side: SidePattern, name: str, payload: Any) -> Node:
        """The only element of a payload: a row, as a text. Raises NoPattern."""
        (text,) = payload
        row = load_json(text)
        tree = side.of_row(row, side.side.positional)
        if self._labels and name == _PAYLOADS[1] and isinstance(row, dict):
            listed = [key for key in _SCORED if key in row]
            if any(list(map(str, row[key])) != self._labels for key in listed):
                raise NoPattern
            raw = msgspec.json.decode(text, type=dict[str, Raw])
            fixed = [exactly(bytes(raw[key]), key) if key in listed else absent(key) for key in _SCORED]
            others = [node for node in tree.children if node.key not in _SCORED]
            tree = pattern_of(in_order(row, [*others, *fixed]))
        return Node(Kind.SINGLE, (Node(Kind.JSON_TEXT, (tree,)),), name)

    def identified(self, events: Events, item: CaptureObject) -> Events:
        """A NUMERIC without its decimals, a time with the zone that BigQuery writes."""
        ids, times = events.event_ids, events.timestamps
        if pa.types.is_string(times.type):
            times = pc.replace_substring_regex(times, r" ?UTC$", "Z")
        return replace(events, event_ids=pc.replace_substring_regex(ids, r"\.0*$", ""), timestamps=times)

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        decoded = Decoded()
        if isinstance(block, RecordBlock):
            block, decoded.rejects = self._as_table(block)
        table = block.table
        payloads = [_payload(table, name) for name in _PAYLOADS]
        whole = [_whole(table, names) for names in _WHOLE]
        listed = _both(payloads)
        single = _both(whole) & ~listed
        for i in np.flatnonzero(~listed & ~single):
            asked = payloads[0][i].is_valid or whole[0][i].is_valid
            reason = Reason.MISSING_RESPONSE if asked else Reason.MISSING_REQUEST
            decoded.rejects.append(Reject(int(block.positions[i]), reason, block.raw(int(i))))
        if listed.any():
            self._listed(block, np.flatnonzero(listed), payloads, decoded)
        if single.any():
            payloads = [_elements(side, key) for side, key in zip(whole, _MEMBERS, strict=True)]
            listed = _both(payloads) & single
            self._listed(block, np.flatnonzero(listed), payloads, decoded)
            rest = np.flatnonzero(single & ~listed)
            decoded.events.append(_events(block, rest, [side.take(pa.array(rest)) for side in whole], JSON))
        return decoded

    def _listed(self, block: TableBlock, which: Any, payloads: list[pa.Array], decoded: Decoded) -> None:
        """Rows with one instance and one prediction an element."""
        if not len(which):
            return
        requests, responses = (side.take(pa.array(which)) for side in payloads)
        responses, unknown = self._in_order(responses)
        for i in np.flatnonzero(unknown):
            at, rows = int(which[i]), max(len(responses[i]), 1)
            reject = Reject(int(block.positions[at]), Reason.UNKNOWN_CLASS, block.raw(at), rows=rows)
            decoded.rejects.append(reject)
        bodies = [_lines(side.filter(pa.array(~unknown))) for side in (requests, responses)]
        decoded.events.append(_events(block, which[~unknown], bodies, JSON_LINES))

    def _as_table(self, block: RecordBlock) -> tuple[TableBlock, list[Reject]]:
        records, positions, rejects = decode_envelopes(block, self._decoder)
        lines, places = block.records(), np.asarray(positions, np.int64)
        columns: dict[str, Any] = {
            name: [getattr(record, name) for record in records] for name in _Record.__struct_fields__
        }
        for name, values in columns.items():
            if name in _PAYLOADS:
                columns[name] = pa.array(values, pa.list_(pa.string()))
            else:
                kinds = set(map(type, values))
                if not kinds <= {str, type(None)}:
                    values = [_text(value) for value in values] if kinds != {UnsetType} else []
                columns[name] = pa.array(values or [None] * len(records), pa.string())
        raw = lambda i: lines[int(places[i]) - block.first]  # noqa: E731
        return TableBlock(pa.table(columns), places, raw), rejects

    def _in_order(self, responses: pa.Array) -> tuple[pa.Array, Any]:
        """Responses with their scores in the model schema's order, and which have other classes than it."""
        texts, unknown = responses.flatten(), np.zeros(len(responses), bool)
        if not self._labels:
            return responses, unknown
        heads = pc.struct_field(pc.extract_regex(texts, _CLASSES), "classes")
        others = [head for head in heads.unique().to_pylist() if head and _classes(head) != self._labels]
        odd = pc.is_in(heads, pa.array(others, pa.string()))
        unread = pc.and_(heads.is_null(), pc.match_substring_regex(texts, '"(classes|displayNames)"'))
        odd = pc.fill_null(pc.or_(odd, unread), False).to_numpy(zero_copy_only=False)
        if not odd.any():
            return responses, unknown
        cells = texts.to_pylist()
        owners = np.repeat(np.arange(len(responses)), pc.list_value_length(responses).to_numpy())
        for i in np.flatnonzero(odd):
            cells[i], known = _permuted(cells[i], self._labels)
            unknown[owners[i]] |= not known
        offsets = responses.offsets.to_numpy() - responses.offsets[0].as_py()
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(cells, pa.string())), unknown


def _classes(text: str) -> list[str] | None:
    try:
        return list(map(str, msgspec.json.decode(text, type=list[Any])))
    except FAILURES:
        return None


def _permuted(text: str, labels: Sequence[str]) -> tuple[str, bool]:
    """A prediction with its scores in the order of ``labels``; False when its classes are others."""
    try:
        members = msgspec.json.decode(text, type=dict[str, Raw])
        for names, scores in _SCORED.items():
            if names in members:
                classes = list(map(str, msgspec.json.decode(members[names], type=list[Any])))
                values = msgspec.json.decode(members[scores], type=list[Raw])
                by_class = dict(zip(classes, values, strict=True))
                if sorted(classes) != sorted(labels):
                    return text, False
                ordered = msgspec.json.encode([by_class[label] for label in labels])
                members = {**members, scores: Raw(ordered), names: Raw(msgspec.json.encode(list(labels)))}
        return msgspec.json.encode(members).decode(), True
    except (*FAILURES, KeyError, ValueError):
        return text, True  # the codec will say what is wrong with it


def _events(block: TableBlock, which: Any, bodies: list[pa.Array], media: MediaType) -> Events:
    chosen = pa.array(which)

    def texts(names: Sequence[str]) -> pa.Array | None:
        column = texts_in(block.table, names)
        return None if column is None else column.take(chosen)

    nothing = pa.nulls(len(which), pa.string())
    ids, times = texts(("request_id",)), first_column(block.table, ("logging_time", "time"))
    requests, responses = (side.cast(pa.binary()).to_pylist() for side in bodies)
    return Events(
        positions=block.positions[which],
        event_ids=nothing if ids is None else ids,
        timestamps=nothing if times is None else fitted(times, FieldType.TIMESTAMP).take(chosen),
        requests=requests,
        responses=responses,
        request_type=media,
        response_type=media,
        raw=lambda i: block.raw(int(which[i])),
        revisions=texts(_REVISIONS),
    )


def _payload(table: pa.Table, name: str) -> pa.Array:
    """A repeated column of texts; Parquet may wrap each element in a struct of one."""
    column = first_column(table, (name,))
    kind = pa.list_(pa.string())
    if column is not None and pa.types.is_large_list(column.type):  # as Polars writes them
        column = column.cast(pa.list_(column.type.value_field))
    if column is None or not pa.types.is_list(column.type):
        return pa.nulls(table.num_rows, kind)
    if pa.types.is_struct(column.type.value_type) and column.type.value_type.num_fields == 1:
        column = pa.ListArray.from_arrays(
            column.offsets, column.values.field(0), mask=column.is_null() if column.null_count else None
        )
    fits = pa.types.is_string(column.type.value_type) or pa.types.is_large_string(column.type.value_type)
    return column.cast(kind) if fits else pa.nulls(table.num_rows, kind)


def _whole(table: pa.Table, names: Sequence[str]) -> pa.Array:
    column = first_column(table, names)
    texts = None if column is None else fitted(column, FieldType.STRING)
    if texts is None or not pa.types.is_string(texts.type):
        return pa.nulls(table.num_rows, pa.string())
    return texts


def _elements(bodies: pa.Array, key: str) -> pa.Array:
    """The elements of each body's list under ``key``; null where it has none."""

    def elements(body: str | None) -> list[str] | None:
        if body is None:
            return None
        try:
            members = msgspec.json.decode(body, type=dict[str, Raw])
            return [bytes(raw).decode() for raw in msgspec.json.decode(members[key], type=list[Raw])]
        except (*FAILURES, KeyError):
            return None

    return pa.array(map(elements, bodies.to_pylist()), pa.list_(pa.string()))


def _both(sides: list[pa.Array]) -> Any:
    return pc.and_(*(side.is_valid() for side in sides)).to_numpy(zero_copy_only=False)


def _text(raw: Raw | UnsetType | str | None) -> str | None:
    """What a member holds, as text: a string's content, else its JSON."""
    if not isinstance(raw, Raw):
        return raw if isinstance(raw, str) else None
    token = bytes(raw)
    if token.startswith(b'"') and b"\\" not in token:
        return token[1:-1].decode()
    if token in (b"", b"null"):
        return None
    return msgspec.json.decode(token, type=str) if token.startswith(b'"') else token.decode()


def _lines(payloads: pa.Array) -> pa.Array:
    """The elements of each payload as JSON lines."""
    elements = payloads.flatten()
    empty = pc.equal(pc.fill_null(pc.utf8_length(pc.utf8_trim_whitespace(elements)), 0), 0)
    elements = pc.if_else(empty, _NO_JSON, elements)
    if pc.any(pc.match_substring_regex(elements, r"[\r\n]")).as_py():
        elements = pa.array(map(_one_line, elements.to_pylist()), pa.string())
    offsets = payloads.offsets.to_numpy() - (payloads.offsets[0].as_py() if len(payloads) else 0)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), elements), "\n")


def _one_line(text: str) -> str:
    if "\n" not in text and "\r" not in text:
        return text
    try:
        return msgspec.json.format(text, indent=-1)
    except FAILURES:
        return _NO_JSON
