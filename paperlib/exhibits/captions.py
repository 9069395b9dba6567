"""Sentences of captions: what an exhibit rests on."""

from collections.abc import Iterable, Sequence

import pandas as pd

from paperlib.claims.effects import main_setting_only, near_chance
from paperlib.schema.record import Environment, Record
from paperlib.trials.store import tidy


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


def describe_evidence(records: Sequence[Record]) -> str:
    """Machine, time, energy, n and images of these records, and which dense networks have not learnt."""

    table = tidy(records)
    trained = [r.training for r in records if r.training and not r.shared_training]
    energy = sorted({r.energy_source or "not measured" for r in trained})
    arms = main_setting_only(table).groupby(
        ["dataset", "model", "method", "scope", "sparsity", "conv_sparsity", "quirks"]
    )
    seeds = sorted(set(arms["seed"].nunique()))
    idle = sorted(f"{dataset} {model}" for dataset, model in near_chance(main_setting_only(table)))
    lines = [
        describe_machines(r.environment for r in records),
        f"training: {sum(r.time_s for r in trained):.0f} s in all; energy: {', '.join(energy)}",
        f"n: {' to '.join(str(n) for n in dict.fromkeys((seeds[0], seeds[-1])))} seed(s) per arm",
        f"images: {provenance(table)}",
        *([f"dense networks that hardly beat the majority rate: {', '.join(idle)}"] if idle else []),
    ]
    return "\n".join(lines)


def describe_machines(environments: Iterable[Environment]) -> str:
    """Every machine in one line, with its threads and the version of torch."""
    found = {f"{e.gpu or e.cpu}, {e.threads} thread(s), torch {e.torch}" for e in environments}
    return f"machine: {'; '.join(sorted(found))}"
