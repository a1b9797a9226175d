"""The few calls of Airflow's REST API that the demo and the acceptance tests need."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from paylog.airflow.rest import FINISHED, AirflowRest
from paylog.errors import StopError

__all__ = ["FINISHED", "AirflowApi", "wait_until"]


class AirflowApi(AirflowRest):
    """The client of an Airflow that the demo or a test has just started."""

    def health(self) -> dict[str, Any]:
        """State by component; empty while the API server is not up."""
        try:
            answer = self._http.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return {}
        return dict(answer.json()) if answer.status_code == 200 else {}

    def put_connection(self, body: dict[str, Any]) -> None:
        """Create or replace a connection."""
        path = f"/connections/{quote(body['connection_id'])}"
        if self._send("POST", "/connections", json=body, accept=(409,)).get("connection_id") is None:
            self._send("PATCH", path, json=body)

    def dags(self) -> set[str]:
        """Ids of the DAGs that are known now."""
        return {dag["dag_id"] for dag in self.get("/dags", limit=100)["dags"]}

    def unpause(self, dag_id: str) -> None:
        self.patch(f"/dags/{quote(dag_id)}", {"is_paused": False}, update_mask="is_paused")

    def runs(self, dag_id: str, since: datetime) -> list[str]:
        """Ids of the runs that were queued since then, scheduled ones too."""
        found = self.get(f"/dags/{quote(dag_id)}/dagRuns", limit=100)["dag_runs"]
        return [run["dag_run_id"] for run in found if datetime.fromisoformat(run["queued_at"]) >= since]


def wait_until(
    done: Callable[[], bool], *, seconds: float, what: str, every: float = 0.5, check: Callable[[], None]
) -> None:
    """Poll ``done``; raise ``StopError`` naming ``what`` when it takes longer than ``seconds``."""
    deadline = time.monotonic() + seconds
    while not done():
        check()
        if time.monotonic() > deadline:
            raise StopError(f"Waited {seconds:.0f} s for {what}, in vain.")
        time.sleep(every)
