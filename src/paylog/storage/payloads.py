"""Bodies that an engine stored apart from their record, in the container of the logs."""

from __future__ import annotations

from functools import cached_property
from urllib.parse import unquote, urlsplit

from paylog.connections import Connection
from paylog.errors import ObjectChanged, ObjectNotFound, Reason, RejectedRecord
from paylog.storage import Storage, connect
from paylog.storage.azure_account import azure_account


class Payloads:
    """Reads blobs that records refer to: by a URL, or by a path in the container.

    :param container: of the logs; empty for a folder, where any container's path is one below the folder.
    :param limit: most bytes of a body.
    """

    def __init__(self, connection: Connection, container: str, limit: int) -> None:
        self._connection = connection
        self._container = container
        self._limit = limit

    def __call__(self, reference: str) -> bytes:
        """The bytes of one body.

        :raises RejectedRecord: it lies elsewhere (``FOREIGN_PAYLOAD``), is gone (``MISSING_PAYLOAD``) or too
            large (``PAYLOAD_TOO_LARGE``).
        """
        key = self._key(reference)
        try:
            item = self._storage.stat(key)
            if item.size > self._limit:
                raise RejectedRecord(Reason.PAYLOAD_TOO_LARGE)
            with self._storage.open(item) as chunks:
                return b"".join(chunks)
        except (ObjectNotFound, ObjectChanged, ValueError):
            raise RejectedRecord(Reason.MISSING_PAYLOAD) from None

    @cached_property
    def _storage(self) -> Storage:
        return connect(self._connection, self._container)

    @cached_property
    def _account(self) -> str:
        """Of Azure; elsewhere the container's name is all that tells one from another."""
        return azure_account(self._connection)["account_name"] if self._connection.conn_type == "wasb" else ""

    def _key(self, reference: str) -> str:
        """Path in the container."""
        foreign = RejectedRecord(Reason.FOREIGN_PAYLOAD)
        try:
            url = urlsplit(reference)
            path = unquote(url.path, errors="strict").lstrip("/")
        except ValueError:
            raise foreign from None
        if url.scheme or url.netloc:
            path = self._in_container(url.scheme, url.hostname or "", path)
        if "\0" in path or "\\" in path or {"", "..", "."} & set(path.split("/")):
            raise foreign
        return path

    def _in_container(self, scheme: str, host: str, path: str) -> str:
        container, _, key = path.partition("/")
        account = host.split(".", 1)[0]
        if scheme not in ("http", "https") or (self._account and account != self._account):
            raise RejectedRecord(Reason.FOREIGN_PAYLOAD)
        if self._container and container != self._container:
            raise RejectedRecord(Reason.FOREIGN_PAYLOAD)
        return key
