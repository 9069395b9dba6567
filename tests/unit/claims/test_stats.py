"""Intervals against scipy, their coverage by simulation, and the noise floor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as oracle

from paperlib.claims.effects import ACCURACY
from paperlib.claims.stats import (
    POSITIVE,
    SHARE,
    SHARE_DIFFERENCE,
    mean_interval,
    paired_difference,
    paired_ratio,
)
from paperlib.claims.stats.estimates import bootstrap_interval
from paperlib.exhibits.effect_figures import CURVES


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_mean_interval_is_students(values: list[float]) -> None:
    estimate = mean_interval(values)
    assert estimate is not None and estimate.n == len(values)
    assert estimate.mean == pytest.approx(np.mean(values), abs=1e-6)
    if np.std(values) > 1e-9 * max(map(abs, values)):
        low, high = oracle.t.interval(0.95, len(values) - 1, np.mean(values), oracle.sem(values))
        assert (estimate.low, estimate.high) == (pytest.approx(low), pytest.approx(high))


def test_one_seed_has_no_interval_and_none_has_no_estimate() -> None:
    one = mean_interval([0.5])
    assert one is not None and one.n == 1 and one.low is None and one.high is None
    assert one.text(100) == "50.00"
    assert mean_interval([]) is None and mean_interval([np.nan]) is None


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_intervals_stay_within_what_is_possible(values: list[float]) -> None:
    for estimate in (mean_interval(values, SHARE), bootstrap_interval(values, SHARE)):
        assert estimate and estimate.low is not None and estimate.high is not None
        assert 0 <= estimate.low <= estimate.mean <= estimate.high <= 1
    loss = mean_interval(values, POSITIVE)
    assert loss and loss.low is not None and loss.low >= 0
    change = paired_difference(values, values[::-1], SHARE_DIFFERENCE)
    assert change and change.low is not None and change.high is not None and -1 <= change.low <= change.high <= 1


def test_an_interval_is_cut_only_where_it_is_impossible() -> None:
    free, cut = mean_interval([0.9, 1.0, 1.0]), mean_interval([0.9, 1.0, 1.0], SHARE)
    assert free and cut and free.high and free.high > 1 and cut.high == 1 and cut.low == free.low
    assert cut.scaled(100).text() == f"{100 * cut.mean:.2f} [{100 * cut.low:.2f}, 100.00]"  # type: ignore[operator]
    for quantity in (ACCURACY, *CURVES):
        assert quantity.bounds == (SHARE if quantity.unit == "%" else POSITIVE)


def test_pairs_take_the_seeds_apart() -> None:
    # Seeds differ by far more than the effect: only a paired comparison sees it.
    seeds = np.array([10.0, 20.0, 30.0, 40.0])
    estimate = paired_difference(seeds + 1 + np.array([0.01, -0.01, 0.02, -0.02]), seeds)
    assert estimate is not None and estimate.low is not None and estimate.low > 0.9
    ratio = paired_ratio(seeds * 2, seeds)
    assert ratio is not None and ratio.mean == pytest.approx(2) and ratio.low == pytest.approx(2)


def test_ratio_is_the_same_from_both_sides() -> None:
    a, b = np.array([1.0, 2.0, 4.0]), np.array([3.0, 2.0, 5.0])
    forth, back = paired_ratio(a, b), paired_ratio(b, a)
    assert forth and back and forth.low and back.high
    assert forth.mean == pytest.approx(1 / back.mean) and forth.low == pytest.approx(1 / back.high)


def test_missing_pairs_are_left_out() -> None:
    ratio = paired_ratio([1.0, np.nan, 4.0], [2.0, 1.0, 8.0])
    assert ratio is not None and ratio.n == 2 and ratio.mean == pytest.approx(0.5)
    assert paired_ratio([0.0], [1.0]) is None


def test_intervals_cover_what_they_promise() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for sample in rng.normal(3.0, 2.0, (2000, 3)):
        estimate = mean_interval(sample)
        assert estimate and estimate.low is not None and estimate.high is not None
        hits += estimate.low <= 3.0 <= estimate.high
    assert hits / 2000 == pytest.approx(0.95, abs=0.02)
