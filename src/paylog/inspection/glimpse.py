"""A look at a few objects of a folder, whatever they are: JSON, CSV or Parquet, compressed or not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from paylog.codecs.body import load_json
from paylog.engines.csv_tables import CsvReader
from paylog.engines.documents import RecordBlock, record_blocks
from paylog.engines.parquet_tables import MAGIC, json_record, parquet_blocks
from paylog.engines.tables import TableBlock
from paylog.errors import RejectedRecord, StopError, TruncatedStream
from paylog.records import CaptureObject
from paylog.storage import Storage
from paylog.storage.compression import decompress

MOST_LISTED = 1000
MOST_OPENED = 24
MOST_RECORDS = 200
TEXT_BYTES = 1 << 18
PARQUET_BYTES = 16 << 20
_READERS: dict[str, Callable[..., Iterator[Any]]] = {
    "JSON": record_blocks,
    "CSV": CsvReader(),
    "Parquet": parquet_blocks,
}


@dataclass(slots=True)
class Sample:
    """What the beginning of one object holds.

    :param container: ``JSON``, ``CSV``, ``Parquet``, or why it cannot be read.
    :param data: the beginning, decompressed; ``whole``: and that is all of it.
    :param records: parsed, numbers of JSON as they are written; for tables by column.
    """

    item: CaptureObject
    container: str
    data: bytes = b""
    whole: bool = True
    records: list[Any] = field(default_factory=list)

    def parts(self, reader: Callable[..., Iterator[Any]]) -> Iterator[RecordBlock | TableBlock]:
        """What a reader makes of the beginning; rejects are left out."""
        for part in reader(_stream(self.data, self.whole), len(self.data) + 1):
            if isinstance(part, RecordBlock | TableBlock):
                yield part


@dataclass(slots=True)
class Glimpse:
    """What a folder holds, as far as was looked.

    :param objects: listed, at most ``MOST_LISTED``.
    """

    objects: list[CaptureObject]
    samples: list[Sample]

    @property
    def containers(self) -> dict[str, int]:
        return dict(Counter(sample.container for sample in self.samples))


def glimpse(storage: Storage, most_opened: int = MOST_OPENED) -> Glimpse:
    """Look at objects spread over the folder, the beginning of each."""
    objects = list(islice(storage.list(""), MOST_LISTED))
    return Glimpse(objects, [_sample(storage, item) for item in _spread(objects, most_opened)])


def _spread(objects: list[CaptureObject], most: int) -> list[CaptureObject]:
    """Some of each kind of name, first to last."""
    kinds: dict[str, list[CaptureObject]] = {}
    for item in objects:
        kinds.setdefault("".join(PurePosixPath(item.key).suffixes[-2:]), []).append(item)
    share = math.ceil(most / max(len(kinds), 1))
    chosen = [
        items[i * (len(items) - 1) // max(share - 1, 1)] if len(items) > share else items[i]
        for items in kinds.values()
        for i in range(min(share, len(items)))
    ]
    return chosen[:most]


def _sample(storage: Storage, item: CaptureObject) -> Sample:
    try:
        data, whole = _beginning(storage, item)
    except StopError as error:
        return Sample(item, f"not readable ({type(error).__name__})")
    container = _container(data)
    if container not in _READERS:
        return Sample(item, container)
    if container == "Parquet" and not whole:
        return Sample(item, f"Parquet of more than {PARQUET_BYTES >> 20} MiB, not opened")
    sample = Sample(item, container, data, whole)
    for part in sample.parts(_READERS[container]):
        sample.records += _records(part)
        if len(sample.records) >= MOST_RECORDS:
            break
    return sample


def _beginning(storage: Storage, item: CaptureObject) -> tuple[bytes, bool]:
    """The first bytes, decompressed (all of a Parquet file), and whether they are all."""
    taken = bytearray()
    with storage.open(item) as chunks:
        for chunk in decompress(chunks, item.key, 2 * PARQUET_BYTES):
            taken += chunk
            if len(taken) > (PARQUET_BYTES if taken.startswith(MAGIC) else TEXT_BYTES):
                return bytes(taken), False
    return bytes(taken), True


def _stream(data: bytes, whole: bool) -> Iterator[bytes]:
    yield data
    if not whole:
        raise TruncatedStream("only the beginning was read", len(data))


def _container(data: bytes) -> str:
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        return "empty"
    if data.startswith(MAGIC):
        return "Parquet"
    if text[:1] in (b"{", b"["):
        return "JSON"
    try:
        text[:-4].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return "neither text nor Parquet"
    return "CSV" if b"," in text.split(b"\n", 1)[0] else "text"


def _records(part: RecordBlock | TableBlock) -> list[Any]:
    if isinstance(part, TableBlock):
        rows = min(part.table.num_rows, MOST_RECORDS)
        return [load_json(json_record(part.table, i)) for i in range(rows)]
    records = []
    for raw in part.records()[:MOST_RECORDS]:
        try:
            records += [load_json(raw)] if raw.strip() else []
        except RejectedRecord:
            continue
    return records
