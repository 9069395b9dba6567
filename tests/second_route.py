"""A second, deliberately simple route from the committed tables to verdicts: pandas, scipy and statsmodels alone.

What docs/verdicts.md says is written anew; nothing of `paperlib.claims` is used.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t

from paperlib.data import DATASETS
from tests.conftest import ROOT
from tests.second_judge import RANGE, Part, Rule, Sample, joined, judge

TIDY, COSTS = (pd.read_parquet(ROOT / "results" / "laptop" / f"{name}.parquet") for name in ("tidy", "costs"))
Arm = tuple[str, str, str, float, float, str]  # data set, model, method, filters and weights removed, scope
ARM = ["dataset", "model", "method", "conv_sparsity", "sparsity", "scope"]
BUDGET = [
    "resolution", "train_images", "test_images", "width", "epochs", "augment", "compute", "quirks", "seed", "device",
    "cpu", "gpu", "dataset", "model", "batch_size", "optimizer", "lr", "options", "schedule",
]  # fmt: skip
METHODS, SCENARIOS = ("pre-training", "in-training", "post-training", "set"), {"i": 0.8, "ii": 0.5, "iii": 0.0}
ADAPTING = tuple(m for m in METHODS if m != "post-training")
F_SETS, P_SETS = ("bloodmnist", "industrial", "visa"), ("mnist", "fashionmnist", "emnist", "cifar10", "octmnist")


def f(
    methods: Sequence[str] = METHODS,
    scenarios: Sequence[str] = tuple(SCENARIOS),
    datasets: Sequence[str] = F_SETS,
    models: Sequence[str] = ("vgg16", "resnet18"),
) -> list[Arm]:
    """F's arms; dense has no scenario."""
    arms = [(d, m, a, SCENARIOS[s], 0.8, "global") for d, m, s, a in product(datasets, models, scenarios, methods)]
    return list(dict.fromkeys(dense(arm) if arm[2] == "dense" else arm for arm in arms))


def p(scopes: Sequence[str] = ("layerwise",), models: Sequence[str] = ("mlp-small", "mlp-medium")) -> list[Arm]:
    """P's arms; of VGG-16 with filters removed as well."""
    every = product(P_SETS, models, scopes, (0.5, 0.8), ("pre-training", "post-training", "set"))
    return [(d, m, a, share if m == "vgg16" else 0.0, share, scope) for d, m, scope, share, a in every]


def dense(arm: Arm) -> Arm:
    return arm[0], arm[1], "dense", 0.0, 0.0, "global"


def scenario(name: str) -> Callable[[Arm], Arm]:
    return lambda arm: (*arm[:3], SCENARIOS[name], 0.8, arm[5])


def network(model: str) -> Callable[[Arm], Arm]:
    return lambda arm: (arm[0], model, *arm[2:])


def method(name: str) -> Callable[[Arm], Arm]:
    return lambda arm: (*arm[:2], name, *arm[3:])


def trials(at_scale: bool = False) -> pd.DataFrame:
    rows = TIDY[TIDY.main_setting & (TIDY.status == "done") & (TIDY.protocol == "corrected") & (TIDY.swap == 0.2)]
    rows = rows[(rows.scope != "random-ratios") & (rows.method != "threshold")]
    rows = rows[rows["source"].isin(["official", "rebuilt", "subset"])]
    rows = rows.assign(loss_change=rows.last_train_loss - rows.first_train_loss)
    seeds = rows.fillna({"val_gain": 1.0}).groupby(
        [c for c in dict.fromkeys((*ARM, *BUDGET)) if c != "seed"], dropna=False
    )
    return rows[(seeds.val_gain.transform("mean") < 0.005) & (rows.width == 1)] if at_scale else rows


def of_arm(rows: pd.DataFrame, arm: Arm) -> pd.DataFrame:
    return rows[(rows[ARM] == list(arm)).all(axis=1)]


def scores(column: str, arms: Sequence[Arm], than: Callable[[Arm], Arm], rows: pd.DataFrame) -> list[Sample | None]:
    """Differences of pairs of one seed and budget, but where dense has learnt nothing."""
    idle = set()
    for pair, group in rows[rows.method == "dense"].groupby(["dataset", "model"]):
        accuracy, majority = group.test_accuracy.mean(), group.test_majority.mean()
        if accuracy - majority < 0.1 * (1 - majority):
            idle.add(pair)
    found = differences(column, arms, than, rows)
    return [None if arm[:2] in idle else change for arm, change in zip(arms, found, strict=True)]


def differences(
    column: str, arms: Sequence[Arm], than: Callable[[Arm], Arm], rows: pd.DataFrame
) -> list[Sample | None]:
    """Differences of pairs of one seed and budget."""
    samples = list[Sample | None]()
    for arm in arms:
        # Of two networks each has a way of its own to train.
        budget = BUDGET if than(arm)[1] == arm[1] else BUDGET[: BUDGET.index("model")]
        other = of_arm(rows, than(arm)).drop_duplicates(budget)[[*budget, column]]
        both = of_arm(rows, arm)[[*budget, column]].merge(other, on=budget, suffixes=("", "_other"))
        change = (both[column] - both[f"{column}_other"]).groupby(both.seed).mean().dropna()
        samples.append(None if change.empty else change)
    return samples


@cache
def costs(arm: Arm) -> pd.DataFrame:
    """The rows of an arm at width 1, F's networks at 224 px if there are any, with the whole training's ratio."""
    dataset, model, *_ = arm
    rows = COSTS[(COSTS[["model", *ARM[2:]]] == list(arm[1:])).all(axis=1) & (COSTS.width == 1)]
    if model.startswith("mlp"):
        info = DATASETS[dataset]
        shape = dict(zip(("resolution", "image_width", "channels"), info.shape, strict=True))
        for name, value in (shape | {"classes": len(info.classes)}).items():
            rows = rows[rows[name] == value]
    elif dataset in F_SETS:
        rows = rows[rows.resolution == rows.resolution.max()]
    else:
        rows = rows[rows.resolution < 224]
    epochs = 50 if dataset in F_SETS else 10
    steps = epochs * np.ceil(DATASETS[dataset].counts[0] / rows.batch_size)
    dense_s = steps * rows.dense_step_s
    watts = rows.dense_step_energy_j * rows.batch_size / rows.dense_step_s
    boundaries_s = (epochs - 1) * rows.boundary_s
    joules = steps * rows.batch_size * rows.dense_step_energy_j
    rows = rows.assign(
        training=rows.step_ratio + boundaries_s / dense_s, energy=rows.step_energy_ratio + watts * boundaries_s / joules
    )
    needed = rows.inference_memory_bytes.astype(float) / rows.dense_inference_memory_bytes.astype(float)
    levels = {"training_s": rows.training * dense_s, "energy_j": rows.energy * joules}
    return rows.assign(needed=needed, memory=rows.memory_bytes / rows.dense_memory_bytes, **levels).set_index("process")


class Cost(NamedTuple):
    """Columns of a cost: its ratio to dense, itself, its A/A control, where its energy comes from."""

    ratio: str
    level: str
    control: str | None
    source: str | None = None


STEP, RUN = "step_ratio_again", "inference_b64_ratio_again"
KINDS = {
    "training": Cost("training", "training_s", STEP),
    "training energy": Cost("energy", "energy_j", STEP, "step_energy_source"),
    "memory": Cost("memory", "memory_bytes", None),
    "inference": Cost("inference_b64_ratio", "inference_b64_s", RUN),
    "inference energy": Cost(
        "inference_b64_energy_ratio", "inference_b64_energy_j", RUN, "inference_b64_energy_source"
    ),
    "inference memory": Cost("needed", "inference_memory_bytes", None),
}


def log_ratio(cost: Cost, arm: Arm, other: Arm) -> Sample | None:
    one, two = costs(arm), costs(other)
    if arm[:2] != other[:2]:
        ratios = one[cost.level] / two[cost.level]
    else:
        ratios = one[cost.ratio] if other[2] == "dense" else one[cost.ratio] / two[cost.ratio]
    return None if ratios.dropna().empty else np.log(ratios.dropna())


def floor(control: str | None, *arms: Arm) -> float | None:
    """The widest of the networks': Student's bound on the A/A log ratios of every shape and process."""
    floors = []
    for model, pixels in {pair for arm in arms for pair in zip(costs(arm).model, costs(arm).resolution, strict=True)}:
        if control is None:  # counted
            floors.append(0.0)
            continue
        rows = COSTS[(COSTS.model == model) & (COSTS.resolution == pixels)]
        logs = np.log(rows.drop_duplicates(["width", "channels", "classes", "batch_size", "process"])[control])
        floors.append(t(len(logs)).ppf(0.975) * math.sqrt((logs**2).mean()))
    return max(floors, default=None)


def is_one_computation(what: str, arm: Arm, other: Arm) -> bool:
    """With masks: the same network, trained with the same layers masked in the same way, or run with any."""

    def trained(one: Arm) -> object:
        _, _, name, filters, weights, scope = one
        is_dense = name in {"dense", "post-training"}
        return None if is_dense else (scope, filters > 0, weights > 0, name in {"in-training", "set"})

    if arm[:2] != other[:2] or what == "inference memory":
        return False
    return trained(arm) == trained(other) if what in TRAINED else "dense" not in {arm[2], other[2]}


TRAINED = {"training", "training energy", "memory"}
Judged = Callable[[pd.DataFrame], Part]


def learnt(
    arms: Sequence[Arm], rule: Rule, than: Callable[[Arm], Arm] = dense, column: str = "test_accuracy",
    margin: float = 0.01, scale: float = 100,
) -> Judged:  # fmt: skip
    """A claim on what pruning does to what was learnt."""
    possible = (-1.0, 1.0) if scale == 100 else (-math.inf, math.inf)

    def judged(rows: pd.DataFrame) -> Part:
        samples = scores(column, arms, than, rows)
        bounds = [margin if rule.wide else 0.0] * len(arms)
        cells = [arm[:2] for arm in arms]
        part = judge(samples, cells, rule, bounds, [margin] * len(arms), scale=scale, possible=possible)
        idle = any(sample is None and len(of_arm(rows, arm)) for sample, arm in zip(samples, arms, strict=True))
        return part._replace(base="inconclusive") if idle and part.base == "too noisy to tell" else part

    return judged


def level(
    arms: Sequence[Arm], low: float, high: float, column: str = "test_accuracy", *, extreme: int = 0,
    than: Callable[[Arm], Arm] | None = None,
) -> Judged:  # fmt: skip
    """A claim on a size; extreme: of the highest (1) or lowest (-1) alone; than: of the difference to this."""
    is_share = "loss" not in column or column.endswith("falling")
    least, most = ((-1.0 if than else 0.0), 1.0) if is_share else (0.0, math.inf)
    if column == "loss_change":
        least = -math.inf
    half = (high - low) / 2

    def judged(rows: pd.DataFrame) -> Part:
        samples: dict[Arm, Sample] = {}
        for arm in arms:
            if than:
                (values,) = differences(column, [arm], than, rows)
            else:
                values = of_arm(rows, arm).groupby("seed")[column].mean().dropna()
            if values is not None and len(values):
                samples[arm] = values
        chosen = list(arms)
        if extreme and samples:
            chosen = [max(samples, key=lambda arm: extreme * samples[arm].mean())]
        halves = [half] * len(chosen)
        return judge(
            [samples.get(arm) for arm in chosen], [arm[:2] for arm in chosen], RANGE, halves, halves,
            kind="difference" if than else "level", scale=100 if is_share else 1, middle=(low + high) / 2,
            possible=(least, most),
        )  # fmt: skip

    return judged


def on_trials(*parts: Judged, at_scale: bool = False) -> Part:
    """The parts on real images; at_scale: smaller networks and shorter trainings only show their estimate."""
    part = joined(*(judged(trials(at_scale)) for judged in parts))
    if at_scale and part.estimate is None:
        part = joined(*(judged(trials()) for judged in parts))._replace(base="inconclusive")
    return part


def adapting(rule: Rule, name: str, than: Callable[[Arm], Arm] = dense) -> list[Judged]:
    """Of the methods that train what remains; VisA by balanced accuracy."""
    real = {"test_accuracy": ("bloodmnist", "industrial"), "test_balanced_accuracy": ("visa",)}
    return [learnt(f(ADAPTING, (name,), sets), rule, than, column) for column, sets in real.items()]


def files(arms: Sequence[Arm]) -> Part:
    """What is stored, above dense's file."""
    rows = trials()
    smallest = rows[["csr_bytes", "compact_bytes"]].min(axis=1) / rows.dense_bytes - 1
    rows = rows.assign(stored=smallest)
    samples = [of_arm(rows, arm).groupby("seed").stored.mean() for arm in arms]
    kept = [sample if len(sample) else None for sample in samples]
    zeros, margins = [0.0] * len(arms), [0.05] * len(arms)
    return judge(kept, [arm[:2] for arm in arms], Rule({"below"}, {"above"}), zeros, margins, kind="level")


def cost(what: str, arms: Sequence[Arm], rule: Rule, than: Callable[[Arm], Arm] = dense) -> Part:
    """A claim on a cost; what is one computation is left out."""
    columns, every = KINDS[what], arms
    arms = [arm for arm in every if not is_one_computation(what, arm, than(arm))]
    if not arms:
        return Part("equal by definition")
    samples = [log_ratio(columns, arm, than(arm)) for arm in arms]
    floors = [floor(columns.control, arm, than(arm)) for arm in arms]
    margins = [math.log(1.05)] * len(arms)
    wide = [None if each is None else max(math.log(1.05), each) for each in floors]
    modelled = columns.source is not None and any("modelled" in set(costs(arm)[columns.source]) for arm in arms)
    between = any(arm[1] != than(arm)[1] for arm in arms)
    return judge(
        samples, list(range(len(arms))), rule, wide if rule.wide else floors, margins,
        kind="ratio of networks" if between else "ratio", modelled=modelled,
        timed="energy" not in what and "memory" not in what,
    )  # fmt: skip


def at_pixels(*parts: Part) -> Part:
    """A claim on F's 224 px: the estimate of smaller images alone decides nothing."""
    part = joined(*parts)
    return part if (COSTS.resolution >= 224).any() else part._replace(base="inconclusive")
