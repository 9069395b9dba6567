"""Statistics over many tasks at once, as rliable defines them (Agarwal et al. 2021, https://arxiv.org/abs/2108.13264).

Of each task an array whose last axis runs over its runs; axes before it, such as of bootstrap samples, are kept.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy  # loads scipy.stats, which takes a second, where it is first used
from numpy.typing import ArrayLike, NDArray

from paperlib.claims.stats.estimates import LEVEL, Estimate

Floats = NDArray[np.float64]
Tasks = Sequence[Floats]
RESAMPLES = 2000


def mean(scores: Tasks) -> Floats:
    """Mean over all runs of all tasks."""
    return np.asarray(np.concatenate(scores, axis=-1).mean(axis=-1))


def interquartile_mean(scores: Tasks) -> Floats:
    """Mean of the middle half of all runs of all tasks (IQM): neither a few collapses nor a few triumphs move it."""
    return np.asarray(scipy.stats.trim_mean(np.concatenate(scores, axis=-1), 0.25, axis=-1))


def exceeding(scores: Tasks, thresholds: ArrayLike) -> Floats:
    """Performance profile: the share of all runs of all tasks above each threshold, which is the last axis."""
    every = np.concatenate(scores, axis=-1)
    return np.asarray((every[..., None] > np.asarray(thresholds, float)).mean(axis=-2))


def improvement(scores: Tasks, others: Tasks) -> Floats:
    """Probability that a run has a higher score than one of `others` on the same task, averaged over the tasks.

    Of each task Mann-Whitney's U over the number of pairs; a tie counts half.
    """
    shares = []
    for x, y in zip(scores, others, strict=True):
        a, b = x[..., :, None], y[..., None, :]
        shares.append((a > b).mean(axis=(-1, -2)) + (a == b).mean(axis=(-1, -2)) / 2)
    return np.asarray(np.mean(shares, axis=0))


def bootstrapped(statistic: Callable[..., Floats], *samples: Tasks) -> tuple[Floats, Floats] | None:
    """Ends of the 95 % percentile interval of a statistic, resampling the runs within each task of each sample.

    None where no task has a second run. With n runs a task it is √(1 - 1/n) as wide as it should be.
    """
    if all(len(runs) < 2 for sample in samples for runs in sample):
        return None
    rng = np.random.default_rng(0)
    drawn = [
        [runs[rng.integers(0, len(runs), (RESAMPLES, len(runs)))] for runs in map(np.asarray, sample)]
        for sample in samples
    ]
    low, high = np.quantile(statistic(*drawn), [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
    return low, high


def estimated(statistic: Callable[..., Floats], *samples: Tasks) -> Estimate:
    """The statistic with its bootstrap interval; n: runs in all of the first sample."""
    ends, value, n = bootstrapped(statistic, *samples), float(statistic(*samples)), sum(map(len, samples[0]))
    return Estimate(value, None, None, n) if ends is None else Estimate(value, float(ends[0]), float(ends[1]), n)
