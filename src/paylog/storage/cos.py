"""Capture objects in IBM Cloud Object Storage, or any store that speaks S3."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeVar

import stamina

from paylog.errors import ConfigurationError, ObjectChanged, ObjectNotFound, RetriableError
from paylog.records import CaptureObject
from paylog.storage.cos_client import cos_client
from paylog.storage.cos_errors import explained
from paylog.storage.keys import is_capture, root_prefix

if TYPE_CHECKING:
    from paylog.connections import Connection

CHUNK = 1 << 20
ATTEMPTS = 6
T = TypeVar("T")


class CosStorage:
    """Objects of one bucket below a folder of keys. The version is the ETag.

    A passing fault (throttling, 5xx, refused, dropped or silent connection) is tried six times
    over some 20 seconds, a body from the byte reached; then ``RetriableError``.
    """

    def __init__(self, connection: Connection, bucket: str, prefix: str = "") -> None:
        """:raises ConfigurationError: no bucket, endpoint or credentials."""
        if not bucket:
            raise ConfigurationError(
                f"connection {connection.conn_id!r} is an object store: name the bucket beside it"
            )
        self.bucket = bucket
        self.conn_id = connection.conn_id
        self._root = root_prefix(prefix)
        self._client = cos_client(connection)

    def list(self, prefix: str) -> Iterator[CaptureObject]:
        """Objects whose key starts with ``prefix``, a page of 1,000 at a time.

        In the store's order: COS and S3 sort by the key's bytes; SeaweedFS part by part, so that
        ``a/b`` comes before ``a b``.
        """
        after: dict[str, str] = {}
        while True:
            page = self._request(self._client.list_objects_v2, "", Prefix=self._root + prefix, **after)
            for entry in page.get("Contents", ()):
                key = entry["Key"].removeprefix(self._root)
                if is_capture(key):
                    yield self._capture(key, entry, entry["Size"])
            if not page.get("IsTruncated"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def stat(self, key: str) -> CaptureObject:
        """The object as it is now. :raises ObjectNotFound: there is none."""
        head = self._request(self._client.head_object, key, Key=self._root + key)
        return self._capture(key, head, head["ContentLength"])

    @contextmanager
    def open(self, item: CaptureObject, start: int = 0) -> Iterator[Iterator[bytes]]:
        """Chunks of 1 MiB. :raises ObjectChanged: overwritten or deleted since it was listed."""
        body = _Body(self, item, start)
        chunks = body.chunks()
        try:
            body.connect()
            yield chunks
        finally:
            chunks.close()
            body.close()

    def _get(self, item: CaptureObject, start: int) -> Any:
        """The body of one GET of exactly this version from byte ``start``, not retried."""
        wanted = {"IfMatch": f'"{item.version}"'} | ({"Range": f"bytes={start}-"} if start else {})
        where = self.uri(item.key)
        try:
            with explained(where, self.conn_id):
                answer = self._client.get_object(Bucket=self.bucket, Key=self._root + item.key, **wanted)
        except ObjectNotFound as gone:
            raise ObjectChanged(f"{where} was deleted after it was listed") from gone
        # Some stores ignore If-Match or Range.
        if (_version(answer), answer["ContentLength"]) != (item.version, item.size - start):
            answer["Body"].close()
            raise ObjectChanged(f"{where}: the store does not give the bytes that were listed")
        return answer["Body"]

    def _request(self, call: Callable[..., Any], key: str, **arguments: Any) -> Any:
        def once() -> Any:
            with explained(self.uri(key), self.conn_id):
                return call(Bucket=self.bucket, **arguments)

        return retried(once)

    def _capture(self, key: str, entry: dict[str, Any], size: int) -> CaptureObject:
        modified = entry["LastModified"].astimezone(UTC)
        return CaptureObject(self.uri(key), key, _version(entry), size, modified)

    def uri(self, key: str) -> str:
        """Address of a key."""
        return f"cos://{self.bucket}/{self._root}{key}"


class _Body:
    """Reads one object to its end, over as many GETs as the network makes necessary."""

    def __init__(self, storage: CosStorage, item: CaptureObject, start: int) -> None:
        self._storage = storage
        self._item = item
        self._read = start
        self._body: Any = None

    def connect(self) -> None:
        if self._read < self._item.size or not self._item.size:  # a range from the very end is an error
            retried(self._connect)

    def chunks(self) -> Generator[bytes, None, None]:
        while self._read < self._item.size:
            chunk = retried(self._next)
            self._read += len(chunk)
            yield chunk

    def close(self) -> None:
        if self._body is not None:
            self._body.close()  # unread bytes are not drained: the connection is dropped
            self._body = None

    def _connect(self) -> None:
        if self._body is None:
            self._body = self._storage._get(self._item, self._read)

    def _next(self) -> bytes:
        self._connect()
        uri = self._item.uri
        try:
            with explained(uri, self._storage.conn_id):
                chunk: bytes = self._body.read(CHUNK)
            read = self._read + len(chunk)
            if len(chunk) < CHUNK and read < self._item.size:
                raise RetriableError(f"{uri}: the body ended after {read:,} of {self._item.size:,} bytes")
        except RetriableError:
            self.close()
            raise
        return chunk


def retried(call: Callable[[], T]) -> T:
    """Call until it answers, with backoff; the last ``RetriableError`` when it never does."""
    for attempt in stamina.retry_context(
        on=_is_passing, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=20.0
    ):
        with attempt:
            return call()
    raise AssertionError("unreachable: stamina raises the last error")


def _is_passing(error: Exception) -> bool:
    return isinstance(error, RetriableError) and not isinstance(error, ObjectChanged)


def _version(answer: dict[str, Any]) -> str:
    return str(answer["ETag"]).strip('"')
