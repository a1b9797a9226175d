"""CSV as a stream of record batches of text."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Sequence
from csv import reader
from typing import NamedTuple

import pyarrow as pa
from pyarrow import csv

from paylog.errors import StopError

_BLOCK = 4 << 20
_SHOWN = 6
_UTF8 = {"utf-8", "utf-8-sig", "ascii"}


class CsvDialect(NamedTuple):
    """How CSV is written. ``names`` of the columns where there is no header, else empty."""

    delimiter: str
    encoding: str
    names: Sequence[str]


def csv_columns(stream: Iterator[bytes], uri: str, dialect: CsvDialect) -> list[str]:
    """The names in the header, or those of the dialect.

    :raises StopError: not the encoding, or a name twice.
    """
    return _names(_Stream(stream, dialect.encoding), uri, dialect)


def csv_batches(stream: Iterator[bytes], uri: str, dialect: CsvDialect) -> Iterator[pa.RecordBatch]:
    """All columns as text, some MB at once; an empty cell is null.

    :raises StopError: not the encoding, a line with too many or too few cells, a name twice.
    """
    file = _Stream(stream, dialect.encoding)
    names = _names(file, uri, dialect)
    rows = _RowGuard(header=not dialect.names)
    try:
        if not dialect.names:
            file.skip_line()
        if not file.peek():
            return
        yield from csv.open_csv(
            pa.PythonFile(file, "r"),
            csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=names),
            csv.ParseOptions(
                delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=rows.refuse
            ),
            csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as fault:
        raise _explained(fault, rows, uri, dialect) from None
    except UnicodeError:
        raise _wrong_encoding(uri, dialect) from None


class _RowGuard:
    """Notes what is wrong with a line without its text, which pyarrow's message holds."""

    def __init__(self, header: bool) -> None:
        self.fault = ""
        self._before = int(header)

    def refuse(self, row: csv.InvalidRow) -> str:
        where = f"line {row.number + self._before}" if row.number is not None else "a line"
        self.fault = f"{where} has {row.actual_columns} cells, {row.expected_columns} expected"
        return "error"


class _Stream(io.RawIOBase):
    """A file of UTF-8 without a byte order mark, from chunks in any encoding."""

    def __init__(self, chunks: Iterator[bytes], encoding: str) -> None:
        self._chunks = chunks
        self._ahead = b""
        plain = encoding in _UTF8
        self._decoder = None if plain else codecs.getincrementaldecoder(encoding)()
        self._begun = False

    def readable(self) -> bool:
        return True

    def peek(self) -> bytes:
        """What comes next; empty at the end."""
        while not self._ahead and (chunk := next(self._chunks, None)) is not None:
            self._ahead = self._recoded(chunk)
        return self._ahead

    def peek_line(self) -> bytes:
        """The first line, without taking it (of at most some MB)."""
        self.peek()
        while b"\n" not in self._ahead and len(self._ahead) < _BLOCK:
            if (chunk := next(self._chunks, None)) is None:
                break
            self._ahead += self._recoded(chunk)
        return self._ahead.partition(b"\n")[0].rstrip(b"\r")

    def skip_line(self) -> None:
        """Take the line that ``peek_line`` showed."""
        self._ahead = self._ahead.partition(b"\n")[2]

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        taken = self.peek()[: len(buffer)]
        buffer[: len(taken)] = taken
        self._ahead = self._ahead[len(taken) :]
        return len(taken)

    def _recoded(self, chunk: bytes) -> bytes:
        if self._decoder is not None:
            chunk = self._decoder.decode(chunk).encode()
        if not self._begun and chunk:
            self._begun = True
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
        return chunk


def _names(file: _Stream, uri: str, dialect: CsvDialect) -> list[str]:
    try:
        line = file.peek_line().decode()
    except UnicodeError:
        raise _wrong_encoding(uri, dialect) from None
    names = list(dialect.names) or next(reader([line], delimiter=dialect.delimiter), [])
    if len(set(names)) < len(names):  # what is taken for names may be values: they are not shown
        twice = [str(n) for n, name in enumerate(names, start=1) if names.count(name) > 1]
        raise StopError(
            f"{uri}: columns {', '.join(twice[:_SHOWN])} share a name: is there a header (else say header: "
            "false)? Rename or remove them"
        )
    return names


def _explained(fault: pa.ArrowInvalid, rows: _RowGuard, uri: str, dialect: CsvDialect) -> StopError:
    if "UTF8" in str(fault) or "utf-8" in str(fault).lower():
        return _wrong_encoding(uri, dialect)
    if rows.fault:
        return StopError(
            f"{uri}: {rows.fault}: mend the file, or training_data.delimiter (it is {dialect.delimiter!r})"
        )
    return StopError(f"{uri} cannot be read as CSV: check training_data.format and delimiter")


def _wrong_encoding(uri: str, dialect: CsvDialect) -> StopError:
    return StopError(
        f"{uri} is not written in {dialect.encoding}: set training_data.encoding to what it is, like cp1252 "
        "or latin-1, or write it as UTF-8"
    )
