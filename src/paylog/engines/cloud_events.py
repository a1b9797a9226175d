"""CloudEvents as the inference loggers of KServe and Seldon send them, and as somebody wrote them down.

Structured events (CloudEvents 1.0 JSON format: ``id``, ``type``, ``time``, ``data`` or ``data_base64``),
or what a receiver noted of a binary one: ``headers`` (``ce-id`` …, ``content-type``; of a Kafka record
``requestid`` …) and ``body``. Request and response are two events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from paylog.codecs import JSON, UNKNOWN, MediaType
from paylog.codecs.body import media_type
from paylog.engines import HalfSide, Halves
from paylog.errors import Reason, RejectedRecord
from paylog.records import CaptureObject

_SIDES = {
    f"{source}.serving.inference.{side}": side
    for source in ("org.kubeflow", "io.seldon")
    for side in HalfSide
}
_OTHERS = "org.kubeflow.serving.", "io.seldon.serving."
_MISSING = {HalfSide.REQUEST: Reason.MISSING_REQUEST, HalfSide.RESPONSE: Reason.MISSING_RESPONSE}
_PREFIXES = "ce-", "ce_"
_BRACKETS = b"{", b"["
_NULL = b"null"


class CloudEvent(Struct, gc=False):
    """What the loggers' events have in common; subclasses add an engine's extension attributes."""

    id: str | None = None
    type: str | None = None
    time: str | None = None
    datacontenttype: str | None = None
    component: str | None = None
    requestid: str | None = None
    modelid: str | None = None
    data: Raw = Raw()
    data_base64: bytes | None = None
    headers: dict[str, Any] | None = None
    body: Raw = Raw()

    def read_headers(self) -> None:
        """Take the attributes from the headers, if it is a binary event that was noted down."""
        for header, value in (self.headers or {}).items():
            name = header.lower()
            for prefix in _PREFIXES:
                name = name.removeprefix(prefix)
            name = "datacontenttype" if name == "content-type" else name
            text = value[0] if isinstance(value, list) and value else value
            if name in _ATTRIBUTES and isinstance(text, str):
                setattr(self, name, text)

    def content(self) -> bytes | None:
        """The event's data: text as it is, other JSON as it was written; None without."""
        if self.data_base64 is not None:
            return self.data_base64
        raw = bytes(self.data) or bytes(self.body)
        if raw[:1] == b'"':
            return msgspec.json.decode(raw, type=str).encode()
        return None if raw == _NULL else raw or None


_ATTRIBUTES = frozenset(CloudEvent.__struct_fields__[:7])


class Message(Struct, gc=False):
    """One side of an event, not yet paired. ``at`` is the index of its record in the block."""

    at: int
    position: int
    side: HalfSide
    key: str
    body: bytes
    media: MediaType
    time: str | None


def side_of(kind: str | None) -> HalfSide | None:
    """Which side an event type names; None for what is no scoring (feedback, outliers, drift, …).

    Raises RejectedRecord (``MALFORMED_RECORD``) for types that are none of the loggers'.
    """
    if side := _SIDES.get(kind or ""):
        return side
    if kind and kind.startswith(_OTHERS):
        return None
    raise RejectedRecord(Reason.MALFORMED_RECORD)


def key_of(event_id: str | None, part: str | None) -> str:
    """What pairs two events: their id, and the part of a service that logged both, if that is to be told.

    Raises RejectedRecord (``MALFORMED_RECORD``) where the id is missing.
    """
    key = f"{event_id or ''}/{part}" if part else event_id
    if not event_id or not key or "\0" in key:
        raise RejectedRecord(Reason.MALFORMED_RECORD)
    return key


def body_of(content: bytes | None, declared: str | None, side: HalfSide) -> tuple[bytes, MediaType]:
    """A body and what it is. Of a response the loggers note the *request's* content type.

    Raises RejectedRecord (``MISSING_REQUEST``, ``MISSING_RESPONSE``).
    """
    if not content:
        raise RejectedRecord(_MISSING[side])
    if content[:1] in _BRACKETS or content.lstrip()[:1] in _BRACKETS:
        return content, JSON
    return content, media_type(declared) if side is HalfSide.REQUEST else UNKNOWN


def halves(messages: Iterable[Message], item: CaptureObject, raw: Callable[[int], bytes]) -> list[Halves]:
    """Messages as columns. One without a time gets the object's, marked as approximate."""
    groups: dict[tuple[HalfSide, MediaType, bool], list[Message]] = {}
    for message in messages:
        groups.setdefault((message.side, message.media, message.time is None), []).append(message)
    return [_halves(group, item, raw) for group in groups.values()]


def _halves(group: list[Message], item: CaptureObject, raw: Callable[[int], bytes]) -> Halves:
    first = group[0]
    approximate = first.time is None
    modified = item.last_modified.isoformat()
    return Halves(
        side=first.side,
        positions=[message.position for message in group],
        keys=[message.key for message in group],
        bodies=[message.body for message in group],
        media=first.media,
        raw=lambda i: raw(group[i].at),
        timestamps=[modified if approximate else message.time for message in group],
        approximate=approximate,
    )
