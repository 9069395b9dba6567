"""Figures of any study: effects against dense, learning curves, accuracy against real cost, sparsity per layer."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paperlib.claims.effects import METRICS, Arm, Metric, arms, corrected_protocol, noise
from paperlib.claims.stats import mean_interval
from paperlib.exhibits import style
from paperlib.exhibits.captions import panel_title, provenance, seeds, seeds_and_images
from paperlib.exhibits.effect_tables import caption
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.schema.record import Record

# The metrics that have a figure of effects: CO2 is the second axis of energy's.
COMPARED = tuple(name for name in METRICS if name != "co2")
# What is drawn by epoch: the column is what a constant predictor reaches on the training set.
CURVES = (
    Metric("accuracy", "Training accuracy per epoch", "train_majority", "%", "difference", 100),
    Metric("loss", "Training loss per epoch", "train_entropy", "nats", "difference"),
)
Panels = list[tuple[Axes, tuple[str, str]]]  # with the (data set, model) of each


def comparison(source: Source, metric_name: str, model: str) -> Exhibit | None:
    """Every arm of one model in one metric, a panel per data set; None if there is none.

    Accuracy is drawn itself, beside dense and the majority rate; costs as ratio to dense on the noise floor, energy
    with CO2 on a second axis.
    """
    metric = METRICS[metric_name]
    rows = source.table[source.table.model == model]
    absolute = metric.effect == "difference"
    shown = [a for a in arms(rows, metric) if (a.own if absolute else a.effect) and (a.sparsity or a.conv_sparsity)]
    if not shown:
        return None
    datasets = list(dict.fromkeys(a.dataset for a in shown))
    methods = list(dict.fromkeys(a.method for a in shown))
    floor = noise(rows, metric)
    grams = grams_per_joule(corrected_protocol(rows)) if metric_name == "training_energy" else None
    unit = f"{metric.title}, {metric.unit}" if absolute else "ratio to dense"
    figure, grid = style.panels([panel_title(rows, name, model) for name in datasets], ylabel=unit)
    for axes, dataset in zip(grid, datasets, strict=True):
        in_panel = [a for a in shown if a.dataset == dataset]
        dense = in_panel[0].dense
        _dots(axes, in_panel, methods, metric.scale if absolute else 1, absolute, narrow=grams is not None)
        if absolute:
            style.dense_level(axes, dense, metric.scale)
            style.majority(axes, rows[rows.dataset == dataset].test_majority, metric.scale)
            style.limit_percent(axes)
        else:
            axes.axhline(1, color=style.COLOURS["dense"], linewidth=1)
            style.noise_band(axes, floor)
            if grams and dense:
                style.co2_axis(axes, dense.mean * grams * 1e3, "CO2, mg")
    if absolute:
        several = any(a.dense is not None and a.dense.low is not None for a in shown)
        lines = ["dense (95 % interval)" if several else "dense", "majority rate"]
    else:
        lines = ["dense"] if floor is None else ["dense", "A/A noise floor"]
    style.legend(figure, methods, lines)
    title = f"{metric.title}{' and CO2' if grams else ''}, {model}"
    words = f"{metric.title} itself, in {metric.unit}; line: dense" if absolute else "Ratio to dense, paired by seed"
    text = caption(rows, metric, words) + (" Dotted: majority rate of the test set." if absolute else "")
    if grams:
        text += f" Right: CO2, which is energy times {grams * 3.6e6:.4g} g per kWh; dense is the mean of its seeds."
    return style.save(
        figure, f"{metric_name}_{model}", title, text, (i for a in shown for i in a.trials), source.layout
    )


def grams_per_joule(rows: pd.DataFrame) -> float | None:
    """The grid's factor that made CO2 out of energy in these rows; None if there is none, or more than one."""
    factors = (rows.train_co2_g.astype(float) / rows.train_energy_j.astype(float)).dropna()
    return float(factors.mean()) if len(factors) and np.allclose(factors, factors.iloc[0]) else None


def _dots(axes: Axes, shown: Sequence[Arm], methods: Sequence[str], scale: float, absolute: bool, narrow: bool) -> None:
    settings = list(dict.fromkeys(a.setting for a in shown))
    step = 0.7 / max(1, len(methods))
    for arm in shown:
        x = settings.index(arm.setting) + (methods.index(arm.method) - (len(methods) - 1) / 2) * step
        style.dot(axes, x, arm.own if absolute else arm.effect, scale, arm.method)
    if len(settings) > (2 if narrow else 4):  # a second axis takes its place from the panel
        axes.set_xticks(range(len(settings)), settings, rotation=40, ha="right", fontsize=7)
    else:
        names = [_in_lines(s) for s in settings]
        wide = len(names) * max(len(line) for name in names for line in name.split("\n")) > 36  # what a panel holds
        axes.set_xticks(range(len(names)), names, fontsize=7 if wide else None)
    axes.set_xlim(-0.5, len(settings) - 0.5)
    axes.grid(axis="x", visible=False)


def _in_lines(setting: str) -> str:
    # `global 50%` and `layerwise conv 50%, linear 80%`: scope, filters and weights on a line each.
    if ", " not in setting:
        return setting.replace(" ", "\n", 1)
    return setting.replace(" conv", "\nconv").replace(", ", ",\n")


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


def pareto(source: Source, model: str) -> Exhibit | None:
    """Accuracy lost or won against the measured inference time, both beside dense of the same seeds."""
    rows, cost = source.table[source.table.model == model], METRICS["inference_time"]
    times = {(a.dataset, a.setting, a.method): a for a in arms(rows, cost)}
    pairs = [(a, times.get((a.dataset, a.setting, a.method))) for a in arms(rows, METRICS["accuracy"])]
    points = [
        (a, a.effect, t.effect, (*a.trials, *t.trials))
        for a, t in pairs
        if t and a.effect and t.effect and (a.sparsity or a.conv_sparsity)
    ]
    if not points:
        return None
    datasets = list(dict.fromkeys(a.dataset for a, *_ in points))
    sparsities = sorted({a.sparsity for a, *_ in points})
    titles = [panel_title(rows, name, model) for name in datasets]
    figure, grid = style.panels(titles, "inference time, ratio to dense", "accuracy against\ndense, points")
    floor = noise(rows, cost)
    for axes, dataset in zip(grid, datasets, strict=True):
        if floor is not None:
            axes.axvspan(1 / (1 + floor), 1 + floor, color=style.NOISE, zorder=0)
        axes.axvline(1, color=style.COLOURS["dense"], linewidth=1)
        axes.axhline(0, color=style.COLOURS["dense"], linewidth=1)
        for arm, accuracy, time, _ in (point for point in points if point[0].dataset == dataset):
            colour = style.colour(arm.method)
            axes.errorbar(
                time.mean, accuracy.mean * 100, style.interval_reach(accuracy, 100), style.interval_reach(time, 1),
                color=colour, marker=style.marker(arm.method), markersize=3 + 3 * sparsities.index(arm.sparsity),
                linewidth=0.8, markerfacecolor=colour if arm.scope == "global" else "white",
            )  # fmt: skip
    methods = list(dict.fromkeys(a.method for a, *_ in points))
    style.legend(figure, methods, [] if floor is None else ["A/A noise floor"])
    text = (
        f"Each point is an arm of {model}: upwards better, to the left faster. Filled: global; hollow: other scopes. "
        f"Larger: sparser ({', '.join(f'{s:.0%}' for s in sparsities)}). Inference at batch 64, measured with masks as "
        f"in the papers; grey: A/A noise floor. {seeds_and_images(corrected_protocol(rows))}."
    )
    ids = (i for *_, trials in points for i in trials)
    return style.save(figure, f"pareto_{model}", f"Accuracy against real cost, {model}", text, ids, source.layout)


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
