"""The noise floor: how far measurements of one and the same thing lie apart (A/A controls).

Three controls: dense measured again in the same process, `random` at sparsity 0 (a mask that removes nothing)
beside dense, and `post-training` beside dense (it trains the same dense model). A post-training trial that
reuses its dense trial's training holds the very same reading and says nothing, so it is left out.
"""

from itertools import combinations

import numpy as np
import pandas as pd

# What a trial shares with its dense partner: images, budget, protocol and seed.
PAIR = [
    "dataset", "resolution", "train_images", "test_images", "model", "width", "epochs", "batch_size", "optimizer",
    "lr", "options", "schedule", "augment", "compute", "quirks", "seed",
]  # fmt: skip
SETTING = ["dataset", "model"]


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


def control_ratios(tidy: pd.DataFrame, column: str) -> pd.DataFrame:
    """All A/A controls of a cost: dataset, model and the ratio to dense, of all three kinds."""
    found = []
    if f"{column}_again" in tidy:
        found.append(tidy[SETTING].assign(ratio=tidy[f"{column}_again"]))
    elif column in tidy:
        plain = tidy[tidy[column].notna()]
        empty = (plain.method == "random") & (plain.sparsity == 0) & (plain.conv_sparsity == 0)
        again = (plain.method == "post-training") & plain.shared_training.isna()
        pairs = plain[empty | again].merge(plain[plain.method == "dense"][[*PAIR, column]], on=PAIR)
        found.append(pairs[SETTING].assign(ratio=pairs[f"{column}_x"] / pairs[f"{column}_y"]))
    table = pd.concat(found) if found else pd.DataFrame(columns=[*SETTING, "ratio"])
    return table[table.ratio.notna()].astype({"ratio": float})


def control_differences(tidy: pd.DataFrame, column: str) -> pd.DataFrame:
    """The same for qualities: dense trained again with another seed; dataset, model, absolute difference."""
    if column not in tidy:
        return pd.DataFrame(columns=[*SETTING, "difference"])
    dense = tidy[(tidy.method == "dense") & tidy[column].notna()]
    budget = [name for name in PAIR if name != "seed"]
    rows = [
        {"dataset": group["dataset"].iloc[0], "model": group["model"].iloc[0], "difference": abs(a - b)}
        for _, group in dense.groupby(budget, sort=False, dropna=False)
        for a, b in combinations(group[column].iloc[:20], 2)
    ]
    return pd.DataFrame(rows, columns=[*SETTING, "difference"])
