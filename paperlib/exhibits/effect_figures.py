"""Figures of any study: accuracy beside dense, learning curves, accuracy against real cost, sparsity per layer."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paperlib.claims.cost_arms import setting_of, width_of
from paperlib.claims.cost_evidence import COSTS, CostTable, networks_of
from paperlib.claims.effects import ACCURACY, Arm, Metric, arms, corrected_protocol
from paperlib.claims.stats import Estimate, mean_interval
from paperlib.exhibits import style
from paperlib.exhibits.captions import panel_title, processes, provenance, seeds, seeds_and_images
from paperlib.exhibits.cost_exhibits import setting_axis, ways_legend
from paperlib.exhibits.effect_tables import caption
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.schema.record import Record

# What is drawn by epoch: the column is what a constant predictor reaches on the training set.
CURVES = (
    Metric("accuracy", "Training accuracy per epoch", "train_majority", "%", 100),
    Metric("loss", "Training loss per epoch", "train_entropy", "nats"),
)
Panels = list[tuple[Axes, tuple[str, str]]]  # with the (data set, model) of each


def comparison(source: Source, model: str) -> Exhibit | None:
    """Accuracy of every arm of one model, beside dense and the majority rate, a panel per data set."""
    rows = source.table[source.table.model == model]
    shown = [a for a in arms(rows) if a.own and (a.sparsity or a.conv_sparsity)]
    if not shown:
        return None
    datasets, methods = (
        list(dict.fromkeys(names)) for names in zip(*((a.dataset, a.method) for a in shown), strict=True)
    )
    titles = [panel_title(rows, name, model) for name in datasets]
    figure, grid = style.panels(titles, ylabel=f"{ACCURACY.title}, {ACCURACY.unit}")
    for axes, dataset in zip(grid, datasets, strict=True):
        in_panel = [a for a in shown if a.dataset == dataset]
        settings = list(dict.fromkeys(a.setting for a in in_panel))
        for arm in in_panel:
            x = settings.index(arm.setting) + (methods.index(arm.method) - (len(methods) - 1) / 2) * 0.7 / len(methods)
            style.dot(axes, x, arm.own, ACCURACY.scale, arm.method)
        setting_axis(axes, settings)
        style.dense_level(axes, in_panel[0].dense, ACCURACY.scale)
        style.majority(axes, rows[rows.dataset == dataset].test_majority, ACCURACY.scale)
        style.limit_percent(axes)
    several = any(a.dense is not None and a.dense.low is not None for a in shown)
    style.legend(figure, methods, ["dense (95 % interval)" if several else "dense", "majority rate"])
    text = caption(rows, "Test accuracy itself, in %; line: dense") + " Dotted: majority rate of the test set."
    ids = (i for a in shown for i in a.trials)
    return style.save(figure, f"accuracy_{model}", f"Test accuracy, {model}", text, ids, source.layout)


def curves(source: Source, quantity: Metric, model: str) -> Exhibit | None:
    """One of CURVES, of the validation images, by epoch, at the highest sparsity of scope global."""
    rows = corrected_protocol(source.table[source.table.model == model])
    rows = rows[rows.scope == "global"]
    highest = rows.sparsity.max()
    rows = rows[(rows.sparsity == highest) | (rows.method == "dense")]
    rows = rows[rows.id.isin([r.id for r in source.records if r.curve])]
    if rows.empty or not highest:
        return None
    # Post-training shares the dense curve by construction: drawing it again would hide dense.
    methods = [m for m in dict.fromkeys(rows.method) if m != "post-training"]
    figure, panels = cell_panels(rows, "epoch", f"validation {quantity.name}, {quantity.unit}")
    constant = draw_curves(source, rows, quantity, "val", figure, panels, methods)
    text = (
        f"Validation {quantity.name} after each epoch, {model}, global {highest:.0%}; means, {seeds(rows)}. "
        f"Post-training has the dense curve by construction. Dotted: {constant} of the training set. "
        f"Images: {provenance(rows)}."
    )
    title = f"Validation {quantity.name} by epoch, {model}"
    return style.save(figure, f"curve_{quantity.name}_{model}", title, text, rows.id, source.layout)


def cell_panels(
    rows: pd.DataFrame, xlabel: str, ylabel: str, *, columns: int = style.COLUMNS, with_model: bool = False
) -> tuple[Figure, Panels]:
    """A figure with a panel per data set and model: data sets below each other, models side by side."""
    cells = [(d, m) for d in dict.fromkeys(rows.dataset) for m in sorted(set(rows.model), reverse=True)]
    titles = [panel_title(rows, dataset, model, with_model) for dataset, model in cells]
    figure, grid = style.panels(titles, xlabel, ylabel, columns=columns)
    return figure, list(zip(grid, cells, strict=True))


def draw_curves(
    source: Source,
    rows: pd.DataFrame,
    quantity: Metric,
    part: str,
    figure: Figure,
    panels: Panels,
    methods: Sequence[str],
    markers: int | None = None,
) -> str:
    """Means over seeds by epoch, with their intervals, into the panels of `cell_panels`, and the legend.

    quantity: one of CURVES; part: `train` or `val`; markers: about how many a curve has, None for one an epoch.
    Returns what is dotted: the name of what a constant predictor reaches.
    """
    by_id = {r.id: [getattr(getattr(e, part), quantity.name) for e in r.curve] for r in source.records_of(rows)}
    for axes, (dataset, model) in panels:
        in_panel = rows[(rows.dataset == dataset) & (rows.model == model)]
        for method in methods:
            values = np.array([by_id[i] for i in in_panel[in_panel.method == method].id])
            if not len(values):
                continue
            x, colour = np.arange(1, values.shape[1] + 1), style.colour(method)
            every = max(1, len(x) // markers) if markers else None
            mean = values.mean(0) * quantity.scale
            axes.plot(x, mean, color=colour, marker=style.marker(method), markersize=4, markevery=every)
            estimates = [mean_interval(column, quantity.bounds) for column in values.T]
            if all(e and e.low is not None for e in estimates):
                low, high = ([getattr(e, side) * quantity.scale for e in estimates] for side in ("low", "high"))
                axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
            axes.set_xticks(x if len(x) <= 10 else x[:: -(-len(x) // 6)])
        style.majority(axes, in_panel[quantity.column], quantity.scale)
        if quantity.unit == "%":
            style.limit_percent(axes)
    constant = "majority rate" if quantity.unit == "%" else "majority entropy"
    style.legend(figure, methods, [constant])
    return constant


class _Point(NamedTuple):
    """An arm with its change of accuracy and its ratios of inference time; records: ids of trials and costs."""

    arm: Arm
    accuracy: Estimate
    masked: Estimate
    realised: Estimate
    records: tuple[str, ...]


def pareto(source: Source, model: str) -> Exhibit | None:
    """Accuracy lost or won (trials) against inference time at batch 64 (cost records), both beside dense."""
    rows, width = source.table[source.table.model == model], width_of(source.costs, model)
    points = _points(rows, source.costs, width)
    if not points:
        return None
    datasets, sparsities = list(dict.fromkeys(p.arm.dataset for p in points)), sorted({p.arm.sparsity for p in points})
    titles = [panel_title(rows, name, model) for name in datasets]
    picture, grid = style.panels(titles, "inference time, ratio to dense", "accuracy against\ndense, points")
    timed = source.costs.rows[source.costs.rows.model == model]
    floor = source.costs.floor(COSTS["inference_time"], networks_of(timed)[0])
    for axes, dataset in zip(grid, datasets, strict=True):
        if floor is not None:
            axes.axvspan(1 / (1 + floor.mean), 1 + floor.mean, color=style.NOISE, zorder=0)
        axes.axvline(1, color=style.COLOURS["dense"], linewidth=1)
        axes.axhline(0, color=style.COLOURS["dense"], linewidth=1)
        for point in points:
            if point.arm.dataset == dataset:
                _draw_point(axes, point, 3 + 3 * sparsities.index(point.arm.sparsity))
    grey = style.COLOURS["majority"]
    scopes = [
        Line2D([], [], color=grey, label="global"),
        Line2D([], [], color=grey, linestyle=":", label="other scopes"),
    ]
    ways_legend(picture, list(dict.fromkeys(p.arm.method for p in points)), ["A/A noise floor"], scopes)
    used = corrected_protocol(rows)
    text = (
        f"Each arm of {model} as masked and, joined to it, as realised: upwards better, to the left faster. "
        f"Larger: sparser ({', '.join(f'{s:.0%}' for s in sparsities)}). Accuracy: trials, {seeds_and_images(used)}. "
        f"Inference at batch 64: cost records, {processes(timed)}."
    )
    if (trained := sorted(set(used.width))) != [width]:
        text += f" The trials have width {', '.join(f'{w:g}' for w in trained)}, the cost records {width:g}."
    ids = (i for point in points for i in point.records)
    return style.save(picture, f"pareto_{model}", f"Accuracy against real cost, {model}", text, ids, source.layout)


def _points(rows: pd.DataFrame, costs: CostTable, width: float) -> list[_Point]:
    points, metric = [], COSTS["inference_time"]
    for arm in arms(rows):
        setting = setting_of(arm)
        masked, realised = (costs.effect(metric, setting, realised=way, width=width) for way in (False, True))
        if arm.effect and masked and realised:
            records = *arm.trials, *costs.of(setting, width).id.unique()
            points.append(_Point(arm, arm.effect, masked, realised, records))
    return points


def _draw_point(axes: Axes, point: _Point, size: float) -> None:
    colour, y, dashes = style.colour(point.arm.method), point.accuracy.mean * 100, point.arm.scope != "global"
    axes.plot([point.masked.mean, point.realised.mean], [y, y], ":" if dashes else "-", color=colour, linewidth=0.8)
    for time, face in ((point.realised, "white"), (point.masked, colour)):
        reach = style.interval_reach(point.accuracy, 100) if time is point.masked else None
        axes.errorbar(
            time.mean, y, reach, style.interval_reach(time, 1), color=colour, marker=style.marker(point.arm.method),
            markersize=size, markerfacecolor=face, linewidth=0.8,
        )  # fmt: skip


def layers(source: Source, model: str) -> Exhibit | None:
    """Sparsity of each layer as counted, beside what was asked; a panel per scope and sparsity (MNIST, seed 0)."""
    tidy = source.table
    chosen = (tidy.status == "done") & (tidy.model == model) & (tidy.dataset == "mnist") & (tidy.quirks == "")
    rows = tidy[chosen & (tidy.seed == 0) & (tidy.sparsity > 0)]
    shown = sorted((r for r in source.records_of(rows) if r.layers), key=lambda r: (r.trial.scope, r.trial.sparsity))
    if not shown:
        return None
    panels: dict[str, list[Record]] = {}
    for record in shown:
        panels.setdefault(f"{record.trial.scope} {record.trial.sparsity:.0%}", []).append(record)
    methods = [m for m in style.COLOURS if m in {r.trial.method for r in shown}]
    figure, grid = style.panels(list(panels), columns=2, ylabel="removed, %")
    width = 0.8 / len(methods)
    for axes, records in zip(grid, panels.values(), strict=True):
        names = [f"{layer.name}\n{layer.shape[1]}→{layer.shape[0]}" for layer in records[0].layers]
        for record in records:
            at = np.arange(len(names)) + (methods.index(record.trial.method) - (len(methods) - 1) / 2) * width
            achieved = [layer.achieved * 100 for layer in record.layers]
            axes.bar(at, achieved, width, color=style.colour(record.trial.method), linewidth=0)
        for i, layer in enumerate(records[0].layers):
            axes.hlines(layer.nominal * 100, i - 0.45, i + 0.45, color="black", linewidth=1.2)
        axes.set_xticks(range(len(names)), names, fontsize=7)
        axes.set_ylim(0, 105)
    handles = [Patch(color=style.colour(m), label=m) for m in methods]
    style.legend_below(figure, [*handles, Line2D([], [], color="black", label="nominal")], 3)
    text = (
        f"Bars: share of each layer's weights that is gone, counted from the masks ({model}, {provenance(rows)}, seed "
        "0, n = 1, no interval). Line: nominal share of the layer. SET spreads the same total over the layers by the "
        "Erdős–Rényi formula; layer-wise leaves the first and the last layer dense."
    )
    ids = [r.id for r in shown]
    return style.save(figure, f"layers_{model}", f"Sparsity per layer, {model}", text, ids, source.layout)
