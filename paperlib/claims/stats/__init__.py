"""Statistics under every number that a reader sees: intervals over seeds, the noise floor, decisions."""

from paperlib.claims.stats.decisions import ALPHA, Outcome, beyond_p, holm, outcomes, sign_flip_p, tost_p
from paperlib.claims.stats.estimates import (
    LEVEL,
    POSITIVE,
    SHARE,
    SHARE_DIFFERENCE,
    UNBOUNDED,
    Bounds,
    Estimate,
    bootstrap_interval,
    exponential,
    mean_interval,
    mean_intervals,
    paired_difference,
    paired_ratio,
    spread_interval,
)
from paperlib.claims.stats.noise import PAIR, control_differences, control_ratios, noise_floor, seeded_noise_floor

__all__ = [
    "ALPHA",
    "LEVEL",
    "PAIR",
    "POSITIVE",
    "SHARE",
    "SHARE_DIFFERENCE",
    "UNBOUNDED",
    "Bounds",
    "Estimate",
    "Outcome",
    "beyond_p",
    "bootstrap_interval",
    "control_differences",
    "control_ratios",
    "exponential",
    "holm",
    "mean_interval",
    "mean_intervals",
    "noise_floor",
    "outcomes",
    "paired_difference",
    "paired_ratio",
    "seeded_noise_floor",
    "sign_flip_p",
    "spread_interval",
    "tost_p",
]  # fmt: skip
