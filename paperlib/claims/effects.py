"""The metrics of paper P's abstract, and each pruned arm beside the dense trials of the same seeds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pandas as pd

from paperlib.claims.stats.estimates import (
    POSITIVE,
    SHARE,
    SHARE_DIFFERENCE,
    UNBOUNDED,
    Bounds,
    Estimate,
    mean_interval,
)
from paperlib.claims.stats.noise import PAIR, noise_floor

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
    """Every pruned arm of the table for one metric, in the table's order; each trial beside dense of its seed."""
    rows = corrected_protocol(tidy)
    dense = rows[rows.method == "dense"][[*PAIR, "id", metric.column]]
    pairs = rows[~rows.method.isin(["dense", "majority"])].merge(dense, on=PAIR, suffixes=("", "_dense"))
    result = []
    for key, group in pairs.groupby(ARM, sort=False):
        dataset, model, scope, conv, sparsity, method = cast(tuple[str, str, str, float, float, str], key)
        paper = PAPER.get((metric.name, dataset, model, scope, sparsity), NOT_PUBLISHED)
        if paper != NOT_PUBLISHED and drawn(group["source"]):
            paper = DRAWN
        values, dense_values = (group[name].astype(float) for name in (metric.column, f"{metric.column}_dense"))
        if metric.effect == "difference":
            effect = mean_interval(values - dense_values, metric.effect_bounds)
        else:
            ratio = group[metric.ratio_column].astype(float) if metric.ratio_column else values / dense_values
            log = mean_interval(np.log(ratio.where(ratio > 0)))
            effect = log and log.mapped(np.exp)
        pruned, of_dense = (mean_interval(each, metric.bounds) for each in (values, dense_values))
        ids = tuple(sorted({*group["id"], *group["id_dense"]})), tuple(sorted(set(group["id_dense"])))
        result.append(Arm(dataset, model, scope, conv, sparsity, method, pruned, of_dense, effect, paper, *ids))
    return result


def noise(tidy: pd.DataFrame, metric: Metric) -> float | None:
    """The metric's noise floor as a share of dense, None for accuracy and where no control was measured."""
    if metric.effect == "difference":
        return None
    return noise_floor(corrected_protocol(tidy), metric.ratio_column or metric.column)


def measurement_sources(tidy: pd.DataFrame, metric: Metric) -> str:
    """`modelled`, `nvml`, `process-peak`, …: the sources of this metric in these rows; '' if it needs none."""
    if metric.source_column is None:
        return ""
    words = corrected_protocol(tidy)[metric.source_column].dropna().unique()
    return "/".join(sorted(words)) or "not measured"
