"""Hashes of cells and rows, and a bounded sample of the smallest of them.

Not a sketch of a library: those of datasketches that take weights or ranks depend on the order of the rows or
on chance, and Db2 promises no order. The k smallest hashes are the same in any order.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_NULL, _MISFIT = np.uint64(0x9E6C63D0676A9A99), np.uint64(0x3C79AC492BA7B653)
_WHOLE = 2.0**64


def mixed(values: Hashes) -> Hashes:
    """The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection whose bits look random."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def salt(name: str) -> np.uint64:
    """A constant of its own for each name."""
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))


def cell_hashes(column: pa.Array, misfits: NDArray[np.bool_] | None) -> Hashes:
    """One hash a cell: equal cells of one type have equal ones, whatever the column.

    :param column: typed: text (also dictionary encoded), int64, float64, bool or timestamp in µs.
    """
    hashes = _text(column) if _is_text(column) else _number(column)
    if column.null_count:
        hashes[column.is_null().to_numpy(zero_copy_only=False)] = _NULL
    if misfits is not None:
        hashes[misfits] = _MISFIT
    return hashes


def _is_text(column: pa.Array) -> bool:
    return bool(pa.types.is_dictionary(column.type) or pa.types.is_string(column.type))


def _text(column: pa.Array) -> Hashes:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    words = column.dictionary.to_numpy(zero_copy_only=False)
    hashes: Hashes = np.append(pd.util.hash_array(words, categorize=False), _NULL)
    codes: NDArray[np.int32] = column.indices.fill_null(len(words)).to_numpy()
    return hashes[codes]


def _number(column: pa.Array) -> Hashes:
    if pa.types.is_floating(column.type):
        values = column.fill_null(0.0).to_numpy() + 0.0  # -0.0 becomes 0.0
    elif pa.types.is_boolean(column.type):
        values = column.fill_null(False).to_numpy(zero_copy_only=False).astype(np.int64)
    else:
        values = column.cast(pa.int64()).fill_null(0).to_numpy()
    return mixed(values.view(np.uint64))


class HashSample:
    """The ``size`` smallest distinct hashes seen, and how often each was.

    While no more than ``size`` are distinct its figures are exact, else estimates with a relative error of
    about ``1 / sqrt(size)``.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.total = 0
        self._hashes: Hashes = np.empty(0, np.uint64)
        self._counts: NDArray[np.int64] = np.empty(0, np.int64)
        self._waiting: list[Hashes] = []
        self._largest: np.uint64 | None = None

    def add(self, hashes: Hashes) -> None:
        """Hashes of some more rows or cells."""
        self.total += len(hashes)
        if self._largest is not None:
            hashes = hashes[hashes <= self._largest]
        self._waiting.append(hashes)
        if sum(map(len, self._waiting)) > self.size // 2:
            self._settle()

    @property
    def distinct(self) -> int:
        """How many hashes are distinct."""
        self._settle()
        if self._largest is None:
            return len(self._hashes)
        return round((self.size - 1) * _WHOLE / float(self._largest))

    @property
    def repeated(self) -> int:
        """How many hashes repeat one that was there before."""
        self._settle()
        if self._largest is None:
            return self.total - len(self._hashes)
        return round(self.total * (1 - len(self._hashes) / int(self._counts.sum())))

    def _settle(self) -> None:
        """Merge what waits. A hash that is among the smallest at the end was so all the time."""
        if not self._waiting:
            return
        fresh, counts = np.unique(np.concatenate(self._waiting), return_counts=True)
        self._waiting = []
        hashes, places = np.unique(np.concatenate([self._hashes, fresh]), return_inverse=True)
        totals = np.bincount(places, weights=np.concatenate([self._counts, counts])).astype(np.int64)
        if len(hashes) > self.size:
            hashes, totals = hashes[: self.size], totals[: self.size]
            self._largest = hashes[-1]
        self._hashes, self._counts = hashes, totals
