"""The watermark: through when a subscription's logs are complete in the data mart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from paylog.data_mart.control_tables import watermarks


@dataclass(frozen=True, slots=True)
class Watermark:
    """``late_objects`` came after their window had been passed, all in all."""

    complete_through: datetime
    late_objects: int
    updated_at: datetime


def read(connection: Connection, subscription_id: str) -> Watermark | None:
    """None before the first run."""
    query = select(watermarks.c.complete_through, watermarks.c.late_objects, watermarks.c.updated_at)
    row = connection.execute(query.where(watermarks.c.subscription_id == subscription_id)).one_or_none()
    return None if row is None else Watermark(*row)


def advance(
    connection: Connection, subscription_id: str, complete_through: datetime, late_objects: int
) -> Watermark:
    """Move forward, never back, and add to the late objects."""
    statement = insert(watermarks).values(
        subscription_id=subscription_id, complete_through=complete_through, late_objects=late_objects
    )
    new = statement.excluded
    moved = statement.on_conflict_do_update(
        index_elements=["subscription_id"],
        set_={
            "complete_through": func.greatest(watermarks.c.complete_through, new.complete_through),
            "late_objects": watermarks.c.late_objects + new.late_objects,
            "updated_at": func.now(),
        },
    ).returning(watermarks.c.complete_through, watermarks.c.late_objects, watermarks.c.updated_at)
    return Watermark(*connection.execute(moved).one())
