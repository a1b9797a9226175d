"""``PayloadRecord``: one scoring request with its response, as ``payload_logging.store`` takes it."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from paylog.errors import InvalidInput


@dataclass
class PayloadRecord:
    """One scoring request with its response (contract section 1.5).

    :param request: ``{"fields": […], "values": [[…], …]}``, with ``meta`` if there are meta columns.
    :param response: the same shape, or its JSON text.
    :param scoring_id: id of the request; row n is stored as ``<scoring_id>-<n>``. Left out: derived from
        the content, so that storing the same records again adds nothing.
    :param scoring_timestamp: when the engine scored, ISO 8601 with zone, or a datetime with zone.
        Must be given: paylog never takes the time of storing for the time of scoring.
    :param response_time: milliseconds.
    """

    request: dict[str, Any]
    response: dict[str, Any] | str
    scoring_id: str | None = None
    scoring_timestamp: str | datetime | None = None
    response_time: int | None = None
    asset_revision: str | None = None


def encoded(records: Iterable[PayloadRecord]) -> bytes:
    """The records as NDJSON of payload records; NaN and infinities become null.

    :raises InvalidInput: a record cannot be stored; says which and why, without its values.
    """
    lines, seen = [], Counter[bytes]()
    for number, record in enumerate(records, 1):
        if not isinstance(record, PayloadRecord):
            raise InvalidInput(f"record {number} is a {type(record).__name__}, not a PayloadRecord")
        content = _content(record, number)
        if record.scoring_id is None:
            text = msgspec.json.encode(content, order="sorted")
            content["scoring_id"] = _derived(text, seen[text])
            seen[text] += 1
        lines.append(msgspec.json.encode(content))
    return b"\n".join(lines)


def _content(record: PayloadRecord, number: int) -> dict[str, Any]:
    response = _parsed(record.response, number)
    for side, body in (("request", record.request), ("response", response)):
        if not isinstance(body, Mapping):
            raise InvalidInput(f"record {number}: {side} is a {type(body).__name__}, not a dict")
    if record.response_time is not None and type(record.response_time) is not int:
        raise InvalidInput(f"record {number}: response_time is whole milliseconds (int)")
    content = {
        "scoring_id": record.scoring_id,
        "scoring_timestamp": _time(record.scoring_timestamp, number),
        "request": record.request,
        "response": response,
        "response_time": record.response_time,
        "asset_revision": record.asset_revision,
    }
    kept = {name: value for name, value in content.items() if value is not None}
    try:
        return dict(msgspec.to_builtins(kept, enc_hook=_plain))
    except (TypeError, ValueError, NotImplementedError) as error:
        kind = error.args[0] if error.args and isinstance(error.args[0], type) else None
        what = f"a value of type {kind.__name__}" if kind else "a value"
        raise InvalidInput(f"record {number} holds {what} that JSON cannot hold") from None


def _time(given: str | datetime | None, number: int) -> str:
    if isinstance(given, datetime) and given.tzinfo is not None:
        return given.astimezone(UTC).isoformat()
    if isinstance(given, str) and given:
        return given
    found = "has no zone" if isinstance(given, datetime) else "is missing"
    raise InvalidInput(
        f"record {number}: scoring_timestamp {found}. Pass when the engine scored, with its zone: "
        "PayloadRecord(…, scoring_timestamp='2024-01-19T19:27:57Z')"
    )


def _parsed(response: object, number: int) -> object:
    if not isinstance(response, str):
        return response
    try:
        return json.loads(response)
    except ValueError:
        raise InvalidInput(f"record {number}: response is a text that is not JSON") from None


def _plain(value: object) -> object:
    """numpy scalars and arrays in JSON's types; msgspec knows dates, decimals and the rest."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(type(value))


def _derived(content: bytes, repeated: int) -> str:
    """Id of a record that brings none; ``repeated`` equal ones stood before it in the same call."""
    return str(uuid.UUID(bytes=sha256(b"%d\n%b" % (repeated, content)).digest()[:16], version=5))
