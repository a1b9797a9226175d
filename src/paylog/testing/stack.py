"""PostgreSQL, an object store and Airflow on loopback, all of it in one folder: the demo's and the tests'."""

from __future__ import annotations

import fcntl
import json
import shlex
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from paylog.errors import StopError
from paylog.testing.airflow_api import AirflowApi, wait_until
from paylog.testing.airflow_process import AirflowProcesses
from paylog.testing.object_store import ObjectStore
from paylog.testing.postgres import EmbeddedPostgres
from paylog.testing.process_tree import ProcessRecord

DATA_MART = "paylog_data_mart"
_ROLES = ("", "_owner", "_reader")
LOGS = "paylog_logs"
_COMPONENTS = ("metadatabase", "scheduler", "dag_processor")


class Stack:
    """What paylog needs around it, started in order and stopped in reverse. A context manager.

    :param state: folder of everything that is kept; a later start on it continues.
    :param dags: Airflow's DAGs folder.
    :param port: of the Airflow UI; 0 for any free one.
    :param more_connections: connection id → fields, beside those of the data mart and the logs.
    :param more_settings: environment variables of Airflow's processes, like ``AIRFLOW__METRICS__STATSD_ON``.
    """

    def __init__(
        self,
        state: Path,
        *,
        dags: Path,
        subscriptions: Path,
        port: int = 0,
        more_connections: dict[str, dict[str, Any]] | None = None,
        more_settings: dict[str, str] | None = None,
    ) -> None:
        self.state = state.resolve()
        self.dags = dags
        self.subscriptions = subscriptions
        self.port = port
        self._more_connections = more_connections or {}
        self._more_settings = more_settings or {}
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything; Airflow is up when :meth:`wait_ready` returns.

        Raises ``StopError`` when the port is taken or another stack runs on the same folder.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        with ExitStack() as starting:
            starting.enter_context(_only_one(self.state))
            self.port = _free_port(self.port)
            self.postgres = starting.enter_context(EmbeddedPostgres(self.state / "postgres"))
            for name in ("airflow", "datamart"):
                _ensure_database(self.postgres, name)
            self.airflow = self._airflow()
            secret = self.airflow.credentials["object_store"]
            record = ProcessRecord(self.state / "object_store.json")
            record.kill_leftovers()
            starting.callback(record.clear)
            store = ObjectStore(self.state / "objects", secret_key=secret)
            self.object_store = starting.enter_context(store)
            record.write([store.process_id] if store.process_id else [])
            starting.callback(self.airflow.stop)
            self._write_environment()
            self.airflow.start()
            self._exit = starting.pop_all()

    def stop(self) -> None:
        """Stop everything that was started."""
        self._exit.close()

    def wait_ready(self, seconds: float = 240.0) -> AirflowApi:
        """Wait until Airflow is healthy, make its connections, and give a logged-in client."""
        api = AirflowApi(self.airflow.url, "admin", self.airflow.users["admin"])
        self._exit.callback(api.close)

        def healthy() -> bool:
            health = api.health()
            return all((health.get(name) or {}).get("status") == "healthy" for name in _COMPONENTS)

        self.wait(healthy, seconds=seconds, what="a healthy Airflow")
        api.log_in()
        for conn_id, connection in self.connections().items():
            extra = json.dumps(connection.pop("extra", {}))
            api.put_connection({"connection_id": conn_id, **connection, "extra": extra})
        return api

    def wait(self, done: Callable[[], bool], *, what: str, seconds: float = 180.0) -> None:
        """Poll until ``done``. Raises ``StopError`` after ``seconds``, or when a component has ended."""
        wait_until(done, seconds=seconds, what=what, check=self.airflow.check)

    def connections(self) -> dict[str, dict[str, Any]]:
        """Connection id → fields, as Airflow's JSON form has them."""
        store = self.object_store.connection(LOGS)
        mart = {
            "conn_type": "postgres",
            "login": "postgres",
            "schema": "datamart",
            "extra": {"host": str(self.postgres.socket_dir)},
        }
        return {
            # One role for all: it is the superuser of a server that this stack made for itself.
            **{f"{DATA_MART}{role}": dict(mart) for role in _ROLES},
            LOGS: {
                "conn_type": store.conn_type,
                "login": store.login,
                "password": store.password,
                "extra": store.extra,
            },
            **{name: dict(fields) for name, fields in self._more_connections.items()},
        }

    def environment(self) -> dict[str, str]:
        """Variables with which the ``paylog`` command works on this stack without Airflow."""
        found = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(c) for name, c in self.connections().items()}
        return {"PAYLOG_SUBSCRIPTIONS": str(self.subscriptions), **found}

    def _airflow(self) -> AirflowProcesses:
        return AirflowProcesses(
            self.state / "airflow",
            database=self.postgres.url("airflow", scheme="postgresql+psycopg"),
            dags=self.dags,
            port=self.port,
            environment={"PAYLOG_SUBSCRIPTIONS": str(self.subscriptions), **self._more_settings},
        )

    def _write_environment(self) -> None:
        file = self.state / "env"
        file.touch(mode=0o600)
        file.write_text("".join(f"export {k}={shlex.quote(v)}\n" for k, v in self.environment().items()))


def _ensure_database(postgres: EmbeddedPostgres, name: str) -> None:
    try:
        postgres.create_database(name)
    except StopError as error:
        if "already exists" not in str(error):
            raise


def _free_port(wanted: int) -> int:
    """``wanted`` if it can be had, any free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            raise StopError(
                f"Port {wanted} is taken by another program. Stop that, or choose a port: "
                f"make demo PAYLOG_PORT={wanted + 1}"
            ) from None
        return int(probe.getsockname()[1])


def _only_one(state: Path) -> IO[bytes]:
    """Hold the folder until closed; the lock goes with the process, however it ends."""
    lock = (state / "lock").open("ab")
    with suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    lock.close()
    raise StopError(f"Another paylog stack runs on {state}. Stop it with Ctrl-C where it was started.")
