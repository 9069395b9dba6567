"""Decisions by simulation with known truth, and against scipy and statsmodels."""

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.stats import ttest_1samp
from statsmodels.api import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from paperlib.claims.stats.decisions import Comparison, Outcome, comparisons, holm, outcomes
from paperlib.claims.stats.estimates import bootstrap_interval, spread_interval


@pytest.mark.parametrize("n", [3, 8, 20])
def test_bootstrap_intervals_cover_what_they_promise(n: int) -> None:
    rng, hits, rounds = np.random.default_rng(n), 0, 400
    for sample in rng.normal(3.0, 2.0, (rounds, n)):
        e = bootstrap_interval(sample)
        assert e and e.low is not None and e.high is not None
        hits += e.low <= 3.0 <= e.high
    assert hits / rounds == pytest.approx(0.95, abs=0.03)


def test_spread_interval_covers_the_true_spread() -> None:
    rng, hits = np.random.default_rng(1), 0
    for groups in rng.normal(0, 0.5, (1500, 4, 3)):
        e = spread_interval(groups)
        assert e and e.low is not None and e.high is not None
        hits += e.low <= 0.5 <= e.high
    assert hits / 1500 == pytest.approx(0.95, abs=0.02)
    assert spread_interval([[1.0]]) is None


def test_holm_is_statsmodels_own() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx(multipletests([0.01, 0.04, 0.03], method="holm")[1])
    assert holm([0.01, 0.04, 0.03])[0] == pytest.approx(0.03)


def one(values: ArrayLike) -> Comparison:
    """A comparison with no other beside it."""
    return comparisons([values], [0])[0]


def word(values: ArrayLike, bound: float, margin: float, claimed: set[Outcome]) -> Outcome:
    return outcomes([one(values)], [bound], [margin], claimed)[0][0]


def test_equivalence_errs_at_most_five_times_in_a_hundred_at_the_margin() -> None:
    rng = np.random.default_rng(2)
    wrong = sum(one(x).p_within(1.0) < 0.05 for x in rng.normal(1.0, 0.3, (1000, 5)))
    right = sum(one(x).p_within(1.0) < 0.05 for x in rng.normal(0.0, 0.3, (1000, 5)))
    assert wrong / 1000 < 0.07 and right / 1000 > 0.95
    x = [0.5, -0.2, 0.9, 0.1]
    assert one(x).p_within(1.0) == pytest.approx(DescrStatsW(x).ttost_mean(-1.0, 1.0)[0])
    assert one([0.5]).p_within(1.0) == one([2.0, 2.0]).p_within(1.0) == 1.0 and one([0.5, 0.5]).p_within(1.0) == 0.0


def test_one_sided_tests_are_those_of_scipy() -> None:
    x = [0.3, -0.1, 0.4, 0.9]
    below, above = (ttest_1samp(x, m, alternative=a).pvalue for m, a in ((-0.5, "less"), (0.5, "greater")))
    assert (one(x).p_below(-0.5), one(x).p_above(0.5)) == (pytest.approx(below), pytest.approx(above))


def test_the_pooled_variance_is_that_of_a_regression_on_the_arms() -> None:
    # About equal spreads within a cell; of three values each.
    family, cells = [np.array([-1.0, 0.3, 1.0]) * s + i for i, s in enumerate((1.0, 1.02, 2.0, 1.97))], list("aabb")
    pooled = comparisons(family, cells)
    for first in (0, 2):
        arms = np.kron(np.eye(2), np.ones((3, 1)))
        fitted = OLS(np.concatenate(family[first : first + 2]), arms).fit()
        assert [c.error for c in pooled[first : first + 2]] == pytest.approx(fitted.bse)
        assert pooled[first].df == fitted.df_resid == 4
        low, high = fitted.conf_int()[0]
        assert pooled[first].half_width == pytest.approx((high - low) / 2)


def test_pooled_intervals_cover_what_they_promise() -> None:
    rng, hits, half_widths = np.random.default_rng(6), 0, np.zeros(2)
    for family in rng.normal(0, 1, (1500, 6, 3)):
        pooled = comparisons(list(family), [0] * 6)
        hits += sum(abs(c.mean) <= c.half_width for c in pooled)
        half_widths += [pooled[0].half_width, one(family[0]).half_width]
    assert hits / 9000 == pytest.approx(0.95, abs=0.02)
    assert half_widths[0] < 0.95 * half_widths[1], "what the other arms say of the spread is worth something"


def test_a_wide_comparison_has_its_own_variance() -> None:
    quiet, wide = [[0.1, 0.2, 0.3], [-0.1, 0.0, 0.1]], [1.0, 2.0, 6.0]
    *others, own = comparisons([*quiet, wide], [0] * 3)
    assert own == one(wide) and own.p_above(0) == pytest.approx(ttest_1samp(wide, 0, alternative="greater").pvalue)
    assert {c.df for c in others} == {6}, "those that are quieter than the cell have all of its variance"


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("wide", [1, 6], ids=["one of twelve", "half of twelve"])
@pytest.mark.parametrize("tails", [None, 3], ids=["normal", "heavy tails"])
def test_intervals_cover_where_spreads_differ_by_three(n: int, wide: int, tails: int | None) -> None:
    """Pooling alone covers 60 % for one wide arm of twelve, and alarms in one family of nine."""
    rng, rounds, hits, alarms = np.random.default_rng(8), 1_000, 0, 0
    spread = np.where(np.arange(12) < wide, 3.0, 1.0)[:, None]
    draws = rng.normal(size=(rounds, 12, n)) if tails is None else rng.standard_t(tails, (rounds, 12, n))
    for family in draws * spread:
        found = comparisons(list(family), [0] * 12)
        hits += sum(abs(c.mean) <= c.half_width for c in found[:wide])
        alarms += "above" in {w for w, _ in outcomes(found, [0.0] * 12, [1.0] * 12, {"below"})}
    assert 0.925 <= hits / rounds / wide <= 0.98 and alarms / rounds <= 0.05


def test_noise_rule_false_alarms_and_power() -> None:
    rng, floor = np.random.default_rng(3), 0.0277
    for effect, expected, least in ((0.0, "none", 0.95), (-0.10, "below", 0.95), (0.10, "above", 0.95)):
        family = rng.normal(effect, 0.0141, (600, 5))
        said = [word(x, floor, 0.05, {"below"}) for x in family]
        assert said.count(expected) / len(said) > least  # type: ignore[arg-type]
        if expected == "none":
            assert sum(w in {"below", "above"} for w in said) / len(said) < 0.01


def test_non_inferiority_errs_at_most_five_times_in_a_hundred_at_the_margin() -> None:
    rng = np.random.default_rng(7)
    said = [word(x, 1.0, 1.0, {"none", "above", "not below"}) for x in rng.normal(-1.0, 0.3, (1000, 5))]
    assert sum(w in {"none", "above", "not below"} for w in said) / 1000 < 0.07
    better = [word(x, 1.0, 1.0, {"none", "above", "not below"}) for x in rng.normal(0.9, 0.4, (300, 3))]
    assert better.count("not below") > 150, "clearly no loss, though by how much it gains cannot be told"


def test_a_family_of_nulls_is_rarely_contradicted() -> None:
    rng, alarms = np.random.default_rng(4), 0
    for family in rng.normal(0, 1, (200, 18, 5)):  # 18 comparisons: uncorrected, one in three families alarms
        said = outcomes(comparisons(list(family), [0] * 18), [0.0] * 18, [1.0] * 18, {"below"})
        alarms += "above" in {w for w, _ in said}
    assert alarms / 200 < 0.05


def test_one_seed_decides_nothing() -> None:
    assert word([5.0], 1.0, 1.0, {"above"}) == word([0.0], 1.0, 1.0, {"none"}) == "unclear"
    # Not even beside others of its cell, which know the spread.
    (alone, p), *_ = outcomes(comparisons([[5.0], [0.1, 0.2, 0.3]], [0, 0]), [1.0] * 2, [1.0] * 2, {"above"})
    assert (alone, p) == ("unclear", 1.0)
