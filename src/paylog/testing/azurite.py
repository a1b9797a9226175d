"""A real Azure Blob endpoint on loopback: Microsoft's Azurite, for the tests. Needs node and npm."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import shutil
import socket
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from paylog.connections import Connection
from paylog.errors import StopError

VERSION = "3.37.0"
LOOPBACK = "127.0.0.1"
# Azurite's own account, the same everywhere.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_API = "2021-12-02"
_START_SECONDS = 60


class Azurite:
    """Azurite with its blobs in memory; a context manager."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def account_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/{ACCOUNT}"

    def connection(self, conn_id: str = "azure_blob", **changes: Any) -> Connection:
        """A ``wasb`` connection with the account's key."""
        fields = {"host": self.account_url, "login": ACCOUNT, "password": KEY} | changes
        return Connection(conn_id, "wasb", **fields)

    def create_container(self, container: str) -> None:
        self._call("PUT", container, query="restype=container")

    def put(self, container: str, key: str, body: bytes) -> None:
        """Write one block blob, replacing what is there."""
        self._call("PUT", f"{container}/{key}", body, {"x-ms-blob-type": "BlockBlob"})

    def append(self, container: str, key: str, body: bytes) -> None:
        """Add to an append blob, as Azure's data collector does; it must exist."""
        self._call("PUT", f"{container}/{key}", body, query="comp=appendblock")

    def create_append_blob(self, container: str, key: str) -> None:
        self._call("PUT", f"{container}/{key}", headers={"x-ms-blob-type": "AppendBlob"})

    def delete(self, container: str, key: str) -> None:
        self._call("DELETE", f"{container}/{key}")

    def start(self) -> None:
        """Start and wait until it answers. :raises StopError: npm is missing, or it does not start."""
        main = azurite_main()
        with socket.create_server((LOOPBACK, 0)) as free:
            self.port = free.getsockname()[1]
        self._process = subprocess.Popen(
            [
                "node", str(main), "--silent", "--disableTelemetry", "--inMemoryPersistence",
                "--blobHost", LOOPBACK, "--blobPort", str(self.port),
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection((LOOPBACK, self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise StopError("Azurite did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()  # its blobs are in memory
            self._process.wait()
            self._process = None

    def __enter__(self) -> Azurite:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        query: str = "",
    ) -> None:
        sent = {
            "x-ms-date": formatdate(usegmt=True),
            "x-ms-version": _API,
            "Content-Type": "application/octet-stream",
        }
        sent |= headers or {}
        address = quote(path, safe="/~")
        sent["Authorization"] = f"SharedKey {ACCOUNT}:{_signature(method, address, len(body), sent, query)}"
        url = f"{self.account_url}/{address}" + (f"?{query}" if query else "")
        with urlopen(Request(url, body or None, sent, method=method)):
            pass


def _signature(method: str, path: str, size: int, headers: dict[str, str], query: str) -> str:
    """Shared key, https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key."""
    canonical = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-ms-"))
    resource = f"/{ACCOUNT}/{ACCOUNT}/{path}" + (f"\n{query.replace('=', ':')}" if query else "")
    standard = ["", "", str(size or ""), "", headers["Content-Type"], "", "", "", "", "", ""]
    text = "\n".join([method, *standard, canonical + resource])
    return base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)).decode()


def azurite_main() -> Path:
    """Azurite's program, installed from the npm registry beside this Python if it is not there yet.

    :raises StopError: npm is missing, or the installation failed.
    """
    home = Path(sys.prefix) / "azurite"
    main = home / "node_modules/azurite/dist/src/blob/main.js"
    if main.exists():
        return main
    npm = shutil.which("npm")
    if npm is None:
        raise StopError("Azurite needs Node.js 20 or later with npm: install it and run this again")
    home.mkdir(exist_ok=True)
    command = [npm, "install", "--prefix", str(home), "--no-audit", "--no-fund", f"azurite@{VERSION}"]
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not main.exists():
            subprocess.run(command, capture_output=True, check=False)
    if not main.exists():
        raise StopError(f"Azurite {VERSION} could not be installed: npm needs its registry")
    return main
