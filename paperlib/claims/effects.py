"""The metrics of paper P's abstract, and each pruned arm beside the dense trials of the same seeds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

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

# What a trial shares with its dense baseline: images, budget, protocol and seed.
PAIR = [
    "dataset", "resolution", "train_images", "test_images", "model", "width", "epochs", "batch_size", "optimizer",
    "lr", "options", "schedule", "augment", "compute", "quirks", "seed",
]  # fmt: skip
ARM = ["dataset", "model", "scope", "conv_sparsity", "sparsity", "method"]


@dataclass(frozen=True)
class Metric:
    """A quantity of what was learnt. scale: factor from the column to `unit`; signed: the column is itself a change."""

    name: str
    title: str
    column: str
    unit: str
    scale: float = 1.0
    digits: int = 2
    signed: bool = False

    @property
    def bounds(self) -> Bounds:
        """What its values can be."""
        if self.signed:
            return UNBOUNDED
        return SHARE if self.unit == "%" else POSITIVE

    @property
    def effect_bounds(self) -> Bounds:
        """What a difference to dense can be."""
        return SHARE_DIFFERENCE if self.unit == "%" else UNBOUNDED

    @property
    def effect_unit(self) -> str:
        """Of the effect as it is shown: `points`, or the unit itself."""
        return "points" if self.unit == "%" else self.unit


ACCURACY = Metric("accuracy", "Test accuracy", "test_accuracy", "%", 100)

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
CONVERGED = 0.005  # of validation accuracy over the last third of the epochs: training longer gains less than that
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
        return pruned_text(self.model, self.scope, self.conv_sparsity, self.sparsity)


def pruned_text(model: str, scope: str, conv: float, linear: float) -> str:
    """What is removed of a model, in a few characters: `global 50%`, `conv 80%, linear 80%`."""
    if model.startswith("mlp"):
        return f"{scope} {linear:.0%}"
    prefix = "" if scope == "global" else f"{scope} "
    return f"{prefix}conv {conv:.0%}, linear {linear:.0%}"


def only(rows: pd.DataFrame, chosen: "pd.Series[bool]") -> pd.DataFrame:
    """The rows that are chosen; the table itself, not a copy, where all are."""
    return rows if chosen.all() else rows[chosen]


def main_setting_only(tidy: pd.DataFrame) -> pd.DataFrame:
    """Trials of one training setting for each data set and model: a sweep's others stand in a table of their own."""
    return tidy[tidy.main_setting] if len(tidy) else tidy


def corrected_protocol(tidy: pd.DataFrame) -> pd.DataFrame:
    """Finished trials of the corrected protocol that are arms of a comparison (a draw of random ratios is none)."""
    draws = tidy.scope.isin(["random-ratios"]) | tidy.method.isin(["threshold"])
    return only(tidy, (tidy.status == "done") & (tidy.protocol == "corrected") & ~draws)


def drawn(sources: Iterable[str]) -> bool:
    """Whether any of these images are drawn (or of no known source): then no published figure stands beside them."""
    return not set(sources) <= REAL


def converged(tidy: pd.DataFrame) -> "pd.Series[bool]":
    """By row, whether its arm in its training setting has converged: the mean over the seeds, so that none is chosen.

    False for trainings of fewer than three epochs, of which nobody can say.
    """
    same = list(dict.fromkeys(column for column in (*PAIR, *ARM) if column != "seed"))
    gain = tidy.val_gain.astype(float).groupby([tidy[column] for column in same], dropna=False).transform("mean")
    return gain < CONVERGED


def is_near_chance(accuracy: float, majority: float) -> bool:
    """Whether an accuracy hardly beats that of a constant predictor."""
    return accuracy - majority < LEARNT * (1 - majority)


def near_chance(tidy: pd.DataFrame) -> set[tuple[str, str]]:
    """Data sets and models whose dense networks hardly beat a constant predictor: pruning has nothing to lose there."""
    rows = corrected_protocol(tidy[tidy.method == "dense"])
    dense = rows.groupby(["dataset", "model"])[["test_accuracy", "test_majority"]].mean()
    return {cast(tuple[str, str], pair) for pair, *levels in dense.itertuples() if is_near_chance(*levels)}


def marked(name: str, unlearnt: bool) -> str:
    """A row's name, marked where the dense network of its data set and model has not learnt."""
    return f"{name} ({NEAR_CHANCE})" if unlearnt else name


def beside_dense(tidy: pd.DataFrame, metric: Metric = ACCURACY) -> pd.DataFrame:
    """Every trial of a pruned network beside dense of its seed, whose id and metric end in `_dense`."""
    rows = corrected_protocol(tidy)
    dense = rows[rows.method == "dense"][[*PAIR, "id", metric.column]]
    return rows[~rows.method.isin(["dense", "majority"])].merge(dense, on=PAIR, suffixes=("", "_dense"))


def arms(tidy: pd.DataFrame, metric: Metric = ACCURACY) -> list[Arm]:
    """Every pruned arm of the table for one metric, in the table's order; each trial beside dense of its seed."""
    result = []
    for key, group in beside_dense(tidy, metric).groupby(ARM, sort=False):
        dataset, model, scope, conv, sparsity, method = cast(tuple[str, str, str, float, float, str], key)
        paper = PAPER.get((metric.name, dataset, model, scope, sparsity), NOT_PUBLISHED)
        if paper != NOT_PUBLISHED and drawn(group["source"]):
            paper = DRAWN
        values, dense_values = (group[name].astype(float) for name in (metric.column, f"{metric.column}_dense"))
        effect = mean_interval(values - dense_values, metric.effect_bounds)
        pruned, of_dense = (mean_interval(each, metric.bounds) for each in (values, dense_values))
        ids = tuple(sorted({*group["id"], *group["id_dense"]})), tuple(sorted(set(group["id_dense"])))
        result.append(Arm(dataset, model, scope, conv, sparsity, method, pruned, of_dense, effect, paper, *ids))
    return result
