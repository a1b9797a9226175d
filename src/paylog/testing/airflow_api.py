"""The few calls of Airflow's REST API that the demo and the acceptance tests need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from paylog.errors import StopError

FINISHED = frozenset({"success", "failed"})


class AirflowApi:
    """A logged-in client of one Airflow."""

    unreachable = httpx.TransportError
    """What its calls raise while the API server does not answer."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=90.0)
        self._user = user
        self._password = password

    def close(self) -> None:
        self._http.close()

    def health(self) -> dict[str, Any]:
        """State by component; empty while the API server is not up."""
        try:
            answer = self._http.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return {}
        return dict(answer.json()) if answer.status_code == 200 else {}

    def log_in(self) -> None:
        answer = self._http.post("/auth/token", json={"username": self._user, "password": self._password})
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str, **params: Any) -> Any:
        return self._send("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._send("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any], **params: Any) -> Any:
        return self._send("PATCH", path, json=body, params=params)

    def put_pool(self, name: str, slots: int) -> None:
        """Create the pool, unless it is there."""
        body = {"name": name, "slots": slots, "description": "Bounds paylog's loads."}
        self._send("POST", "/pools", json=body, accept=(409,))

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

    def trigger(
        self, dag_id: str, *, logical_date: datetime | None = None, conf: dict[str, Any] | None = None
    ) -> str:
        """Start a run, or clear the one that already has this logical date; gives its run id."""
        when = logical_date.isoformat() if logical_date else None
        path = f"/dags/{quote(dag_id)}/dagRuns"
        answer = self._send("POST", path, json={"logical_date": when, "conf": conf or {}}, accept=(409,))
        if "dag_run_id" in answer:
            return str(answer["dag_run_id"])
        known = self.get(path, logical_date_gte=when, logical_date_lte=when)["dag_runs"]
        run_id = str(known[0]["dag_run_id"])
        self.post(f"{path}/{quote(run_id, safe='')}/clear", {"dry_run": False})
        return run_id

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return dict(self.get(f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"))

    def runs(self, dag_id: str, since: datetime) -> list[str]:
        """Ids of the runs that were queued since then, scheduled ones too."""
        found = self.get(f"/dags/{quote(dag_id)}/dagRuns", limit=100)["dag_runs"]
        return [run["dag_run_id"] for run in found if datetime.fromisoformat(run["queued_at"]) >= since]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run, mapped ones each."""
        path = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return list(self.get(path, limit=1000)["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        run = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"
        return self.get(f"{run}/taskInstances/{task_id}/xcomEntries/{key}")["value"]

    def _send(self, method: str, path: str, *, accept: Iterable[int] = (), **request: Any) -> Any:
        answer = self._http.request(method, f"/api/v2{path}", **request)
        if answer.is_error and answer.status_code not in accept:
            raise StopError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}")
        return answer.json() if answer.content else {}


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
