"""Means, differences and ratios over seeds with their intervals; one seed has none."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import scipy  # loads scipy.stats, which takes a second, where it is first used
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
# Expanded percentile intervals need that many seeds to reach their level; above MANY they equal Student's.
FEW, MANY = 8, 50

# What a quantity can be at all; an interval of few seeds would reach beyond it.
Bounds = tuple[float, float]
UNBOUNDED: Bounds = (-np.inf, np.inf)
POSITIVE: Bounds = (0.0, np.inf)  # losses, times, energies, bytes
SHARE: Bounds = (0.0, 1.0)  # accuracies, sparsities
SHARE_DIFFERENCE: Bounds = (-1.0, 1.0)


@dataclass(frozen=True)
class Estimate:
    """A mean over n seeds with its 95 % interval, in the unit of the values; one seed has no interval (None)."""

    mean: float
    low: float | None
    high: float | None
    n: int

    def within(self, bounds: Bounds) -> "Estimate":
        """The same with its interval cut to what the quantity can be (never beyond the mean itself)."""
        if self.low is None or self.high is None:
            return self
        low, high = max(self.low, min(bounds[0], self.mean)), min(self.high, max(bounds[1], self.mean))
        return replace(self, low=low, high=high)

    def mapped(self, rising: Callable[[float], float]) -> "Estimate":
        """Mean and both ends through a rising function, such as `np.exp` of the logarithm of a ratio."""
        low, high = (None if v is None else float(rising(v)) for v in (self.low, self.high))
        return Estimate(float(rising(self.mean)), low, high, self.n)

    def scaled(self, factor: float) -> "Estimate":
        """The same in another unit, `factor` (above 0) times as large a number."""
        return self.mapped(lambda value: value * factor)

    def text(self, scale: float = 1.0, digits: int = 2) -> str:
        """`93.12 [92.80, 93.40]`, or without brackets where one seed gives no interval."""
        mean, low, high = (None if v is None else f"{v * scale:.{digits}f}" for v in (self.mean, self.low, self.high))
        return f"{mean}" if low is None else f"{mean} [{low}, {high}]"


def mean_interval(values: ArrayLike, bounds: Bounds = UNBOUNDED) -> Estimate | None:
    """Mean of values (one per seed) with Student's 95 % interval; missing ones are left out.

    None without any value. Give the differences of pairs for a paired interval. As `scipy.stats.t.interval`, which
    takes a second to import.
    """
    x = _finite(values)
    if len(x) < 2:
        return Estimate(float(x[0]), None, None, 1) if len(x) else None
    half = scipy.special.stdtrit(len(x) - 1, 0.5 + LEVEL / 2) * x.std(ddof=1) / len(x) ** 0.5
    return Estimate(float(x.mean()), float(x.mean() - half), float(x.mean() + half), len(x)).within(bounds)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, float)
    return x[np.isfinite(x)]


def paired_difference(a: ArrayLike, b: ArrayLike, bounds: Bounds = UNBOUNDED) -> Estimate | None:
    """Mean of a - b over seeds, both in the same order of seeds, with its 95 % interval."""
    return mean_interval(np.asarray(a, float) - np.asarray(b, float), bounds)


def paired_ratio(a: ArrayLike, b: ArrayLike) -> Estimate | None:
    """Geometric mean of a / b over seeds, both in the same order, with Student's 95 % interval on the logarithms.

    Pairs with a missing or non-positive value are left out; None if no pair remains.
    """
    x, y = np.asarray(a, float), np.asarray(b, float)
    good = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    log = mean_interval(np.log(x[good] / y[good]))
    return log.mapped(np.exp) if log else None


def bootstrap_interval(values: ArrayLike, bounds: Bounds = UNBOUNDED) -> Estimate | None:
    """Mean with an expanded percentile bootstrap interval (Hesterberg 2015, doi 10.1080/00031305.2015.1089789).

    Student's below FEW values, where resampling cannot reach the level (three values give 75 % at best),
    and above MANY, where both agree. Give paired differences for a paired interval.
    """
    x = _finite(values)
    n = len(x)
    if not FEW <= n <= MANY or np.ptp(x) == 0:
        return mean_interval(x, bounds)
    tail = scipy.special.ndtr(-np.sqrt(n / (n - 1)) * scipy.special.stdtrit(n - 1, 0.5 + LEVEL / 2))
    interval = scipy.stats.bootstrap(
        (x,), np.mean, n_resamples=4999, confidence_level=1 - 2 * tail, method="percentile", rng=0, vectorized=True
    ).confidence_interval
    return Estimate(float(x.mean()), float(interval.low), float(interval.high), n).within(bounds)


def spread_interval(groups: Iterable[ArrayLike]) -> Estimate | None:
    """Standard deviation between seeds, pooled over groups of equal setting, with its chi-square interval.

    n is the largest group; None where no group has two seeds.
    """
    samples = [x for x in (np.asarray(g, float) for g in groups) if len(x) > 1]
    if not samples:
        return None
    df = sum(len(x) - 1 for x in samples)
    square = sum(float(((x - x.mean()) ** 2).sum()) for x in samples)
    low, high = (square / scipy.stats.chi2.ppf(q, df) for q in (0.5 + LEVEL / 2, 0.5 - LEVEL / 2))
    return Estimate((square / df) ** 0.5, float(low) ** 0.5, float(high) ** 0.5, max(map(len, samples)))
