"""Storage: list and stream the capture objects that an engine drops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from paylog.errors import ConfigurationError, MissingExtra
from paylog.records import CaptureObject
from paylog.storage.compression import decompress as decompress

if TYPE_CHECKING:
    from paylog.connections import Connection

OBJECT_STORE_TYPES = ("ibm_cos", "aws", "wasb", "google_cloud_platform")
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

    def uri(self, key: str) -> str:
        """Address of a key, whether there is such an object or not; of ``""``: what all start with."""
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
    :raises MissingExtra: the type needs an optional dependency.
    :raises ObjectNotFound: the root folder does not exist.
    """
    if connection.conn_type == "ibm_cos":
        from paylog.storage.cos import CosStorage

        return CosStorage(connection, bucket, prefix)
    if connection.conn_type in OBJECT_STORE_TYPES:
        return _cloud(connection, bucket, prefix)
    if connection.conn_type in FOLDER_TYPES:
        return _folder(connection, bucket, prefix)
    known = ", ".join((*OBJECT_STORE_TYPES, *FOLDER_TYPES))
    raise ConfigurationError(
        f"connection {connection.conn_id!r} has type {connection.conn_type!r}, "
        f"which holds no logs: use one of {known}"
    )


def _cloud(connection: Connection, bucket: str, prefix: str) -> Storage:
    extra = {"aws": "s3", "wasb": "azure", "google_cloud_platform": "gcs"}[connection.conn_type]
    try:
        from paylog.storage import cloud_buckets
        from paylog.storage.cloud import CloudStorage
    except ImportError:
        raise MissingExtra(
            f"connection {connection.conn_id!r} has type {connection.conn_type!r}, which needs obstore: "
            f"pip install 'paylog[{extra}]'"
        ) from None
    made = {
        "s3": cloud_buckets.s3_bucket,
        "azure": cloud_buckets.azure_container,
        "gcs": cloud_buckets.gcs_bucket,
    }
    return CloudStorage(made[extra](connection, bucket), prefix)


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
