"""How much hangs on optimiser, learning rate and resolution: every training setting that was run, side by side."""

import json
from collections.abc import Iterator

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from paperlib.claims.effects import is_near_chance, marked
from paperlib.claims.stats import SHARE, SHARE_DIFFERENCE, Estimate, mean_interval, paired_difference
from paperlib.core.paths import Layout
from paperlib.exhibits import style
from paperlib.exhibits.captions import provenance, seeds
from paperlib.exhibits.effect_tables import write as write_table
from paperlib.exhibits.manifest import Exhibit
from paperlib.trials.table import SETTING

# The pruned arm that a sweep runs beside dense.
ARM = {"method": "set", "sparsity": 0.5, "scope": "global"}


def write(tidy: pd.DataFrame, study: str, layout: Layout) -> list[Exhibit | None]:
    """Table and figure of the models and data sets that were trained in more than one setting; nothing if none was.

    Validation accuracy only: the test images choose nothing.
    """
    rows = tidy[(tidy.status == "done") & (tidy.quirks == "")]
    arm = (rows[list(ARM)] == pd.Series(ARM)).all(axis=1)
    rows = rows[(rows.method == "dense") | arm]
    several = rows.groupby(["dataset", "model"])["main_setting"].transform("nunique") > 1
    rows = rows[several & rows.val_accuracy.notna()]
    return [_table(rows, study, layout), _figure(rows, study, layout)] if len(rows) else []


def _settings(rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, Estimate | None, Estimate | None]]:
    """(trials, dense validation accuracy, change by the pruned arm) of each setting, in sorted order."""
    for _, group in rows.groupby(["model", "dataset", "epochs", "resolution", *SETTING], dropna=False):
        dense = group[group.method == "dense"].set_index("seed").val_accuracy
        pruned = group[group.method == ARM["method"]].set_index("seed").val_accuracy
        change = paired_difference(pruned, dense.reindex(pruned.index), SHARE_DIFFERENCE)
        yield group, mean_interval(dense, SHARE), change


def _table(rows: pd.DataFrame, study: str, layout: Layout) -> Exhibit:
    found = list(_settings(rows))
    best: dict[tuple[object, ...], float] = {}
    for group, dense, _ in found:
        if dense:
            best[_league(group)] = max(best.get(_league(group), 0.0), dense.mean)
    table = pd.DataFrame(
        {
            "data set": group.dataset.iloc[0],
            "model": marked(group.model.iloc[0], _near_chance(group, dense)),
            "optimiser": group.optimizer.iloc[0],
            "learning rate": f"{group.lr.iloc[0]:g}, {group.schedule.iloc[0]}",
            "options": ", ".join(f"{k} {v:g}" for k, v in json.loads(group.options.iloc[0]).items()) or "–",
            "pixels": int(group.resolution.iloc[0]),
            "epochs": int(group.epochs.iloc[0]),
            "dense, validation, %": dense.text(100) if dense else "–",
            "SET 50 %, points": change.text(100) if change else "not run",
            "": " · ".join(_marks(group, dense, best)),
        }
        for group, dense, change in found
    )
    if (table["SET 50 %, points"] == "not run").all():
        table = table.drop(columns="SET 50 %, points")
    text = (
        "Validation accuracy after training: of the dense network, and what SET at 50 % (global) changes, paired by "
        "seed. `best`: of the settings with as many epochs; `used`: the setting of all other tables and figures. "
        "Every network starts from random weights; pretrained ones were not tried. "
        f"{seeds(rows)}; images: {provenance(rows)}."
    )
    title = "Optimiser, learning rate and resolution"
    behind = [{"dense, validation, %": tuple(group["id"])} for group, _, _ in found]
    return write_table(f"sensitivity_{study}", title, text, table, table, behind, layout)


def _near_chance(group: pd.DataFrame, dense: Estimate | None) -> bool:
    return dense is not None and is_near_chance(dense.mean, group.test_majority.iloc[0])


def _league(group: pd.DataFrame) -> tuple[object, ...]:
    return tuple(group[["dataset", "model", "epochs"]].iloc[0])


def _marks(group: pd.DataFrame, dense: Estimate | None, best: dict[tuple[object, ...], float]) -> Iterator[str]:
    if dense and dense.mean == best[_league(group)]:
        yield "best"
    if group.main_setting.any():
        yield "used"


def _figure(rows: pd.DataFrame, study: str, layout: Layout) -> Exhibit:
    panels = list(dict.fromkeys(zip(rows.dataset, rows.model, strict=True)))
    found = list(_settings(rows))
    kinds = sorted({_kind(group) for group, _, _ in found})
    looks = {kind: (style.SERIES[i], "osD^v"[i % 5]) for i, kind in enumerate(kinds)}
    sources = ["/".join(sorted(set(_of(rows, *panel).source))) for panel in panels]
    names = [f"{model}, {dataset} ({source})" for (dataset, model), source in zip(panels, sources, strict=True)]
    figure, grid = style.panels(names)
    for axes, (dataset, model) in zip(grid, panels, strict=True):
        here = [(g, d) for g, d, _ in found if (g.dataset.iloc[0], g.model.iloc[0]) == (dataset, model) and d]
        for place, (kind, (colour, marker)) in enumerate(looks.items()):
            points = sorted((g.lr.iloc[0], d.mean, d) for g, d in here if _kind(g) == kind)
            if not points:
                continue
            aside = 1.05 ** (place - len(looks) / 2)  # so that equal rates do not hide each other
            x, y = [aside * p[0] for p in points], [100 * p[1] for p in points]
            low = [100 * (p[1] - (p[1] if p[2].low is None else p[2].low)) for p in points]
            high = [100 * ((p[1] if p[2].high is None else p[2].high) - p[1]) for p in points]
            axes.errorbar(x, y, [low, high], color=colour, marker=marker, linewidth=0.8, markersize=4)
        axes.axhline(
            100 * _of(rows, dataset, model).test_majority.iloc[0], color=style.COLOURS["majority"], linestyle=":"
        )
        axes.set_xscale("log")
        rates = sorted({g.lr.iloc[0] for g, _ in here})
        axes.set_xlim(rates[0] / 3, rates[-1] * 3)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(max(axes.get_ylim()[0], -2), min(axes.get_ylim()[1], 102))
        axes.set_xlabel("learning rate")
    for axes in grid[:: style.COLUMNS]:
        axes.set_ylabel("validation accuracy, %")
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=0.8, label=kind)
        for kind, (colour, marker) in looks.items()
    ]
    handles.append(Line2D([], [], color=style.COLOURS["majority"], linestyle=":", label="majority rate"))
    style.legend_below(figure, handles, 3)
    text = (
        f"Dense networks after training, one line per optimiser, epochs and resolution. {seeds(rows)}; "
        f"images: {provenance(rows)}."
    )
    title = "Validation accuracy against the learning rate"
    return style.save(figure, f"rates_{study}", title, text, list(rows["id"]), layout)


def _of(rows: pd.DataFrame, dataset: str, model: str) -> pd.DataFrame:
    return rows[(rows.dataset == dataset) & (rows.model == model)]


def _kind(group: pd.DataFrame) -> str:
    first = group.iloc[0]
    momentum = ", momentum" if "momentum" in first.options else ""
    epochs = "epoch" if first.epochs == 1 else "epochs"
    return f"{first.optimizer}{momentum}, {first.schedule}, {first.epochs} {epochs}, {first.resolution} px"
