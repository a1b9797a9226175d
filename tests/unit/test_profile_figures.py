"""Exact moments, distributions and samples of hashes: right, and the same in any order and chunks."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from paylog.training_data.distribution import BINS, EXACT, Distribution
from paylog.training_data.exact_sum import Moments
from paylog.training_data.hash_sample import HashSample, cell_hashes, mixed
from paylog.training_data.profile import NumericProfile

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SHAPES = {
    "lognormal": lambda rng, n: rng.lognormal(8, 1, n),
    "normal": lambda rng, n: rng.normal(0, 1e3, n),
    "uniform": lambda rng, n: rng.uniform(-1, 1, n),
    "half zero": lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, rng.exponential(1, n)),
    "epoch": lambda rng, n: 1.7e9 + rng.random(n) * 1e5,
}


def distribution(values: NDArray[np.float64], chunk: int) -> Distribution:
    held = Distribution()
    for start in range(0, len(values), chunk):
        held.add(values[start : start + chunk])
    return held


def profile(values: NDArray[np.float64], chunk: int = 10**6) -> NumericProfile:
    found = distribution(values, chunk).profile()
    assert found is not None
    return found


@given(st.lists(FINITE, min_size=2, max_size=40), st.integers(1, 7), st.randoms())
@settings(max_examples=60, deadline=None)
def test_moments_are_exact_in_any_order(values: list[float], chunk: int, random) -> None:
    moments, shuffled, again = Moments(), list(values), Moments()
    random.shuffle(shuffled)
    for start in range(0, len(values), chunk):
        moments.add(np.array(values[start : start + chunk]))
    again.add_counted(np.array(shuffled), np.ones(len(values), np.int64))
    assert (moments.mean, moments.std, moments.count) == (again.mean, again.std, again.count)
    mean = sum(map(Fraction, values)) / len(values)
    assert moments.mean == pytest.approx(float(mean), rel=1e-15, abs=0)
    variance = sum((Fraction(v) - mean) ** 2 for v in values) / (len(values) - 1)
    assert abs(Fraction(moments.std) ** 2 - variance) <= variance / 10**14 or variance < Fraction(1, 10**600)


def test_moments_of_numbers_that_cancel() -> None:
    moments = Moments()
    moments.add(np.array([1e16, 1.0, -1e16, 1.0]))
    assert moments.mean == 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_a_distribution_is_the_same_in_any_order_and_chunks(shape: str) -> None:
    rng = np.random.default_rng(0)
    values = SHAPES[shape](rng, 60_000)
    one, other = distribution(values, 60_000), distribution(rng.permutation(values), 7_777)
    assert (one.profile(), one.distinct) == (other.profile(), other.distinct)


@pytest.mark.parametrize("shape", SHAPES)
def test_figures_against_pandas(shape: str) -> None:
    values = SHAPES[shape](np.random.default_rng(1), 60_000)
    series, found = pd.Series(values), profile(values)
    assert (found.min, found.max) == (series.min(), series.max())
    assert found.mean == pytest.approx(series.mean(), rel=1e-12, abs=1e-12)
    assert found.std == pytest.approx(series.std(), rel=1e-9)
    for share, value in found.quantiles.items():
        true = series.quantile(float(share))
        assert value == pytest.approx(true, rel=0.004, abs=1e-9), share


def test_figures_of_few_distinct_values_are_exact() -> None:
    values = np.random.default_rng(2).integers(0, EXACT, 50_000) / 8
    series, found = pd.Series(values), profile(values, 999)
    assert found.quantiles == {share: series.quantile(float(share)) for share in found.quantiles}
    assert distribution(values, 999).distinct == series.nunique()


@pytest.mark.parametrize("shape", SHAPES)
def test_bins_hold_what_their_edges_say(shape: str) -> None:
    values = SHAPES[shape](np.random.default_rng(3), 60_000)
    found = profile(values)
    bins = np.searchsorted(found.edges[1:-1], values)
    assert np.bincount(bins, minlength=len(found.counts)).tolist() == list(found.counts)
    assert sum(found.counts) == 60_000
    assert len(found.counts) <= BINS
    assert list(found.edges) == sorted(found.edges)
    assert sum(quarter.count for quarter in found.quarters) == 60_000


def test_a_bin_a_value_where_they_are_few() -> None:
    found = profile(np.array([1.0, 2, 2, 3, 3, 3]))
    assert (found.edges, found.counts) == ((1, 1, 2, 3), (1, 2, 3))


def test_extremes() -> None:
    assert Distribution().profile() is None
    one = profile(np.array([3.0]))
    assert (one.std, one.edges, one.counts) == (0.0, (3.0, 3.0), (1,))
    wide = profile(np.array([-1e308, 5e-324, 1e308]))
    assert all(map(math.isfinite, (wide.mean, wide.std, *wide.quantiles.values())))
    assert all(math.isfinite(quarter.std) for quarter in wide.quarters)


def test_quarters_are_those_of_the_values() -> None:
    values = np.random.default_rng(4).integers(0, 1000, 5_000).astype(float)
    cuts = np.percentile(values, [25, 50, 75])
    bins = np.searchsorted(cuts, values)
    for place, quarter in enumerate(profile(values).quarters):
        held = values[bins == place]
        assert (quarter.count, quarter.min, quarter.max) == (len(held), held.min(), held.max())
        assert quarter.mean == pytest.approx(held.mean())
        assert quarter.std == pytest.approx(held.std())


def test_a_hash_sample_counts_exactly_while_it_can() -> None:
    sample = HashSample(1000)
    for start in range(0, 1500, 100):
        sample.add(mixed(np.arange(start, start + 100, dtype=np.uint64) % np.uint64(900)))
    assert (sample.total, sample.distinct, sample.repeated) == (1500, 900, 600)


def test_a_hash_sample_estimates_beyond_and_does_not_mind_the_order() -> None:
    hashes = mixed(np.arange(200_000, dtype=np.uint64) % np.uint64(150_000))
    one, other = HashSample(4096), HashSample(4096)
    one.add(hashes)
    for part in np.array_split(np.random.default_rng(5).permutation(hashes), 37):
        other.add(part)
    assert (one.distinct, one.repeated) == (other.distinct, other.repeated)
    assert one.distinct == pytest.approx(150_000, rel=0.05)
    assert one.repeated == pytest.approx(50_000, rel=0.1)


def test_cells_hash_by_value() -> None:
    texts = cell_hashes(pa.array(["a", "b", None, "a"]), None)
    encoded = cell_hashes(pa.array(["b", "a", None, "a"]).dictionary_encode(), None)
    assert texts[0] == texts[3] == encoded[1]
    assert texts[2] == encoded[2]
    zeros = cell_hashes(pa.array([0.0, -0.0, None]), np.array([False, False, True]))
    assert zeros[0] == zeros[1]
    assert zeros[2] != cell_hashes(pa.array([None], pa.float64()), None)[0]
