"""Training data in objects: CSV or Parquet, one object or parts below a prefix, in COS, S3 or a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from os import SEEK_END
from typing import IO, TYPE_CHECKING

from paylog.errors import AccessDenied, DecompressionLimitExceeded, ObjectNotFound, StopError
from paylog.records import CaptureObject
from paylog.storage import Storage, connect, decompress
from paylog.subscription.section import did_you_mean
from paylog.subscription.training_data import CosReference, TrainingDataFormat
from paylog.training_data.csv_objects import CsvDialect, csv_batches, csv_columns
from paylog.training_data.parquet_objects import parquet_batches, parquet_columns, spooled
from paylog.training_data.profile import DataVersion, SourceColumn

if TYPE_CHECKING:
    import pyarrow as pa

    from paylog.connections import Connection

_NEAR = 1000


class Objects:
    """Rows of all objects, in the order of their keys.

    :param names: of the columns of CSV without a header.
    """

    def __init__(self, reference: CosReference, connection: Connection, names: Sequence[str]) -> None:
        """Lists the objects and reads the columns of the first.

        :raises ConfigurationError: the connection cannot be used, or the format cannot be told.
        :raises ObjectNotFound: no object there.
        """
        self._reference = reference
        self._storage = connect(connection, reference.bucket or "")
        self._objects = _listed(self._storage, reference)
        self._format = reference.format or _format_of(self._objects[0].key)
        self._first_spool: IO[bytes] | None = None
        self._dialect = CsvDialect(reference.delimiter, reference.encoding, () if reference.header else names)

    @cached_property
    def columns(self) -> tuple[SourceColumn, ...]:
        first = self._objects[0]
        if self._format is TrainingDataFormat.PARQUET:
            return parquet_columns(self._spool(first), first.uri)
        with self._opened(first, self._reference.max_bytes) as stream:
            names = csv_columns(stream, first.uri, self._dialect)
        return tuple(SourceColumn(name, "text") for name in names)

    @property
    def version(self) -> DataVersion:
        """ETags of all objects, as they were listed."""
        first = self._objects[0]
        uri = first.uri if len(self._objects) == 1 else first.uri.removesuffix(first.key) + self._place
        versions = [f"{item.key}\0{item.version}" for item in self._objects]
        together = hashlib.blake2b("\n".join(versions).encode(), digest_size=16).hexdigest()
        return DataVersion(
            location=uri,
            version=first.version if len(self._objects) == 1 else together,
            modified=max(item.last_modified for item in self._objects),
            objects=len(self._objects),
            bytes=sum(item.size for item in self._objects),
        )

    def chunks(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Up to 64k rows or some MB at once.

        :raises ObjectChanged: an object was overwritten since it was listed.
        :raises StopError: an object is no CSV or Parquet, is cut off, or has other columns than the first.
        """
        left = self._reference.max_bytes
        for item in self._objects:
            if self._format is TrainingDataFormat.PARQUET:
                with self._spool(item, left) as file:
                    left -= file.tell()
                    yield from self._alike(item, parquet_batches(file, item.uri, columns), columns)
                self._first_spool = None
                continue
            with self._opened(item, left) as stream:
                counted = _Counted(stream)
                yield from self._alike(item, csv_batches(counted, item.uri, self._dialect), columns)
                left -= counted.bytes

    @property
    def _place(self) -> str:
        return self._reference.object or self._reference.prefix or ""

    def _spool(self, item: CaptureObject, limit: int | None = None) -> IO[bytes]:
        """The object in a file; that of the first, whose columns were asked for, is read once only."""
        if self._first_spool is not None and item is self._objects[0]:
            self._first_spool.seek(0, SEEK_END)
            return self._first_spool
        with self._opened(item, self._reference.max_bytes if limit is None else limit) as stream:
            file = spooled(stream)
        if item is self._objects[0]:
            self._first_spool = file
        return file

    @contextmanager
    def _opened(self, item: CaptureObject, limit: int) -> Iterator[Iterator[bytes]]:
        with self._storage.open(item) as stored:
            try:
                yield decompress(stored, item.key, limit)
            except DecompressionLimitExceeded:
                raise DecompressionLimitExceeded(
                    f"{item.uri}: the training data holds more than {self._reference.max_bytes:,} bytes once "
                    "decompressed: raise training_data.max_bytes if that is right"
                ) from None

    def _alike(
        self, item: CaptureObject, batches: Iterator[pa.RecordBatch], columns: Sequence[str] | None
    ) -> Iterator[pa.RecordBatch]:
        """The batches with the wanted columns in the wanted order, which every part has."""
        wanted = [column.name for column in self.columns] if columns is None else list(columns)
        for batch in batches:
            if lacking := [name for name in wanted if name not in batch.schema.names]:
                raise StopError(
                    f"{item.uri} lacks the columns {lacking}, which {self._objects[0].uri} has: the parts of "
                    "training data must have the same columns; remove what does not belong to it"
                )
            yield batch.select(wanted)


class _Counted:
    """Counts the bytes that pass."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self.bytes += len(chunk)
        return chunk


def _listed(storage: Storage, reference: CosReference) -> list[CaptureObject]:
    if reference.object:
        try:
            return [storage.stat(reference.object)]
        except ObjectNotFound as missing:
            raise ObjectNotFound(f"{missing}{_near(storage, reference.object)}") from None
    prefix = reference.prefix or ""
    found = [item for item in storage.list(prefix) if item.size]
    if not found:
        raise ObjectNotFound(
            f"no object below {prefix!r} in {_store(reference)}{_near(storage, prefix)}: mend "
            "training_data.prefix, or write the training data there"
        )
    return found


def _near(storage: Storage, key: str) -> str:
    """``, did you mean …?`` by the objects of the same folder, else of all."""
    folder = key.rpartition("/")[0]
    try:
        listed = [item.key for top in (f"{folder}/", "") for item in islice(storage.list(top), _NEAR)]
    except AccessDenied:  # it may read, not list
        return ""
    folders = sorted({f"{name.rpartition('/')[0]}/" for name in listed if "/" in name})
    return did_you_mean(key, folders if key.endswith("/") else listed)


def _store(reference: CosReference) -> str:
    return f"bucket {reference.bucket!r}" if reference.bucket else f"connection {reference.connection!r}"


def _format_of(key: str) -> TrainingDataFormat:
    name = key.lower().removesuffix(".gz").removesuffix(".zst")
    is_parquet = name.endswith((".parquet", ".pq"))
    return TrainingDataFormat.PARQUET if is_parquet else TrainingDataFormat.CSV
