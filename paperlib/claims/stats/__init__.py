"""Statistics under every number that a reader sees: intervals over seeds, the noise floor, decisions."""

from paperlib.claims.stats.estimates import (
    POSITIVE,
    SHARE,
    SHARE_DIFFERENCE,
    Bounds,
    Estimate,
    mean_interval,
    paired_difference,
    paired_ratio,
)

__all__ = [
    "POSITIVE",
    "SHARE",
    "SHARE_DIFFERENCE",
    "Bounds",
    "Estimate",
    "mean_interval",
    "paired_difference",
    "paired_ratio",
]
