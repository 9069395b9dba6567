"""A second, deliberately simple route from the committed tables to verdicts: pandas, scipy and statsmodels alone.

What docs/verdicts.md says is written anew; nothing of `paperlib.claims` is used.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t
from statsmodels.api import OLS
from statsmodels.stats.multitest import multipletests

from paperlib.data import DATASETS
from tests.conftest import ROOT

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
WEAKEST = "contradicted", "untestable here", "no effect", "too noisy to tell", "inconclusive", "supported"


def f(
    methods: Sequence[str] = METHODS,
    scenarios: Sequence[str] = tuple(SCENARIOS),
    datasets: Sequence[str] = F_SETS,
    models: Sequence[str] = ("vgg16", "resnet18"),
) -> list[Arm]:
    """F's arms; dense has no scenario."""
    arms = [(d, m, a, SCENARIOS[s], 0.8, "global") for d, m, s, a in product(datasets, models, scenarios, methods)]
    return list(dict.fromkeys(dense(arm) if arm[2] == "dense" else arm for arm in arms))


def p(scopes: Sequence[str] = ("layerwise",)) -> list[Arm]:
    """P's arms of perceptrons."""
    methods = "pre-training", "post-training", "set"
    every = product(P_SETS, ("mlp-small", "mlp-medium"), scopes, (0.5, 0.8), methods)
    return [(d, m, a, 0.0, share, scope) for d, m, scope, share, a in every]


def dense(arm: Arm) -> Arm:
    return arm[0], arm[1], "dense", 0.0, 0.0, "global"


def scenario(name: str) -> Callable[[Arm], Arm]:
    return lambda arm: (*arm[:3], SCENARIOS[name], 0.8, arm[5])


class Part(NamedTuple):
    """One test of a claim. modelled: its energy is; timed: it is about time."""

    base: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    modelled: bool = False
    timed: bool = False


Sample = pd.Series  # one value per seed or process, which is its index


def trials(at_scale: bool = False) -> pd.DataFrame:
    rows = TIDY[TIDY.main_setting & (TIDY.status == "done") & (TIDY.protocol == "corrected") & (TIDY.swap == 0.2)]
    rows = rows[(rows.scope != "random-ratios") & (rows.method != "threshold")]
    rows = rows[rows["source"].isin(["official", "rebuilt", "subset"])]
    whole = rows.epochs >= np.where(rows.dataset.isin(F_SETS), 50, 10)
    return rows[whole & (rows.width == 1)] if at_scale else rows


def of_arm(rows: pd.DataFrame, arm: Arm) -> pd.DataFrame:
    return rows[(rows[ARM] == list(arm)).all(axis=1)]


def scores(column: str, arms: Sequence[Arm], than: Callable[[Arm], Arm], rows: pd.DataFrame) -> list[Sample | None]:
    """Differences of pairs of one seed and budget, but where dense has learnt nothing."""
    idle, samples = set(), list[Sample | None]()
    for pair, group in rows[rows.method == "dense"].groupby(["dataset", "model"]):
        accuracy, majority = group.test_accuracy.mean(), group.test_majority.mean()
        if accuracy - majority < 0.1 * (1 - majority):
            idle.add(pair)
    for arm in arms:
        other = of_arm(rows, than(arm)).drop_duplicates(BUDGET)[[*BUDGET, column]]
        both = of_arm(rows, arm)[[*BUDGET, column]].merge(other, on=BUDGET, suffixes=("", "_other"))
        change = (both[column] - both[f"{column}_other"]).groupby(both.seed).mean().dropna()
        samples.append(None if arm[:2] in idle or change.empty else change)
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
    return rows.assign(
        training=rows.step_ratio + boundaries_s / dense_s, energy=rows.step_energy_ratio + watts * boundaries_s / joules
    ).set_index("process")


# Of a cost: its ratio to dense, its A/A control, where its energy comes from.
RATIOS = {
    "training": ("training", "step_ratio_again", None),
    "training energy": ("energy", "step_ratio_again", "step_energy_source"),
    "inference": ("inference_b64_ratio", "inference_b64_ratio_again", None),
    "inference energy": ("inference_b64_energy_ratio", "inference_b64_ratio_again", "inference_b64_energy_source"),
}


def log_ratio(column: str, arm: Arm, other: Arm) -> Sample | None:
    one, two = costs(arm), costs(other)
    ratios = one[column] if other[2] == "dense" else one[column] / two[column]
    return None if ratios.dropna().empty else np.log(ratios.dropna())


def floor(control: str, *arms: Arm) -> float | None:
    """The widest of the networks': Student's bound on the A/A log ratios of every shape and process."""
    floors = []
    for model, pixels in {pair for arm in arms for pair in zip(costs(arm).model, costs(arm).resolution, strict=True)}:
        rows = COSTS[(COSTS.model == model) & (COSTS.resolution == pixels)]
        logs = np.log(rows.drop_duplicates(["width", "channels", "classes", "batch_size", "process"])[control])
        floors.append(t(len(logs)).ppf(0.975) * math.sqrt((logs**2).mean()))
    return max(floors, default=None)


def regressions(samples: Sequence[Sample], cells: Sequence[object]) -> list[tuple[float, float, float, int]]:
    """(mean, standard error, degrees of freedom, n) of each, by regression on the arms of its cell."""
    found: list[tuple[float, float, float, int]] = [(0.0, 0.0, 0.0, 0)] * len(samples)
    for cell in set(cells):
        places = [place for place, other in enumerate(cells) if other == cell]
        sizes = [len(samples[place]) for place in places]
        design = np.repeat(np.eye(len(places)), sizes, axis=0)
        fitted = OLS(np.concatenate([samples[place] for place in places]), design).fit()
        errors = fitted.bse if fitted.df_resid else np.zeros(len(places))
        for place, mean, error, n in zip(places, fitted.params, errors, sizes, strict=True):
            found[place] = float(mean), float(error), float(fitted.df_resid), n
            if n > 1 and samples[place].var() > 1.1 * fitted.mse_resid:  # wider than its cell
                found[place] = float(mean), float(samples[place].sem()), n - 1.0, n
    return found


def p_above(fit: tuple[float, float, float, int], bound: float) -> float:
    mean, error, df, n = fit
    if n < 2 or not df:
        return 1.0
    if error < 1e-12:
        return float(mean <= bound)
    return float(t(df).sf((mean - bound) / error))


def p_below(fit: tuple[float, float, float, int], bound: float) -> float:
    return p_above((-fit[0], *fit[1:]), -bound)


class Rule(NamedTuple):
    """accept and reject: words for and against; wide: `below` and `above` begin at the margin."""

    accept: set[str]
    reject: set[str]
    wide: bool = False
    share: float = 1.0


BELOW, ABOVE = Rule({"below"}, {"above"}), Rule({"above"}, {"below"})
NOT_BELOW, NOT_ABOVE = (
    Rule({side, "none", f"not {other}"}, {other}, wide=True) for side, other in (("above", "below"), ("below", "above"))
)
SAME = Rule({"none"}, {"below", "above"}, wide=True)


def judge(
    samples: Sequence[Sample | None], arms: Sequence[Arm], rule: Rule, bounds: Sequence[Any], margins: Sequence[float],
    *, ratio: bool = False, modelled: bool = False, scale: float = 100,
) -> Part:  # fmt: skip
    """The rule of docs/verdicts.md."""
    found = [each for each in zip(samples, arms, bounds, margins, strict=True) if each[0] is not None]
    if not found:
        return Part("inconclusive")
    taken, of, bounds, margins = zip(*found, strict=True)
    per_seed = pd.concat(taken, axis=1).mean(axis=1)
    error = t.ppf(0.975, len(per_seed) - 1) * per_seed.sem() if len(per_seed) > 1 else math.nan
    interval = () if math.isnan(error) else (per_seed.mean() - error, per_seed.mean() + error)
    shown = [float(np.exp(x)) if ratio else scale * float(x) for x in (per_seed.mean(), *interval)]
    figures = {"estimate": shown[0], "low": shown[1] if interval else None, "high": shown[2] if interval else None}
    if modelled:
        return Part("untestable here", **figures, modelled=True)
    if None in bounds:
        return Part("inconclusive", **figures, timed=ratio)
    fits = regressions(taken, list(range(len(of))) if ratio else [arm[:2] for arm in of])
    p = {"below": [p_below(fit, -b) for fit, b in zip(fits, bounds, strict=True)]}
    p["above"] = [p_above(fit, b) for fit, b in zip(fits, bounds, strict=True)]
    corrected = {side: multipletests(row, method="holm")[1] for side, row in p.items()}
    p = {side: row if side in rule.accept else corrected[side] for side, row in p.items()}
    words = []
    for place, (fit, margin) in enumerate(zip(fits, margins, strict=True)):
        enough = {"not below": p_above(fit, -margin) < 0.05, "not above": p_below(fit, margin) < 0.05}
        beyond = [side for side in ("below", "above") if p[side][place] < 0.025]
        within = "none" if all(enough.values()) else next((word for word, is_so in enough.items() if is_so), "unclear")
        words.append(beyond[0] if beyond else within)
    total = len(samples)
    needed = math.ceil(rule.share * total - 1e-9)
    good, bad = (sum(word in side for word in words) for side in (rule.accept, rule.reject))
    (mean,), bound = regressions([per_seed], [0]), float(np.mean(bounds))
    of_mean = {"below": p_below(mean, -bound), "above": p_above(mean, bound)}
    against = rule.share == 1 and any(q < 0.0125 and side in rule.reject for side, q in of_mean.items())
    margin = float(np.mean(margins))
    equal = max(p_below(mean, margin), p_above(mean, -margin)) < 0.05
    no_effect = min(q for row in corrected.values() for q in row) >= 0.025
    unclear = sum(word not in {"below", "none", "above"} for word in words)
    if good >= needed:
        base = "supported"
    elif bad > total - needed or against:
        base = "contradicted"
    elif "none" not in rule.accept and 2 * words.count("none") >= total and equal and no_effect:
        base = "no effect"
    else:
        measured = 2 * len(words) >= total and any(fit[2] for fit in fits)
        base = "too noisy to tell" if 2 * unclear > len(words) and measured else "inconclusive"
    return Part(base, **figures, timed=ratio)


def learnt(
    arms: Sequence[Arm], rule: Rule, than: Callable[[Arm], Arm] = dense, column: str = "test_accuracy",
    margin: float = 0.01, at_scale: bool = False, scale: float = 100,
) -> Part:  # fmt: skip
    """A claim on what was learnt; at_scale: smaller networks and shorter trainings only show their estimate."""

    def judged(rows: pd.DataFrame) -> Part:
        samples = scores(column, arms, than, rows)
        bounds = [margin if rule.wide else 0.0] * len(arms)
        part = judge(samples, arms, rule, bounds, [margin] * len(arms), scale=scale)
        idle = any(sample is None and len(of_arm(rows, arm)) for sample, arm in zip(samples, arms, strict=True))
        return part._replace(base="inconclusive") if idle and part.base == "too noisy to tell" else part

    part = judged(trials(at_scale))
    if at_scale and part.estimate is None:
        part = judged(trials())._replace(base="inconclusive")
    return part


def adapting(rule: Rule, name: str) -> list[Part]:
    """Of the methods that train what remains; VisA by balanced accuracy."""
    real = {"test_accuracy": ("bloodmnist", "industrial"), "test_balanced_accuracy": ("visa",)}
    return [learnt(f(ADAPTING, (name,), sets), rule, column=c, at_scale=True) for c, sets in real.items()]


def cost(what: str, arms: Sequence[Arm], rule: Rule, than: Callable[[Arm], Arm] = dense) -> Part:
    """A claim on a cost; post-training trains as dense does."""
    column, control, source = RATIOS[what]
    if what.startswith("training"):
        arms = [arm for arm in arms if not {arm[2], than(arm)[2]} <= {"post-training", "dense"}] or arms
    samples = [log_ratio(column, arm, than(arm)) for arm in arms]
    floors = [floor(control, arm, than(arm)) for arm in arms]
    margins = [math.log(1.05)] * len(arms)
    wide = [each and max(math.log(1.05), each) for each in floors]
    modelled = source is not None and any("modelled" in set(costs(arm)[source]) for arm in arms)
    return judge(samples, arms, rule, wide if rule.wide else floors, margins, ratio=True, modelled=modelled)


def joined(*parts: Part) -> Part:
    """The weakest decides; modelled energy beside time does not count; figures are those of the first that has any."""
    counted = [part for part in parts if not (part.modelled and any(other.timed for other in parts))]
    first = next((part for part in counted if part.estimate is not None), counted[0])
    return first._replace(base=min((part.base for part in counted), key=WEAKEST.index))


def negated(part: Part) -> Part:
    return part._replace(
        base={"contradicted": "supported", "no effect": "supported", "supported": "contradicted"}.get(
            part.base, part.base
        )
    )
