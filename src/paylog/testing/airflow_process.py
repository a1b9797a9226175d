"""Airflow's components as children of this process, on loopback, stopped for certain."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from paylog.errors import StopError
from paylog.testing.process_tree import ProcessRecord, kill, tree

_COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_STOP_SECONDS = 6.0
_USERS = ("admin", "viewer")


class AirflowProcesses:
    """Scheduler, API server, DAG processor and triggerer over one metadata database.

    :param home: ``AIRFLOW_HOME``: configuration, generated secrets, logs and process ids live below it.
    :param database: SQLAlchemy URL of the metadata database.
    :param environment: more variables for every component.
    """

    def __init__(
        self, home: Path, *, database: str, dags: Path, port: int, environment: Mapping[str, str]
    ) -> None:
        self.home = home
        self.port = port
        self.logs = home / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.credentials = _generated_secrets(home)
        self._environment = {**inherited(), **self._settings(database, dags), **environment}
        self._record = ProcessRecord(home / "processes.json")
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def users(self) -> dict[str, str]:
        """User name → generated password."""
        return {name: self.credentials[name] for name in _USERS}

    def start(self) -> None:
        """Migrate the metadata database if it needs it, then start every component."""
        self._record.kill_leftovers()
        self._migrate()
        for name, arguments in _COMPONENTS.items():
            self._children[name] = self._spawn(name, arguments)
        self._record.write(child.pid for child in self._children.values())

    def check(self) -> None:
        """Raise ``StopError`` naming the log of a component that has ended."""
        for name, child in self._children.items():
            if child.poll() is not None:
                raise StopError(
                    f"Airflow's {name} ended with code {child.returncode}: see {self._log_file(name)}."
                )

    def stop(self) -> None:
        """Ask the scheduler to end, then the others; what still runs after that is killed with all below it.

        Safe to call twice.
        """
        processes = tree(child.pid for child in self._children.values())
        # Of paylog's it runs only what missed deadlines call; by itself it would take many seconds to end.
        if triggerer := self._children.get("triggerer"):
            triggerer.kill()
        # The scheduler first, while the API that its tasks report to is still there.
        for names in (("scheduler",), ("dag-processor", "api-server")):
            self._terminate([self._children[name] for name in names if name in self._children])
        kill(processes)
        for child in self._children.values():
            child.wait()
        self._children.clear()
        self._record.clear()

    def _terminate(self, children: list[subprocess.Popen[bytes]]) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for child in children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.1, deadline - time.monotonic()))

    def _migrate(self) -> None:
        marker = self.home / "migrated"
        wanted = version("apache-airflow-core")
        if marker.exists() and marker.read_text() == wanted:
            return
        child = self._spawn("db-migrate", ("db", "migrate"))
        if child.wait() != 0:
            raise StopError(f"airflow db migrate failed: see {self._log_file('db-migrate')}.")
        marker.write_text(wanted)

    def _spawn(self, name: str, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        with self._log_file(name).open("ab") as log:
            # Its own session: Ctrl-C reaches the launcher alone, which then stops all in order.
            return subprocess.Popen(
                [sys.executable, "-m", "airflow", *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _log_file(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _settings(self, database: str, dags: Path) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__FERNET_KEY": self.credentials["fernet"],
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API_AUTH__JWT_SECRET": self.credentials["jwt"],
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "15",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.logs / "tasks"),
        }


def inherited() -> dict[str, str]:
    """This process's environment without another Airflow's settings, and with bytecode caching."""
    unwanted = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


def _generated_secrets(home: Path) -> dict[str, str]:
    """Passwords and keys of this state folder: made once, readable by its owner only."""
    file = home / "secrets.json"
    if not file.exists():
        from cryptography.fernet import Fernet

        made = {name: secrets.token_urlsafe(12) for name in (*_USERS, "object_store")}
        made |= {"jwt": secrets.token_urlsafe(64), "fernet": Fernet.generate_key().decode()}
        _write_private(file, made)
    known: dict[str, str] = json.loads(file.read_text())
    _write_private(home / "passwords.json", {name: known[name] for name in _USERS})
    return known


def _write_private(file: Path, content: Mapping[str, str]) -> None:
    file.touch(mode=0o600)
    file.write_text(json.dumps(content))
