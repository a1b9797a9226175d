"""Sums of floating-point numbers without rounding: the same total in any order and any chunks."""

from __future__ import annotations

from collections import defaultdict
from decimal import Context, Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_MANTISSA = 53
_LOW = 26  # a mantissa as two parts that bincount, which adds doubles, can sum exactly over 2^26 rows
_SPLITTER = float(2**27 + 1)
_LARGEST, _SMALLEST = 1e150, 1e-130  # squares of what is outside leave the range of doubles
_DIGITS = Context(prec=60, Emax=10**6, Emin=-(10**6))


class Moments:
    """Count, sum and sum of squares of finite numbers, all exact."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: dict[int, int] = defaultdict(int)
        self._squares: dict[int, int] = defaultdict(int)

    def add(self, values: Floats) -> None:
        """At most 2^26 values at once."""
        self.count += len(values)
        size = np.abs(values)
        odd = (size > _LARGEST) | ((size < _SMALLEST) & (values != 0))
        if odd.any():
            self._add_one_by_one(values[odd])
            values = values[~odd]
        _accumulate(self._sum, values)
        # Dekker's product: x = high + low, and each of the three products is exact.
        scaled = values * _SPLITTER
        high = scaled - (scaled - values)
        low = values - high
        _accumulate(self._squares, high * high)
        if low.any():
            _accumulate(self._squares, 2.0 * high * low)
            _accumulate(self._squares, low * low)

    def add_counted(self, values: Floats, counts: Counts) -> None:
        """Distinct values and how often each occurs."""
        self.count += int(counts.sum())
        self._add_one_by_one(values, counts)

    @property
    def mean(self) -> float:
        """0 of no values."""
        return _decimal(self._fraction(self._sum) / self.count) if self.count else 0.0

    @property
    def std(self) -> float:
        """Standard deviation of the sample (n - 1); 0 of fewer than two values."""
        if self.count < 2:
            return 0.0
        total = self._fraction(self._sum)
        variance = (self._fraction(self._squares) - total * total / self.count) / (self.count - 1)
        return float(_DIGITS.sqrt(_DIGITS.divide(Decimal(variance.numerator), Decimal(variance.denominator))))

    def _add_one_by_one(self, values: Floats, counts: Counts | None = None) -> None:
        mantissas, exponents = _parts(values)
        times = np.ones(len(values), np.int64) if counts is None else counts
        for mantissa, exponent, count in zip(
            mantissas.tolist(), exponents.tolist(), times.tolist(), strict=True
        ):
            self._sum[exponent] += mantissa * count
            self._squares[2 * exponent] += mantissa * mantissa * count

    @staticmethod
    def _fraction(parts: dict[int, int]) -> Fraction:
        """Σ part * 2^exponent."""
        if not parts:
            return Fraction(0)
        lowest = min(parts)
        total = sum(part << (exponent - lowest) for exponent, part in parts.items())
        return Fraction(total) * Fraction(2) ** lowest


def _parts(values: Floats) -> tuple[Counts, Counts]:
    """``value = mantissa * 2^exponent`` with a whole mantissa."""
    mantissas, exponents = np.frexp(values)
    return np.ldexp(mantissas, _MANTISSA).astype(np.int64), exponents.astype(np.int64) - _MANTISSA


def _accumulate(parts: dict[int, int], values: Floats) -> None:
    if not len(values):
        return
    mantissas, exponents = _parts(values)
    first = int(exponents.min())
    places = exponents - first
    high = np.bincount(places, weights=(mantissas >> _LOW).astype(np.float64))
    low = np.bincount(places, weights=(mantissas & ((1 << _LOW) - 1)).astype(np.float64))
    for place in np.flatnonzero((high != 0) | (low != 0)).tolist():
        parts[first + place] += (int(high[place]) << _LOW) + int(low[place])


def _decimal(value: Fraction) -> float:
    return float(_DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator)))
