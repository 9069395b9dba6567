"""Paper F's figures 1 to 17 from the records, scenario by scenario (its tables: industrial_tables.py)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paperlib.claims.effects import corrected_protocol, panel_title
from paperlib.claims.stats import POSITIVE, SHARE, Bounds, mean_interval, noise_floor
from paperlib.core.paths import Layout
from paperlib.exhibits import architecture, style
from paperlib.exhibits.captions import provenance, seeds
from paperlib.exhibits.effect_figures import co2_axis, dot, grams_per_joule, level
from paperlib.exhibits.manifest import Exhibit
from paperlib.models import build
from paperlib.pruners import METHODS
from paperlib.schema.record import Record
from paperlib.studies import SCENARIOS, Scenario


@dataclass(frozen=True)
class Quantity:
    """What a figure shows; number: of F's figure for scenario i, the next two are ii and iii."""

    name: str
    title: str
    column: str
    unit: str
    number: int
    scale: float = 1.0
    source_column: str | None = None

    @property
    def bounds(self) -> Bounds:
        """What its values can be."""
        return SHARE if self.unit == "%" else POSITIVE


COSTS_AND_SCORES = (
    Quantity("training_time", "Training time", "train_time_s", "s", 9),
    Quantity("test_accuracy", "Test accuracy", "test_accuracy", "%", 12, 100),
    Quantity("training_energy", "Training energy", "train_energy_j", "J", 15, source_column="energy_source"),
)
CURVES = (
    Quantity("accuracy", "Training accuracy per epoch", "train_majority", "%", 3, 100),
    Quantity("loss", "Training loss per epoch", "train_entropy", "nats", 6),
)


def scenarios(tidy: pd.DataFrame) -> list[Scenario]:
    """F's three scenarios, then a reader's own ones, as far as these records hold pruned trials of them."""
    pruned = tidy[~tidy.method.isin(["dense", "majority"])]
    found = {(c, s) for c, s in zip(pruned.conv_sparsity, pruned.sparsity, strict=True) if c or s}
    named = {(s.conv, s.linear): s for s in SCENARIOS.values()}
    own = [Scenario(f"{c:g}-{s:g}", "own", c, s) for c, s in sorted(found - set(named))]
    return [s for key, s in named.items() if key in found] + own


def scenario_rows(tidy: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """Finished rows of the scenario, and dense beside them."""
    rows = corrected_protocol(tidy)
    pruned = (rows.conv_sparsity == scenario.conv) & (rows.sparsity == scenario.linear)
    return rows[((rows.method == "dense") | pruned) & (rows.method != "majority")]


def _cells(rows: pd.DataFrame) -> list[tuple[str, str]]:
    # Data sets below each other, models side by side.
    return [(d, m) for d in dict.fromkeys(rows.dataset) for m in sorted(set(rows.model), reverse=True)]


def _names(rows: pd.DataFrame, cells: Sequence[tuple[str, str]]) -> list[str]:
    return [panel_title(rows, dataset, model, with_model=True) for dataset, model in cells]


def _methods(rows: pd.DataFrame) -> list[str]:
    here = set(rows.method)
    return [m for m in METHODS if m in here] + sorted(here - set(METHODS))


def by_method(tidy: pd.DataFrame, quantity: Quantity, scenario: Scenario, layout: Layout) -> Exhibit | None:
    """Figures 9 to 17: one quantity of every method in one scenario, a panel per data set and model."""
    rows = scenario_rows(tidy, scenario)
    rows = rows[rows[quantity.column].notna()]
    methods = _methods(rows)
    if methods in ([], ["dense"]):
        return None
    cells = _cells(rows)
    figure, grid = style.panels(_names(rows, cells), columns=2)
    floor = None if quantity.scale == 100 else noise_floor(corrected_protocol(tidy), quantity.column)
    grams = grams_per_joule(rows) if quantity.name == "training_energy" else None
    for axes, (dataset, model) in zip(grid, cells, strict=True):
        here = rows[(rows.dataset == dataset) & (rows.model == model)]
        for x, method in enumerate(methods):
            values = here[here.method == method][quantity.column]
            dot(axes, x, mean_interval(values, quantity.bounds), quantity.scale, method)
        dense = mean_interval(here[here.method == "dense"][quantity.column], quantity.bounds)
        level(axes, dense, quantity.scale)
        if floor is not None and dense is not None:
            axes.axhspan(dense.mean / (1 + floor), dense.mean * (1 + floor), color=style.NOISE, zorder=0)
        if quantity.scale == 100 and len(majority := here.test_majority.dropna()):
            axes.axhline(majority.iloc[0] * 100, color=style.COLOURS["majority"], linestyle=":")
            axes.set_ylim(max(-2, axes.get_ylim()[0]), min(102, axes.get_ylim()[1]))
        axes.set_xticks(range(len(methods)), methods, rotation=40, ha="right")
        axes.grid(axis="x", visible=False)
        if grams:
            co2_axis(axes, grams, "CO2, g")
    for axes in grid[::2]:
        axes.set_ylabel(f"{quantity.title.lower()}, {quantity.unit}")
    constant = Line2D([], [], color=style.COLOURS["majority"], linestyle=":")
    band = Line2D([], [], color=style.NOISE, linewidth=7)
    style.legend(figure, methods, [("majority rate", constant)] if floor is None else [("A/A noise floor", band)])
    text = [_setting(scenario), seeds(rows)]
    if floor is not None:
        text.append(f"A/A noise floor ±{floor:.1%} (`random` at 0 % beside dense): a smaller effect is none")
    if quantity.source_column:
        text.append("source: " + "/".join(sorted(set(rows[quantity.source_column].dropna()))))
    if quantity.scale != 100:
        text.append("post-training has the training of its dense trial by construction")
    if grams:
        text.append(f"Right: CO2, which is energy times {grams * 3.6e6:.4g} g per kWh; the paper has no figure of it")
    text.append(f"images: {provenance(rows)}")
    return _save(figure, quantity, scenario, text, rows, layout)


def curves(
    records: Sequence[Record], tidy: pd.DataFrame, quantity: Quantity, scenario: Scenario, layout: Layout
) -> Exhibit | None:
    """Figures 3 to 8: the training pass by epoch, mean over seeds, with what a constant predictor would reach."""
    rows = scenario_rows(tidy, scenario)
    rows = rows[rows.method != "post-training"]  # its curve is dense's
    curve = {r.id: [getattr(e.train, quantity.name) for e in r.curve] for r in records}
    methods = _methods(rows)
    if methods in ([], ["dense"]):
        return None
    cells = _cells(rows)
    figure, grid = style.panels(_names(rows, cells), columns=2)
    for axes, (dataset, model) in zip(grid, cells, strict=True):
        here = rows[(rows.dataset == dataset) & (rows.model == model)]
        for method in methods:
            ids = here[here.method == method].id
            if not len(ids):
                continue
            values = np.array([curve[i] for i in ids])
            x = np.arange(1, values.shape[1] + 1)
            axes.plot(
                x, values.mean(0) * quantity.scale, color=style.colour(method), marker=style.marker(method),
                markersize=4, markevery=max(1, len(x) // 8),
            )  # fmt: skip
            found = [e.scaled(quantity.scale) for column in values.T if (e := mean_interval(column, quantity.bounds))]
            low, high = ([getattr(e, side) for e in found] for side in ("low", "high"))
            if len(found) == len(x) and None not in low:
                axes.fill_between(x, low, high, color=style.colour(method), alpha=0.12, linewidth=0)
            axes.set_xticks(x if len(x) <= 10 else x[:: -(-len(x) // 6)])
        if len(constant := here[quantity.column].dropna()):
            axes.axhline(constant.iloc[0] * quantity.scale, color=style.COLOURS["majority"], linestyle=":")
        if quantity.scale == 100:
            axes.set_ylim(max(-2, axes.get_ylim()[0]), min(102, axes.get_ylim()[1]))
        axes.set_xlabel("epoch")
    for axes in grid[::2]:
        axes.set_ylabel(f"training {quantity.name}, {quantity.unit}")
    word = "majority rate" if quantity.scale == 100 else "majority entropy"
    style.legend(figure, methods, [(word, Line2D([], [], color=style.COLOURS["majority"], linestyle=":"))])
    text = [
        _setting(scenario),
        f"means, {seeds(rows)}; scores of the training pass itself",
        f"dotted: {word} of the training set, what a network that ignores its images reaches",
        f"images: {provenance(rows)}",
    ]
    return _save(figure, quantity, scenario, text, rows, layout)


def _setting(scenario: Scenario) -> str:
    removed = f"{scenario.conv:.0%} of filters, {scenario.linear:.0%} of linear weights removed"
    return f"Scenario {scenario.name} ({scenario.title}): {removed}"


def _save(
    figure: Figure, quantity: Quantity, scenario: Scenario, text: list[str], rows: pd.DataFrame, layout: Layout
) -> Exhibit:
    title = f"{quantity.title}{' and CO2' if any('CO2' in part for part in text) else ''}, scenario {scenario.name}"
    if scenario.name in SCENARIOS:
        title += f" (paper F, figure {quantity.number + list(SCENARIOS).index(scenario.name)})"
    training = "training_" if quantity in CURVES else ""
    name = f"{training}{quantity.name}_{scenario.name}"
    return style.save(figure, name, title, ". ".join(text) + ".", list(rows.id), layout)


def networks(tidy: pd.DataFrame, records: Sequence[Record], layout: Layout) -> Exhibit | None:
    """Figure 1: the networks as these trials built them, drawn from the modules."""
    dense = {r.trial.model: r for r in records if r.trial.method == "dense" and r.network}
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
    ids = [r.id for r in dense.values()]
    text = (
        "Read from the modules of these trials: each box is one operation, its height the side of its feature map, "
        "its width its channels (both logarithmic, written as channels×side where they change); arcs are residual "
        f"sums, with a 1×1 projection or without. {seeds(tidy[tidy.id.isin(ids)])} drawn; images: "
        f"{provenance(tidy[tidy.id.isin(ids)])}."
    )
    return style.save(figure, "architectures", "Networks (paper F, figure 1)", text, ids, layout)


def splits(tidy: pd.DataFrame, records: Sequence[Record], layout: Layout) -> Exhibit | None:
    """Figure 2: how many images these trials trained, validated and tested on."""
    found = {r.data.name: r for r in records if r.trial.method == "dense"}
    if not found:
        return None
    figure, grid = style.panels([f"{name} ({r.data.source})" for name, r in found.items()])
    for axes, record in zip(grid, found.values(), strict=True):
        counts = {"train": record.data.train, "validation": record.data.val, "test": record.data.test}
        colours = [style.COLOURS[m] for m in ("pre-training", "in-training", "post-training")]
        axes.pie(
            list(counts.values()), labels=[f"{name}\n{n:,}" for name, n in counts.items()], colors=colours,
            autopct="%.0f%%", startangle=90, counterclock=False, textprops={"fontsize": 8},
        )  # fmt: skip
    rows = tidy[tidy.id.isin([r.id for r in found.values()])]
    text = (
        "Images that these trials used; a profile may limit training and test images. Paper F states 70/20/10 for "
        f"BloodMNIST and MVTec3D and 80/20 for VisA. n = {len(found)} data sets; images: {provenance(rows)}."
    )
    return style.save(figure, "splits", "Splits (paper F, figure 2)", text, list(rows.id), layout)
