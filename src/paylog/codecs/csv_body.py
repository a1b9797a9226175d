"""CSV bodies → rows of tokens. An unquoted empty cell is null, a quoted one an empty string."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from paylog.codecs import Bodies, Mask, Rows, Side

_MARK = b"\x1f\n"
_ODD = (b'"', b"\r", b"\xef\xbb\xbf", b"\n\n")


def csv_rows(
    text: bytes, names: Sequence[str], *, quoted_newlines: bool = False, nulls: Sequence[str] = ("",)
) -> tuple[pa.Table | None, list[int]]:
    """Parse CSV without a header into string columns.

    Returns the table, or None when the text is no CSV at all, and the 0-based numbers of the
    lines that had another number of cells and were left out.
    """
    odd: list[int] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        odd.append(row.number - 1)
        return "skip"

    if not text.strip(b"\r\n"):
        return pa.table({name: pa.array([], pa.string()) for name in names}), odd
    try:
        table = pa_csv.read_csv(
            pa.py_buffer(text),
            pa_csv.ReadOptions(use_threads=False, column_names=list(names), block_size=len(text) + 1),
            pa_csv.ParseOptions(newlines_in_values=quoted_newlines, invalid_row_handler=skip),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=list(nulls),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None, odd
    return table, odd


def plain_rows(text: bytes) -> list[list[str | None]] | None:
    """The same for one small text without quotes, for which Arrow's parser takes long to get ready.

    Returns the cells of each line, or None when the text is not that plain.
    """
    if _is_odd(text):
        return None
    lines = text.decode().removesuffix("\n").split("\n")
    return [[cell or None for cell in line.split(",")] for line in lines]


def decode(bodies: Bodies, side: Side) -> tuple[Rows | None, Mask]:
    """Many CSV bodies at once. Returns the rows of the regular bodies and which ones were irregular.

    Irregular: quotes, another number of cells, a blank line, a vector in a cell.
    """
    count = len(bodies)
    text = _MARK.join(bodies).replace(b"\n" + _MARK, _MARK)
    if side.arrays.intersection(side.positional):
        return None, np.ones(count, bool)
    if any(mark in text for mark in (*_ODD, b"\n\x1f", b"\x1f\x1f")) or text.count(b"\x1f") != count - 1:
        return _without(bodies, side, np.array([_is_odd(body) for body in bodies], bool))
    if text[:1] in (b"", b"\n", b"\x1f") or text.endswith(_MARK):
        return _without(bodies, side, np.array([_is_odd(body) for body in bodies], bool))
    counts = _row_counts(text, bodies)
    table, odd_lines = csv_rows(text.replace(_MARK, b"\n"), side.positional)
    if table is None or table.num_rows + len(odd_lines) != counts.sum():
        return None, np.ones(count, bool)
    if odd_lines:
        irregular = np.zeros(count, bool)
        irregular[np.repeat(np.arange(count), counts)[odd_lines]] = True
        return _without(bodies, side, irregular)
    columns = {name: _combined(table[name]) for name in side.positional if name in side.wanted}
    return Rows(columns, count, None if bool((counts == 1).all()) else counts), np.zeros(count, bool)


def _is_odd(body: bytes) -> bool:
    lines = body.removesuffix(b"\n")
    return not lines or b"\n" in (lines[:1], lines[-1:]) or any(mark in lines for mark in (*_ODD, b"\x1f"))


def _row_counts(text: bytes, bodies: Bodies) -> np.ndarray:
    """Lines of each body."""
    if text.count(b"\n") - (len(bodies) - 1) == text.endswith(b"\n"):
        return np.ones(len(bodies), np.int64)
    return np.array([body.removesuffix(b"\n").count(b"\n") + 1 for body in bodies], np.int64)


def _without(bodies: Bodies, side: Side, irregular: Mask) -> tuple[Rows | None, Mask]:
    """Decode the bodies that are not marked as irregular."""
    kept = np.flatnonzero(~irregular)
    if not len(kept):
        return None, irregular
    rows, odd = decode([bodies[int(i)] for i in kept], side)
    irregular[kept] = odd
    return rows, irregular


def _combined(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
