"""All data sets and networks at once: interquartile mean, performance profile, and how often an arm beats dense."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, StrMethodFormatter

from paperlib.claims.effects import beside_dense, pruned_text
from paperlib.claims.evidence import Evidence
from paperlib.claims.stats.overall import (
    RESAMPLES,
    Floats,
    bootstrapped,
    estimated,
    exceeding,
    improvement,
    interquartile_mean,
    mean,
)
from paperlib.exhibits import style
from paperlib.exhibits.captions import provenance
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.exhibits.tables import IDS, estimate_text, write
from paperlib.pruners import METHODS
from paperlib.studies.paper_f import SCENARIOS
from paperlib.studies.profiles import F_DATASETS

_SCENARIOS = {(s.conv, s.linear): f"scenario {s.name}" for s in SCENARIOS.values()}


class Pruned(NamedTuple):
    """A method with what is removed: `global 50%`, `scenario ii`."""

    removed: str
    method: str


@dataclass(frozen=True)
class Task:
    """An arm's accuracies on one data set with one model, 0 to 1, beside those of dense with the same seeds."""

    accuracy: Floats
    dense: Floats
    ids: tuple[str, ...]

    @property
    def difference(self) -> Floats:
        """To dense of the same seed, in points."""
        return 100 * (self.accuracy - self.dense)


@dataclass(frozen=True, eq=False)
class Collected:
    """The arms with their tasks; rows: of the trials that stand in them; left_out: sentences on what does not."""

    arms: dict[Pruned, list[Task]]
    rows: pd.DataFrame
    left_out: str


def collect(tidy: pd.DataFrame) -> Collected:
    """The pruned arms on real images whose dense network has learnt.

    An arm of one task alone is no aggregate, and left out where others have several.
    """
    every = Evidence.of(tidy)
    real = every.undrawn
    pairs = beside_dense(real.rows)
    unlearnt = real.near_chance
    pairs = pairs[(pairs.sparsity > 0) | (pairs.conv_sparsity > 0)]
    learnt = [pair not in unlearnt for pair in zip(pairs.dataset, pairs.model, strict=True)]
    pairs = pairs[pd.Series(learnt, pairs.index, dtype=bool)]
    pairs = pairs.assign(removed=[_removed(row) for row in pairs.to_dict("records")])
    arms: dict[Pruned, list[Task]] = {}
    for key, group in pairs.groupby(["removed", "method", "dataset", "model"], sort=False):
        removed, method, *_ = cast(tuple[str, ...], key)
        own, dense = (group[name].to_numpy(float) for name in ("test_accuracy", "test_accuracy_dense"))
        arms.setdefault(Pruned(removed, method), []).append(Task(own, dense, (*group["id"], *group["id_dense"])))
    several = min(2, max(map(len, arms.values()), default=0))
    arms = {arm: tasks for arm, tasks in sorted(arms.items(), key=_place) if len(tasks) >= several}
    shown = {i for tasks in arms.values() for task in tasks for i in task.ids}
    drawn = every.rows[~every.rows.id.isin(real.rows.id)]
    parts = [f"Real images only, without {provenance(drawn)}" if len(drawn) else "Real images only"]
    if names := sorted(f"{dataset} {model}" for dataset, model in unlearnt):
        parts.append(f"Left out, since dense hardly beats a constant predictor: {', '.join(names)}")
    return Collected(arms, real.rows[real.rows.id.isin(shown)], ". ".join(parts))


def _removed(row: Mapping[Hashable, object]) -> str:
    conv, linear = float(cast(float, row["conv_sparsity"])), float(cast(float, row["sparsity"]))
    model, scope = str(row["model"]), str(row["scope"])
    if row["dataset"] in F_DATASETS and scope == "global" and (conv, linear) in _SCENARIOS:
        return _SCENARIOS[conv, linear]
    # Paper P prunes convolutions as it does linear layers.
    return pruned_text("mlp" if conv == linear else model, scope, conv, linear)


def _place(arm: tuple[Pruned, object]) -> tuple[object, ...]:
    pruned, _ = arm
    methods = list(METHODS)
    known = methods.index(pruned.method) if pruned.method in methods else len(methods)
    return pruned.removed.startswith("scenario"), pruned.removed, known, pruned.method


def table(source: Source) -> Exhibit | None:
    """`overall`: each method and what it removes, over all data sets and networks, against dense."""
    collected = collect(source.table)
    shown, numbers = [], []
    for (removed, method), tasks in collected.arms.items():
        differences = [task.difference for task in tasks]
        estimates = {
            "mean, points": estimated(mean, differences),
            "IQM, points": estimated(interquartile_mean, differences),
            "beats dense": estimated(improvement, [task.accuracy for task in tasks], [task.dense for task in tasks]),
        }
        counts = {"tasks": len(tasks), "runs": sum(len(task.accuracy) for task in tasks)}
        texts = {name: estimate_text(estimate, 1) for name, estimate in estimates.items()}
        ids = {"method": tuple(i for task in tasks for i in task.ids)}
        shown.append({"removed": removed, "method": method} | counts | texts | {IDS: ids})
        parts = {
            f"{name.partition(',')[0].replace(' ', '_').lower()}_{part}": getattr(estimate, part)
            for name, estimate in estimates.items()
            for part in ("mean", "low", "high")
        }
        numbers.append({"removed": removed, "method": method} | counts | parts)
    text = (
        "Test accuracy as difference to dense of the same seed. IQM: mean of the middle half of all runs. "
        "Beats dense: probability that a run has the higher accuracy of two, one of dense, on the same task (Mann-"
        f"Whitney's U over the number of pairs, mean over the tasks; 0.5: neither does). {_explained(collected)}"
    )
    title, long = "All data sets and networks at once", pd.DataFrame(numbers)
    return write("overall", title, text, shown, source.layout, long=long, groups=("removed",))


def profile(source: Source) -> Exhibit | None:
    """`profile`: of each arm the share of runs whose difference to dense is above a threshold."""
    collected = collect(source.table)
    panels: dict[str, dict[str, list[Floats]]] = {}
    for arm, tasks in collected.arms.items():
        panels.setdefault(arm.removed, {})[arm.method] = [task.difference for task in tasks]
    if not panels:
        return None
    figure, grid = style.panels(list(panels), "difference to dense, points", "share of runs above")
    for axes, of_methods in zip(grid, panels.values(), strict=True):
        every = np.concatenate([runs for scores in of_methods.values() for runs in scores])
        at = np.unique([every.min() - 1, *every, max(every.max(), 0.0) + 1])  # where the shares change
        for method, scores in of_methods.items():
            axes.plot(
                at, exceeding(scores, at), color=style.colour(method), marker=style.marker(method), markersize=4,
                markevery=max(1, len(at) // 10), linewidth=1.2, drawstyle="steps-post",
            )  # fmt: skip
            if ends := bootstrapped(lambda drawn, at=at: exceeding(drawn, at), scores):
                axes.fill_between(at, *ends, color=style.colour(method), alpha=0.12, linewidth=0, step="post")
        axes.axvline(0, color=style.COLOURS["dense"], linewidth=1)
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_locator(FixedLocator([-100, -30, -10, -3, -1, 0, 1, 3, 10, 30]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.set_xlim(at[0], at[-1])
        axes.set_ylim(-0.03, 1.03)
    style.legend(figure, _methods(collected), ["dense"])
    text = (
        "Performance profiles of test accuracy: the share of all runs of an arm whose difference to dense of the same "
        "seed is above the value below; further to the right is better. Logarithmic beyond one point. "
        f"{_explained(collected)}"
    )
    title = "Performance profiles against dense"
    return style.save(figure, "profile", title, text, collected.rows.id, source.layout)


def _methods(collected: Collected) -> Sequence[str]:
    methods = {arm.method for arm in collected.arms}
    return [m for m in dict.fromkeys([*METHODS, *sorted(methods)]) if m in methods]


def _explained(collected: Collected) -> str:
    """n, the interval, the definitions' source, the images, what is left out."""
    runs = [len(task.accuracy) for tasks in collected.arms.values() for task in tasks]
    tasks = [len(tasks) for tasks in collected.arms.values()]
    low, high = min(runs, default=0), max(runs, default=0)
    seeds = " to ".join(map(str, dict.fromkeys((low, high))))
    interval = "one seed, no interval"
    if high > 1:
        interval = (
            f"brackets and bands: 95 % bootstrap intervals ({RESAMPLES:,} draws of seeds within each task; "
            "√(1 - 1/n) as wide as they should be)"
        )
    return (
        f"A task is a data set with a model, a run one seed: n = {seeds} seed(s) of each of "
        f"{' to '.join(map(str, dict.fromkeys((min(tasks, default=0), max(tasks, default=0)))))} task(s); {interval}. "
        "Definitions: Agarwal et al. 2021, arXiv 2108.13264. "
        f"{collected.left_out}. Images: {provenance(collected.rows)}."
    )
