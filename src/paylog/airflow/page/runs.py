"""What Airflow itself knows of a subscription's DAG runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from sqlalchemy import select

_MOST = 200


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a DAG.

    :param period: its data interval, for a run of the schedule or of a backfill.
    """

    run_id: str
    kind: str
    state: str
    run_after: datetime
    started: datetime | None
    ended: datetime | None
    period: tuple[datetime, datetime] | None


def newest(dag_id: str, limit: int = 15, state: str | None = None) -> list[Run]:
    """The newest runs of a DAG, of one state or of all."""
    query = select(DagRun).where(DagRun.dag_id == dag_id)
    if state is not None:
        query = query.where(DagRun.state == state)
    with create_session() as session:
        found = session.scalars(query.order_by(DagRun.run_after.desc()).limit(min(limit, _MOST))).all()
        return [_run(run) for run in found]


def dags_of(dag_ids: Collection[str], run_ids: Collection[str]) -> dict[str, str]:
    """DAG id by run id, of those that are runs of these DAGs; others were started by the paylog command."""
    query = select(DagRun.run_id, DagRun.dag_id).where(DagRun.dag_id.in_(dag_ids), DagRun.run_id.in_(run_ids))
    with create_session() as session:
        return dict(session.execute(query).all())


def _run(run: DagRun) -> Run:
    start, end = run.data_interval_start, run.data_interval_end
    # A run that was triggered by hand has the period before its own: see paylog.airflow.window.
    automatic = str(run.run_type) in ("scheduled", "backfill")
    return Run(
        run.run_id,
        str(run.run_type),
        str(run.state),
        run.run_after,
        run.start_date,
        run.end_date,
        (start, end) if automatic and start and end else None,
    )
