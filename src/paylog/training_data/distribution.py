"""The distribution of a column of numbers in bounded memory, mergeable and the same in any order.

Up to 10,000 distinct values are counted one by one. Beyond that values are counted in log-linear buckets
(as HdrHistogram does): a bucket is a sign, an exponent and the first eight bits of the mantissa, so it is at
most 0.4 % of its values wide, and counting them does not depend on order.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from paylog.training_data.exact_sum import Counts, Floats, Moments
from paylog.training_data.hash_sample import HashSample, mixed
from paylog.training_data.profile import NumericProfile, Quarter

EXACT = 10_000
BINS = 20
QUANTILES = (0.01, 0.05, *(round(0.1 * i, 1) for i in range(1, 10)), 0.25, 0.75, 0.95, 0.99)
_DISTINCT = 4096
K = TypeVar("K", np.float64, np.int64)
_DROPPED = np.int64(52 - 8)
_ORDER = np.int64(0x7FFF_FFFF_FFFF_FFFF)


class Distribution:
    """Finite numbers, counted."""

    def __init__(self) -> None:
        self._values: Floats = np.empty(0)
        self._counts: Counts = np.empty(0, np.int64)
        self._buckets: _Buckets | None = None

    def add(self, values: Floats) -> None:
        """Some more numbers, at most 2^26."""
        if self._buckets is not None:
            self._buckets.add(values)
            return
        fresh, counts = np.unique(values + 0.0, return_counts=True)
        self._values, self._counts = _merged(self._values, self._counts, fresh, counts)
        if len(self._values) > EXACT:
            self._buckets = _Buckets(self._values, self._counts)

    @property
    def distinct(self) -> int:
        """Exact up to 10,000, else an estimate within some 3 %."""
        return self._buckets.distinct.distinct if self._buckets else len(self._values)

    @property
    def values(self) -> tuple[Floats, Counts] | None:
        """Each value and its count; None when there are too many."""
        return None if self._buckets else (self._values, self._counts)

    def profile(self) -> NumericProfile | None:
        """The figures; None of no values."""
        if self._buckets is not None:
            moments, low, high, steps = self._buckets.summary()
        else:
            if not len(self._values):
                return None
            moments = Moments()
            moments.add_counted(self._values, self._counts)
            low, high = self._values[0], self._values[-1]
            steps = _Steps(self._values, self._values, self._counts)
        quantiles = {str(q): steps.quantile(q) for q in sorted(QUANTILES)}
        edges, counts = steps.histogram(float(low))
        cuts = [quantiles[q] for q in ("0.25", "0.5", "0.75")]
        return NumericProfile(
            float(low), float(high), moments.mean, moments.std, quantiles, edges, counts, steps.quarters(cuts)
        )


class _Buckets:
    """What is kept of more than 10,000 distinct values."""

    def __init__(self, values: Floats, counts: Counts) -> None:
        self.distinct = HashSample(_DISTINCT)
        self._moments = Moments()
        self._moments.add_counted(values, counts)
        self._low, self._high = values[0], values[-1]
        self._keys, places = np.unique(_keys(values), return_inverse=True)
        self._counts = np.bincount(places, weights=counts).astype(np.int64)
        self.distinct.add(mixed(values.view(np.uint64)))

    def add(self, values: Floats) -> None:
        if not len(values):
            return
        values = values + 0.0
        self._moments.add(values)
        self._low, self._high = min(self._low, values.min()), max(self._high, values.max())
        keys, counts = np.unique(_keys(values), return_counts=True)
        self._keys, self._counts = _merged(self._keys, self._counts, keys, counts)
        self.distinct.add(mixed(values.view(np.uint64)))

    def summary(self) -> tuple[Moments, np.float64, np.float64, _Steps]:
        lows = np.maximum(_floats(self._keys << _DROPPED), self._low)
        highs = np.minimum(_floats((self._keys << _DROPPED) | ((np.int64(1) << _DROPPED) - 1)), self._high)
        return self._moments, self._low, self._high, _Steps(lows, highs, self._counts)


class _Steps(NamedTuple):
    """Rising, disjoint buckets ``[low, high]``; an exactly counted value is a bucket by itself."""

    lows: Floats
    highs: Floats
    counts: Counts

    def quantile(self, share: float) -> float:
        """By linear interpolation between the two nearest ranks, as numpy's and pandas' default."""
        rank = share * (int(self.counts.sum()) - 1)
        below = self._at(int(np.floor(rank)))
        above, weight = self._at(int(np.ceil(rank))), rank - float(np.floor(rank))
        return below if below == above else below * (1 - weight) + above * weight

    def histogram(self, lowest: float) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Edges and counts of bins of about the same number of values; a bin a value if they are few."""
        running = np.cumsum(self.counts)
        if len(self.counts) <= BINS:
            ends = np.arange(len(self.counts))
        else:
            wanted = running[-1] * np.arange(1, BINS + 1) / BINS
            ends = np.unique(np.minimum(np.searchsorted(running, wanted), len(running) - 1))
        counts = np.diff(running[ends], prepend=0)
        return (lowest, *self.highs[ends].tolist()), tuple(counts.tolist())

    def quarters(self, cuts: list[float]) -> tuple[Quarter, ...]:
        """What lies between the quartiles; values of a bucket stand at its middle."""
        middles = self.lows / 2 + self.highs / 2
        bins = np.searchsorted(np.asarray(cuts), middles, side="left")
        found = [(middles[bins == b], self.counts[bins == b], bins == b) for b in range(len(cuts) + 1)]
        return tuple(
            _quarter(values, counts, float(self.lows[of][0]), float(self.highs[of][-1]))
            for values, counts, of in found
            if len(values)
        )

    def _at(self, rank: int) -> float:
        """The value of that rank, from 0."""
        running = np.cumsum(self.counts)
        place = int(np.searchsorted(running, rank, side="right"))
        before = int(running[place]) - int(self.counts[place])
        share = (rank - before + 0.5) / int(self.counts[place])
        low, high = float(self.lows[place]), float(self.highs[place])
        return low if low == high else low * (1 - share) + high * share


def _quarter(values: Floats, counts: Counts, low: float, high: float) -> Quarter:
    total = int(counts.sum())
    mean = float((values * (counts / total)).sum())
    apart = values - mean
    scale = float(np.abs(apart).max()) or 1.0
    variance = float(((apart / scale) ** 2 * (counts / total)).sum())
    return Quarter(total, low, high, mean, scale * variance**0.5)


def _merged(keys: NDArray[K], counts: Counts, more: NDArray[K], further: Counts) -> tuple[NDArray[K], Counts]:
    both, places = np.unique(np.concatenate([keys, more]), return_inverse=True)
    return both, np.bincount(places, weights=np.concatenate([counts, further])).astype(np.int64)


def _keys(values: Floats) -> NDArray[np.int64]:
    """Buckets in the order of their values: a double's bits, read as an integer, rise with it."""
    bits = values.view(np.int64)
    return (bits ^ ((bits >> np.int64(63)) & _ORDER)) >> _DROPPED


def _floats(keys: NDArray[np.int64]) -> Floats:
    return (keys ^ ((keys >> np.int64(63)) & _ORDER)).view(np.float64)
