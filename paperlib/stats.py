"""Intervals over seeds, and the noise floor that an effect must exceed to be called one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.95
# What a trial shares with its dense partner: images, budget, protocol and seed.
PAIR = [
    "dataset", "resolution", "train_images", "test_images", "model", "width", "epochs", "batch_size", "optimizer",
    "lr", "options", "schedule", "augment", "compute", "quirks", "seed",
]  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval (None for n = 1) over n seeds."""

    mean: float
    low: float | None
    high: float | None
    n: int

    def text(self, scale: float = 1.0, digits: int = 2) -> str:
        """`93.12 [92.80, 93.40]`, or without brackets where one seed gives no interval."""
        shown = f"{self.mean * scale:.{digits}f}"
        if self.low is None or self.high is None:
            return shown
        return f"{shown} [{self.low * scale:.{digits}f}, {self.high * scale:.{digits}f}]"


def mean_interval(values: ArrayLike) -> Estimate | None:
    """Mean with Student's 95 % interval over seeds; None without any value (missing ones are left out)."""
    x = np.asarray(values, float)
    x = x[np.isfinite(x)]
    if len(x) == 0:
        return None
    if len(x) == 1:
        return Estimate(float(x[0]), None, None, 1)
    half = stats.t.ppf(0.5 + LEVEL / 2, len(x) - 1) * stats.sem(x)
    return Estimate(float(x.mean()), float(x.mean() - half), float(x.mean() + half), len(x))


def paired_difference(a: ArrayLike, b: ArrayLike) -> Estimate | None:
    """Mean of a - b over seeds, both in the same order of seeds, with its 95 % interval."""
    return mean_interval(np.asarray(a, float) - np.asarray(b, float))


def paired_ratio(a: ArrayLike, b: ArrayLike) -> Estimate | None:
    """Geometric mean of a / b over seeds with its 95 % interval (Student's on the logarithms)."""
    x, y = np.asarray(a, float), np.asarray(b, float)
    good = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    log = mean_interval(np.log(x[good] / y[good]))
    if log is None:
        return None
    low, high = (None if v is None else float(np.exp(v)) for v in (log.low, log.high))
    return Estimate(float(np.exp(log.mean)), low, high, log.n)


def noise_floor(tidy: pd.DataFrame, column: str) -> float | None:
    """How far two measurements of the same dense network lie apart: the 95th percentile of |ratio - 1|.

    column: a ratio to dense (its `_again` twin holds the A/A control of the same trial), such as
    `inference_ratio_b64`. None where no control was measured.
    """
    twin = f"{column}_again"
    if twin not in tidy or tidy[twin].notna().sum() == 0:
        return None
    return float(np.nanpercentile((tidy[twin] - 1).abs(), 95))


def seeded_noise_floor(tidy: pd.DataFrame, column: str) -> float | None:
    """The same for figures of whole trainings: `random` at sparsity 0 beside dense, same seed and budget."""
    plain = tidy[tidy[column].notna()]
    dense = plain[plain.method == "dense"].set_index(PAIR)[column]
    mask0 = plain[(plain.method == "random") & (plain.sparsity == 0)].set_index(PAIR)[column]
    ratio = (mask0 / dense).dropna()
    return float(np.percentile((ratio - 1).abs(), 95)) if len(ratio) else None
