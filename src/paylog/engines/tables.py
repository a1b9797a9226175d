"""Capture objects that are tables (CSV, Parquet, Delta) → blocks of rows, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa


@dataclass(slots=True)
class TableBlock:
    """Consecutive rows of one object that are columns already.

    :param first: position of the first row in its object.
    :param raw: the row of an index as the object holds it, or as a JSON record; for quarantine.
    """

    table: pa.Table
    first: int
    raw: Callable[[int], bytes]
