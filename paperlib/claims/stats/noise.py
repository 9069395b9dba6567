"""What a trial shares with its dense baseline, and how far dense networks that differ in the seed alone lie apart."""

from itertools import combinations

import pandas as pd

# Images, budget, protocol and seed.
PAIR = [
    "dataset", "resolution", "train_images", "test_images", "model", "width", "epochs", "batch_size", "optimizer",
    "lr", "options", "schedule", "augment", "compute", "quirks", "seed",
]  # fmt: skip
MACHINE = ["device", "cpu", "gpu"]


def score_controls(tidy: pd.DataFrame, column: str) -> pd.DataFrame:
    """`dataset`, `model` and `deviation`: absolute differences of a score between dense networks of two seeds."""
    dense = tidy[(tidy.method == "dense") & tidy[column].notna()] if column in tidy else tidy[:0]
    rows = [
        (group["dataset"].iloc[0], group["model"].iloc[0], abs(a - b))
        for _, group in dense.groupby([name for name in PAIR if name != "seed"], sort=False, dropna=False)
        for a, b in combinations(group[column].iloc[:20], 2)
    ]
    return pd.DataFrame(rows, columns=["dataset", "model", "deviation"])
