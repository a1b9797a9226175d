"""What the judgement counts of one column: nulls, bins of numbers, categories."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from paylog.training_data.profile import ColumnProfile, NumericProfile

Counts = npt.NDArray[np.int64]

_NULLS, _OUTSIDE, _FRACTIONS = range(3)
_SPECIAL = 3


class Tally:
    """A column with neither bins nor categories: rows and nulls. What is tentative can be dropped.

    :ivar reference: counts of the training data by bin, of shape (bins,).
    :ivar reference_nulls: share of nulls in the training data.
    """

    def __init__(self, known: ColumnProfile, rows: int, reference: Counts) -> None:
        self.reference = reference
        self.reference_nulls = known.nulls / rows if rows else 0.0
        self._counts = np.zeros(_SPECIAL + len(reference), np.int64)
        self._tentative = np.zeros_like(self._counts)
        self._rows = self._tentative_rows = 0

    def count(self, column: pa.ChunkedArray, *, tentative: bool) -> None:
        """Count a column of some rows."""
        counts = self._tentative if tentative else self._counts
        counts[_NULLS] += column.null_count
        if column.null_count < len(column):
            self._count_values(column, counts)
        if tentative:
            self._tentative_rows += len(column)
        else:
            self._rows += len(column)

    def keep(self) -> None:
        """What is tentative counts."""
        if self._tentative_rows:
            self._counts += self._tentative
            self._rows += self._tentative_rows
            self.drop()

    def drop(self) -> None:
        """What is tentative does not count."""
        self._tentative[:] = 0
        self._tentative_rows = 0

    @property
    def rows(self) -> int:
        return self._rows

    @property
    def nulls(self) -> int:
        return int(self._counts[_NULLS])

    @property
    def out_of_range(self) -> int:
        return int(self._counts[_OUTSIDE])

    @property
    def fractions(self) -> int:
        """Values that are no whole numbers, where the training data has nothing else."""
        return int(self._counts[_FRACTIONS])

    @property
    def unseen(self) -> int:
        """Values of no category of the training data."""
        return 0

    @property
    def found(self) -> Counts:
        """Counts by bin, as ``reference`` has them."""
        return self._counts[_SPECIAL:]

    def _count_values(self, column: pa.ChunkedArray, counts: Counts) -> None:
        """Add to ``counts`` what the values are."""


class _Numbers(Tally):
    """A column of numbers, in the bins of the profile's histogram."""

    def __init__(self, known: ColumnProfile, rows: int, numeric: NumericProfile, whole: bool) -> None:
        super().__init__(known, rows, np.array(numeric.counts, np.int64))
        inner = np.array(numeric.edges[1:-1], np.float64)
        # A whole number is above an edge exactly when it is above the edge's floor.
        self._edges: npt.NDArray[Any] = np.floor(inner).astype(np.int64) if whole else inner
        self._low, self._high = numeric.min, numeric.max
        shown = (numeric.min, numeric.max, *numeric.edges, *numeric.quantiles.values())
        self._whole_only = not whole and all(float(value).is_integer() for value in shown)

    def _count_values(self, column: pa.ChunkedArray, counts: Counts) -> None:
        # Sorting and looking the edges up costs half of looking every value up.
        values = np.sort((column.drop_null() if column.null_count else column).to_numpy())
        up_to = np.searchsorted(values, self._edges, side="right")
        counts[_SPECIAL:] += np.diff(up_to, prepend=0, append=len(values))
        below, within = np.searchsorted(values, self._low), np.searchsorted(values, self._high, side="right")
        counts[_OUTSIDE] += below + len(values) - within
        if self._whole_only:
            counts[_FRACTIONS] += np.count_nonzero(values != np.floor(values))


class _Categories(Tally):
    """A column of categories; the last bin is of those that the training data does not have."""

    def __init__(self, known: ColumnProfile, rows: int, kind: pa.DataType) -> None:
        counts = [*known.categories.values(), 0]
        super().__init__(known, rows, np.array(counts, np.int64))
        self._categories = pa.array(list(known.categories), pa.string()).cast(kind)

    @property
    def unseen(self) -> int:
        return int(self._counts[-1])

    def _count_values(self, column: pa.ChunkedArray, counts: Counts) -> None:
        found = pc.index_in(column, value_set=self._categories)
        unknown = len(self._categories)
        if found.null_count:
            found = found.fill_null(unknown)
        counts[_SPECIAL:] += np.bincount(found.to_numpy(), minlength=unknown + 1)
        counts[-1] -= column.null_count


def tally(known: ColumnProfile, kind: pa.DataType, rows: int) -> Tally:
    """The tally that suits a column.

    :param kind: Arrow type of the payload column.
    :param rows: of the profile.
    """
    numeric = known.numeric
    if known.categories and (known.categorical or numeric is None):
        return _Categories(known, rows, kind)
    if numeric is not None and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return _Numbers(known, rows, numeric, whole=pa.types.is_integer(kind))
    return Tally(known, rows, np.zeros(0, np.int64))
