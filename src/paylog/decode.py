"""One capture object's stored bytes → normalized blocks, in the order of the layers.

storage bytes → decompressed stream → record blocks → events (engine) → rows (codecs) → blocks
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from paylog.engines import engine
from paylog.engines.documents import RecordBlock, record_blocks
from paylog.native import library
from paylog.native.scanner import Scanned, Scanner
from paylog.normalize import Normalizer, Place
from paylog.records import Block, CaptureObject, Reject
from paylog.storage.compression import decompress
from paylog.subscription import Subscription


class Decoder:
    """Decodes the capture objects of one subscription. Not for use by several threads."""

    def __init__(self, subscription: Subscription) -> None:
        self.logs = subscription.logs
        self.engine = engine(subscription)
        self.normalizer = Normalizer(subscription)
        self._scanner: Scanner | None = None
        self._empty = pa.RecordBatch.from_pylist([], schema=subscription.model_schema.arrow_schema)

    def blocks(self, item: CaptureObject, chunks: Iterator[bytes]) -> Iterator[Block]:
        """Blocks that account for every record of the object, in bounded memory.

        :param chunks: the stored bytes, compressed or not.
        :raises DecompressionLimitExceeded: the object is larger than ``logs.max_object_bytes``.
        """
        stream = decompress(chunks, item.key, self.logs.max_object_bytes)
        place = Place(item, self.engine.variant(item))
        for part in record_blocks(stream, self.logs.max_record_bytes):
            if isinstance(part, Reject):
                yield Block(self._empty, [part])
            else:
                yield from self._block(part, place)

    def _block(self, block: RecordBlock, place: Place) -> Iterator[Block]:
        """What the native scanner finds regular goes straight to columns, the rest through Python."""
        found = self._scan(block)
        if found is not None and self._scanner is not None:
            if len(found.regular):
                yield self.normalizer.scanned(found, self._scanner.pattern, block, place)
            if not len(found.irregular):
                return
            if len(found.regular):
                block = block.only(found.irregular.tolist())
        yield from self.normalizer.blocks(self.engine.decode(block), place)

    def _scan(self, block: RecordBlock) -> Scanned | None:
        if library() is None or not block.data:
            return None
        if self._scanner is None:
            self._learn(block.records()[0])
        found = self._scanner.scan(block.data, block.lines) if self._scanner else None
        if found is not None and len(found.irregular) > len(found.regular):
            self._learn(block.records()[int(found.irregular[0])])
            found = self._scanner.scan(block.data, block.lines) if self._scanner else None
        return found

    def _learn(self, example: bytes) -> None:
        normalizer = self.normalizer
        pattern = self.engine.pattern(example, normalizer.request, normalizer.response)
        self._scanner = Scanner(pattern) if pattern else None
