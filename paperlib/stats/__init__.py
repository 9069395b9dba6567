"""Statistics under every number that a reader sees: intervals over seeds, the noise floor, decisions."""

from paperlib.stats.decisions import ALPHA, Outcome, beyond_p, holm, outcomes, sign_flip_p, tost_p
from paperlib.stats.estimates import (
    LEVEL,
    Estimate,
    bootstrap_interval,
    mean_interval,
    paired_difference,
    paired_ratio,
    spread_interval,
)
from paperlib.stats.noise import PAIR, control_differences, control_ratios, noise_floor, seeded_noise_floor

__all__ = [
    "ALPHA", "LEVEL", "PAIR", "Estimate", "Outcome", "beyond_p", "bootstrap_interval", "control_differences",
    "control_ratios", "holm", "mean_interval", "noise_floor", "outcomes", "paired_difference", "paired_ratio",
    "seeded_noise_floor", "sign_flip_p", "spread_interval", "tost_p",
]  # fmt: skip
