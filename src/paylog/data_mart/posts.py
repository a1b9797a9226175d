"""What became of records that were posted, by the name of their post: from ledger, quarantine, receipts."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from paylog.data_mart.control_tables import GONE, objects, quarantine, receipts

MOST_REJECTS = 100


@dataclass(frozen=True, slots=True)
class PostedReject:
    """A rejected row: the record's place in the post (from 0), its row (from 1), why, which column."""

    position: int
    row: int | None
    reason: str
    column: str | None


@dataclass(frozen=True, slots=True)
class Post:
    """Outcome of one post.

    :param refused: rolled back whole, over the error budget; ``reasons`` has its rejects.
    :param rejects: the first of the rejects.
    """

    loaded: int = 0
    duplicate: int = 0
    rejected: int = 0
    refused: bool = False
    reasons: dict[str, int] = field(default_factory=dict)
    rejects: tuple[PostedReject, ...] = ()


def read(connection: Connection, subscription_id: str, uri: str, name: str) -> Post | None:
    """The outcome of the post ``name``, whose capture object is ``uri``; None when there was none."""
    entry = connection.execute(
        select(
            objects.c.object_id, objects.c.loaded, objects.c.duplicate, objects.c.rejected, receipts.c.reasons
        )
        .join_from(objects, receipts)
        .where(
            objects.c.subscription_id == subscription_id,
            objects.c.uri == uri,
            objects.c.state.not_in((*GONE, "replayed")),
        )
    ).one_or_none()
    if entry is not None:
        rejects = _rejects(connection, entry.object_id) if entry.rejected else ()
        return Post(entry.loaded, entry.duplicate, entry.rejected, False, dict(entry.reasons), rejects)
    refused = connection.execute(
        select(receipts.c.rejected, receipts.c.reasons)
        .where(
            receipts.c.subscription_id == subscription_id,
            receipts.c.batch_id == name,
            receipts.c.state == "over_budget",
        )
        .order_by(receipts.c.receipt_id.desc())
        .limit(1)
    ).one_or_none()
    return None if refused is None else Post(0, 0, refused.rejected, True, dict(refused.reasons))


def _rejects(connection: Connection, object_id: int) -> tuple[PostedReject, ...]:
    columns = quarantine.c.position, quarantine.c.row, quarantine.c.reason, quarantine.c.column_name
    query = select(*columns).where(quarantine.c.object_id == object_id)
    rows = connection.execute(query.order_by(quarantine.c.quarantine_id).limit(MOST_REJECTS))
    return tuple(PostedReject(*row) for row in rows)
