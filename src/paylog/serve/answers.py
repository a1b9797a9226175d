"""Answers in the service's shape: details with metadata, errors with codes, never a payload value."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from starlette.responses import Response

from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    InvalidInput,
    PaylogError,
    RetriableError,
)
from paylog.serve.bodies import BodyTooLarge


class NotFoundError(ConfigurationError):
    """What a path names does not exist."""


class AlreadyDefinedError(ConfigurationError):
    """What is to be made exists; IBM's v1 client prints the message and goes on."""


_STATUS: tuple[tuple[type[PaylogError], int, str], ...] = (
    (NotFoundError, 404, "AISCS0404E"),
    (AlreadyDefinedError, 409, "AISCS0004W"),
    (BodyTooLarge, 413, "AISCS0413E"),
    (InvalidInput, 400, "AISCS0400E"),
    (ConfigurationError, 400, "AISCS0400E"),
    (AccessDenied, 503, "AISCS0503E"),
    (RetriableError, 503, "AISCS0503E"),
    (PaylogError, 500, "AISCS0500E"),
)


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; NaN is null."""
    body = msgspec.json.encode(content, enc_hook=_plain)
    return Response(body, status, headers, media_type="application/json")


def refusal(error: PaylogError) -> Response:
    """An error as the service writes them; a passing one says when to try again."""
    status, code = next((s, c) for kind, s, c in _STATUS if isinstance(error, kind))
    headers = {"Retry-After": "1"} if status == 503 else {}
    return problem(status, code, str(error), headers)


def problem(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error with the service's code."""
    return answer(
        {"trace": uuid.uuid4().hex, "errors": [{"code": code, "message": message}]}, status, headers
    )


def metadata(uid: str, path: str, created_at: datetime | None = None) -> dict[str, Any]:
    """The ``metadata`` of anything that has an id."""
    created = (created_at or datetime.now(UTC)).astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"id": uid, "guid": uid, "url": path, "crn": f"crn:v1:paylog:{uid}", "created_at": created,
            "created_by": "paylog"}  # fmt: skip


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    return str(value)
