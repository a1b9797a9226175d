"""Counts of one column, chunk by chunk."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from paylog.model_schema import Field, FieldType
from paylog.training_data.distribution import Distribution
from paylog.training_data.hash_sample import Hashes, HashSample, cell_hashes
from paylog.training_data.profile import ColumnProfile
from paylog.training_data.typed import TypedColumn

CATEGORIES = 1000
_DISTINCT = 4096
_NUMBERS = (FieldType.INTEGER, FieldType.DOUBLE, FieldType.TIMESTAMP)
_LOST = re.compile("[\ufffd\x1a]")
_UTF8_READ_AS_LATIN = re.compile(r"[\u00c2-\u00f4][\u0080-\u00bf\u0152-\u2122]")
_MICROSECONDS = 1e6


class ColumnTally:
    """What a declared field is like, over all chunks.

    :param categorical: count its categories even if it is a number.
    """

    def __init__(self, field: Field, categorical: bool) -> None:
        self._field = field
        self._count = self._nulls = self._misfits = self._damaged = self._same = 0
        self._numbers = Distribution() if field.type in _NUMBERS else None
        counts_words = categorical or field.type in (FieldType.STRING, FieldType.BOOLEAN)
        self._words: Counter[str] | None = Counter() if counts_words else None
        self._hashes: HashSample | None = None

    def add(self, column: TypedColumn, hashes: Hashes, label: Hashes | None) -> None:
        """One more chunk.

        :param hashes: of its cells.
        :param label: of the label's cells, if the label is of the same type.
        """
        values, misfits = column
        bad = 0 if misfits is None else int(misfits.sum())
        self._count += len(values) - values.null_count
        self._nulls += values.null_count - bad
        self._misfits += bad
        valid = values.is_valid().to_numpy(zero_copy_only=False)
        if label is not None:
            self._same += int((valid & (hashes == label)).sum())
        if self._numbers is not None:
            self._numbers.add(numbers(values))
        if self._words is not None or self._field.type is FieldType.STRING:
            self._add_words(values)

    def profile(self) -> ColumnProfile:
        """The figures."""
        words = self._words
        ranked = sorted(words.items(), key=lambda item: (-item[1], item[0])) if words is not None else []
        return ColumnProfile(
            name=self._field.name,
            type=self._field.type,
            role=self._field.role,
            count=self._count,
            nulls=self._nulls,
            misfits=self._misfits,
            distinct=self._distinct,
            categorical=self._field.categorical,
            sensitive=self._field.sensitive,
            numeric=self._numbers.profile() if self._numbers is not None else None,
            categories=dict(ranked),
            other=0 if words is not None or self._numbers is not None else self._count,
            numeric_text=self._numeric_text(ranked),
            damaged=self._damaged,
            same_as_label=self._same,
        )

    @property
    def _distinct(self) -> int:
        if self._numbers is not None:
            return self._numbers.distinct
        return self._hashes.distinct if self._hashes else len(self._words or ())

    def _add_words(self, values: pa.Array) -> None:
        counts = _word_counts(values)
        if self._field.type is FieldType.STRING:
            self._damaged += _damaged(counts)
        if self._words is not None:
            self._words.update(counts)
            if len(self._words) > CATEGORIES:
                self._hashes = HashSample(_DISTINCT)
                self._hashes.add(_hashes(self._words))
                self._words = None
        elif self._hashes is not None:
            self._hashes.add(_hashes(counts))

    def _numeric_text(self, ranked: list[tuple[str, int]]) -> int:
        if self._field.type is not FieldType.STRING or not ranked:
            return 0
        words, counts = zip(*ranked, strict=True)
        numeric = pd.to_numeric(pd.Series(words, dtype="object"), errors="coerce").notna().to_numpy()
        return int(np.asarray(counts)[numeric].sum())


def numbers(values: pa.Array) -> NDArray[np.float64]:
    """The values that are not null as doubles; timestamps as seconds since 1970."""
    present = values.drop_null()
    if pa.types.is_timestamp(values.type):
        return np.asarray(present.cast(pa.int64()).to_numpy() / _MICROSECONDS)
    return np.asarray(present.to_numpy(), np.float64)


def words(values: pa.Array) -> pa.DictionaryArray:
    """The values as text, dictionary encoded: ``true``, ``27``, ``0.5``."""
    if pa.types.is_dictionary(values.type):
        return values
    return values.dictionary_encode().cast(pa.dictionary(pa.int32(), pa.string()))


def _word_counts(values: pa.Array) -> dict[str, int]:
    """Text → how often, without nulls."""
    encoded = words(values)
    counts = np.bincount(encoded.indices.drop_null().to_numpy(), minlength=len(encoded.dictionary))
    return {
        word: count
        for word, count in zip(encoded.dictionary.to_pylist(), counts.tolist(), strict=True)
        if count
    }


def _hashes(texts: Iterable[str]) -> Hashes:
    return cell_hashes(pa.array(list(texts), pa.string()), None)


def _damaged(counts: dict[str, int]) -> int:
    texts = pa.array(counts, pa.string())
    if pc.all(pc.string_is_ascii(texts)).as_py() and not pc.any(pc.match_substring(texts, "\x1a")).as_py():
        return 0
    return sum(n for text, n in counts.items() if _LOST.search(text) or _UTF8_READ_AS_LATIN.search(text))
