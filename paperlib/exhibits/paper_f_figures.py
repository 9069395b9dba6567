"""Paper F's figures 1 to 17 from the records, scenario by scenario (its tables: paper_f_tables.py)."""

from dataclasses import replace

import pandas as pd
import torch
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paperlib.claims.effects import METRICS, Metric, corrected_protocol, noise
from paperlib.claims.stats import mean_interval
from paperlib.exhibits import architecture, style
from paperlib.exhibits.captions import provenance, seeds, with_source
from paperlib.exhibits.effect_figures import cell_panels, draw_curves, grams_per_joule
from paperlib.exhibits.expected import F_FIGURES
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.models import build
from paperlib.pruners import METHODS
from paperlib.studies import SCENARIOS, Scenario

COSTS_AND_SCORES = (
    METRICS["training_time"],
    replace(METRICS["accuracy"], name="test_accuracy"),
    METRICS["training_energy"],
)


def scenarios(tidy: pd.DataFrame) -> list[Scenario]:
    """F's three scenarios, then a reader's own ones, as far as these records hold pruned trials of them."""
    pruned = tidy[~tidy.method.isin(["dense", "majority"])]
    shares = {(c, s) for c, s in zip(pruned.conv_sparsity, pruned.sparsity, strict=True) if c or s}
    named = {(s.conv, s.linear): s for s in SCENARIOS.values()}
    others = [Scenario(f"{c:g}-{s:g}", "own", c, s) for c, s in sorted(shares - set(named))]
    return [s for key, s in named.items() if key in shares] + others


def scenario_rows(tidy: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """Finished rows of the scenario, and dense beside them."""
    rows = corrected_protocol(tidy)
    pruned = (rows.conv_sparsity == scenario.conv) & (rows.sparsity == scenario.linear)
    return rows[((rows.method == "dense") | pruned) & (rows.method != "majority")]


def _methods(rows: pd.DataFrame) -> list[str]:
    """The methods of these rows in the package's order, a reader's own last; none where there is dense alone."""
    present = set(rows.method)
    return [m for m in METHODS if m in present] + sorted(present - set(METHODS)) if present != {"dense"} else []


def by_method(source: Source, quantity: Metric, scenario: Scenario) -> Exhibit | None:
    """Figures 9 to 17: one of COSTS_AND_SCORES of every method in one scenario, a panel per data set and model."""
    rows = scenario_rows(source.table, scenario)
    rows = rows[rows[quantity.column].notna()]
    methods = _methods(rows)
    if not methods:
        return None
    figure, panels = cell_panels(rows, "", f"{quantity.title.lower()}, {quantity.unit}", columns=2, with_model=True)
    floor = noise(source.table, quantity)
    grams = grams_per_joule(rows) if quantity.name == "training_energy" else None
    for axes, (dataset, model) in panels:
        in_panel = rows[(rows.dataset == dataset) & (rows.model == model)]
        levels = {m: mean_interval(in_panel[in_panel.method == m][quantity.column], quantity.bounds) for m in methods}
        for x, (method, level) in enumerate(levels.items()):
            style.dot(axes, x, level, quantity.scale, method)
        dense = levels.get("dense")
        style.dense_level(axes, dense, quantity.scale)
        if dense is not None:
            style.noise_band(axes, floor, dense.mean)
        if quantity.unit == "%":
            style.majority(axes, in_panel.test_majority)
            style.limit_percent(axes)
        axes.set_xticks(range(len(methods)), methods, rotation=40, ha="right")
        axes.grid(axis="x", visible=False)
        if grams:
            style.co2_axis(axes, grams, "CO2, g")
    style.legend(figure, methods, ["majority rate" if floor is None else "A/A noise floor"])
    text = [seeds(rows)]
    if floor is not None:
        text.append(f"A/A noise floor ±{floor:.1%} (`random` at 0 % beside dense): a smaller effect is none")
    if quantity.source_column:
        text.append("source: " + "/".join(sorted(set(rows[quantity.source_column].dropna()))))
    if quantity.unit != "%":
        text.append("post-training has the training of its dense trial by construction")
    if grams:
        text.append(f"Right: CO2, which is energy times {grams * 3.6e6:.4g} g per kWh; the paper has no figure of it")
    title = f"{quantity.title}{' and CO2' if grams else ''}"
    return _save(figure, quantity.name, title, scenario, text, rows, source)


def curves(source: Source, quantity: Metric, scenario: Scenario) -> Exhibit | None:
    """Figures 3 to 8: one of CURVES, of the training pass, mean over seeds, a panel per data set and model."""
    rows = scenario_rows(source.table, scenario)
    rows = rows[rows.method != "post-training"]  # its curve is dense's
    methods = _methods(rows)
    if not methods:
        return None
    label = f"training {quantity.name}, {quantity.unit}"
    figure, panels = cell_panels(rows, "epoch", label, columns=2, with_model=True)
    constant = draw_curves(source, rows, quantity, "train", figure, panels, methods, markers=8)
    text = [
        f"means, {seeds(rows)}; scores of the training pass itself",
        f"dotted: {constant} of the training set, what a network that ignores its images reaches",
    ]
    return _save(figure, f"training_{quantity.name}", quantity.title, scenario, text, rows, source)


def _save(
    figure: Figure, name: str, title: str, scenario: Scenario, text: list[str], rows: pd.DataFrame, source: Source
) -> Exhibit:
    title += f", scenario {scenario.name}"
    if scenario.name in SCENARIOS:
        title += f" (paper F, figure {F_FIGURES[name] + list(SCENARIOS).index(scenario.name)})"
    removed = f"{scenario.conv:.0%} of filters, {scenario.linear:.0%} of linear weights removed"
    parts = [f"Scenario {scenario.name} ({scenario.title}): {removed}", *text, f"images: {provenance(rows)}"]
    return style.save(figure, f"{name}_{scenario.name}", title, ". ".join(parts) + ".", rows.id, source.layout)


def networks(source: Source) -> Exhibit | None:
    """Figure 1: the networks as these trials built them, drawn from the modules."""
    dense = {r.trial.model: r for r in source.records if r.trial.method == "dense" and r.network}
    if not dense:
        return None
    names = [
        f"{model}, width {r.trial.width:g}, {r.data.shape[0]} px: {r.network.parameters:,} parameters"
        for model, r in dense.items()
        if r.network
    ]
    figure, grid = style.panels(names, columns=1, height=2.7)
    figure.set_figwidth(7)
    for axes, (model, record) in zip(grid, dense.items(), strict=True):
        with torch.device("meta"):
            network = build(model, record.data.shape, record.data.classes, record.trial.width)
        architecture.draw(axes, network, record.data.shape)
    handles: list[Artist] = [Patch(color=color, label=kind) for kind, color in architecture.FILL.items()]
    handles += [
        Line2D([], [], color="black", linestyle="-", label="sum with projection"),
        Line2D([], [], color="black", linestyle=":", label="sum with identity"),
    ]
    style.legend_below(figure, handles, 5)
    rows = source.table[source.table.id.isin([r.id for r in dense.values()])]
    text = (
        "Read from the modules of these trials: each box is one operation, its height the side of its feature map, "
        "its width its channels (both logarithmic, written as channels×side where they change); arcs are residual "
        f"sums, with a 1×1 projection or without. {seeds(rows)} drawn; images: {provenance(rows)}."
    )
    return style.save(figure, "architectures", "Networks (paper F, figure 1)", text, rows.id, source.layout)


def splits(source: Source) -> Exhibit | None:
    """Figure 2: how many images these trials trained, validated and tested on."""
    by_dataset = {r.data.name: r for r in source.records if r.trial.method == "dense"}
    if not by_dataset:
        return None
    figure, grid = style.panels([with_source(name, [r.data.source]) for name, r in by_dataset.items()])
    for axes, record in zip(grid, by_dataset.values(), strict=True):
        counts = {"train": record.data.train, "validation": record.data.val, "test": record.data.test}
        colours = [style.COLOURS[m] for m in ("pre-training", "in-training", "post-training")]
        axes.pie(
            list(counts.values()), labels=[f"{name}\n{n:,}" for name, n in counts.items()], colors=colours,
            autopct="%.0f%%", startangle=90, counterclock=False, textprops={"fontsize": 8},
        )  # fmt: skip
    rows = source.table[source.table.id.isin([r.id for r in by_dataset.values()])]
    text = (
        "Images that these trials used; a profile may limit training and test images. Paper F states 70/20/10 for "
        f"BloodMNIST and MVTec3D and 80/20 for VisA. n = {len(by_dataset)} data sets; images: {provenance(rows)}."
    )
    return style.save(figure, "splits", "Splits (paper F, figure 2)", text, rows.id, source.layout)
