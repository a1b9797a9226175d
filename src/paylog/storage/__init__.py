"""Storage: list and stream the capture objects that an engine drops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from paylog.errors import ConfigurationError
from paylog.records import CaptureObject
from paylog.storage.compression import decompress as decompress

if TYPE_CHECKING:
    from paylog.connections import Connection

OBJECT_STORE_TYPES = ("ibm_cos", "aws")
FOLDER_TYPES = ("paylog_folder", "fs")


class Storage(Protocol):
    """A place that holds capture objects.

    Every method raises ``RetriableError`` after its own retries are used up, ``AccessDenied`` or
    ``ObjectNotFound`` at once.
    """

    def list(self, prefix: str) -> Iterator[CaptureObject]:
        """Objects whose key starts with ``prefix`` (below the storage's own root), in key order."""
        ...

    def stat(self, key: str) -> CaptureObject:
        """The object as it is now."""
        ...

    def open(self, item: CaptureObject, start: int = 0) -> AbstractContextManager[Iterator[bytes]]:
        """The stored bytes of exactly ``item.version`` in chunks of bounded size.

        Raises ``ObjectChanged`` (also half-way through) when the version is no longer that one.

        :param start: bytes to leave out in front, as stored; at most ``item.size``.
        """
        ...


def connect(connection: Connection, bucket: str = "", prefix: str = "") -> Storage:
    """The storage that a connection names. Sends no request yet.

    :param bucket: object stores only.
    :param prefix: root of the storage, a folder of keys; keys are below it.
    :raises ConfigurationError: unknown connection type, or something is missing.
    :raises ObjectNotFound: the root folder does not exist.
    """
    if connection.conn_type in OBJECT_STORE_TYPES:
        from paylog.storage.cos import CosStorage

        return CosStorage(connection, bucket, prefix)
    if connection.conn_type in FOLDER_TYPES:
        return _folder(connection, bucket, prefix)
    known = ", ".join((*OBJECT_STORE_TYPES, *FOLDER_TYPES))
    raise ConfigurationError(
        f"connection {connection.conn_id!r} has type {connection.conn_type!r}, "
        f"which holds no logs: use one of {known}"
    )


def _folder(connection: Connection, bucket: str, prefix: str) -> Storage:
    from paylog.storage.folder import FolderStorage

    root = str(connection.extra.get("path") or connection.host or "")
    if bucket:
        raise ConfigurationError(
            f"connection {connection.conn_id!r} is a folder and has no buckets: remove logs.bucket {bucket!r}"
        )
    if not Path(root).is_absolute():
        raise ConfigurationError(
            f"connection {connection.conn_id!r} needs the absolute path of a folder in extra "
            f'("path": "/var/log/scoring"), not {root!r}'
        )
    return FolderStorage(Path(root), prefix)
