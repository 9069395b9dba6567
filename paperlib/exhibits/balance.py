"""What pruning costs and what it buys, of all networks in one figure: accuracy, and time masked and realised."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, StrMethodFormatter

from paperlib.claims.cost_arms import SHARES_F, setting_of, width_of
from paperlib.claims.cost_evidence import COSTS, CostTable
from paperlib.claims.effects import ARM, REAL, Arm, arms, main_setting_only, near_chance
from paperlib.exhibits import style
from paperlib.exhibits.captions import provenance
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.pruners import METHODS
from paperlib.studies.profiles import F_DATASETS

TITLE = "What pruning costs and what it buys"
TIMES = ("inference_time", "training_time")
_SHARES_P = (0.5, 0.8)


@dataclass
class Row:
    """A network with what is removed of it, over methods and data sets: changes of accuracy in points, and ratios to
    dense by (metric, whether realised); ids: of the records behind them."""

    accuracy: list[float] = field(default_factory=list)
    ratios: dict[tuple[str, bool], list[float]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)


def rows(tidy: pd.DataFrame, costs: CostTable) -> dict[str, Row]:
    """P's perceptrons (global) and F's networks (scenarios), where trials on real images and costs are both there and
    dense has learnt; smallest network and smallest share first."""
    real = main_setting_only(tidy)
    real = real[real.source.isin(REAL)]
    unlearnt, made = near_chance(real), dict[tuple[object, ...], Row]()
    for arm in arms(real):
        if (arm.dataset, arm.model) in unlearnt or arm.effect is None or not _is_of_grid(arm):
            continue
        setting, width = setting_of(arm), width_of(costs, arm.model)
        timed = {
            (name, realised): effect.mean
            for name in TIMES
            for realised in (False, True)
            if (effect := costs.effect(COSTS[name], setting, realised=realised, width=width))
        }
        if not timed:
            continue
        row = made.setdefault((arm.model.startswith("mlp"), arm.model, arm.conv_sparsity, arm.sparsity), Row())
        row.accuracy.append(100 * arm.effect.mean)
        for (name, realised), ratio in timed.items():
            if name != "training_time" or METHODS[arm.method].weights_from == "itself":
                row.ratios.setdefault((name, realised), []).append(ratio)
        row.ids += [*arm.trials, *costs.of(setting, width).id.unique()]
    order = sorted(made, key=lambda key: (not key[0], str(key[1]) != "mlp-small", *key[1:]))
    return {_label(str(key[1]), *map(float, map(str, key[2:]))): made[key] for key in order}


def _is_of_grid(arm: Arm) -> bool:
    if arm.model.startswith("mlp"):
        return arm.scope == "global" and arm.sparsity in _SHARES_P
    return arm.dataset in F_DATASETS and arm.scope == "global" and (arm.conv_sparsity, arm.sparsity) in SHARES_F


def _label(model: str, conv: float, linear: float) -> str:
    filters = f"filters {conv:.0%}, " if conv else ""
    return f"{model}: {filters}{'linear' if not model.startswith('mlp') else 'weights'} {linear:.0%}"


def figure(source: Source) -> Exhibit | None:
    """`balance`: a row per network and share, panels for accuracy and for the times of inference and training."""
    shown = rows(source.table, source.costs)
    if not shown:
        return None
    style.theme()
    # Drawn as wide as a README is, so that no type is below 11 pixels there.
    picture = Figure(figsize=(8.4, 1.5 + 0.27 * len(shown)), layout="constrained")
    grid: Sequence[Axes] = picture.subplots(1, 3, sharey=True)
    titles = ("test accuracy, points", "inference time", "training time")
    for axes, title in zip(grid, titles, strict=True):
        axes.set_title(title, loc="left")
        axes.axvline(0 if axes is grid[0] else 1, color=style.COLOURS["dense"], linewidth=1)
    for y, row in enumerate(shown.values()):
        _draw(grid[0], y, row.accuracy, *_ACCURACY)
        for axes, name in zip(grid[1:], TIMES, strict=True):
            for realised in (False, True):
                _draw(axes, y + (0.18 if realised else -0.18), row.ratios.get((name, realised), []), *_WAYS[realised])
    grid[0].set_yticks(range(len(shown)), list(shown), fontsize=9)
    grid[0].invert_yaxis()
    grid[0].set_xscale("symlog", linthresh=1)
    grid[0].xaxis.set_major_locator(FixedLocator([-100, -10, -1, 0, 1, 10]))
    grid[0].xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    for axes in grid[1:]:
        style.log_where_wide(axes.xaxis)
    for axes in grid:
        axes.tick_params(axis="x", labelsize=9)
        axes.set_xlabel("against dense" if axes is grid[0] else "dense = 1")
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=label)
        for (colour, marker), label in zip(
            _WAYS, ("masked, as in the papers", "realised: removed work skipped"), strict=True
        )
    ]
    style.legend_below(picture, [*handles, style.line("dense")], 3)
    used = source.table[source.table.id.isin([i for row in shown.values() for i in row.ids])]
    costs = source.costs.rows
    seeds = used.groupby(ARM).seed.nunique()
    processes = costs.groupby("id").process.nunique() if len(costs) else pd.Series([0])
    text = (
        "What is removed of each network costs accuracy (left; logarithmic beyond one point) and may buy time (middle "
        "and right; to the left of the line: faster than dense). Point: median over methods and data sets, line: their "
        f"range. Times: cost records, n = {_range(processes)} fresh processes each, batch 64 in inference. Accuracy: "
        f"trials, n = {_range(seeds)} seed(s) each, {_widths(used)}images: {provenance(used)}; "
        "networks whose dense form has not learnt are left out."
    )
    ids = (i for row in shown.values() for i in row.ids)
    return style.save(picture, "balance", TITLE, text, ids, source.layout)


# Colour and marker: of accuracy, and of times masked and realised.
_ACCURACY = (style.SERIES[3], "s")
_WAYS = ((style.COLOURS["dense"], "o"), (style.SERIES[0], "D"))


def _draw(axes: Axes, y: float, values: Sequence[float], colour: tuple[float, float, float], marker: str) -> None:
    if values:
        axes.plot([min(values), max(values)], [y, y], color=colour, linewidth=1.2)
        axes.plot(median(values), y, color=colour, marker=marker, markersize=5)


def _range(counts: "pd.Series[int]") -> str:
    return " to ".join(map(str, dict.fromkeys((counts.min(), counts.max()))))


def _widths(used: pd.DataFrame) -> str:
    narrow = {str(model): sorted(set(of.width)) for model, of in used.groupby("model") if set(of.width) != {1.0}}
    told = ", ".join(f"{model} {', '.join(f'{w:g}' for w in widths)}" for model, widths in narrow.items())
    return f"trained at width {told}; " if told else ""
