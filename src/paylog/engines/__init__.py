"""Engines: what the capture objects of a service provider contain.

An engine turns a block of records into *events*: one scoring request with its response, its id and
its time, bodies still encoded. One module an engine, found by name through :func:`engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from paylog.codecs import Bodies, MediaType, Side
from paylog.engines.documents import RecordBlock
from paylog.native.pattern import Pattern
from paylog.records import CaptureObject, Reject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

# One text an event, as a list or as an Arrow array.
Texts: TypeAlias = Any


@dataclass(slots=True)
class Events:
    """Events of one block whose bodies share media types; every list has one entry an event.

    :param positions: of the record in its object.
    :param event_ids: the engine's own id; None where it gave none.
    :param timestamps: scoring time as the engine wrote it.
    :param response_times: in milliseconds, as the engine wrote them.
    :param row_ids: whether an event id already names a single row (no ``-<n>`` is appended).
    :param raw: the raw record of an index, for quarantine.
    """

    positions: Sequence[int] | npt.NDArray[np.int64]
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


@dataclass(slots=True)
class Decoded:
    """What one block holds: events by media type, records that are none, rows left out on purpose."""

    events: list[Events]
    rejects: list[Reject]
    filtered: int = 0


class Engine(Protocol):
    """Decoder of one service provider's capture objects."""

    def variant(self, item: CaptureObject) -> str:
        """Part of a record's identity that only the object's path tells (``""`` if none does)."""
        ...

    def pattern(self, record: bytes, request: Side, response: Side) -> Pattern | None:
        """What the native scanner may expect of records like this one; None: leave them to ``decode``."""
        ...

    def decode(self, block: RecordBlock) -> Decoded:
        """Events of one block. Never raises for what a record holds: that becomes a reject."""
        ...


def engine(subscription: Subscription) -> Engine:
    """The engine of a subscription's service provider."""
    module, name = subscription.service_provider.engine.split(":")
    made: Engine = getattr(import_module(module), name)(subscription)
    return made
