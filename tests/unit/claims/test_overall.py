"""Statistics over many tasks: each against its definition written out, or against scipy."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from paperlib.claims.stats import overall

SIZES = (5, 5, 3, 3, 4)


def drawn(seed: int, shift: float = 0.0) -> list[np.ndarray]:
    """Scores of a few runs on each of five tasks, rounded so that some are tied."""
    rng = np.random.default_rng(seed)
    return [np.round(rng.normal(shift, 1, size), 1) for size in SIZES]


def test_the_interquartile_mean_is_the_mean_of_the_middle_half() -> None:
    scores = drawn(0)
    ordered = sorted(value for runs in scores for value in runs)
    cut = len(ordered) // 4
    assert overall.interquartile_mean(scores) == pytest.approx(np.mean(ordered[cut : len(ordered) - cut]))
    collapsed = [*scores[:-1], np.array([-80.0, -80.0, *scores[-1][2:]])]
    assert abs(overall.interquartile_mean(collapsed) - overall.interquartile_mean(scores)) < 0.5
    assert abs(overall.mean(collapsed) - overall.mean(scores)) > 5


def test_the_probability_of_improvement_is_mann_whitneys() -> None:
    scores, others = drawn(1, 0.3), drawn(2)
    shares = [mannwhitneyu(x, y).statistic / (len(x) * len(y)) for x, y in zip(scores, others, strict=True)]
    assert overall.improvement(scores, others) == pytest.approx(np.mean(shares))
    assert overall.improvement(others, scores) == pytest.approx(1 - np.mean(shares))
    assert overall.improvement(scores, scores) == pytest.approx(0.5)


def test_a_profile_counts_the_runs_above_each_threshold() -> None:
    scores, at = drawn(3), [-1.0, 0.0, 0.5]
    every = [value for runs in scores for value in runs]
    assert overall.exceeding(scores, at) == pytest.approx([np.mean([v > t for v in every]) for t in at])


def test_the_bootstrap_draws_runs_within_their_tasks() -> None:
    apart = [np.full(3, float(place)) for place in range(5)]  # tasks differ, runs of a task do not
    assert overall.bootstrapped(overall.mean, apart) == (pytest.approx(2.0), pytest.approx(2.0))
    estimate = overall.estimated(overall.mean, drawn(4))
    slow = np.random.default_rng(7)
    means = [np.mean([v for runs in drawn(4) for v in slow.choice(runs, len(runs))]) for _ in range(4000)]
    assert estimate.n == sum(SIZES)
    assert [estimate.low, estimate.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.05)
    assert overall.estimated(overall.mean, drawn(4)) == estimate, "the same draws again"


def test_one_run_a_task_has_no_interval() -> None:
    one = [runs[:1] for runs in drawn(5)]
    assert overall.estimated(overall.improvement, one, one).low is None
    assert overall.bootstrapped(overall.mean, one) is None


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    # Ten tasks of ten runs: √(1 - 1/10) is 5 % too narrow, so about 94 of 100 do.
    rng, held = np.random.default_rng(8), 0
    for _ in range(300):
        estimate = overall.estimated(overall.mean, list(rng.normal(0, 1, (10, 10))))
        assert estimate.low is not None and estimate.high is not None
        held += estimate.low <= 0 <= estimate.high
    assert 0.90 <= held / 300 <= 0.98
