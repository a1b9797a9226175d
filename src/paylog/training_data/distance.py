"""The distance of two histograms: Jensen-Shannon, without what chance may add to it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


def distance(reference: Counts, found: Counts) -> float:
    """Jensen-Shannon distance of two histograms over the same bins: 0 for the same shares, 1 at most.

    Not the population stability index: that is infinite where one side has an empty bin, as every unseen
    category makes one, and then says no more than which small number was put in its place. This one is
    finite, symmetric, and the one that OpenScale's own drift monitor reports for a feature (IBM, "Feature
    drift in Watson OpenScale drift v2 metrics").

    Two samples of one population differ by chance. Of the divergence, what chance seldom exceeds is taken
    off, so that a small batch of a feature with many categories does not look as if it had drifted:
    ``(d + 3 √(2 d)) (1 / n + 1 / m) / (8 ln 2)`` with ``d = bins - 1``, which is mean and three standard
    deviations of its χ² approximation. It vanishes with the rows.

    :param reference: counts of shape (bins,), not all zero.
    :param found: likewise.
    """
    n, m = int(reference.sum()), int(found.sum())
    p, q = reference / n, found / m
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    freedom = int(np.count_nonzero(middle)) - 1
    chance = (freedom + 3 * math.sqrt(2 * freedom)) * (1 / n + 1 / m) / (8 * math.log(2))
    return math.sqrt(min(1.0, max(0.0, divergence - chance)))


def _relative_entropy(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    there = p > 0
    return float(np.sum(p[there] * np.log2(p[there] / q[there])))
