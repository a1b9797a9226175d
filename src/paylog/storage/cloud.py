"""Capture objects in Amazon S3, Azure Blob Storage or Google Cloud Storage, through obstore."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import obstore

from paylog.errors import ObjectChanged, ObjectNotFound
from paylog.records import CaptureObject
from paylog.storage.cloud_errors import explained
from paylog.storage.keys import is_capture, root_prefix

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ObjectStore

CHUNK = 1 << 20
PAGE = 1000


@dataclass(frozen=True)
class Bucket:
    """A bucket or container that obstore can reach.

    :param address: ``s3://bucket/``, ``az://container/`` or ``gs://bucket/``.
    """

    store: ObjectStore
    address: str
    conn_id: str


class CloudStorage:
    """Objects of one bucket below a folder of keys. The version is the ETag.

    obstore tries a passing fault again with backoff, and reads on from the byte reached, held to
    the ETag. Keys with an empty part (``a//b``) are beyond it: they raise ``StopError``.
    """

    def __init__(self, bucket: Bucket, prefix: str = "") -> None:
        self._bucket = bucket
        self._root = root_prefix(prefix)

    def list(self, prefix: str) -> Iterator[CaptureObject]:
        """Objects whose key starts with ``prefix``, a page of 1,000 at a time, in the store's order."""
        start = self._root + prefix
        folder = start.rpartition("/")[0]  # obstore knows prefixes of whole parts only
        with self._explained(prefix):
            pages = obstore.list(self._bucket.store, prefix=folder or None, chunk_size=PAGE)
        while page := self._next(pages, prefix):
            for entry in page:
                key = entry["path"].removeprefix(self._root)
                if entry["path"].startswith(start) and is_capture(key):
                    yield self._capture(key, entry)

    def stat(self, key: str) -> CaptureObject:
        """The object as it is now. :raises ObjectNotFound: there is none."""
        with self._explained(key):
            return self._capture(key, obstore.head(self._bucket.store, self._root + key))

    @contextmanager
    def open(self, item: CaptureObject, start: int = 0) -> Iterator[Iterator[bytes]]:
        """Chunks of 1 MiB. :raises ObjectChanged: overwritten or deleted since it was listed."""
        body = iter(()) if start and start == item.size else self._get(item, start)
        with closing(self._chunks(body, item, start)) as chunks:
            yield chunks

    def _get(self, item: CaptureObject, start: int) -> Iterator[Any]:
        options: GetOptions = {"if_match": f'"{item.version}"'}
        if start:
            options["range"] = {"offset": start}
        try:
            with self._explained(item.key):
                answer = obstore.get(self._bucket.store, self._root + item.key, options=options)
        except ObjectNotFound as gone:
            raise ObjectChanged(f"{item.uri} was deleted after it was listed") from gone
        # Some stores ignore If-Match or Range.
        if (_version(answer.meta), tuple(answer.range)) != (item.version, (start, item.size)):
            raise ObjectChanged(f"{item.uri}: the store does not give the bytes that were listed")
        return iter(answer.stream(min_chunk_size=CHUNK))

    def _chunks(self, body: Iterator[Any], item: CaptureObject, read: int) -> Generator[bytes, None, None]:
        while piece := self._next(body, item.key):
            read += len(piece)
            for at in range(0, len(piece), CHUNK):  # a piece holds CHUNK bytes or somewhat more
                yield bytes(piece[at : at + CHUNK])
        if read != item.size:
            raise ObjectChanged(f"{item.uri}: {read:,} bytes read, {item.size:,} listed")

    def _next(self, answers: Iterator[Any], key: str) -> Any:
        with self._explained(key):
            return next(answers, None)

    def _explained(self, key: str) -> Any:
        return explained(self.uri(key), self._bucket.conn_id)

    def _capture(self, key: str, entry: Any) -> CaptureObject:
        return CaptureObject(self.uri(key), key, _version(entry), entry["size"], entry["last_modified"])

    def uri(self, key: str) -> str:
        """Address of a key."""
        return f"{self._bucket.address}{self._root}{key}"


def _version(entry: Any) -> str:
    return str(entry["e_tag"]).strip('"')  # Azure quotes it in some answers only
