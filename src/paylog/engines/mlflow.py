"""MLflow model servers and Databricks inference tables: request and response bodies in one row of a table.

Three generations of Databricks tables, told apart by their columns: legacy (``timestamp_ms``,
``execution_time_ms``, ``request_metadata``), AI Gateway (``request_time``, ``execution_duration_ms``,
``served_entity_id``, ``logging_error_codes``) and Unity AI Gateway (``event_time``, ``invocation_id``,
``latency_ms``); as Parquet, or as NDJSON with the same members. A row of another status than 200 holds
an error, not a response: it is filtered. A body over the platform's limit was logged as NULL.
Source: Databricks' documentation and the DDL of a live table; mlflow's scoring server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta, Raw, Struct

from paylog.casts import cast
from paylog.codecs import JSON, Mask, MediaType, Side
from paylog.codecs.body import media_type
from paylog.engines import Decoded, Engine, Events, Reader
from paylog.engines.documents import RecordBlock
from paylog.engines.envelopes import FAILURES, decode_envelopes, finite
from paylog.engines.flat_rows import fitted, texts_in
from paylog.engines.patterns import NoPattern, SidePattern, first_of, in_order
from paylog.engines.readers import json_or_parquet
from paylog.engines.tables import TableBlock, coalesced, first_column
from paylog.errors import Reason
from paylog.model_schema import TIMESTAMP, FieldType
from paylog.native.pattern import Accepts, Cell, Kind, Node, Pattern, exactly, null
from paylog.native.pattern import record as pattern_of
from paylog.records import CaptureObject, Reject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_IDS = ("databricks_request_id", "invocation_id", "request_id")
_TIMES = ("timestamp_ms", "request_time", "event_time", "timestamp")
_LATENCIES = ("execution_duration_ms", "execution_time_ms", "latency_ms")
_REVISIONS = ("served_entity_id", "model_version")
_STATUSES = ("status_code", "status")
_OK = 200
_LATEST_MS = 7_258_118_400_000  # the year 2200
_BODIES = ("request", "response")
_Integer: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


class _Record(Struct, gc=False):
    request: Raw = msgspec.field(default_factory=Raw)
    response: Raw = msgspec.field(default_factory=Raw)
    request_content_type: str | None = None
    databricks_request_id: str | None = None
    invocation_id: str | None = None
    request_id: str | None = None
    client_request_id: str | None = None
    timestamp_ms: _Integer | None = None
    request_time: str | None = None
    event_time: str | None = None
    timestamp: str | None = None
    status_code: _Integer | None = None
    status: _Integer | None = None
    execution_duration_ms: float | None = None
    execution_time_ms: float | None = None
    latency_ms: float | None = None
    served_entity_id: str | None = None
    request_metadata: dict[str, str | None] | None = None


class InferenceTable(Engine):
    """Decoder of inference tables and of logs with the same members."""

    signs: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset({"databricks_request_id", "request", "response"}),
        frozenset({"invocation_id", "event_time"}),
    )

    def __init__(self, subscription: Subscription) -> None:
        self._decoder = msgspec.json.Decoder(_Record)

    def reader(self, item: CaptureObject) -> Reader:
        return json_or_parquet

    def pattern(self, record: bytes, request: Side, response: Side) -> Pattern | None:
        """Rows of status 200 with a time in words, whose bodies are JSON of one row."""
        sides = SidePattern(request, "request "), SidePattern(response, "response ")
        try:
            raw = _MEMBERS.decode(record)
            bodies = [_body_pattern(side, name, raw[name]) for side, name in zip(sides, _BODIES, strict=True)]
            root = pattern_of(in_order(raw, [*_envelope(msgspec.json.decode(record)), *bodies]))
        except (NoPattern, KeyError, *FAILURES):
            return None
        return Pattern(root, sides[0].slots, sides[1].slots)

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        if isinstance(block, TableBlock):
            return _decoded(block, [])
        records, positions, rejects = decode_envelopes(block, self._decoder)
        lines = block.records()
        places = np.asarray(positions, np.int64)
        table = TableBlock(_table(records), places, lambda i: lines[int(places[i]) - block.first])
        return _decoded(table, rejects)


def _envelope(document: dict[str, Any]) -> Iterator[Node]:
    """Members beside the bodies. Raises NoPattern for a row that is not of status 200."""
    content_type, status = (
        document.get("request_content_type"),
        first_of(document, _STATUSES, "", Accepts.NUMBER),
    )
    if content_type is not None and (not isinstance(content_type, str) or media_type(content_type) != JSON):
        raise NoPattern
    for node in status:
        if node.slot is not None and document[node.key] != _OK:
            raise NoPattern
        yield node if node.slot is None else exactly(b"200", node.key)
    kind = "request_content_type"
    yield null(kind) if content_type is None else exactly(msgspec.json.encode(content_type), kind)
    yield from first_of(document, _IDS, "event_id", Accepts.TEXT)
    yield from first_of(document, _TIMES, "timestamp", Accepts.TEXT, needed=True)
    yield from first_of(
        document, _LATENCIES, "response_time", Accepts.NUMBER | Accepts.NONE, cell=Cell.DOUBLE, required=False
    )
    text = Accepts.TEXT | Accepts.NONE
    yield from first_of(document, ("client_request_id",), "transaction_id", text, required=False)
    yield from first_of(document, ("served_entity_id",), "revision", text, required=False)
    yield null("request_metadata")


def _body_pattern(side: SidePattern, name: str, raw: Raw) -> Node:
    """A body, or a text that holds it. Raises NoPattern."""
    body = bytes(raw)
    if body[:1] == b'"':
        return Node(Kind.JSON_TEXT, (side.of_json(msgspec.json.decode(body, type=str).encode()),), name)
    return side.of_json(body, name)


def _table(records: list[_Record]) -> pa.Table:
    """The records' members as columns, those that no record has as nulls."""
    columns: dict[str, Any] = {
        name: [getattr(record, name) for record in records] for name in _Record.__struct_fields__
    }
    for name in _BODIES:
        columns[name] = pa.array([_body(bytes(raw)) for raw in columns[name]], pa.binary())
    versions = [(metadata or {}).get("model_version") for metadata in columns.pop("request_metadata")]
    return pa.table({**columns, "model_version": pa.array(versions, pa.string())})


def _body(raw: bytes) -> bytes | None:
    """A body that was logged as a JSON string is that string."""
    if raw[:1] == b'"':
        return msgspec.json.decode(raw, type=str).encode()
    return None if raw in (b"", b"null") else raw


def _decoded(block: TableBlock, rejects: list[Reject]) -> Decoded:
    table = block.table
    bodies = [_binary(table, name) for name in _BODIES]
    failed, odd = _statuses(table)
    absent = (_flags(pc.or_(bodies[0].is_null(), bodies[1].is_null())) | odd) & ~failed
    ids = texts_in(table, _IDS)
    for i in np.flatnonzero(absent):
        known = ids is not None and ids[i].is_valid and not odd[i]
        reason = Reason.BODY_NOT_LOGGED if known else Reason.MALFORMED_RECORD
        rejects.append(Reject(int(block.positions[i]), reason, block.raw(int(i))))
    kept = ~failed & ~absent
    kinds = texts_in(table, ("request_content_type",))
    if kinds is None:
        groups = {"application/json": kept}
    else:
        named = pc.fill_null(kinds, "application/json")
        groups = {kind: kept & _flags(pc.equal(named, kind)) for kind in named.unique().to_pylist()}
    events = [_events(block, np.flatnonzero(mask), bodies, media_type(kind)) for kind, mask in groups.items()]
    return Decoded([one for one in events if len(one.positions)], rejects, int(failed.sum()))


def _statuses(table: pa.Table) -> tuple[Mask, Mask]:
    """Rows of another status than 200, and those whose status is no number."""
    status, none = first_column(table, _STATUSES), np.zeros(table.num_rows, bool)
    if status is None:
        return none, none
    codes, odd = cast(fitted(status, FieldType.INTEGER), FieldType.INTEGER)
    return _flags(pc.not_equal(codes, _OK)), none if odd is None else odd


def _events(block: TableBlock, which: Any, bodies: list[pa.Array], media: MediaType) -> Events:
    chosen = pa.array(which)

    def taken(column: pa.Array | None) -> pa.Array | None:
        return None if column is None else column.take(chosen)

    def texts(names: tuple[str, ...]) -> pa.Array | None:
        return taken(texts_in(block.table, names))

    requests, responses = (column.take(chosen).to_pylist() for column in bodies)
    ids, revisions = texts(_IDS), (texts(_REVISIONS), _model_versions(block.table, chosen))
    latencies = first_column(block.table, _LATENCIES)
    return Events(
        positions=block.positions[which],
        event_ids=pa.nulls(len(which), pa.string()) if ids is None else ids,
        timestamps=taken(_times(block.table)),
        requests=requests,
        responses=_finite(responses),
        request_type=media,
        response_type=JSON,
        raw=lambda i: block.raw(int(which[i])),
        transaction_ids=texts(("client_request_id",)),
        response_times=None if latencies is None else taken(fitted(latencies, FieldType.DOUBLE)),
        revisions=coalesced([column for column in revisions if column is not None]),
    )


def _times(table: pa.Table) -> pa.Array:
    columns = [first_column(table, (name,)) for name in _TIMES]
    times = coalesced([_time(column) for column in columns if column is not None])
    return pa.nulls(table.num_rows, pa.string()) if times is None else times


def _time(times: pa.Array) -> pa.Array:
    """A time, an ISO text, or milliseconds since 1970."""
    if not pa.types.is_integer(times.type):
        return fitted(times, FieldType.TIMESTAMP)
    times = times.cast(pa.int64(), safe=False)  # unsigned ones beyond 2^63 become negative
    plausible = pc.and_(pc.greater_equal(times, 0), pc.less(times, _LATEST_MS))
    times = pc.if_else(plausible, times, pa.scalar(None, pa.int64()))
    return times.cast(pa.timestamp("ms", "UTC")).cast(TIMESTAMP)


def _model_versions(table: pa.Table, which: pa.Array) -> pa.Array | None:
    metadata = first_column(table, ("request_metadata",))
    if metadata is None or not pa.types.is_map(metadata.type):
        return None
    return pc.map_lookup(metadata, pa.scalar("model_version"), "first").take(which)


def _binary(table: pa.Table, name: str) -> pa.Array:
    """A column of bodies; null where none was logged, or none that is text."""
    column = first_column(table, (name,))
    bodies = None if column is None else fitted(column, FieldType.STRING)
    if bodies is None or not (pa.types.is_string(bodies.type) or pa.types.is_binary(bodies.type)):
        return pa.nulls(table.num_rows, pa.binary())
    return bodies.cast(pa.binary())


def _finite(bodies: list[bytes]) -> list[bytes]:
    text = b"\n".join(bodies)
    if b"NaN" not in text and b"Infinity" not in text:
        return bodies
    return [finite(body) if b"NaN" in body or b"Infinity" in body else body for body in bodies]


def _flags(flags: pa.Array) -> Any:
    return pc.fill_null(flags, False).to_numpy(zero_copy_only=False)


class ScoringLog(InferenceTable):
    """Decoder of an MLflow server's requests and responses: a table without Databricks' ids."""

    signs = (frozenset({"request", "response", "request_content_type"}),)
