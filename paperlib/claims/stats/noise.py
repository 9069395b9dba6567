"""How far measurements of one and the same network lie apart (A/A controls): the noise floor of every cost.

Costs have three controls: dense measured again in the same process, `random` at sparsity 0 (a mask that removes
nothing) beside dense, and `post-training` beside dense (it trains the same dense model). A post-training trial
that reuses its dense trial's training holds the very same measurement and says nothing, so it is left out.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

# What a trial shares with its dense baseline: images, budget, protocol and seed.
PAIR = [
    "dataset", "resolution", "train_images", "test_images", "model", "width", "epochs", "batch_size", "optimizer",
    "lr", "options", "schedule", "augment", "compute", "quirks", "seed",
]  # fmt: skip
MACHINE = ["device", "cpu", "gpu"]


def noise_floor(tidy: pd.DataFrame, column: str) -> float | None:
    """95th percentile of |ratio - 1| over controls of a cost, as a share of dense; None without controls.

    column: a ratio that each trial measured, such as `inference_ratio_b64`, or a figure of a whole training, such
    as `train_time_s`; of the latter only `random` at sparsity 0 counts.
    """
    deviations = cost_controls(tidy, column, ("random",)).deviation
    return float(np.percentile(deviations, 95)) if len(deviations) else None


def cost_controls(
    tidy: pd.DataFrame, column: str, methods: Sequence[str] = ("random", "post-training")
) -> pd.DataFrame:
    """A/A controls of a cost: `dataset`, `model` and `deviation`, the distance of the ratio to dense from 1.

    Where the table has the ratio of dense measured again (`<column>_again`) it is taken, else whole trainings that
    cost as much as dense: `random` at sparsity 0 and unshared `post-training`, as far as they are in `methods`.
    """
    if f"{column}_again" in tidy:
        controls = tidy[["dataset", "model"]].assign(ratio=tidy[f"{column}_again"])
    elif column in tidy:
        rows = tidy[tidy[column].notna()]
        empty = (rows.method == "random") & (rows.sparsity == 0) & (rows.conv_sparsity == 0)
        again = (rows.method == "post-training") & rows.shared_training.isna()
        controls = rows[(empty | again) & rows.method.isin(methods)]
        same = [*PAIR, *MACHINE]
        pairs = controls.merge(rows[rows.method == "dense"][[*same, column]], on=same)
        controls = pairs[["dataset", "model"]].assign(ratio=pairs[f"{column}_x"] / pairs[f"{column}_y"])
    else:
        return pd.DataFrame(columns=["dataset", "model", "deviation"])
    deviation = (controls.pop("ratio").astype(float) - 1).abs()
    return controls.assign(deviation=deviation)[deviation.notna()]


def score_controls(tidy: pd.DataFrame, column: str) -> pd.DataFrame:
    """The same for scores: `deviation` is the absolute difference of dense networks that differ in the seed only."""
    dense = tidy[(tidy.method == "dense") & tidy[column].notna()] if column in tidy else tidy[:0]
    rows = [
        (group["dataset"].iloc[0], group["model"].iloc[0], abs(a - b))
        for _, group in dense.groupby([name for name in PAIR if name != "seed"], sort=False, dropna=False)
        for a, b in combinations(group[column].iloc[:20], 2)
    ]
    return pd.DataFrame(rows, columns=["dataset", "model", "deviation"])
