"""The stored plan of a run: a mapped task is told a batch's name and finds its objects here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select

from paylog.data_mart.control_tables import batches
from paylog.errors import StopError
from paylog.records import CaptureObject

# Plans are for retries and for looking back at a run; the ledger is the truth.
KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """Some objects to load in one transaction.

    :param state: ``planned``, ``committed``, ``over_budget``, ``refused`` or ``retracted``.
    """

    batch_id: str
    window_start: datetime
    window_end: datetime
    objects: tuple[CaptureObject, ...]
    state: str = "planned"

    @property
    def bytes(self) -> int:
        return sum(item.size for item in self.objects)


def save(connection: Connection, subscription_id: str, run_id: str, plan: Iterable[PlannedBatch]) -> None:
    """Store the plan in place of an older one of the same run, and forget old plans."""
    mine = batches.c.subscription_id == subscription_id
    connection.execute(delete(batches).where(mine, batches.c.run_id == run_id))
    connection.execute(delete(batches).where(mine, batches.c.planned_at < func.now() - KEPT))
    rows = [
        {
            "subscription_id": subscription_id,
            "run_id": run_id,
            "batch_id": batch.batch_id,
            "window_start": batch.window_start,
            "window_end": batch.window_end,
            "objects": [_document(item) for item in batch.objects],
            "bytes": batch.bytes,
            "state": batch.state,
        }
        for batch in plan
    ]
    if rows:
        connection.execute(insert(batches), rows)


def read_one(connection: Connection, subscription_id: str, run_id: str, batch_id: str) -> PlannedBatch:
    """One batch.

    :raises StopError: the run has no such batch.
    """
    query = select(
        batches.c.batch_id, batches.c.window_start, batches.c.window_end, batches.c.objects, batches.c.state
    ).where(
        batches.c.subscription_id == subscription_id,
        batches.c.run_id == run_id,
        batches.c.batch_id == batch_id,
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise StopError(
            f"Subscription {subscription_id!r}: run {run_id!r} has no planned batch {batch_id!r}. "
            "The run was planned anew or its plan is over 90 days old: clear the plan task."
        )
    values = dict(row._mapping)
    return PlannedBatch(**values | {"objects": tuple(_object(item) for item in values["objects"])})


def _document(item: CaptureObject) -> dict[str, object]:
    document = asdict(item) | {"last_modified": item.last_modified.isoformat()}
    if item.replaces is None:
        del document["replaces"]
    return document


def _object(document: dict[str, object]) -> CaptureObject:
    moment = datetime.fromisoformat(str(document["last_modified"]))
    return CaptureObject(**document | {"last_modified": moment})  # type: ignore[arg-type]
