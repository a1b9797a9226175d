"""A fairness attribute against the label, chunk by chunk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from paylog.subscription.monitors import Fairness, FairnessAttribute, Range
from paylog.training_data.column_tally import CATEGORIES, words
from paylog.training_data.profile import GroupProfile

Members = tuple[Range | str | int, ...]
Table = dict[str, dict[str, int]]
Codes = NDArray[np.int64]

_OTHER = "other"


class GroupTally:
    """Rows of each group, and of each value, by class label."""

    def __init__(self, attribute: FairnessAttribute, fairness: Fairness, regression: bool) -> None:
        self._feature = attribute.feature
        self._groups = {"majority": attribute.majority, "minority": attribute.minority}
        outcomes = {"favourable": fairness.favourable, "unfavourable": fairness.unfavourable}
        self._outcomes = outcomes if regression else {}
        self._labels: Table = defaultdict(lambda: defaultdict(int))
        self._values: Table | None = defaultdict(lambda: defaultdict(int))

    def add(self, feature: pa.Array, label: pa.Array) -> None:
        """One more chunk of both columns, typed."""
        present = pa.array(_valid(feature) & _valid(label))
        feature, label = (_encoded(column.filter(present)) for column in (feature, label))
        outcomes, columns = _coded(label, self._outcomes)
        groups, rows = _coded(feature, self._groups)
        if len(outcomes) > CATEGORIES:  # no classes: the checks of the label say so
            return
        _count(self._labels, (groups, rows), (outcomes, columns))
        if self._values is None:
            return
        if len(feature.dictionary) <= CATEGORIES:
            _count(self._values, _coded(feature, {}), (outcomes, columns))
        if len(feature.dictionary) > CATEGORIES or len(self._values) > CATEGORIES:
            self._values = None

    def profile(self) -> GroupProfile:
        """The counts."""
        return GroupProfile(self._feature, _plain(self._labels), _plain(self._values or {}))


def _valid(column: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False), bool)


def _encoded(column: pa.Array) -> pa.DictionaryArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _coded(column: pa.DictionaryArray, groups: dict[str, Members]) -> tuple[Sequence[str], Codes]:
    """Names, and for each row the place of its name: of its group, or without groups of its value."""
    codes = column.indices.to_numpy().astype(np.int64)
    texts = words(column.dictionary).cast(pa.string()).to_pylist()
    if not groups:
        return texts, codes
    places = np.full(len(texts), len(groups), np.int64)
    for place, members in enumerate(groups.values()):
        places[_belongs(column.dictionary, texts, members)] = place
    return [*groups, _OTHER], places[codes]


def _belongs(values: pa.Array, texts: list[str], members: Members) -> NDArray[np.bool_]:
    if not isinstance(members[0], tuple):
        return np.isin(texts, [str(member) for member in members])
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return np.zeros(len(values), bool)
    numbers = values.to_numpy()
    ranges = [member for member in members if isinstance(member, tuple)]
    return np.asarray(np.any([(numbers >= low) & (numbers <= high) for low, high in ranges], axis=0))


def _count(table: Table, rows: tuple[Sequence[str], Codes], columns: tuple[Sequence[str], Codes]) -> None:
    (row_names, row), (column_names, column) = rows, columns
    cells = np.bincount(row * len(column_names) + column)
    for cell in np.flatnonzero(cells).tolist():
        place, other = divmod(cell, len(column_names))
        table[row_names[place]][column_names[other]] += int(cells[cell])


def _plain(table: Table) -> Table:
    return {row: dict(sorted(table[row].items())) for row in sorted(table)}
