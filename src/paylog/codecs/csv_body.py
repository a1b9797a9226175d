"""CSV bodies → rows of tokens. An unquoted empty cell is null, a quoted one an empty string."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from paylog.codecs import Bodies, Mask, Rows, Side

_MARK = b"\x1f\n"


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

    if not text.strip():
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


def decode(bodies: Bodies, side: Side) -> tuple[Rows | None, Mask]:
    """Many CSV bodies at once. Returns the rows of the regular bodies and which ones were irregular.

    Irregular: quotes, another number of cells, a blank line inside.
    """
    irregular = np.zeros(len(bodies), bool)
    text = _MARK.join(bodies).replace(b"\n" + _MARK, _MARK)
    if b'"' in text or b"\r" in text or text.count(b"\x1f") != len(bodies) - 1:
        irregular |= [b'"' in body or b"\r" in body or b"\x1f" in body for body in bodies]
        kept = [body for body, odd in zip(bodies, irregular, strict=True) if not odd]
        if not kept:
            return None, irregular
        rows, odd = decode(kept, side)
        irregular[~irregular] = odd
        return rows, irregular
    counts = _row_counts(text, bodies)
    irregular |= counts == 0
    table, odd_lines = csv_rows(_plain(text, bodies, irregular), side.positional)
    if table is None:
        return None, np.ones(len(bodies), bool)
    regular = counts[~irregular]
    if odd_lines:
        owners = np.repeat(np.arange(len(regular)), regular)[odd_lines]
        return _without(bodies, side, irregular, owners)
    columns = {name: _combined(table[name]) for name in side.positional if name in side.wanted}
    single = bool((regular == 1).all())
    return Rows(columns, len(regular), None if single else regular), irregular


def _row_counts(text: bytes, bodies: Bodies) -> np.ndarray:
    """Lines of each body; 0 marks a body that is empty or holds a blank line."""
    blank = text[:1] == b"\x1f" or b"\n\x1f" in text or not bodies[-1].strip()
    if not blank and text.count(b"\n") - (len(bodies) - 1) == text.endswith(b"\n"):
        return np.ones(len(bodies), np.int64)
    stripped = [body.removesuffix(b"\n") for body in bodies]
    return np.array(
        [0 if not body.strip() or b"\n\n" in body else body.count(b"\n") + 1 for body in stripped], np.int64
    )


def _plain(text: bytes, bodies: Bodies, irregular: Mask) -> bytes:
    if not irregular.any():
        return text.replace(_MARK, b"\n")
    return b"\n".join(
        body.removesuffix(b"\n") for body, odd in zip(bodies, irregular, strict=True) if not odd
    )


def _without(bodies: Bodies, side: Side, irregular: Mask, owners: np.ndarray) -> tuple[Rows | None, Mask]:
    """Decode again without the bodies that hold lines of another width."""
    regular = np.flatnonzero(~irregular)
    irregular = irregular.copy()
    irregular[regular[owners]] = True
    kept = [bodies[i] for i in np.flatnonzero(~irregular).tolist()]
    rows, _ = decode(kept, side) if kept else (None, irregular)
    return rows, irregular


def _combined(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
