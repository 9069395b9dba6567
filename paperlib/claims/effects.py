"""The metrics of paper P's abstract, and each pruned arm beside the dense trials of the same seeds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pandas as pd

from paperlib.claims.stats import (
    PAIR,
    POSITIVE,
    SHARE,
    SHARE_DIFFERENCE,
    UNBOUNDED,
    Bounds,
    Estimate,
    exponential,
    mean_intervals,
    noise_floor,
    seeded_noise_floor,
)

ARM = ["dataset", "model", "scope", "conv_sparsity", "sparsity", "method"]


@dataclass(frozen=True)
class Metric:
    """One quantity. effect: how an arm is compared with dense; scale: factor from the column to `unit`;
    source_column: the tidy column that says how it was obtained; ratio_column: ratios measured in pairs within
    each trial, which beat a ratio of two runs; signed: the column is itself a change."""

    name: str
    title: str
    column: str
    unit: str
    effect: Literal["difference", "ratio"]
    scale: float = 1.0
    digits: int = 2
    source_column: str | None = None
    ratio_column: str | None = None
    signed: bool = False

    @property
    def bounds(self) -> Bounds:
        """What its values can be."""
        if self.signed:
            return UNBOUNDED
        return SHARE if self.unit == "%" else POSITIVE

    @property
    def effect_bounds(self) -> Bounds:
        """What a difference to dense can be; the logarithm of a ratio has no bounds."""
        return SHARE_DIFFERENCE if self.unit == "%" else UNBOUNDED

    @property
    def effect_unit(self) -> str:
        """Of the effect as it is shown: `points`, `ratio`, or the unit itself."""
        if self.effect == "ratio":
            return "ratio"
        return "points" if self.unit == "%" else self.unit


METRICS = {
    m.name: m
    for m in (
        Metric("accuracy", "Test accuracy", "test_accuracy", "%", "difference", 100),
        Metric(
            "inference_time", "Inference time, batch 64", "inference_s_b64", "µs per batch", "ratio", 1e6, 1,
            ratio_column="inference_ratio_b64",
        ),
        Metric(
            "inference_time_b1", "Inference time, batch 1", "inference_s_b1", "µs per image", "ratio", 1e6, 1,
            ratio_column="inference_ratio_b1",
        ),
        Metric(
            "inference_energy", "Inference energy, batch 64", "inference_energy_j_b64", "µJ per image", "ratio", 1e6, 2,
            source_column="energy_source", ratio_column="inference_energy_ratio_b64",
        ),
        Metric(
            "realised_time", "Inference time, batch 64, removed work skipped", "realised_s_b64", "µs per batch",
            "ratio", 1e6, 1, ratio_column="realised_ratio_b64",
        ),
        Metric("training_time", "Training time", "train_time_s", "s", "ratio", digits=3),
        Metric("training_energy", "Training energy", "train_energy_j", "J", "ratio", source_column="energy_source"),
        Metric("co2", "CO2 of training", "train_co2_g", "mg", "ratio", 1e3, 3, source_column="energy_source"),
        Metric(
            "peak_memory", "Peak memory of training", "train_peak_memory_bytes", "MiB", "ratio", 2**-20, 1,
            source_column="memory_source",
        ),
    )
}  # fmt: skip

# What P's abstract states (claim A1: small MLP, MNIST, 50 %, layer-wise); nothing else of P is published.
PAPER = {
    ("accuracy", "mnist", "mlp-small", "layerwise", 0.5): "−0.49 points",
    ("inference_time", "mnist", "mlp-small", "layerwise", 0.5): "×0.67",
    ("inference_energy", "mnist", "mlp-small", "layerwise", 0.5): "×0.67",
}
NOT_PUBLISHED = "not published"
# What stands in place of a published figure beside our own on drawn images.
DRAWN = "– (drawn images)"
REAL = {"official", "rebuilt", "subset"}  # sources of images whose results may stand beside published ones
LEARNT = 0.1  # of the way from the majority rate to perfect
NEAR_CHANCE = "dense near chance"


@dataclass(frozen=True)
class Arm:
    """A pruned arm: its own mean, the effect against dense of the same seeds, what the paper says, its trials.

    paper: the published effect, NOT_PUBLISHED or DRAWN.
    trials: ids of its own trials and of the dense ones beside them; dense_trials: of the latter alone.
    """

    dataset: str
    model: str
    scope: str
    conv_sparsity: float
    sparsity: float
    method: str
    own: Estimate | None
    dense: Estimate | None
    effect: Estimate | None
    paper: str
    trials: tuple[str, ...]
    dense_trials: tuple[str, ...]

    @property
    def setting(self) -> str:
        """What was asked for, in a few characters: `global 50 %`, `conv 80 %, linear 80 %`."""
        if self.model.startswith("mlp"):
            return f"{self.scope} {self.sparsity:.0%}"
        scope = "" if self.scope == "global" else f"{self.scope} "
        return f"{scope}conv {self.conv_sparsity:.0%}, linear {self.sparsity:.0%}"


def main_setting_only(tidy: pd.DataFrame) -> pd.DataFrame:
    """Trials of one training setting for each data set and model: a sweep's others stand in a table of their own."""
    return tidy[tidy.main_setting] if len(tidy) else tidy


def corrected_protocol(tidy: pd.DataFrame) -> pd.DataFrame:
    """Finished trials of the corrected protocol that are arms of a comparison (a draw of random ratios is none)."""
    draws = tidy.scope.isin(["random-ratios"]) | tidy.method.isin(["threshold"])
    return tidy[(tidy.status == "done") & (tidy.protocol == "corrected") & ~draws]


def drawn(sources: Iterable[str]) -> bool:
    """Whether any of these images are drawn (or of no known source): then no published figure stands beside them."""
    return not set(sources) <= REAL


def is_near_chance(accuracy: float, majority: float) -> bool:
    """Whether an accuracy hardly beats that of a constant predictor."""
    return accuracy - majority < LEARNT * (1 - majority)


def near_chance(tidy: pd.DataFrame) -> set[tuple[str, str]]:
    """Data sets and models whose dense networks hardly beat a constant predictor: pruning has nothing to lose there."""
    rows = corrected_protocol(tidy)
    dense = rows[rows.method == "dense"].groupby(["dataset", "model"])[["test_accuracy", "test_majority"]].mean()
    return {cast(tuple[str, str], pair) for pair, *levels in dense.itertuples() if is_near_chance(*levels)}


def marked(name: str, unlearnt: bool) -> str:
    """A row's name, marked where the dense network of its data set and model has not learnt."""
    return f"{name} ({NEAR_CHANCE})" if unlearnt else name


def arms(tidy: pd.DataFrame, metric: Metric) -> list[Arm]:
    """Every pruned arm of the table for one metric, in the table's order."""
    rows = corrected_protocol(tidy)
    dense = rows[rows.method == "dense"][[*PAIR, "id", metric.column]]
    pruned = rows[~rows.method.isin(["dense", "majority"])]
    joined = pruned.merge(dense, on=PAIR, suffixes=("", "_dense"))
    groups = joined.groupby(ARM, sort=False)
    group, keys = groups.ngroup().to_numpy(), joined[ARM].drop_duplicates().itertuples(index=False)
    own, reference = joined[metric.column], joined[f"{metric.column}_dense"]
    if metric.effect == "difference":
        effect = own.astype(float) - reference.astype(float)
    else:
        ratio = joined[metric.ratio_column] if metric.ratio_column else own / reference
        effect = ratio.astype(float).where(ratio > 0).map(np.log)
    limits = (metric.bounds, metric.bounds, metric.effect_bounds)
    estimates = [
        mean_intervals(values, group, groups.ngroups, bounds)
        for values, bounds in zip((own, reference, effect), limits, strict=True)
    ]
    sources = joined["source"].to_numpy()
    ids, twins = (joined[name].to_numpy() for name in ("id", "id_dense"))
    cuts = np.cumsum(np.bincount(group, minlength=groups.ngroups))[:-1]
    members = [rows for rows in np.split(np.argsort(group, kind="stable"), cuts) if len(rows)]
    found = []
    for key, mine, base, change, rows_here in zip(keys, *estimates, members, strict=True):
        dataset, model, scope, conv, sparsity, method = cast(tuple[str, str, str, float, float, str], key)
        paper = PAPER.get((metric.name, dataset, model, scope, sparsity), NOT_PUBLISHED)
        if paper != NOT_PUBLISHED and drawn(sources[rows_here]):
            paper = DRAWN
        effect_here = change if metric.effect == "difference" else exponential(change)
        beside = tuple(sorted(set(twins[rows_here])))
        used = tuple(sorted({*ids[rows_here], *beside}))
        found.append(Arm(dataset, model, scope, conv, sparsity, method, mine, base, effect_here, paper, used, beside))
    return found


def noise(tidy: pd.DataFrame, metric: Metric) -> float | None:
    """The metric's noise floor as a share of dense, None for accuracy and where no control was measured."""
    rows = corrected_protocol(tidy)
    if metric.effect == "difference":
        return None
    return noise_floor(rows, metric.ratio_column) if metric.ratio_column else seeded_noise_floor(rows, metric.column)


def measurement_sources(tidy: pd.DataFrame, metric: Metric) -> str:
    """`modelled`, `nvml`, `process-peak`, …: the sources of this metric in these rows; '' if it needs none."""
    if metric.source_column is None:
        return ""
    words = corrected_protocol(tidy)[metric.source_column].dropna().unique()
    return "/".join(sorted(words)) or "not measured"
