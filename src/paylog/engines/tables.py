"""Capture objects that are tables (CSV, Parquet): blocks of rows that are columns already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(slots=True)
class TableBlock:
    """Some rows of one object, in their order.

    :param table: columns as the object has them; CSV: all strings, null for an unquoted empty cell.
    :param positions: of each row in its object (CSV: its line from 0, the header's included).
    :param raw: the row of an index as the object holds it (CSV), or as a JSON record; for quarantine.
    """

    table: pa.Table
    positions: npt.NDArray[np.int64]
    raw: Callable[[int], bytes]


def first_column(table: pa.Table, names: Sequence[str]) -> pa.Array | None:
    """Each row's cell of the first of these columns that holds anything there; None where none does."""
    return coalesced(
        [
            table[name].combine_chunks()
            for name in names
            if name in table.column_names and table[name].null_count < table.num_rows
        ]
    )


def coalesced(columns: Sequence[pa.Array]) -> pa.Array | None:
    """The first column, its gaps filled by those that follow; as text where they are of several types."""
    found = None
    for column in columns:
        if found is None:
            found = column
        elif found.null_count:
            found = _filled(found, column)
    return found


def _filled(column: pa.Array, others: pa.Array) -> pa.Array:
    try:
        if column.type == others.type and not pa.types.is_dictionary(column.type):
            return pc.coalesce(column, others)
        return pc.coalesce(column.cast(pa.string()), others.cast(pa.string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # one of them is something else altogether
        return column
