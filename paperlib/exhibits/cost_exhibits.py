"""Tables and figures of what pruned networks cost beside dense, from cost records."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paperlib.claims.cost_arms import CostArm, measured_arms
from paperlib.claims.cost_evidence import COSTS, CostMetric, CostTable, Network, networks_of
from paperlib.claims.stats import Estimate
from paperlib.exhibits import style
from paperlib.exhibits.captions import processes
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.exhibits.tables import IDS, estimate_text, write
from paperlib.studies.profiles import P_DATASETS

# What is timed: name in tables and figures, its column in the table of costs, and the metric.
TIMED = (
    ("training", "step", COSTS["training_time"]),
    ("inference, batch 64", "inference_b64", COSTS["inference_time"]),
    ("inference, batch 1", "inference_b1", COSTS["inference_time_b1"]),
)
MEMORY = COSTS["peak_memory"]
_WAYS = (
    "Masked: dense matrices with zeros in them, as in the papers. Realised: the exact variant that skips removed work "
    "(compact: filters cut out; sparse: zeros of linear layers left out)"
)


def table(source: Source, study: str) -> Exhibit | None:
    """`costs_<study>`: every measured arm, masked and realised, beside dense; its csv has the numbers."""
    measured = measured_arms(source.costs, study)
    if not measured:
        return None
    rows = [_row(arm) | {IDS: {"pruned": (arm.id,)}} for arm in measured]
    long = pd.DataFrame([_numbers(arm) for arm in measured])
    trained = "; ".join(dict.fromkeys(f"{arm.network}: {arm.setting.dataset}" for arm in measured))
    text = (
        f"Times of dense = 1, in the same process. {_WAYS}; –: none is expected to pay. Training: all steps and epoch "
        f"boundaries (new masks) on as many images as the first data set of that shape has ({trained}); boundary: % of "
        f"an epoch. Peak memory of a training step is counted. {describe_costs(source.costs, measured)}"
    )
    title = "Costs beside dense: training, inference, memory"
    return write(f"costs_{study}", title, text, rows, source.layout, long=long, groups=("network",))


def _row(arm: CostArm) -> dict[str, object]:
    row: dict[str, object] = {"network": arm.network, "pruned": arm.pruned, "method": arm.setting.method}
    for name, column, metric in TIMED:
        masked = _ratio(arm.effect(metric))
        if column == "step" and arm.is_trained_dense:
            masked = "1 (as dense)"
        way = arm.way(column)
        realised = f"{_ratio(arm.effect(metric, realised=True))} ({way})" if way else "–"
        row |= {f"{name}, masked": masked, f"{name}, realised": realised}
    row["peak memory, masked"] = _ratio(arm.effect(MEMORY))
    row["peak memory, realised"] = _ratio(arm.effect(MEMORY, realised=True)) if arm.way("step") else "–"
    return row | {"boundary, %": estimate_text(arm.boundary, 100, 2), "paper": arm.paper}


def _ratio(estimate: Estimate | None) -> str:
    """`×1.034 [1.021, 1.047]`; without brackets where the processes agree, as on what is counted."""
    if estimate and estimate.low is not None and estimate.high is not None and estimate.high - estimate.low < 1e-9:
        return f"×{estimate.mean:.3f}"
    return f"×{estimate_text(estimate, 1, 3)}" if estimate else "not measured"


def _numbers(arm: CostArm) -> dict[str, object]:
    rows, setting = arm.rows, arm.setting
    row: dict[str, object] = setting._asdict() | {"width": arm.width, "processes": len(rows)}
    row |= {name: rows[name].iloc[0] for name in ("resolution", "channels", "classes", "batch_size")}
    row |= {"rounds": rows.rounds.min()}
    row |= {name: rows[name].iloc[0] for name in ("step_energy_source", "step_energy_uncertainty")}
    for name in ("dense_step_s", "dense_inference_b64_s", "dense_inference_b1_s", "dense_memory_bytes"):
        row[name] = rows[name].mean()
    row |= {f"{column}_way": arm.way(column) or "masked" for _, column, _ in TIMED}
    estimates = {"boundary_share": arm.boundary}
    for metric in COSTS.values():
        if metric.ratio and metric.name not in {"co2", "inference_memory"}:
            for prefix in ("", "realised_"):
                estimates[f"{prefix}{metric.name}"] = arm.effect(metric, realised=bool(prefix))
    for name, estimate in estimates.items():
        row |= {f"{name}_{part}": getattr(estimate, part) if estimate else None for part in ("mean", "low", "high")}
    return row | {"paper": arm.paper}


def describe_costs(costs: CostTable, measured: Sequence[CostArm]) -> str:
    """The end of captions: n, A/A noise floors, machine, width, energy's source and images of these arms."""
    rows = pd.concat([arm.costs.rows for arm in measured])
    noise = "; ".join(f"{name} {floors_text(costs, metric, networks_of(rows))}" for name, _, metric in TIMED)
    return f"A/A noise floor (dense beside dense): {noise}. {_whole_trainings(rows)}{processes(rows)}."


def floors_text(costs: CostTable, metric: CostMetric, networks: Sequence[Network]) -> str:
    """`vgg16 32 px ±2.1 % [1.3, 6.0]`: the A/A noise floor of each network, with its 95 % interval."""
    floors = {network: costs.floor(metric, network) for network in networks}
    return ", ".join(
        f"{network.model} {network.pixels} px ±{floor.text(100, 1)} %" for network, floor in floors.items() if floor
    )


def _whole_trainings(rows: pd.DataFrame) -> str:
    """How far whole trainings lie from the products that stand in the table, for those that were measured."""
    ratios = {
        f"{model}, {name}": value
        for name, column in (
            ("dense", "dense_whole_ratio"),
            ("masked", "whole_ratio"),
            ("realised", "realised_whole_ratio"),
        )
        for model, value in rows.groupby("model", sort=False)[column].median().dropna().items()
    }
    if not ratios:
        return ""
    shown = "; ".join(f"{name} ×{value:.2f}" for name, value in sorted(ratios.items()))
    return f"Whole trainings measured beside, to steps × step + boundaries × boundary: {shown}. "


def figure(source: Source, study: str, model: str) -> Exhibit | None:
    """`costs_<model>`: the arms of a model's first network (the largest images of F), a panel for each cost."""
    measured = [arm for arm in measured_arms(source.costs, study) if arm.setting.model == model]
    if not measured:
        return None
    largest = max(measured, key=lambda arm: (arm.rows.resolution.iloc[0], arm.setting.dataset == P_DATASETS[0]))
    shown = [arm for arm in measured if arm.network == largest.network]
    titles = [*(name for name, *_ in TIMED), "peak memory of training"]
    picture, grid = style.panels(titles, ylabel="ratio to dense", columns=2)
    settings, methods = (
        list(dict.fromkeys(names)) for names in zip(*((a.pruned, a.setting.method) for a in shown), strict=True)
    )
    for axes, (column, metric) in zip(grid, [*((c, m) for _, c, m in TIMED), ("step", MEMORY)], strict=True):
        for arm in shown:
            place = (methods.index(arm.setting.method) - (len(methods) - 1) / 2) * 0.7 / len(methods)
            both = arm.effect(metric), arm.effect(metric, realised=True) if arm.way(column) else None
            draw_both(axes, settings.index(arm.pruned) + place, both, arm.setting.method)
        axes.axhline(1, color=style.COLOURS["dense"], linewidth=1)
        style.noise_band(axes, source.costs.floor(metric, networks_of(shown[0].rows)[0]))
        setting_axis(axes, settings)
        style.log_where_wide(axes.yaxis)
    ways_legend(picture, methods, ["dense", "A/A noise floor"])
    name, others = f"costs_{model}" + "_industrial" * (study == "industrial"), len({a.network for a in measured}) - 1
    text = (
        f"{largest.network}: ratio to dense in the same process. {_WAYS}; not drawn where none is expected to pay. "
        f"Memory is counted. {describe_costs(source.costs, shown)}"
    )
    if others:
        text += f" {others} other input shapes of this model stand in the table costs_{study}."
    ids = (arm.id for arm in shown)
    return style.save(picture, name, f"Costs beside dense, {model}", text, ids, source.layout)


def draw_both(
    axes: Axes, x: float, both: tuple[Estimate | None, Estimate | None], method: str, scale: float = 1
) -> None:
    """Masked (filled) and realised (hollow) at x, each with its interval; nothing for None."""
    for estimate, face in zip(both, (style.colour(method), "white"), strict=True):
        if estimate is not None:
            axes.errorbar(
                x, estimate.mean * scale, style.interval_reach(estimate, scale), color=style.colour(method),
                marker=style.marker(method), markersize=4.5, linewidth=1, markerfacecolor=face,
            )  # fmt: skip


def ways_legend(picture: Figure, methods: Sequence[str], lines: Sequence[str], extra: Sequence[Line2D] = ()) -> None:
    """One legend under all panels: methods, filled and hollow, then reference lines."""
    look = {"color": style.COLOURS["majority"], "marker": "o", "linestyle": ""}
    handles = [Line2D([], [], color=style.colour(m), marker=style.marker(m), linestyle="", label=m) for m in methods]
    handles += [Line2D([], [], label="filled: masked", **look)]
    handles += [Line2D([], [], label="hollow: realised", markerfacecolor="white", **look), *extra]
    style.legend_below(picture, [*handles, *map(style.line, lines)], 4)


def setting_axis(axes: Axes, settings: Sequence[str]) -> None:
    """The x axis of a panel with one place per setting: its names level where they have room."""
    names = [_in_lines(s) for s in settings]
    if len(settings) > 4:
        axes.set_xticks(range(len(settings)), settings, rotation=40, ha="right", fontsize=7)
    else:
        wide = len(names) * max(len(line) for name in names for line in name.split("\n")) > 35  # what a panel holds
        axes.set_xticks(range(len(names)), names, fontsize=7 if wide else None)
    axes.set_xlim(-0.5, len(settings) - 0.5)
    axes.grid(axis="x", visible=False)


def _in_lines(setting: str) -> str:
    # `global 50%` and `layerwise conv 50%, linear 80%`: scope, filters and weights on a line each.
    if ", " not in setting:
        return setting.replace(" ", "\n", 1)
    return setting.replace(" conv", "\nconv").replace(", ", ",\n")
