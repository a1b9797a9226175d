"""One capture object into a load: whole, from where it was read to before, or only some halves of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from paylog.engines.readers import peeked
from paylog.errors import ObjectChanged, ObjectNotFound
from paylog.growing import CompressedObject, GrowingObject, ObjectRewritten
from paylog.records import CaptureObject
from paylog.storage.compression import is_compressed

if TYPE_CHECKING:
    from paylog.data_mart.ledger import LiveEntry
    from paylog.data_mart.load import Load
    from paylog.data_mart.object_load import ObjectLoad
    from paylog.data_mart.partners import Freed
    from paylog.decode import Decoder
    from paylog.storage import Storage

Progress = Callable[[int, int], None]
"""Called with the rows read and the stored bytes fetched since the last call."""

log = logging.getLogger(__name__)

_READS_OF_A_CHANGING_OBJECT = 3
# One that is appended to changes all the time; each read is short.
_READS_OF_A_GROWING_OBJECT = 20


class _Open(Protocol):
    def __call__(self, item: CaptureObject, start: int = 0) -> AbstractContextManager[Iterator[bytes]]: ...


class ObjectIngest:
    """Reads the capture objects of one batch into its load."""

    def __init__(self, storage: Storage, decoder: Decoder, load: Load, progress: Progress) -> None:
        self._storage = storage
        self._decoder = decoder
        self._load = load
        self._progress = progress

    def ingest(self, item: CaptureObject, opened: _Open) -> None:
        """Load one object at the version it has now: one that changes under our hands is read again.

        :param opened: opens the object the first time.
        """
        grows = self._decoder.engine.appends(item)
        reads = _READS_OF_A_GROWING_OBJECT if grows else _READS_OF_A_CHANGING_OBJECT
        for attempt in range(1, reads + 1):
            try:
                self._ingest(item, opened, self._load.part(item) if grows else None, grows=grows)
                return
            except ObjectChanged as change:
                if attempt == reads:
                    raise
                rewritten = isinstance(change, ObjectRewritten)
                compressed = isinstance(change, CompressedObject)
            try:
                now = replace(self._storage.stat(item.key), replaces=item.replaces)
            except ObjectNotFound:
                log.warning("%s was deleted after it was listed: there is nothing to load", item.uri)
                return
            # Else the plan was older than what is loaded: the object is not shorter, but longer.
            if rewritten and now.version == item.version:
                self._ingest(now, self._storage.open, None, grows=grows and not compressed)
                return
            item, opened = now, self._storage.open

    def supply(self, freed: Freed, root: str) -> None:
        """Offer halves again whose other halves went with an older version of an object.

        :param root: what precedes a key in a URI.
        """
        try:
            item = self._storage.stat(freed.uri.removeprefix(root))
            if item.version != freed.version and not self._decoder.engine.appends(item):
                self._load.read_later(freed)
                return
            with self._storage.open(item) as chunks:
                for block in self._decoder.blocks(item, self._watched(chunks)):
                    self._load.supply(freed, block.halves)
        except ObjectNotFound:
            log.warning("%s is gone: halves of it, wanted again, are rejects", freed.uri)
            self._load.lose(freed)

    def _ingest(self, item: CaptureObject, opened: _Open, after: LiveEntry | None, *, grows: bool) -> None:
        complete = item.last_modified < datetime.now(UTC) - self._decoder.logs.lookback
        if after and after.version == item.version and not (complete and after.state == "partial"):
            self._load.already_loaded += 1
            return
        with self._load.object(item, after) as target:
            if target is None:
                return
            # What was opened ahead of the lock may be older than what another worker has loaded.
            source = self._storage.open if target.supersedes or after else opened
            if not grows:
                with source(item) as chunks:
                    self._decode(item, self._watched(chunks), target)
                return
            part = GrowingObject(
                after.extent if after else None, complete, self._decoder.logs.max_record_bytes
            )
            if part.start > item.size:
                raise ObjectRewritten(f"{item.uri} is shorter than before.")
            with source(item, part.start) as chunks:
                head, stored = peeked(self._watched(chunks))
                if not part.start and is_compressed(head):
                    raise CompressedObject(f"{item.uri} is compressed.")
                first, lines = part.read(stored)
                if first and (header := self._decoder.engine.header(lambda: self._first_line(item), item)):
                    first, lines = first - 1, chain([header], lines)
                self._decode(item, lines, target, first)
            target.extent = part.extent

    def _first_line(self, item: CaptureObject) -> bytes:
        head = b""
        with self._storage.open(item) as chunks:
            while b"\n" not in head and len(head) < self._decoder.logs.max_record_bytes:
                head += next(chunks)
        return head[: head.index(b"\n") + 1] if b"\n" in head else b""

    def _decode(
        self, item: CaptureObject, chunks: Iterator[bytes], target: ObjectLoad, first: int = 0
    ) -> None:
        for block in self._decoder.blocks(item, chunks, first):
            target.add(block)
            self._progress(block.read, 0)

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._progress(0, len(chunk))
            yield chunk


def unwatched(rows: int, size: int) -> None:
    """Progress that nobody looks at."""
