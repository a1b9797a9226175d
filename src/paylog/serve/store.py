"""Storing what was posted, through the same path as a log's records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paylog import posted
from paylog.client.data_mart import DataMartClient
from paylog.client.subscription import SubscriptionClient, declared
from paylog.data_mart.posts import Post
from paylog.errors import ConfigurationError, ErrorBudgetExceeded, InvalidInput
from paylog.serve.answers import NotFoundError

if TYPE_CHECKING:
    from paylog.serve.handler import Call

ACTIVE, ERROR = "active", "error"


@dataclass(frozen=True, slots=True)
class Stored:
    """A post that was taken.

    :param state: ``active`` or ``error``.
    :param count: rows that are stored, None where an earlier post of the same records stored them.
    """

    request_id: str
    state: str
    count: int | None = None


def subscription(client: DataMartClient, uid: str) -> SubscriptionClient:
    """The subscription of that id. Raises ``NotFoundError``."""
    if uid not in client.mart.registry.subscription_ids():
        raise NotFoundError(f"there is no subscription {uid!r}")
    return SubscriptionClient(client, uid)


def store_payload(call: Call, uid: str, records: Sequence[bytes]) -> Stored:
    """Load payload records, in one transaction; the same post again loads nothing.

    :param records: one line each.
    :raises NotFoundError: there is no such subscription.
    :raises ConfigurationError: payload logging is disabled, or the first records show no schema.
    """
    mart = call.client.mart
    if (known := mart.registry.receiving(uid)) is None:
        raise NotFoundError(f"there is no subscription {uid!r}")
    if not known.enabled:
        raise ConfigurationError("payload logging is disabled for this subscription")
    if not records:
        raise InvalidInput("there is no record in the body")
    body = b"\n".join(records)
    target = (
        declared(known.document) if known.document else SubscriptionClient(call.client, uid).declare(body)
    )
    post = posted.decoded(target, body, call.decoders)
    name = post.item.version
    try:
        counts = call.loads.store(mart, post)
    except ErrorBudgetExceeded:
        return Stored(name, ERROR)
    return Stored(name, ACTIVE, counts.loaded + counts.duplicate if counts else None)


def request_status(client: DataMartClient, uid: str, request_id: str) -> dict[str, Any]:
    """State of a post, with the rows that were rejected. Raises ``NotFoundError``."""
    post = client.mart.post(uid, posted.post_uri(uid, request_id), request_id)
    if post is None:
        raise NotFoundError(f"there is no request {request_id!r}")
    status: dict[str, Any] = {"id": request_id, "state": ERROR if post.refused else ACTIVE}
    status["records_count"] = post.loaded + post.duplicate
    if post.rejected:
        status["failure"] = {"trace": request_id, "errors": list(_errors(post))}
    return status


def _errors(post: Post) -> list[dict[str, Any]]:
    if not post.rejects:
        return [
            {"code": reason, "message": f"{count} rows rejected"} for reason, count in post.reasons.items()
        ]
    return [
        {
            "code": reject.reason,
            "message": f"record {reject.position}"
            + (f", row {reject.row}" if reject.row else "")
            + (f": column {reject.column!r}" if reject.column else ""),
            "record": reject.position,
        }
        for reject in post.rejects
    ]
