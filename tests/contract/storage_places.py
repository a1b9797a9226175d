"""Somewhere to write capture objects: a folder, and a real server of each kind of object store.

SeaweedFS with HMAC keys (IBM COS and S3), moto behind IAM tokens (IBM COS), Azurite (Azure Blob) and
Google's XML API in front of moto.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import obstore

from paylog.connections import Connection
from paylog.storage import Storage, connect
from paylog.storage.cloud_buckets import gcs_bucket
from paylog.storage.cos_client import cos_client
from paylog.testing.azurite import Azurite
from paylog.testing.object_store import ObjectStore

BUCKET = "scoring-logs"
MEGABYTE = 1 << 20


@dataclass
class Place:
    """Somewhere to write objects, and the storage that reads them."""

    storage: Storage
    address: str
    put: Callable[[str, bytes], Any]
    delete: Callable[[str], Any]

    def read(self, key: str) -> bytes:
        with self.storage.open(self.storage.stat(key)) as chunks:
            return b"".join(chunks)


def in_bucket(connection: Connection) -> Place:
    client, prefix = cos_client(connection), f"runs/{uuid4().hex}/"
    return Place(
        connect(connection, BUCKET, prefix),
        f"cos://{BUCKET}/{prefix}",
        lambda key, body: client.put_object(Bucket=BUCKET, Key=prefix + key, Body=body),
        lambda key: client.delete_object(Bucket=BUCKET, Key=prefix + key),
    )


def in_s3(store: ObjectStore) -> Place:
    """The same objects, written by one client and read by the other."""
    place = in_bucket(store.connection())
    storage = connect(replace(store.connection(), conn_type="aws"), BUCKET, place.address.split("/", 3)[3])
    return replace(place, storage=storage, address=place.address.replace("cos:", "s3:"))


def in_azure(server: Azurite) -> Place:
    prefix = f"runs/{uuid4().hex}/"
    return Place(
        connect(server.connection(), BUCKET, prefix),
        f"az://{BUCKET}/{prefix}",
        lambda key, body: server.put(BUCKET, prefix + key, body),
        lambda key: server.delete(BUCKET, prefix + key),
    )


def in_gcs(connection: Connection) -> Place:
    store, prefix = gcs_bucket(connection, BUCKET).store, f"runs/{uuid4().hex}/"
    return Place(
        connect(connection, BUCKET, prefix),
        f"gs://{BUCKET}/{prefix}",
        lambda key, body: obstore.put(store, prefix + key, body, use_multipart=False),
        lambda key: obstore.delete(store, prefix + key),
    )


def in_folder(root: Path) -> Place:
    def put(key: str, body: bytes) -> None:
        path = root / "runs" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat().st_mtime_ns if path.exists() else None
        path.write_bytes(body)
        if path.stat().st_mtime_ns == before:  # within one tick of the clock
            os.utime(path, ns=(before + 1, before + 1))

    connection = Connection("logs", "paylog_folder", extra={"path": str(root)})
    return Place(
        connect(connection, "", "runs"),
        f"file://{root}/runs/",
        put,
        lambda key: (root / "runs" / key).unlink(),
    )


@contextmanager
def moto_server() -> Iterator[tuple[str, int]]:
    """In a process of its own: the memory it takes is not ours."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    command = [sys.executable, "-m", "moto.server", "-H", address[0], "-p", str(address[1])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with suppress(ConnectionRefusedError), socket.create_connection(address):
                break
            time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()
