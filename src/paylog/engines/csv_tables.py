"""A CSV object's bytes → blocks of rows, in bounded memory.

A record is a line; within quotes (RFC 4180) it may go over several. The first record is a header if
it holds a known name; else the columns are those declared. Blank lines and repeated headers, which
some engines write, are no records.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from paylog.codecs import CSV
from paylog.codecs.body import is_text
from paylog.codecs.csv_body import csv_rows
from paylog.engines.documents import BLOCK_BYTES, KEPT_OF_OVERLONG
from paylog.engines.tables import TableBlock
from paylog.errors import Reason, TruncatedStream
from paylog.records import Reject

_BOM = b"\xef\xbb\xbf"
_LINE_END, _RETURN, _QUOTE, _COMMA = b'\n\r",'
_BOUNDS = np.isin(np.arange(256), (_LINE_END, _RETURN, _QUOTE, _COMMA))
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CsvReader:
    """A ``Reader`` of CSV objects.

    :param columns: of an object without a header, in order; empty: every object has a header.
    :param known: names of which a header holds at least one.
    :param ordered: blocks come in the order of their rows. Else rows with odd quotes come first: one of them
        among many costs less.
    """

    columns: Sequence[str] = ()
    known: Collection[str] = ()
    ordered: bool = False

    def __call__(
        self, chunks: Iterator[bytes], max_record_bytes: int, block_bytes: int = BLOCK_BYTES
    ) -> Iterator[TableBlock | Reject]:
        names: list[str] = []
        header: list[str] = []
        for part in _Cutter(chunks, max_record_bytes, block_bytes).parts():
            if isinstance(part, Reject):
                yield part
                continue
            if not names:
                names, header = self._names(part.record(0))
            yield from _blocks(part, names, header, self.ordered)

    def is_header(self, line: bytes) -> bool:
        """Whether a line names columns."""
        return bool(self._names(line.removeprefix(_BOM).rstrip(b"\r\n"))[1])

    def _names(self, first: bytes) -> tuple[list[str], list[str]]:
        """Column names, and the header that gave them (empty for none)."""
        try:
            cells = next(csv.reader([first.decode()], strict=True), [])
        except (UnicodeDecodeError, csv.Error):
            cells = []
        if self.columns and set(self.known).isdisjoint(cells):
            return list(self.columns), []
        return [name if name not in cells[:i] else f"{name}\0{i}" for i, name in enumerate(cells)], cells


@dataclass(frozen=True, slots=True)
class _Piece:
    """Whole records, each with its line end, without which Arrow misreads an empty last cell.

    :param starts: of each record in ``data``; ``ends``: of its line end.
    :param positions: line of each record in the object.
    """

    data: bytes
    starts: Places
    ends: Places
    positions: Places

    def record(self, i: int) -> bytes:
        return self.data[self.starts[i] : self.ends[i]].removesuffix(b"\r")

    def part(self, first: int, last: int) -> _Piece:
        """Records ``first`` up to, but without, ``last``."""
        begin = int(self.starts[first])
        data = self.data[begin : int(self.ends[last - 1])] + b"\n"
        which = slice(first, last)
        return _Piece(data, self.starts[which] - begin, self.ends[which] - begin, self.positions[which])


class _Cutter:
    """Cuts a stream where records end."""

    def __init__(self, chunks: Iterator[bytes], limit: int, block_bytes: int) -> None:
        self._chunks = chunks
        self._limit = limit
        self._block_bytes = block_bytes
        self._held = bytearray()
        self._line = 0
        self._ended = self._truncated = False

    def parts(self) -> Iterator[_Piece | Reject]:
        """About ``block_bytes`` each; a record that is too long or has no end is a reject."""
        self._fill(max(self._block_bytes, len(_BOM)))
        if self._held.startswith(_BOM):
            del self._held[: len(_BOM)]
        while self._held or not self._ended:
            size, wanted = self._whole(), self._block_bytes
            if size:
                yield from self._piece(size)
            elif self._ended or len(self._held) > self._limit:
                yield self._endless()
            else:
                wanted = 2 * len(self._held)
            self._fill(wanted)

    def _fill(self, size: int) -> None:
        while len(self._held) < max(size, 1) and not self._ended:
            try:
                chunk = next(self._chunks, None)
            except TruncatedStream:
                self._truncated, chunk = True, None
            self._ended = chunk is None
            self._held += chunk or b""

    def _whole(self) -> int:
        """Bytes of the whole records that are held. A line end within quotes ends no record."""
        cut = self._held.rfind(b"\n") + 1
        if self._ended and not self._truncated and not self._held.count(b'"') % 2:
            return len(self._held)
        quotes = self._held.count(b'"', 0, cut)
        while cut and quotes % 2:
            earlier = self._held.rfind(b"\n", 0, cut - 1) + 1
            quotes -= self._held.count(b'"', earlier, cut)
            cut = earlier
        return cut

    def _piece(self, size: int) -> Iterator[_Piece | Reject]:
        data = bytes(self._held[:size])
        data += b"" if data.endswith(b"\n") else b"\n"
        del self._held[:size]
        text = np.frombuffer(data, np.uint8)
        line_ends = np.flatnonzero(text == _LINE_END)
        ends = line_ends
        if _QUOTE in data:
            ends = ends[np.searchsorted(np.flatnonzero(text == _QUOTE), ends) % 2 == 0]
        starts = np.concatenate(([0], ends[:-1] + 1))
        lengths = ends - starts
        blank = (lengths == 0) | ((lengths == 1) & (text[np.minimum(starts, size - 1)] == _RETURN))
        positions = self._line + np.searchsorted(line_ends, starts)
        self._line += len(line_ends)
        for i in np.flatnonzero(lengths > self._limit):
            raw = data[starts[i] : min(ends[i], starts[i] + KEPT_OF_OVERLONG)]
            yield Reject(int(positions[i]), Reason.LINE_TOO_LONG, raw)
        kept = ~blank & (lengths <= self._limit)
        if kept.any():
            yield _joined(_Piece(data, starts, ends, positions), kept)

    def _endless(self) -> Reject:
        """The first line: it opens quotes that nothing closes, is too long, or was cut off."""
        end = self._held.find(b"\n", 0, self._limit + 1) + 1
        raw = bytes(self._held[:KEPT_OF_OVERLONG]).split(b"\n", 1)[0].removesuffix(b"\r")
        reason = Reason.MALFORMED_CSV if end or self._ended else Reason.LINE_TOO_LONG
        if self._truncated and not end:
            reason = Reason.TRUNCATED_OBJECT
        while not end and self._held:
            self._held.clear()
            self._fill(1)
            end = self._held.find(b"\n") + 1
        del self._held[:end]
        self._line += 1
        return Reject(self._line - 1, reason, raw)


def _joined(piece: _Piece, which: npt.NDArray[np.bool_]) -> _Piece:
    """Only these records."""
    if which.all():
        return piece
    starts, ends = piece.starts[which], piece.ends[which]
    lines = [piece.data[start:end] for start, end in zip(starts, ends, strict=True)]
    behind = np.cumsum(ends - starts + 1)
    return _Piece(b"\n".join((*lines, b"")), behind - (ends - starts) - 1, behind - 1, piece.positions[which])


def _blocks(
    piece: _Piece, names: list[str], header: list[str], ordered: bool
) -> Iterator[TableBlock | Reject]:
    """The rows of a piece. Records that might run into their neighbours are read one by one."""
    count, alone = len(piece.starts), _alone(piece)
    if count > 1 and alone.any():
        for part in _apart(piece, alone, ordered):
            yield from _blocks(part, names, header, ordered)
        return
    quoted_lines = piece.data.count(b"\n") > count
    readable = bool(names) and is_text([piece.data], CSV)
    table, odd = csv_rows(piece.data, names, quoted_newlines=quoted_lines) if readable else (None, [])
    if table is None or table.num_rows + len(odd) != count:
        if count == 1:
            yield Reject(int(piece.positions[0]), _fault(piece.record(0)), piece.record(0))
        else:
            yield from _blocks(piece.part(0, count // 2), names, header, ordered)
            yield from _blocks(piece.part(count // 2, count), names, header, ordered)
        return
    for i in odd:
        yield Reject(int(piece.positions[i]), Reason.COLUMN_COUNT_MISMATCH, piece.record(i))
    kept = np.delete(np.arange(count), odd)
    headers = _headers(table, header)
    if headers is not None:
        table, kept = table.filter(pc.invert(headers)), kept[~headers.to_numpy(zero_copy_only=False)]
    if len(kept):
        yield TableBlock(table, piece.positions[kept], lambda i: piece.record(int(kept[i])))


def _apart(piece: _Piece, alone: npt.NDArray[np.bool_], ordered: bool) -> Iterator[_Piece]:
    """Each record that is read alone, and the others: all together, or as they stand between those."""
    if ordered:
        edges = np.flatnonzero(np.diff(alone) | alone[1:]) + 1
        yield from (piece.part(first, last) for first, last in pairwise([0, *edges.tolist(), len(alone)]))
        return
    yield from (piece.part(one, one + 1) for one in np.flatnonzero(alone).tolist())
    if not alone.all():
        yield _joined(piece, ~alone)


def _alone(piece: _Piece) -> npt.NDArray[np.bool_]:
    """Records with quotes that do not enclose a cell, or a line end of old."""
    found = np.zeros(len(piece.starts), bool)
    text = np.frombuffer(piece.data, np.uint8)
    if _QUOTE in piece.data:
        quotes = np.flatnonzero(text == _QUOTE)
        opening, closing = quotes[::2], quotes[1::2]
        within = ~_BOUNDS[text[np.maximum(opening - 1, 0)]] & (opening > 0)  # plain text to Arrow
        bad = np.where(within, _BOUNDS[text[closing - 1]], ~_BOUNDS[text[closing + 1]])
        found[np.searchsorted(piece.starts, opening[bad], "right") - 1] = True
    if _RETURN in piece.data:
        returns = np.flatnonzero(text == _RETURN)
        returns = returns[text[returns + 1] != _LINE_END]
        found[np.searchsorted(piece.starts, returns, "right") - 1] = True
    return found


def _fault(record: bytes) -> Reason:
    try:
        record.decode()
    except UnicodeDecodeError:
        return Reason.INVALID_UTF8
    return Reason.MALFORMED_CSV


def _headers(table: pa.Table, header: list[str]) -> pa.Array | None:
    """Which rows are the header (again); None for none."""
    same: pa.Array | None = None
    for column, cell in zip(table.columns, header, strict=False):
        equal = pc.equal(pc.fill_null(column.combine_chunks(), ""), cell)
        same = equal if same is None else pc.and_(same, equal)
        if not pc.any(same).as_py():
            return None
    return same
