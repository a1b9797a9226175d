"""The watermark: through when a subscription's logs are complete in the data mart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, ScalarSelect, case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from paylog.data_mart.control_tables import watermarks


@dataclass(frozen=True, slots=True)
class Watermark:
    """``late_objects`` came after their window had been passed, all in all.

    :param moved_from: where it stood before the last move, and ``moved_by`` the run that made it.
    """

    complete_through: datetime
    late_objects: int
    updated_at: datetime
    moved_from: datetime | None = None
    moved_by: str | None = None


_FIELDS = [field.name for field in fields(Watermark)]


def read(connection: Connection, subscription_id: str) -> Watermark | None:
    """None before the first run."""
    query = select(*(watermarks.c[name] for name in _FIELDS))
    row = connection.execute(query.where(watermarks.c.subscription_id == subscription_id)).one_or_none()
    return None if row is None else Watermark(*row)


def advance(
    connection: Connection,
    subscription_id: str,
    window: tuple[datetime, datetime],
    since: datetime,
    late: int,
    run_id: str,
) -> Watermark:
    """Note that [start, end) was listed and loaded; the watermark is the end of what is without a gap.

    :param since: where completeness begins; the first call's is kept.
    :param late: objects that came after their window had been passed; counted once a window.
    """
    statement = insert(watermarks).values(
        subscription_id=subscription_id,
        since=since,
        covered=func.tstzmultirange(func.tstzrange(*window)),
        complete_through=since,
        late_objects=late,
    )
    new, old = statement.excluded, watermarks.c
    noted = statement.on_conflict_do_update(
        index_elements=["subscription_id"],
        set_={
            "covered": old.covered.op("+")(new.covered),
            "late_objects": old.late_objects
            + case((old.covered.op("@>")(new.covered), 0), else_=new.late_objects),
            "updated_at": func.now(),
        },
    )
    connection.execute(noted)
    connection.execute(
        update(watermarks)
        .where(old.subscription_id == subscription_id, _reached() > old.complete_through)
        .values(complete_through=_reached(), moved_from=old.complete_through, moved_by=run_id)
    )
    query = select(*(old[name] for name in _FIELDS)).where(old.subscription_id == subscription_id)
    return Watermark(*connection.execute(query).one())


def uncover(
    connection: Connection, subscription_id: str, windows: Sequence[tuple[datetime, datetime]]
) -> None:
    """Note that these windows are not loaded any more; the watermark moves back to the first gap."""
    if not windows:
        return
    old = watermarks.c
    taken = func.tstzmultirange(*(func.tstzrange(*window) for window in windows))
    mine = old.subscription_id == subscription_id
    connection.execute(update(watermarks).where(mine).values(covered=old.covered.op("-")(taken)))
    back = func.least(old.complete_through, func.coalesce(_reached(), old.since))
    connection.execute(
        update(watermarks)
        .where(mine)
        .values(complete_through=back, moved_from=None, moved_by=None, updated_at=func.now())
    )


def _reached() -> ScalarSelect[Any]:
    """The end of what is covered without a gap."""
    one = func.unnest(watermarks.c.covered).column_valued("one")
    return select(func.upper(one)).where(one.op("@>")(watermarks.c.since)).scalar_subquery()
