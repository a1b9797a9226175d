"""A fairness attribute against the label, chunk by chunk."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from paylog.subscription.monitors import Fairness, FairnessAttribute, Range
from paylog.training_data.column_tally import CATEGORIES, words
from paylog.training_data.profile import GroupProfile

Members = tuple[Range | str | int, ...]
Table = dict[str, dict[str, int]]

_OTHER = "other"


class GroupTally:
    """Rows of each group and each value by class label."""

    def __init__(self, attribute: FairnessAttribute, fairness: Fairness, regression: bool) -> None:
        self._feature = attribute.feature
        self._groups = {"majority": attribute.majority, "minority": attribute.minority}
        outcomes = {"favourable": fairness.favourable, "unfavourable": fairness.unfavourable}
        self._outcomes = outcomes if regression else {}
        self._labels: Table = defaultdict(lambda: defaultdict(int))
        self._values: Table | None = defaultdict(lambda: defaultdict(int))

    def add(self, feature: pa.Array, label: pa.Array) -> None:
        """One more chunk of both columns, typed."""
        present = feature.is_valid().to_numpy(zero_copy_only=False)
        present &= label.is_valid().to_numpy(zero_copy_only=False)
        rows = pa.array(present)
        feature, label = feature.filter(rows), label.filter(rows)
        outcome = _named(label, self._outcomes) if self._outcomes else _objects(words(label))
        _count(self._labels, _named(feature, self._groups), outcome)
        if self._values is not None:
            _count(self._values, _objects(words(feature)), outcome)
            if len(self._values) > CATEGORIES:
                self._values = None

    def profile(self) -> GroupProfile:
        """The counts."""
        return GroupProfile(self._feature, _plain(self._labels), _plain(self._values or {}))


def _named(values: pa.Array, groups: dict[str, Members]) -> NDArray[Any]:
    """The group that each value belongs to."""
    names = np.full(len(values), _OTHER, dtype=object)
    for name, members in groups.items():
        names[_belongs(values, members)] = name
    return names


def _belongs(values: pa.Array, members: Members) -> NDArray[np.bool_]:
    if not isinstance(members[0], tuple):
        return np.isin(_objects(words(values)), [str(member) for member in members])
    if pa.types.is_dictionary(values.type) or pa.types.is_boolean(values.type):
        return np.zeros(len(values), bool)
    numbers = values.to_numpy()
    ranges = [member for member in members if isinstance(member, tuple)]
    return np.asarray(np.any([(numbers >= low) & (numbers <= high) for low, high in ranges], axis=0))


def _objects(encoded: pa.DictionaryArray) -> NDArray[Any]:
    texts: NDArray[Any] = encoded.dictionary.to_numpy(zero_copy_only=False).astype(object)
    codes: NDArray[np.int32] = encoded.indices.to_numpy()
    return texts[codes]


def _count(table: Table, rows: NDArray[Any], columns: NDArray[Any]) -> None:
    if not len(rows):
        return
    counts = pd.DataFrame({"row": rows, "column": columns}).groupby(["row", "column"], observed=True).size()
    for (row, column), count in counts.items():
        table[str(row)][str(column)] += int(count)


def _plain(table: Table) -> Table:
    return {row: dict(sorted(table[row].items())) for row in sorted(table)}
