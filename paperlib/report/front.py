"""What the report opens with: what pruning costs each network, masked and realised, and what it does to accuracy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import pandas as pd

from paperlib.claims.cost_arms import STUDIES, CostArm, measured_arms
from paperlib.claims.cost_evidence import COSTS, CostMetric, CostTable
from paperlib.claims.effects import arms, main_setting_only, near_chance
from paperlib.claims.verdict import Base
from paperlib.studies.profiles import F_DATASETS, P_DATASETS

# A verdict in the width of a tile; others fit.
SHORT: dict[Base, str] = {
    "too noisy to tell": "too noisy", "equal by definition": "equal", "internally inconsistent": "inconsistent",
    "compares unlike quantities": "unlike", "untestable here": "untestable",
}  # fmt: skip
_LEFT, _RIGHT = 1 / 16, 2  # ratios at the ends of the scale


def short(base: Base) -> str:
    """The word of a verdict on its tile."""
    return SHORT.get(base, base)


def place(ratio: float) -> float:
    """Where a ratio to dense stands on the logarithmic scale, 0 to 100 %."""
    share = math.log(ratio / _LEFT) / math.log(_RIGHT / _LEFT)
    return round(100 * min(1, max(0, share)), 1)


@dataclass(frozen=True)
class Pair:
    """A cost as ratio to dense, medians over methods; low and high: the ends of what was realised."""

    masked: float
    realised: float
    low: float
    high: float

    @classmethod
    def of(cls, metric: CostMetric, measured: Sequence[CostArm]) -> "Pair | None":
        """None where nothing was measured."""
        effects = [(arm.effect(metric), arm.effect(metric, realised=True)) for arm in measured]
        both = [(masked.mean, realised.mean) for masked, realised in effects if masked and realised]
        if not both:
            return None
        masked, realised = zip(*both, strict=True)
        return cls(median(masked), median(realised), min(realised), max(realised))


@dataclass(frozen=True)
class Ratios:
    """A row of the picture. accuracy: median change in points, None where no trial is beside dense that has learnt."""

    network: str
    pruned: str
    accuracy: float | None
    training: Pair | None
    inference: Pair | None


def ratios(tidy: pd.DataFrame, costs: CostTable) -> list[Ratios]:
    """Of each study and model the network that most of its data sets have, else the one with the largest images."""
    changes = [(arm, arm.effect) for arm in arms(main_setting_only(tidy)) if arm.effect]
    at_chance = near_chance(tidy)
    rows = []
    for study in STUDIES:
        datasets = F_DATASETS if study == "industrial" else P_DATASETS
        measured = [arm for arm in measured_arms(costs, study) if arm.setting.scope == "global"]
        for model in dict.fromkeys(arm.setting.model for arm in measured):
            of_model = [arm for arm in measured if arm.setting.model == model]
            network = max(of_model, key=lambda arm: (len(arm.datasets), arm.rows.resolution.iloc[0])).network
            shown = [arm for arm in of_model if arm.network == network]
            for pruned in sorted({arm.pruned for arm in shown}):
                alike = [arm for arm in shown if arm.pruned == pruned]
                points = [
                    100 * change.mean
                    for arm, change in changes
                    if (arm.model, arm.scope, arm.setting) == (model, "global", pruned)
                    if arm.dataset.partition(":")[0] in datasets and (arm.dataset, model) not in at_chance
                ]
                trained = [arm for arm in alike if not arm.is_trained_dense]
                training, inference = Pair.of(COSTS["training_time"], trained), Pair.of(COSTS["inference_time"], alike)
                pixels = int(alike[0].rows.resolution.iloc[0])
                name = f"{model}, {pixels} px"
                rows.append(Ratios(name, pruned, median(points) if points else None, training, inference))
    return rows
