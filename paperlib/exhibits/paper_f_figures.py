"""Paper F's figures 1 to 17 from the records, scenario by scenario (its tables: paper_f_tables.py)."""

from collections.abc import Iterable
from itertools import product

import pandas as pd
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paperlib.claims.cost_arms import width_of
from paperlib.claims.cost_evidence import COSTS, EPOCHS_F, CostMetric, CostTable, networks_of
from paperlib.claims.effects import ACCURACY, Metric, corrected_protocol
from paperlib.claims.settings import METHODS as METHODS_OF_F
from paperlib.claims.settings import MODELS, SETS, Setting
from paperlib.claims.stats import SHARE, mean_interval
from paperlib.exhibits import architecture, style
from paperlib.exhibits.captions import processes, provenance, seeds, seeds_and_images, with_source
from paperlib.exhibits.cost_exhibits import draw_both, floors_text, ways_legend
from paperlib.exhibits.effect_figures import cell_panels, draw_curves
from paperlib.exhibits.expected import F_FIGURES
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.models import build
from paperlib.pruners import METHODS
from paperlib.studies import SCENARIOS, Scenario

COSTS_OF_F = ("training_time", "training_energy")


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


def scores(source: Source, scenario: Scenario) -> Exhibit | None:
    """Figures 12 to 14: test accuracy of every method in one scenario, a panel per data set and model."""
    rows = scenario_rows(source.table, scenario)
    methods = _methods(rows)
    if not methods:
        return None
    figure, panels = cell_panels(rows, "", f"{ACCURACY.title.lower()}, %", columns=2, with_model=True)
    for axes, (dataset, model) in panels:
        in_panel = rows[(rows.dataset == dataset) & (rows.model == model)]
        levels = {m: mean_interval(in_panel[in_panel.method == m].test_accuracy, SHARE) for m in methods}
        for x, (method, level) in enumerate(levels.items()):
            style.dot(axes, x, level, ACCURACY.scale, method)
        style.dense_level(axes, levels.get("dense"), ACCURACY.scale)
        style.majority(axes, in_panel.test_majority)
        style.limit_percent(axes)
        _method_axis(axes, methods)
    style.legend(figure, methods, ["majority rate"])
    return _save(figure, "test_accuracy", ACCURACY.title, scenario, [seeds_and_images(rows)], rows.id, source)


def training_cost(source: Source, name: str, scenario: Scenario) -> Exhibit | None:
    """Figures 9 to 11 (`training_time`) and 15 to 17 (`training_energy`, with CO2): F's whole training, from steps."""
    metric, costs = COSTS[name], source.costs
    panels = _cost_panels(costs, metric, scenario)
    if not panels:
        return None
    figure, grid = style.panels(list(panels), ylabel=f"{metric.title.lower()}, {metric.unit}", columns=2)
    every = pd.concat(rows for of_panel in panels.values() for rows in of_panel)
    one_grid = name == "training_energy" and every.grid_g_per_kwh.nunique() == 1
    grams = every.grid_g_per_kwh.iloc[0] / 3600 if one_grid else None
    for axes, of_panel in zip(grid, panels.values(), strict=True):
        _draw_costs(axes, of_panel, metric)
        dense = (pd.concat(of_panel)[metric.level] / pd.concat(of_panel)[metric.ratio]).mean() * metric.scale
        axes.axhline(dense, color=style.COLOURS["dense"], linewidth=1)
        style.noise_band(axes, costs.floor(metric, networks_of(of_panel[0])[0]), dense)
        axes.set_ylim(0)
        if grams:
            style.co2_axis(axes, grams, "CO2, g")
    ways_legend(figure, list(dict.fromkeys(every.method)), ["dense", "A/A noise floor"])
    text = [
        f"{EPOCHS_F} epochs on as many images as each data set has: steps times step plus epoch boundaries times "
        "boundary, as measured at that image size and batch",
        "line: dense; filled: masked, as in the papers; hollow: the exact variant that skips removed work, where one "
        "is expected to pay",
        "post-training has the training of dense by construction",
        f"A/A noise floor: {floors_text(costs, metric, networks_of(every))}",
        processes(every),
    ]
    if grams:
        text.append(f"Right: CO2, which is energy times {grams * 3600:.4g} g per kWh; the paper has no figure of it")
    title = f"{metric.title}{' and CO2' if grams else ''}"
    return _save(figure, name, title, scenario, text, every.id, source)


def _cost_panels(costs: CostTable, metric: CostMetric, scenario: Scenario) -> dict[str, list[pd.DataFrame]]:
    """By the title of a panel (data set and model) the rows of each method that was measured."""
    panels = {}
    for dataset, model in product(SETS, MODELS):
        settings = [Setting(dataset, model, m, scenario.conv, scenario.linear) for m in METHODS_OF_F]
        of_methods = [costs.of(setting, width_of(costs, model)) for setting in settings]
        rows = [each for each in of_methods if len(each) and each[metric.level].notna().all()]
        if rows:
            first = rows[0].iloc[0]
            panels[f"{dataset}, {model}\n{first.resolution} px, batch {first.batch_size}"] = rows
    return panels


def _draw_costs(axes: Axes, of_panel: list[pd.DataFrame], metric: CostMetric) -> None:
    for x, rows in enumerate(of_panel):
        masked, realised = (mean_interval(rows[f"{way}{metric.level}"]) for way in ("", "realised_"))
        faster = not rows.realised_step_way.isin(["masked", "dense"]).all()
        draw_both(axes, x, (masked, realised if faster else None), rows.method.iloc[0], metric.scale)
    _method_axis(axes, [str(rows.method.iloc[0]) for rows in of_panel])


def _method_axis(axes: Axes, methods: list[str]) -> None:
    axes.set_xticks(range(len(methods)), methods, rotation=40, ha="right")
    axes.grid(axis="x", visible=False)


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
        f"images: {provenance(rows)}",
    ]
    return _save(figure, f"training_{quantity.name}", quantity.title, scenario, text, rows.id, source)


def _save(
    figure: Figure, name: str, title: str, scenario: Scenario, text: list[str], ids: Iterable[str], source: Source
) -> Exhibit:
    title += f", scenario {scenario.name}"
    if scenario.name in SCENARIOS:
        title += f" (paper F, figure {F_FIGURES[name] + list(SCENARIOS).index(scenario.name)})"
    removed = f"{scenario.conv:.0%} of filters, {scenario.linear:.0%} of linear weights removed"
    parts = [f"Scenario {scenario.name} ({scenario.title}): {removed}", *text]
    return style.save(figure, f"{name}_{scenario.name}", title, ". ".join(parts) + ".", ids, source.layout)


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
