"""Sentences of captions: what an exhibit rests on."""

import pandas as pd


def provenance(tidy: pd.DataFrame) -> str:
    """`mnist: official; octmnist: stand-in`: the word of every data set in these rows."""
    words = tidy.groupby("dataset", sort=False)["source"].agg(lambda s: "/".join(sorted(set(s))))
    return "; ".join(f"{name}: {word}" for name, word in words.items())


def seeds(tidy: pd.DataFrame) -> str:
    """`n = 3 seeds`, or the range where arms differ."""
    counts = tidy.groupby(["dataset", "model", "method", "scope", "sparsity"])["seed"].nunique()
    low, high = counts.min(), counts.max()
    word = "seed" if high == 1 else "seeds"
    interval = ", no interval" if high == 1 else ", bars and brackets 95 % intervals over seeds (Student's t)"
    if low == 1 < high:
        interval += ", none at n = 1"
    return f"n = {low} {word}{interval}" if low == high else f"n = {low} to {high} {word}{interval}"
