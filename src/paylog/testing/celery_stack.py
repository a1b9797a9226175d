"""The services of docker-compose.yml as plain processes: same commands, same environment, no containers."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from paylog.connections import Connection
from paylog.errors import StopError
from paylog.testing.airflow_api import AirflowApi, wait_until
from paylog.testing.airflow_process import inherited
from paylog.testing.compose_file import ComposeFile
from paylog.testing.host_network import Loopback, Network, network
from paylog.testing.object_store import ObjectStore
from paylog.testing.ports import free_ports
from paylog.testing.postgres import EmbeddedPostgres
from paylog.testing.process_tree import ProcessRecord, kill, tree
from paylog.testing.tcp_proxy import TcpProxy

AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
_JOBS = ("airflow-init", "data-mart-init")
_DATABASES = ("airflow-db", "data-mart")
_PORTS = {"airflow-db": 5432, "data-mart": 5432, "object-store": 8333, "redis": 6379, "api-server": 8080}
_HEALTHY = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_INIT_SECONDS = 180
_RESTARTS = 20


class CeleryStack:
    """A whole deployment on this machine; a context manager.

    The stores are those that :mod:`paylog.testing` ships, at the addresses and with the secrets that the
    compose file says; Redis is Debian's. Every Airflow process runs in a network namespace of its own, with
    the name of its service, where the machine allows that.

    :param repository: with docker-compose.yml, dags/ and deploy/.
    :param settings: variables of Airflow in place of the file's, such as shorter time limits.
    """

    def __init__(
        self,
        state: Path,
        *,
        repository: Path,
        subscriptions: Path,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.state, self.repository, self.subscriptions = state.resolve(), repository, subscriptions
        self.compose = ComposeFile(repository / "docker-compose.yml", {})
        self.workers = [f"worker-{n}" for n in range(1, self.compose.replicas("worker") + 1)]
        self.logs = self.state / "logs"
        self.restarts: Counter[str] = Counter()
        """How often each service was started again after it had ended by itself."""
        self._settings = dict(settings or {})
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._record = ProcessRecord(self.state / "processes.json")
        self._ports = dict(_PORTS)
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self.logs.mkdir(parents=True, exist_ok=True)
            self._record.kill_leftovers()
            self._write_secrets()
            self._start_stores(starting)
            starting.callback(self._kill_all)
            self.start("redis")
            for job in _JOBS:
                self._do(job)
            for host in (*AIRFLOW, *self.workers):
                self.start(host)
            self._exit = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def start(self, host: str) -> None:
        """Start a service: ``worker-1``, ``scheduler``, ``redis`` …"""
        service = self._service(host)
        command = self._paths(service, self.compose.command_of(service))
        if service != "redis":
            command = self._through_entrypoint(host, command)
        self._children[host] = self._spawn(host, service, command)
        self._record.write(child.pid for child in self._children.values())

    def kill(self, host: str) -> None:
        """``kill -9`` of a service with all its processes, as when its container or machine is gone."""
        child = self._children.pop(host)
        kill(tree([child.pid]))
        child.wait()

    def health(self, host: str) -> subprocess.CompletedProcess[str]:
        """The health check of a service, as Docker runs it: beside the service, past the entry point."""
        service = self._service(host)
        kind, *command = self._paths(service, self.compose.health_check_of(service))
        shell = ["sh", "-c"] if kind == "CMD-SHELL" else []
        return subprocess.run(
            self.network.inside(host, [*shell, *command]),
            env=self._environment(host, service) | {"HOSTNAME": host},
            capture_output=True,
            text=True,
        )

    def wait_ready(self, seconds: float = 180.0) -> AirflowApi:
        """Wait until every component is healthy; a client that is logged in as the administrator."""
        url = f"http://{self.network.address('api-server')}:{self._ports['api-server']}"
        api = AirflowApi(url, "admin", self.secret("airflow_admin_password"))
        self._exit.callback(api.close)

        def healthy() -> bool:
            health = api.health()
            return all((health.get(name) or {}).get("status") == "healthy" for name in _HEALTHY)

        self.wait(healthy, seconds=seconds, what="a healthy Airflow")
        api.log_in()
        return api

    def wait(self, done: Callable[[], bool], *, what: str, seconds: float = 120.0) -> None:
        """Poll until ``done``. Raises ``StopError`` after ``seconds``, or when a service has ended."""
        wait_until(done, seconds=seconds, what=what, check=self.check)

    def check(self) -> None:
        """Start again what has ended by itself, as the compose file's ``restart`` says.

        :raises StopError: naming the log of a service that has ended too often.
        """
        for host, child in list(self._children.items()):
            if child.poll() is None:
                continue
            self.restarts[host] += 1
            if self.restarts[host] > _RESTARTS:
                raise StopError(f"{host} ends again and again: see {self.logs / host}.log")
            self.start(host)

    def secret(self, name: str) -> str:
        return (self.state / "secrets" / name).read_text()

    def data_mart_connection(self, conn_id: str) -> Connection:
        """The data mart past the network, with its administrator's password."""
        password, port = self.secret("data_mart_password"), self.data_mart.port
        return Connection(conn_id, "postgres", "127.0.0.1", "paylog", password, port, "datamart")

    def _service(self, host: str) -> str:
        return "worker" if host in self.workers else host

    def _write_secrets(self) -> None:
        from cryptography.fernet import Fernet

        folder = self.state / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        for name in self.compose.document["secrets"]:
            text = Fernet.generate_key().decode() if name == "fernet_key" else secrets.token_hex(32)
            (folder / name).write_text(text)

    def _start_stores(self, starting: ExitStack) -> None:
        inside = ["redis", *AIRFLOW, *self.workers]
        outside = [*_DATABASES, "object-store"]
        self.network: Network = network(inside, outside)
        starting.callback(self.network.close)
        if isinstance(self.network, Loopback):
            self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self.airflow_db, self.data_mart = (self._postgres(starting, name) for name in _DATABASES)
        keys = self.secret("object_store_key"), self.secret("object_store_secret")
        self.object_store = ObjectStore(self.state / "objects", None, *keys)
        starting.enter_context(self.object_store)
        ports = (self.airflow_db.port, self.data_mart.port, self.object_store.port)
        for host, port in zip(outside, ports, strict=True):
            listen = self.network.address(host), self._ports[host]
            starting.enter_context(TcpProxy(("127.0.0.1", port or 0), listen=listen))

    def _postgres(self, starting: ExitStack, name: str) -> EmbeddedPostgres:
        settings = self.compose.settings_of(name) | {"shared_buffers": "64MB"}
        server = EmbeddedPostgres(self.state / name, port=0, settings=settings)
        starting.enter_context(server)
        environment = self.compose.environment_of(name)
        password = self.secret(Path(environment["POSTGRES_PASSWORD_FILE"]).name)
        user = environment["POSTGRES_USER"]
        server.execute(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{password}'")
        server.create_database(environment["POSTGRES_DB"])
        return server

    def _do(self, job: str) -> None:
        """A job that others wait for. Raises ``StopError`` when it fails."""
        command = self._paths(job, self.compose.command_of(job))
        child = self._spawn("api-server", job, self._through_entrypoint(job, command))
        try:
            code = child.wait(_INIT_SECONDS)
        except subprocess.TimeoutExpired:
            kill(tree([child.pid]))
            code = child.wait()
        if code:
            raise StopError(f"{job} failed: see {self.logs / job}.log")

    def _through_entrypoint(self, host: str, command: list[str]) -> list[str]:
        """As the image's entry point does: a command is one of ``airflow``, unless it is a program."""
        if command[0] != "bash":
            command = [sys.executable, "-m", "airflow", *command]
        if host in self.workers and isinstance(self.network, Loopback):
            command = [*command, "--celery-hostname", f"{host}@%h"]
        return [sys.executable, str(self.repository / "deploy" / "entrypoint.py"), *command]

    def _spawn(self, host: str, service: str, command: list[str]) -> subprocess.Popen[bytes]:
        name = service if service in _JOBS else host
        with (self.logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self.network.inside(host, command),
                env=self._environment(name, service),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self, host: str, service: str) -> dict[str, str]:
        given = self.compose.environment_of(service) | self._settings
        home = self.state / "homes" / host
        home.mkdir(parents=True, exist_ok=True)
        here = {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.repository / "dags"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.logs / "tasks"),
            "PAYLOG_SUBSCRIPTIONS": str(self.subscriptions),
            "SECRETS_FOLDER": str(self.state / "secrets"),
        }
        if isinstance(self.network, Loopback):
            here |= _ports_of_its_own(self._ports["api-server"])
        translated = self._paths(service, list(given.values()))
        return inherited() | dict(zip(given, translated, strict=True)) | here

    def _paths(self, service: str, texts: list[str]) -> list[str]:
        """Paths of the container → folders of this stack; on loopback also names and ports of hosts."""
        folders = {
            "/run/secrets": self.state / "secrets",
            "/opt/paylog/deploy": self.repository / "deploy",
        }
        for volume in self.compose.service(service).get("volumes", []):
            if volume["type"] == "volume":
                folders[volume["target"]] = self.state / "volumes" / volume["source"]
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        for old, new in folders.items():
            texts = [text.replace(old, str(new)) for text in texts]
        if isinstance(self.network, Loopback):
            for host, port in _PORTS.items():
                texts = [text.replace(f"{host}:{port}", f"127.0.0.1:{self._ports[host]}") for text in texts]
            texts = [text.replace("port 6379", f"port {self._ports['redis']}") for text in texts]
        return texts

    def _kill_all(self) -> None:
        kill(tree(child.pid for child in self._children.values()))
        for child in self._children.values():
            child.wait()
        self._record.clear()


def _ports_of_its_own(api: int) -> dict[str, str]:
    """Ports that each container has for itself."""
    own = (
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT",
    )
    ports = zip(own, map(str, free_ports(len(own))), strict=True)
    return {"AIRFLOW__API__PORT": str(api), **dict(ports)}
