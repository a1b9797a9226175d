"""Pairing: halves of events, from any number of objects, matched by their key.

A half is one row of an Arrow table (``HALF``); what most halves share (media type …) is a ``Kind``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from paylog.codecs import MediaType
from paylog.engines import Events, HalfSide, Halves, Texts
from paylog.records import Block

Indices: TypeAlias = npt.NDArray[np.int64]
HALF = pa.schema(
    [
        ("key", pa.string()),
        ("request", pa.bool_()),
        ("object_id", pa.int64()),
        ("position", pa.int64()),
        ("kind", pa.int32()),
        ("time", pa.string()),
        ("approximate", pa.bool_()),
        ("transaction_id", pa.string()),
        ("response_time", pa.string()),
        ("revision", pa.string()),
        ("body", pa.binary()),
        ("raw", pa.binary()),
    ]
)


class Kind(NamedTuple):
    """What the halves of one ``Halves`` share."""

    media: str
    checked: bool
    row_ids: bool
    variant: str


class About(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a half that waits, beside its place and its body. Stored: only ever add to its end."""

    key: str
    time: str | None
    approximate: bool
    transaction_id: str | None
    response_time: str | None
    revision: str | None
    kind: str


_encode = msgspec.msgpack.Encoder().encode
_encode_kind, _decode_kind = msgspec.json.encode, msgspec.json.Decoder(Kind).decode
_decode = msgspec.msgpack.Decoder(About).decode


@dataclass(frozen=True, slots=True)
class Pairs:
    """Halves that belong together: row ``i`` of both tables is one event."""

    requests: pa.Table
    responses: pa.Table

    def __len__(self) -> int:
        count: int = self.requests.num_rows
        return count

    def parts(self, rows: int) -> Iterable[Pairs]:
        """The same pairs, up to ``rows`` at a time."""
        for start in range(0, len(self), rows):
            yield Pairs(self.requests.slice(start, rows), self.responses.slice(start, rows))


Normalize: TypeAlias = Callable[[Sequence[Events], str], Iterable[Block]]
"""(events whose positions are ordinals, variant) → their rows and rejects."""


def unpairable(events: Sequence[Events], variant: str) -> Iterable[Block]:
    """For a load that gets no halves."""
    raise NotImplementedError("This load was not told how rows are made of pairs: pass normalize.")


class Kinds:
    """The kinds seen so far, numbered."""

    def __init__(self) -> None:
        self._number: dict[Kind, int] = {}
        self._kinds: list[Kind] = []

    def __len__(self) -> int:
        return len(self._kinds)

    def __getitem__(self, number: int) -> Kind:
        return self._kinds[number]

    def number(self, kind: Kind) -> int:
        """Number of a kind, a new one when it was not seen before."""
        if kind not in self._number:
            self._number[kind] = len(self._kinds)
            self._kinds.append(kind)
        return self._number[kind]


def as_table(halves: Halves, object_id: int, kinds: Kinds) -> pa.Table:
    """Halves of one object as a table of ``HALF``."""
    count = len(halves.positions)
    kind = Kind(halves.media.name, halves.media.checked, halves.row_ids, halves.variant)
    columns = {
        "key": _texts(halves.keys, count),
        "request": _repeat(halves.side is HalfSide.REQUEST, pa.bool_(), count),
        "object_id": _repeat(object_id, pa.int64(), count),
        "position": pa.array(np.asarray(halves.positions, np.int64)),
        "kind": _repeat(kinds.number(kind), pa.int32(), count),
        "time": _texts(halves.timestamps, count),
        "approximate": pa.array(np.broadcast_to(np.asarray(halves.approximate, bool), count)),
        "transaction_id": _texts(halves.transaction_ids, count),
        "response_time": _texts(halves.response_times, count),
        "revision": _texts(halves.revisions, count),
        "body": pa.array(halves.bodies, pa.binary()),
        "raw": pa.array([halves.raw(i) for i in range(count)], pa.binary()),
    }
    return pa.table([columns[name] for name in HALF.names], schema=HALF)


def _texts(values: Texts | None, count: int) -> pa.Array:
    if values is None:
        return pa.nulls(count, pa.string())
    return values if isinstance(values, pa.Array) else pa.array(values, pa.string())


def _repeat(value: object, kind: pa.DataType, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), count)


@dataclass(frozen=True, slots=True)
class Matched:
    """What became of some halves.

    :param repeated: second halves of one side with one key.
    """

    pairs: Pairs
    alone: pa.Table
    repeated: pa.Table


def match(halves: pa.Table, kinds: Kinds) -> Matched:
    """Pair the halves of a table. Of halves with one key and side, the first counts."""
    if not halves.num_rows:
        return Matched(Pairs(halves, halves), halves, halves)
    keys = _scoped(halves, kinds).combine_chunks().dictionary_encode()
    codes = keys.indices.to_numpy()
    is_request = halves.column("request").to_numpy()
    count = len(keys.dictionary)
    requests, responses = _first(codes, is_request, count), _first(codes, ~is_request, count)
    both = (requests >= 0) & (responses >= 0)
    fate = np.full(halves.num_rows, _REPEATED, np.int8)
    for firsts in (requests, responses):
        fate[firsts[both]] = _PAIRED
        fate[firsts[~both & (firsts >= 0)]] = _ALONE
    order = np.argsort(responses[both])  # in the order in which the responses were read
    pairs = Pairs(_rows(halves, requests[both][order]), _rows(halves, responses[both][order]))
    alone = halves if (fate == _ALONE).all() else halves.filter(fate == _ALONE)
    return Matched(pairs, alone, halves.filter(fate == _REPEATED))


def _rows(halves: pa.Table, indices: Indices) -> pa.Table:
    """Rows of a table by index; slices where many stand together, which copies no body."""
    if not len(indices):
        return halves.slice(0, 0)  # ``take`` would copy the whole table first
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    if len(breaks) * _ROWS_A_SLICE >= len(indices):
        return halves.take(indices)
    ends = [*breaks.tolist(), len(indices)]
    starts = zip([0, *ends], ends, strict=False)
    return pa.concat_tables(halves.slice(int(indices[start]), end - start) for start, end in starts)


_ALONE, _PAIRED, _REPEATED = range(3)
_ROWS_A_SLICE = 16


def _scoped(halves: pa.Table, kinds: Kinds) -> pa.ChunkedArray:
    """Keys, kept apart by variant."""
    keys = halves.column("key")
    numbers = halves.column("kind").to_numpy()
    variants = {int(number): kinds[int(number)].variant for number in np.flatnonzero(np.bincount(numbers))}
    if not any(variants.values()):
        return keys
    prefixes = pa.array([variants[number] for number in numbers.tolist()])
    return pc.binary_join_element_wise(prefixes, keys, "\0")


def _first(codes: Indices, which: npt.NDArray[np.bool_], count: int) -> Indices:
    """Index of the first half of each key among ``which``; -1 without one."""
    found = np.full(count, -1, np.int64)
    indices = np.flatnonzero(which)[::-1]
    found[codes[indices]] = indices
    return found


def events_of(pairs: Pairs, kinds: Kinds) -> dict[str, list[Events]]:
    """The events that pairs make, by variant. Their positions are ordinals among the pairs."""
    request_kinds, response_kinds = (
        side.column("kind").to_numpy() for side in (pairs.requests, pairs.responses)
    )
    found: dict[str, list[Events]] = {}
    numbers = request_kinds.astype(np.int64) * len(kinds) + response_kinds
    for number in np.flatnonzero(np.bincount(numbers)).tolist():
        request, response = divmod(number, len(kinds))
        which = np.flatnonzero(numbers == number)
        whole = len(which) == len(pairs)
        chosen = pairs if whole else Pairs(pairs.requests.take(which), pairs.responses.take(which))
        events = _events(chosen, kinds[request], kinds[response], which)
        found.setdefault(kinds[request].variant, []).append(events)
    return found


def _events(pairs: Pairs, request: Kind, response: Kind, ordinals: Indices) -> Events:
    requests, responses = pairs.requests, pairs.responses
    times, approximate = _times(requests, responses)
    request_raw, response_raw = requests.column("raw"), responses.column("raw")
    return Events(
        positions=ordinals,
        event_ids=requests.column("key").combine_chunks(),
        timestamps=times,
        requests=requests.column("body").to_pylist(),
        responses=responses.column("body").to_pylist(),
        request_type=MediaType(request.media, request.checked),
        response_type=MediaType(response.media, response.checked),
        raw=lambda i: request_raw[i].as_py() + b"\n" + response_raw[i].as_py(),
        transaction_ids=_either(requests, responses, "transaction_id"),
        response_times=_either(responses, requests, "response_time"),
        revisions=_either(requests, responses, "revision"),
        row_ids=request.row_ids or response.row_ids,
        approximate=approximate,
    )


def _times(requests: pa.Table, responses: pa.Table) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """The request's time, else the response's; one that the engine wrote before one that it did not."""
    given = [side.column("time") for side in (requests, responses)]
    if not pc.any(requests.column("approximate")).as_py() and not given[0].null_count:
        return given[0].combine_chunks(), np.zeros(requests.num_rows, bool)
    written = [
        pc.if_else(side.column("approximate"), pa.scalar(None, pa.string()), side.column("time"))
        for side in (requests, responses)
    ]
    exact = pc.coalesce(*written)
    return pc.coalesce(exact, *given).combine_chunks(), exact.is_null().to_numpy()


def _either(first: pa.Table, second: pa.Table, name: str) -> pa.Array | None:
    merged = pc.coalesce(first.column(name), second.column(name)).combine_chunks()
    return None if merged.null_count == len(merged) else merged


STORED = pa.schema(
    [
        ("pair", pa.binary(16)),
        ("request", pa.bool_()),
        ("object_id", pa.int64()),
        ("position", pa.int64()),
        ("about", pa.binary()),
        ("body", pa.binary()),
        ("raw", pa.binary()),
    ]
)


def to_stored(halves: pa.Table, kinds: Kinds) -> pa.RecordBatch:
    """Halves in the columns of the pending table. ``raw`` is null where it is the body itself."""
    names = ("key", "time", "approximate", "transaction_id", "response_time", "revision")
    texts = [halves.column(name).to_pylist() for name in names]
    numbers = halves.column("kind").to_pylist()
    kind_texts = {n: _encode_kind(kinds[n]).decode() for n in set(numbers)}
    about = [_encode((*of, kind_texts[n])) for *of, n in zip(*texts, numbers, strict=True)]
    digest = xxhash.xxh3_128_digest
    pairs = b"".join(
        digest(f"{kinds[n].variant}\0{key}".encode()) for key, n in zip(texts[0], numbers, strict=True)
    )
    same = pc.equal(halves.column("raw"), halves.column("body"))
    columns = [
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(numbers), [None, pa.py_buffer(pairs)]),
        *(halves.column(name).combine_chunks() for name in ("request", "object_id", "position")),
        pa.array(about, pa.binary()),
        halves.column("body").combine_chunks(),
        pc.if_else(same, pa.scalar(None, pa.binary()), halves.column("raw")).combine_chunks(),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=STORED)


Stored: TypeAlias = tuple[bool, int, int, bytes, bytes, bytes | None]
"""(request, object_id, position, about, body, raw) of a half that waited."""


def from_stored(rows: Sequence[Stored], kinds: Kinds) -> pa.Table:
    """Halves that waited, as a table of ``HALF`` again."""
    request, object_id, position, about, body, raw = zip(*rows, strict=True) if rows else ((),) * 6
    known = [_decode(one) for one in about]
    numbers = {kind: kinds.number(_decode_kind(kind)) for kind in {one.kind for one in known}}
    columns = [
        pa.array([one.key for one in known], pa.string()),
        pa.array(request, pa.bool_()),
        pa.array(object_id, pa.int64()),
        pa.array(position, pa.int64()),
        pa.array([numbers[one.kind] for one in known], pa.int32()),
        pa.array([one.time for one in known], pa.string()),
        pa.array([one.approximate for one in known], pa.bool_()),
        *(
            pa.array([getattr(one, name) for one in known], pa.string())
            for name in ("transaction_id", "response_time", "revision")
        ),
        pa.array(body, pa.binary()),
        pa.array([b if r is None else r for r, b in zip(raw, body, strict=True)], pa.binary()),
    ]
    return pa.table(columns, schema=HALF)
