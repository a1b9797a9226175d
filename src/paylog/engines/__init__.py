"""Engines: what the capture objects of a service provider contain.

An engine turns a block of records into *events* (one scoring request with its response, its id and its
time, bodies still encoded), into *halves* of events (request or response, where an engine logs the two
apart), or into *flat* rows, which are columns already. One module an engine, found by name through
:func:`engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from paylog.codecs import Bodies, Mask, MediaType, Rows, Side
from paylog.engines import documents
from paylog.engines.documents import RecordBlock
from paylog.engines.tables import TableBlock
from paylog.native.pattern import Pattern
from paylog.records import CaptureObject, Reject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

# One text an event, as a list or as an Arrow array.
Texts: TypeAlias = Any
Positions: TypeAlias = Sequence[int] | npt.NDArray[np.int64]
Part: TypeAlias = RecordBlock | TableBlock | Reject
Reader: TypeAlias = Callable[[Iterator[bytes], int], Iterator[Part]]
"""(decompressed bytes in chunks, largest record in bytes) → blocks and rejects, in bounded memory."""


@dataclass(slots=True)
class Events:
    """Events of one block whose bodies share media types; every list has one entry an event.

    :param positions: of the record in its object.
    :param event_ids: the engine's own id; None where it gave none.
    :param timestamps: scoring time as the engine wrote it.
    :param response_times: in milliseconds, as the engine wrote them.
    :param row_ids: whether an event id already names a single row (no ``-<n>`` is appended).
    :param approximate: events whose ``timestamps`` the engine did not write: the object's last modification.
    :param raw: the raw record of an index, for quarantine.
    """

    positions: Positions
    event_ids: Texts
    timestamps: Texts
    requests: Bodies
    responses: Bodies
    request_type: MediaType
    response_type: MediaType
    raw: Callable[[int], bytes]
    transaction_ids: Texts | None = None
    response_times: Texts | None = None
    revisions: Texts | None = None
    row_ids: bool = False
    approximate: Mask | bool = False


class HalfSide(StrEnum):
    """Which side of an event a half is."""

    REQUEST = "request"
    RESPONSE = "response"


@dataclass(slots=True)
class Halves:
    """One side of events, to be paired by ``keys`` with the other side; every list has an entry a half.

    Halves of one ``Halves`` share side, media type and ``row_ids``. The halves of one key make one event;
    what both sides bring (time, transaction id …) is taken from the request.

    :param keys: what both sides of an event have in common, never None; also the event id, so that it must
        be the engine's own, or be derived from where the pair stands (object and line).
    :param bodies: undecoded, as in ``Events``.
    :param timestamps: scoring time as the engine wrote it, None where this side has none.
    :param row_ids: whether a key already names a single row (no ``-<n>`` is appended).
    :param variant: filled in by the decoder; equal keys of different variants do not pair.
    """

    side: HalfSide
    positions: Positions
    keys: Texts
    bodies: Bodies
    media: MediaType
    raw: Callable[[int], bytes]
    timestamps: Texts | None = None
    transaction_ids: Texts | None = None
    response_times: Texts | None = None
    revisions: Texts | None = None
    row_ids: bool = False
    approximate: Mask | bool = False
    variant: str = ""

    def of(self, which: Sequence[int]) -> Halves:
        """Only the halves of these indices."""

        def chosen(values: Texts | None) -> Any:
            if values is None or isinstance(values, list):
                return values and [values[i] for i in which]
            return values.take(list(which))

        mask, raw = self.approximate, self.raw
        return replace(
            self,
            positions=[int(self.positions[i]) for i in which],
            keys=chosen(self.keys),
            bodies=chosen(self.bodies),
            raw=lambda i: raw(which[i]),
            timestamps=chosen(self.timestamps),
            transaction_ids=chosen(self.transaction_ids),
            response_times=chosen(self.response_times),
            revisions=chosen(self.revisions),
            approximate=mask if isinstance(mask, bool) else mask[list(which)],
        )


@dataclass(slots=True)
class Flat:
    """Scored rows that are columns already: CSV, Parquet, flat NDJSON.

    :param events: one a row, in the order of the rows, with empty ``requests`` and ``responses``; set
        ``row_ids`` where an id names the row.
    :param requests: columns of the model's inputs; others in it are passed over.
    :param responses: columns of what the model said; may be the same ``Rows``.
    """

    events: Events
    requests: Rows
    responses: Rows


@dataclass(slots=True)
class Decoded:
    """What one block holds: events by media type, records that are none, rows left out on purpose."""

    events: list[Events] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    filtered: int = 0
    halves: list[Halves] = field(default_factory=list)
    flat: list[Flat] = field(default_factory=list)


class Engine(Protocol):
    """Decoder of one service provider's capture objects. Inherit it; ``decode`` is what must be written."""

    signs: ClassVar[tuple[frozenset[str], ...]] = ()
    """Members or columns, nested ones with a dot, that records of this engine have, or a pattern of their
    keys (``*.out``): ``paylog inspect`` takes the engine with the largest set that a record has whole."""

    payload: Callable[[str], bytes] | None = None
    """Reads a body that the engine stored apart from its record, by the reference in it; set by the decoder.
    Raises RejectedRecord. None: such bodies are not to be had."""

    def variant(self, item: CaptureObject) -> str:
        """Part of a record's identity that only the object's path tells (``""`` if none does)."""
        return ""

    def skips(self, item: CaptureObject) -> bool:
        """Whether an object is no log at all (a marker, a temporary file): then it is not even planned."""
        return False

    def is_manifest(self, item: CaptureObject) -> bool:
        """Whether an object names others, which are loaded as if they had been listed in its place, too."""
        return False

    def named(self, manifest: bytes) -> Sequence[str]:
        """Keys that a manifest names, below the prefix of the logs; ``decode`` rejects the others."""
        return ()

    def appends(self, item: CaptureObject) -> bool:
        """Whether the engine appends lines to the object (uncompressed NDJSON or CSV) while it is listed.

        Such an object is read from where the last read stopped to its last line end, and its records'
        identity does not change with its version.
        """
        return False

    def header(self, first_line: Callable[[], bytes], item: CaptureObject) -> bytes:
        """The first line of an object that grows, if what was appended to it is not understood without."""
        return b""

    def reader(self, item: CaptureObject) -> Reader:
        """How the object's bytes become blocks; JSON documents unless said otherwise."""
        return documents.record_blocks

    def pattern(self, record: bytes, request: Side, response: Side) -> Pattern | None:
        """What the native scanner may expect of records like this one; None: leave them to ``decode``."""
        return None

    def odd(self, halves: Mapping[str, pa.Array]) -> pa.Array:
        """Which halves are not for the native scanner, for reasons that a pattern cannot tell.

        :param halves: the slots ``event_id``, ``timestamp`` and ``body`` of halves that fit the pattern.
        """
        return pc.equal(halves["event_id"], "")

    def identified(self, events: Events, item: CaptureObject) -> Events:
        """Events whose positions in the object are known, with ids if the engine makes them of those."""
        return events

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        """What one block of an object holds. Never raises for what a record holds: that becomes a reject."""
        ...


def engine(subscription: Subscription) -> Engine:
    """The engine of a subscription's service provider."""
    module, name = subscription.service_provider.engine.split(":")
    made: Engine = getattr(import_module(module), name)(subscription)
    return made
