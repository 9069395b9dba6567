"""Figures of any study: effects against dense, training curves, accuracy against real cost, sparsity per layer."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from paperlib.claims.effects import METRICS, Arm, arms, corrected_protocol, noise, panel_title
from paperlib.claims.stats import POSITIVE, SHARE, Estimate, mean_interval
from paperlib.core.paths import Layout
from paperlib.exhibits import style
from paperlib.exhibits.captions import provenance, seeds
from paperlib.exhibits.effect_tables import caption
from paperlib.exhibits.manifest import Exhibit
from paperlib.schema.record import Record

# The metrics that have a figure of effects: CO2 is the second axis of energy's.
COMPARED = tuple(name for name in METRICS if name != "co2")


def comparison(tidy: pd.DataFrame, metric_name: str, model: str, layout: Layout) -> Exhibit | None:
    """Every arm of one model in one metric, a panel per data set; None if there is none.

    Accuracy is drawn itself, beside dense and the majority rate; costs as ratio to dense on the noise floor, energy
    with CO2 on a second axis.
    """
    metric = METRICS[metric_name]
    rows = tidy[tidy.model == model]
    absolute = metric.effect == "difference"
    found = [a for a in arms(rows, metric) if (a.own if absolute else a.effect) and (a.sparsity or a.conv_sparsity)]
    if not found:
        return None
    datasets = list(dict.fromkeys(a.dataset for a in found))
    figure, grid = style.panels([panel_title(rows, name, model) for name in datasets])
    methods = list(dict.fromkeys(a.method for a in found))
    floor = noise(rows, metric)
    grams = grams_per_joule(corrected_protocol(rows)) if metric_name == "training_energy" else None
    for axes, dataset in zip(grid, datasets, strict=True):
        here = [a for a in found if a.dataset == dataset]
        scale = metric.scale if absolute else 1.0
        _dots(axes, here, methods, scale, absolute, narrow=grams is not None)
        if absolute:
            level(axes, here[0].dense, metric.scale)
            if (majority := _majority(rows, dataset)) is not None:
                axes.axhline(majority * metric.scale, color=style.COLOURS["majority"], linestyle=":")
            low, high = axes.get_ylim()  # wide intervals of few seeds leave the possible range
            axes.set_ylim(max(low, -2), min(high, 102))
        else:
            axes.axhline(1, color=style.COLOURS["dense"], linewidth=1)
            if floor is not None:
                axes.axhspan(1 / (1 + floor), 1 + floor, color=style.NOISE, zorder=0)
            if grams and (dense := here[0].dense):
                co2_axis(axes, dense.mean * grams * 1e3, "CO2, mg")
    unit = f"{metric.title}, {metric.unit}" if absolute else "ratio to dense"
    for axes in grid[:: style.COLUMNS]:
        axes.set_ylabel(unit)
    spread = any(a.dense is not None and a.dense.low is not None for a in found)
    style.legend(figure, methods, _reference_lines(absolute, floor, spread))
    title = f"{metric.title}{' and CO2' if grams else ''}, {model}"
    shown = f"{metric.title} itself, in {metric.unit}; line: dense" if absolute else "Ratio to dense, paired by seed"
    text = caption(rows, metric, shown) + (" Dotted: majority rate of the test set." if absolute else "")
    if grams:
        text += f" Right: CO2, which is energy times {grams * 3.6e6:.4g} g per kWh; dense is the mean of its seeds."
    ids = [i for arm in found for i in arm.trials]
    return style.save(figure, f"{metric_name}_{model}", title, text, ids, layout)


def grams_per_joule(rows: pd.DataFrame) -> float | None:
    """The grid's factor that made CO2 out of energy in these rows; None if there is none, or more than one."""
    factors = (rows.train_co2_g.astype(float) / rows.train_energy_j.astype(float)).dropna()
    return float(factors.mean()) if len(factors) and np.allclose(factors, factors.iloc[0]) else None


def co2_axis(axes: Axes, factor: float, label: str) -> None:
    """A second axis at the right: CO2 as `factor` times what the left one shows."""

    def up(y: NDArray[np.float64]) -> NDArray[np.float64]:
        return y * factor

    def down(co2: NDArray[np.float64]) -> NDArray[np.float64]:
        return co2 / factor

    axes.secondary_yaxis("right", functions=(up, down)).set_ylabel(label)  # type: ignore[arg-type]


def _reference_lines(absolute: bool, floor: float | None, spread: bool) -> list[tuple[str, Line2D]]:
    dense = ("dense (95 % interval)" if absolute and spread else "dense", Line2D([], [], color=style.COLOURS["dense"]))
    if absolute:
        return [dense, ("majority rate", Line2D([], [], color=style.COLOURS["majority"], linestyle=":"))]
    band = ("A/A noise floor", Line2D([], [], color=style.NOISE, linewidth=7))
    return [dense] if floor is None else [dense, band]


def _dots(axes: Axes, found: Sequence[Arm], methods: Sequence[str], scale: float, absolute: bool, narrow: bool) -> None:
    settings = list(dict.fromkeys(a.setting for a in found))
    step = 0.7 / max(1, len(methods))
    for arm in found:
        estimate = arm.own if absolute else arm.effect
        x = settings.index(arm.setting) + (methods.index(arm.method) - (len(methods) - 1) / 2) * step
        dot(axes, x, estimate, scale, arm.method)
    if len(settings) > (2 if narrow else 4):  # a second axis takes its place from the panel
        axes.set_xticks(range(len(settings)), settings, rotation=40, ha="right", fontsize=7)
    else:
        names = [_in_lines(s) for s in settings]
        wide = len(names) * max(len(line) for name in names for line in name.split("\n")) > 36  # what a panel holds
        axes.set_xticks(range(len(names)), names, fontsize=7 if wide else None)
    axes.set_xlim(-0.5, len(settings) - 0.5)
    axes.grid(axis="x", visible=False)


def dot(axes: Axes, x: float, estimate: Estimate | None, scale: float, method: str) -> None:
    """One arm at x: its marker with its interval; nothing for None."""
    if estimate is None:
        return
    y, reach = estimate.mean * scale, interval_reach(estimate, scale)
    axes.errorbar(x, y, reach, color=style.colour(method), marker=style.marker(method), markersize=4, linewidth=1)


def _in_lines(setting: str) -> str:
    # `global 50%` and `layerwise conv 50%, linear 80%`: scope, filters and weights on a line each.
    if ", " not in setting:
        return setting.replace(" ", "\n", 1)
    return setting.replace(" conv", "\nconv").replace(", ", ",\n")


def level(axes: Axes, dense: Estimate | None, scale: float) -> None:
    """Dense as a line across the panel, its interval as a band."""
    if dense is None:
        return
    axes.axhline(dense.mean * scale, color=style.COLOURS["dense"], linewidth=1)
    if dense.low is not None and dense.high is not None:
        axes.axhspan(dense.low * scale, dense.high * scale, color=style.COLOURS["dense"], alpha=0.12, linewidth=0)


def _majority(tidy: pd.DataFrame, dataset: str) -> float | None:
    values = tidy[tidy.dataset == dataset].test_majority.dropna()
    return float(values.iloc[0]) if len(values) else None


def curves(records: Sequence[Record], tidy: pd.DataFrame, model: str, quantity: str, layout: Layout) -> Exhibit | None:
    """`accuracy` or `loss` of validation by epoch, mean over seeds, at the highest sparsity of scope global."""
    rows = corrected_protocol(tidy[tidy.model == model])
    rows = rows[rows.scope == "global"]
    highest = rows.sparsity.max()
    rows = rows[(rows.sparsity == highest) | (rows.method == "dense")]
    wanted = {r.id: r for r in records if r.id in set(rows.id) and r.curve}
    if not wanted or not highest:
        return None
    rows = rows[rows.id.isin(wanted)]
    datasets = list(dict.fromkeys(rows.dataset))
    # Post-training shares the dense curve by construction: drawing it again would hide dense.
    methods = [m for m in dict.fromkeys(rows.method) if m != "post-training"]
    figure, grid = style.panels([panel_title(rows, name, model) for name in datasets])
    for axes, dataset in zip(grid, datasets, strict=True):
        for method in methods:
            ids = rows[(rows.dataset == dataset) & (rows.method == method)].id
            seeds_by_epoch = [[getattr(e.val, quantity) for e in wanted[i].curve] for i in ids]
            if not seeds_by_epoch:
                continue
            scale, bounds = (100, SHARE) if quantity == "accuracy" else (1, POSITIVE)
            values = np.array(seeds_by_epoch)
            found = [e.scaled(scale) for column in values.T if (e := mean_interval(column, bounds))]
            x = np.arange(1, values.shape[1] + 1)
            mean = values.mean(0) * scale
            axes.plot(x, mean, color=style.colour(method), marker=style.marker(method), markersize=4)
            if len(found) == len(x) and all(e.low is not None for e in found):
                low, high = [e.low for e in found], [e.high for e in found]
                axes.fill_between(x, low, high, color=style.colour(method), alpha=0.12, linewidth=0)  # type: ignore[arg-type]
        reference = rows[rows.dataset == dataset].iloc[0]
        level = reference.train_majority * 100 if quantity == "accuracy" else reference.train_entropy
        if pd.notna(level):
            axes.axhline(level, color=style.COLOURS["majority"], linestyle=":")
        if quantity == "accuracy":
            axes.set_ylim(max(axes.get_ylim()[0], -2), min(axes.get_ylim()[1], 102))
        axes.set_xlabel("epoch")
        axes.set_xticks(x if len(x) <= 10 else x[:: -(-len(x) // 6)])
    for axes in grid[:: style.COLUMNS]:
        axes.set_ylabel("validation accuracy, %" if quantity == "accuracy" else "validation loss, nats")
    constant = "majority rate" if quantity == "accuracy" else "majority entropy"
    style.legend(figure, methods, [(constant, Line2D([], [], color=style.COLOURS["majority"], linestyle=":"))])
    text = (
        f"Validation {quantity} after each epoch, {model}, global {highest:.0%}; means, {seeds(rows)}. Post-training "
        f"has the dense curve by construction. Dotted: {constant} of the training set. Images: {provenance(rows)}."
    )
    title = f"Validation {quantity} by epoch, {model}"
    return style.save(figure, f"curve_{quantity}_{model}", title, text, list(rows.id), layout)


def pareto(tidy: pd.DataFrame, model: str, layout: Layout) -> Exhibit | None:
    """Accuracy lost or won against the measured inference time, both beside dense of the same seeds."""
    rows = tidy[tidy.model == model]
    accuracy, cost = METRICS["accuracy"], METRICS["inference_time"]
    times = {_key(a): a for a in arms(rows, cost)}
    pairs = [(a, times[_key(a)]) for a in arms(rows, accuracy) if _key(a) in times]
    pairs = [(a, t) for a, t in pairs if a.effect and t.effect and (a.sparsity or a.conv_sparsity)]
    if not pairs:
        return None
    datasets = list(dict.fromkeys(a.dataset for a, _ in pairs))
    methods = list(dict.fromkeys(a.method for a, _ in pairs))
    sparsities = sorted({a.sparsity for a, _ in pairs})
    figure, grid = style.panels([panel_title(rows, name, model) for name in datasets])
    floor = noise(rows, cost)
    for axes, dataset in zip(grid, datasets, strict=True):
        if floor is not None:
            axes.axvspan(1 / (1 + floor), 1 + floor, color=style.NOISE, zorder=0)
        axes.axvline(1, color=style.COLOURS["dense"], linewidth=1)
        axes.axhline(0, color=style.COLOURS["dense"], linewidth=1)
        for a, t in pairs:
            if a.dataset != dataset or a.effect is None or t.effect is None:
                continue
            size = 3 + 3 * sparsities.index(a.sparsity)
            x, y = t.effect, a.effect
            axes.errorbar(
                x.mean, y.mean * 100, interval_reach(y, 100), interval_reach(x, 1), color=style.colour(a.method),
                marker=style.marker(a.method), markersize=size, linewidth=0.8,
                markerfacecolor=style.colour(a.method) if a.scope == "global" else "white",
            )  # fmt: skip
        axes.set_xlabel("inference time, ratio to dense")
    for axes in grid[:: style.COLUMNS]:
        axes.set_ylabel("accuracy against\ndense, points")
    band = [] if floor is None else [("A/A noise floor", Line2D([], [], color=style.NOISE, linewidth=7))]
    style.legend(figure, methods, band)
    text = (
        f"Each point is an arm of {model}: upwards better, to the left faster. Filled: global; hollow: other scopes. "
        f"Larger: sparser ({', '.join(f'{s:.0%}' for s in sparsities)}). Inference at batch 64, measured with masks as "
        f"in the papers; grey: A/A noise floor. {seeds(corrected_protocol(rows))}; images: {provenance(corrected_protocol(rows))}."
    )
    ids = [i for a, t in pairs for i in (*a.trials, *t.trials)]
    return style.save(figure, f"pareto_{model}", f"Accuracy against real cost, {model}", text, ids, layout)


def _key(arm: Arm) -> tuple[str, str, str]:
    return arm.dataset, arm.setting, arm.method


def interval_reach(estimate: Estimate, scale: float) -> list[list[float]] | None:
    """How far the interval reaches below and above the mean, as matplotlib takes it; None at n = 1."""
    if estimate.low is None or estimate.high is None:
        return None
    return [[(estimate.mean - estimate.low) * scale], [(estimate.high - estimate.mean) * scale]]


def layers(records: Sequence[Record], model: str, layout: Layout, dataset: str = "mnist") -> Exhibit | None:
    """Sparsity of each layer as counted, beside what was asked; a panel per scope and sparsity, seed 0."""
    shown = [
        r for r in records
        if r.status == "done" and r.trial.model == model and r.trial.dataset == dataset and r.layers
        and not r.trial.seed and r.trial.sparsity and not r.trial.quirks
    ]  # fmt: skip
    if not shown:
        return None
    shown.sort(key=lambda r: (r.trial.scope, r.trial.sparsity))
    settings = list(dict.fromkeys(f"{r.trial.scope} {r.trial.sparsity:.0%}" for r in shown))
    methods = [m for m in style.COLOURS if m in {r.trial.method for r in shown}]
    figure, grid = style.panels(settings, columns=2)
    for axes, setting in zip(grid, settings, strict=True):
        here = [r for r in shown if f"{r.trial.scope} {r.trial.sparsity:.0%}" == setting]
        names = [f"{layer.name}\n{layer.shape[1]}→{layer.shape[0]}" for layer in here[0].layers]
        width = 0.8 / len(methods)
        for record in here:
            at = np.arange(len(names)) + (methods.index(record.trial.method) - (len(methods) - 1) / 2) * width
            achieved = [layer.achieved * 100 for layer in record.layers]
            axes.bar(at, achieved, width, color=style.colour(record.trial.method), linewidth=0)
        for i, layer in enumerate(here[0].layers):
            axes.hlines(layer.nominal * 100, i - 0.45, i + 0.45, color="black", linewidth=1.2)
        axes.set_xticks(range(len(names)), names, fontsize=7)
        axes.set_ylim(0, 105)
    for axes in grid[::2]:
        axes.set_ylabel("removed, %")
    handles = [Patch(color=style.colour(m), label=m) for m in methods]
    line = Line2D([], [], color="black", label="nominal")
    style.legend_below(figure, [*handles, line], 3)
    text = (
        f"Bars: share of each layer's weights that is gone, counted from the masks ({model}, "
        f"{dataset}: {shown[0].data.source}, seed 0, n = 1, no interval). Line: nominal share of the layer. SET "
        "spreads the same total over the layers by the Erdős–Rényi formula; layer-wise leaves the first and the last "
        "layer dense."
    )
    ids = [r.id for r in shown]
    return style.save(figure, f"layers_{model}", f"Sparsity per layer, {model}", text, ids, layout)
