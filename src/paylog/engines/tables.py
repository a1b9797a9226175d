"""Capture objects that are tables (CSV, Parquet): blocks of rows that are columns already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa


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
    """The first of these columns that holds anything."""
    for name in names:
        if name in table.column_names and table[name].null_count < table.num_rows:
            return table[name].combine_chunks()
    return None
