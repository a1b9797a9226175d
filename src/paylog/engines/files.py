"""Files of flat scored rows: NDJSON, a JSON array, CSV or Parquet, told apart by their content.

Columns are called as the model schema's fields, and ``scoring_id``, ``scoring_timestamp``,
``transaction_id``, ``response_time`` (ms), ``asset_revision``. Hive partitions in the path
(``dt=2024-01-19/``) are columns too, where the model schema or one of these names them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote

import msgspec

from paylog.codecs import Side
from paylog.engines import Decoded, Engine, Events, Part, Reader, documents
from paylog.engines.csv_tables import CsvReader
from paylog.engines.custom_machine_learning import CustomMachineLearning
from paylog.engines.documents import RecordBlock
from paylog.engines.flat_rows import FlatRows
from paylog.engines.parquet_tables import MAGIC, parquet_blocks
from paylog.engines.readers import peeked
from paylog.engines.tables import TableBlock
from paylog.native.pattern import Pattern
from paylog.records import CaptureObject

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_LINES = re.compile(r"\.(?:ndjson|jsonl|csv)$")
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_JSON_STARTS = (b"{", b"[")


class Files(Engine):
    """Decoder of flat files."""

    signs: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset({"scoring_timestamp", "prediction"}),
        frozenset({"scoring_id", "scoring_timestamp"}),
    )

    def __init__(self, subscription: Subscription) -> None:
        schema = subscription.model_schema
        self._rows = FlatRows(schema)
        self._records = CustomMachineLearning(subscription)
        columns = subscription.logs.columns or tuple(field.name for field in schema.fields)
        self._csv = CsvReader(columns, known=frozenset(self._rows.types))

    def appends(self, item: CaptureObject) -> bool:
        """Files of lines in a folder may still be written to; an object in a bucket is whole."""
        return item.uri.startswith("file://") and _LINES.search(item.key) is not None

    def header(self, first_line: Callable[[], bytes], item: CaptureObject) -> bytes:
        line = first_line() if item.key.endswith(".csv") else b""
        return line if line and self._csv.is_header(line) else b""

    def reader(self, item: CaptureObject) -> Reader:
        """By the object's first bytes; a name that ends in ``.csv`` decides, too."""
        named_csv = ".csv" in item.key.rsplit("/", 1)[-1].lower()
        partitioned = bool(self._partitions(item))

        def read(chunks: Iterator[bytes], max_record_bytes: int) -> Iterator[Part]:
            head, whole = peeked(chunks)
            start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
            if head.startswith(MAGIC):
                return parquet_blocks(whole, max_record_bytes)
            if named_csv or start not in _JSON_STARTS:
                return self._csv(whole, max_record_bytes)
            blocks = documents.record_blocks(whole, max_record_bytes)
            return map(_unscanned, blocks) if partitioned else blocks

        return read

    def pattern(self, record: bytes, request: Side, response: Side) -> Pattern | None:
        return self._records.pattern(record, request, response)

    def decode(self, block: RecordBlock | TableBlock, item: CaptureObject) -> Decoded:
        partitions = self._partitions(item)
        if isinstance(block, TableBlock):
            return Decoded(flat=[self._rows.of(block, partitions)])
        decoded = self._records.decode(block, item)
        if partitions:
            for events in decoded.events:
                _add(events, partitions)
        return decoded

    def _partitions(self, item: CaptureObject) -> dict[str, str | None]:
        return {name: value for name, value in hive_partitions(item.uri).items() if name in self._rows.types}


def hive_partitions(uri: str) -> dict[str, str | None]:
    """``…/dt=2024-01-19/…`` → ``{"dt": "2024-01-19"}``; Hive's name for null is None."""
    parts = [part.partition("=") for part in uri.split("/")[:-1] if "=" in part]
    return {
        unquote(name): None if value == _NULL_PARTITION else unquote(value)
        for name, _, value in parts
        if name
    }


def _unscanned(part: Part) -> Part:
    """Records that get columns of their path: not for the native scanner, which sees the record only."""
    if isinstance(part, RecordBlock) and part.data:
        return RecordBlock(b"", part.first, part.records())
    return part


def _add(events: Events, partitions: dict[str, str | None]) -> None:
    """Members for the partitions in front of each flat row's own, which win over them."""
    members = msgspec.json.encode(partitions)[:-1]

    def spliced(row: bytes) -> bytes:
        rest = row.lstrip()[1:]
        return members + (b"" if rest.lstrip().startswith(b"}") else b",") + rest

    if events.row_ids:
        events.requests = events.responses = [spliced(row) for row in events.requests]
