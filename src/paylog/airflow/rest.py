"""Airflow's REST API, as far as paylog drives it from outside. Imports nothing of Airflow."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import httpx

from paylog.errors import AccessDenied, ConfigurationError, PaylogError, RetriableError, StopError

if TYPE_CHECKING:
    from paylog.connections import Connection

FINISHED = frozenset({"success", "failed"})
_SECONDS = 90.0


class AirflowRest:
    """A client of one Airflow; :meth:`log_in` first.

    :param user: empty: ``password`` is a token already.
    """

    def __init__(
        self, url: str, user: str, password: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = httpx.Client(base_url=url, timeout=_SECONDS, transport=transport)
        self._user = user
        self._password = password
        self.url = url

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """A client that is logged in by a connection of type ``http``: host, port, login, password.

        :raises ConfigurationError: it is of another type, or has no host.
        """
        if connection.conn_type not in ("http", "https") or not connection.host:
            raise ConfigurationError(
                f"connection {connection.conn_id!r} must be of type http and name Airflow's API server: "
                "http://user:password@host:8080, or http://https://… for TLS"
            )
        scheme, _, host = connection.host.rpartition("://")
        scheme = scheme or ("https" if connection.conn_type == "https" else connection.schema or "http")
        port = f":{connection.port}" if connection.port else ""
        found = cls(f"{scheme}://{host}{port}", connection.login, connection.password)
        found.log_in()
        return found

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def log_in(self) -> None:
        """Exchange user and password for a token.

        :raises AccessDenied: they are wrong.
        :raises RetriableError: the server cannot say.
        """
        token = self._password
        if self._user:
            try:
                answer = self._http.post(
                    "/auth/token", json={"username": self._user, "password": self._password}
                )
            except httpx.TransportError as error:
                raise self._unreachable(error) from None
            if answer.is_server_error:
                raise RetriableError(f"Airflow at {self.url} answered {answer.status_code}: try again later.")
            if answer.is_error:
                raise AccessDenied(f"Airflow at {self.url} does not let user {self._user!r} in.")
            token = answer.json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **params: Any) -> Any:
        """The JSON document at a path below ``/api/v2``."""
        return self._send("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer to a request that makes or does something."""
        return self._send("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any], **params: Any) -> Any:
        """The answer to a request that changes something."""
        return self._send("PATCH", path, json=body, params=params)

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
        """One run."""
        return dict(self.get(f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"))

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run, mapped ones each."""
        path = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(path, limit=100, offset=len(found), order_by="id")
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task left for others to read."""
        run = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"
        return self.get(f"{run}/taskInstances/{task_id}/xcomEntries/{key}")["value"]

    def _send(self, method: str, path: str, *, accept: Iterable[int] = (), **request: Any) -> Any:
        try:
            answer = self._http.request(method, f"/api/v2{path}", **request)
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        if answer.is_error and answer.status_code not in accept:
            said = f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}"
            raise _kind(answer)(said)
        return answer.json() if answer.content else {}

    def _unreachable(self, error: httpx.TransportError) -> RetriableError:
        return RetriableError(f"Airflow at {self.url} cannot be reached: {type(error).__name__}.")


def _kind(answer: httpx.Response) -> type[PaylogError]:
    if answer.status_code in (401, 403):
        return AccessDenied
    return RetriableError if answer.is_server_error or answer.status_code == 429 else StopError
