"""Decisions by simulation with known truth, and against statsmodels and enumeration."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp
from statsmodels.stats.multitest import multipletests

from paperlib.claims.stats.decisions import beyond_p, holm, outcomes, sign_flip_p, tost_p
from paperlib.claims.stats.estimates import bootstrap_interval, spread_interval
from paperlib.claims.stats.noise import PAIR, score_controls


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


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [0.5, -0.2, 0.9, 1.4, 0.3], [-1.0, 1.0]])
def test_sign_flip_is_the_enumeration(values: list[float]) -> None:
    x = np.array(values)
    flips = np.array(list(product([-1, 1], repeat=len(x)))) * x
    exact = (np.abs(flips.mean(axis=1)) >= abs(x.mean()) - 1e-12).mean()
    assert sign_flip_p(values) == pytest.approx(exact)
    assert sign_flip_p([1.0]) is None


def test_holm_is_statsmodels_own() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx(multipletests([0.01, 0.04, 0.03], method="holm")[1])
    assert holm([0.01, 0.04, 0.03])[0] == pytest.approx(0.03)


def test_equivalence_errs_at_most_five_times_in_a_hundred_at_the_margin() -> None:
    rng = np.random.default_rng(2)
    wrong = sum(tost_p(x, 1.0) < 0.05 for x in rng.normal(1.0, 0.3, (1000, 5)))
    right = sum(tost_p(x, 1.0) < 0.05 for x in rng.normal(0.0, 0.3, (1000, 5)))
    assert wrong / 1000 < 0.07 and right / 1000 > 0.95
    assert tost_p([0.5], 1.0) == tost_p([2.0, 2.0], 1.0) == 1.0 and tost_p([0.5, 0.5], 1.0) == 0.0


def test_one_sided_tests_are_those_of_scipy() -> None:
    x = [0.3, -0.1, 0.4, 0.9]
    below, above = (ttest_1samp(x, m, alternative=a).pvalue for m, a in ((-0.5, "less"), (0.5, "greater")))
    assert beyond_p(x, 0.5) == (pytest.approx(below), pytest.approx(above))


def test_noise_rule_false_alarms_and_power() -> None:
    # Noise of one measurement: sd 0.01, so its A/A floor (95th percentile of |difference|) is about 0.0277.
    rng, floor = np.random.default_rng(3), 0.0277
    for effect, word, least in ((0.0, "none", 0.95), (-0.10, "below", 0.95), (0.10, "above", 0.95)):
        family = rng.normal(effect, 0.0141, (600, 5))
        said = [outcomes([x], [floor], equivalence=False, claimed={"below"})[0] for x in family]
        assert said.count(word) / len(said) > least
        if word == "none":
            assert sum(w in {"below", "above"} for w in said) / len(said) < 0.01


def test_a_family_of_nulls_is_rarely_contradicted() -> None:
    rng, alarms = np.random.default_rng(4), 0
    for family in rng.normal(0, 1, (200, 18, 5)):  # 18 comparisons: uncorrected, one in three families alarms
        alarms += "above" in outcomes(list(family), [0.0] * len(family), equivalence=False, claimed={"below"})
    assert alarms / 200 < 0.05


def test_one_seed_decides_nothing() -> None:
    assert outcomes([[5.0]], [1.0], equivalence=False, claimed={"above"}) == ["unclear"]
    assert outcomes([[0.0]], [1.0], equivalence=True, claimed={"none"}) == ["unclear"]


def test_score_controls_are_dense_networks_of_other_seeds() -> None:
    base: dict[str, object] = dict.fromkeys(PAIR, 1) | {"dataset": "mnist", "model": "mlp-small", "quirks": ""}
    rows = pd.DataFrame(
        base | {"seed": seed, "method": method, "test_accuracy": accuracy + 0.01 * seed}
        for method, accuracy in (("dense", 0.9), ("set", 0.2)) for seed in range(3)
    )  # fmt: skip
    assert sorted(score_controls(rows, "test_accuracy").deviation) == pytest.approx([0.01, 0.01, 0.02])
    assert score_controls(rows, "test_auc").empty
