"""How much hangs on optimiser, learning rate and resolution: every training setting that was run, side by side."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from paperlib.claims.effects import is_near_chance, marked
from paperlib.claims.stats import SHARE, SHARE_DIFFERENCE, Estimate, mean_interval, paired_difference
from paperlib.exhibits import style
from paperlib.exhibits.captions import seeds_and_images, with_source
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.exhibits.tables import IDS, estimate_text
from paperlib.exhibits.tables import write as write_table
from paperlib.trials.table import SETTING

# The pruned arm that a sweep runs beside dense.
ARM = {"method": "set", "sparsity": 0.5, "scope": "global"}
NOT_RUN = "not run"


@dataclass(frozen=True)
class Trained:
    """One training setting of a data set and model. rows: its trials; first: one of them; dense: validation accuracy;
    change: by the pruned arm, paired by seed."""

    rows: pd.DataFrame
    first: pd.Series
    dense: Estimate | None
    change: Estimate | None


def write(source: Source, study: str) -> list[Exhibit | None]:
    """Table and figure of the models and data sets that were trained in more than one setting; nothing if none was.

    Validation accuracy only: the test images choose nothing.
    """
    rows = source.table[(source.table.status == "done") & (source.table.quirks == "")]
    arm = (rows[list(ARM)] == pd.Series(ARM)).all(axis=1)
    rows = rows[(rows.method == "dense") | arm]
    several = rows.groupby(["dataset", "model"])["main_setting"].transform("nunique") > 1
    rows = rows[several & rows.val_accuracy.notna()]
    settings = []
    for _, group in rows.groupby(["model", "dataset", "epochs", "resolution", *SETTING], dropna=False):
        dense, pruned = (
            group[group.method == method].set_index("seed").val_accuracy for method in ("dense", ARM["method"])
        )
        change = paired_difference(pruned, dense.reindex(pruned.index), SHARE_DIFFERENCE)
        settings.append(Trained(group, group.iloc[0], mean_interval(dense, SHARE), change))
    return [_table(settings, rows, study, source), _figure(settings, rows, study, source)] if settings else []


def _table(settings: list[Trained], rows: pd.DataFrame, study: str, source: Source) -> Exhibit | None:
    best: dict[tuple[object, ...], float] = {}
    for s in settings:
        if s.dense:
            league = s.first.dataset, s.first.model, s.first.epochs
            best[league] = max(best.get(league, 0.0), s.dense.mean)
    table = []
    for s in settings:
        first = s.first
        is_best = s.dense is not None and s.dense.mean == best[first.dataset, first.model, first.epochs]
        untrained = s.dense is not None and is_near_chance(s.dense.mean, first.test_majority)
        table.append(
            {
                "data set": first.dataset,
                "model": marked(first.model, untrained),
                "optimiser": first.optimizer,
                "learning rate": f"{first.lr:g}, {first.schedule}",
                "options": ", ".join(f"{k} {v:g}" for k, v in json.loads(first.options).items()) or "–",
                "pixels": int(first.resolution),
                "epochs": int(first.epochs),
                "dense, validation, %": estimate_text(s.dense),
                "SET 50 %, points": estimate_text(s.change, missing=NOT_RUN),
                "": " · ".join(
                    word for word, is_so in (("best", is_best), ("used", s.rows.main_setting.any())) if is_so
                ),
                IDS: {"dense, validation, %": tuple(s.rows.id)},
            }
        )
    frame = pd.DataFrame(table)
    if (frame["SET 50 %, points"] == NOT_RUN).all():
        frame = frame.drop(columns="SET 50 %, points")
    text = (
        "Validation accuracy after training: of the dense network, and what SET at 50 % (global) changes, paired by "
        "seed. `best`: of the settings with as many epochs; `used`: the setting of all other tables and figures. "
        f"Every network starts from random weights; pretrained ones were not tried. {seeds_and_images(rows)}."
    )
    title = "Optimiser, learning rate and resolution"
    return write_table(f"sensitivity_{study}", title, text, frame, source.layout)


def _figure(settings: list[Trained], rows: pd.DataFrame, study: str, source: Source) -> Exhibit:
    panels = dict(list(rows.groupby(["dataset", "model"], sort=False)))
    kinds = sorted({_kind(s.first) for s in settings})
    looks: dict[str, dict[str, Any]] = {
        kind: {"color": style.SERIES[i], "marker": "osD^v"[i % 5], "linewidth": 0.8} for i, kind in enumerate(kinds)
    }
    names = [f"{model}, {with_source(str(dataset), group.source)}" for (dataset, model), group in panels.items()]
    figure, grid = style.panels(names, "learning rate", "validation accuracy, %")
    for axes, (panel, group) in zip(grid, panels.items(), strict=True):
        in_panel = [s for s in settings if (s.first.dataset, s.first.model) == panel and s.dense]
        for place, (kind, look) in enumerate(looks.items()):
            points = sorted((s.first.lr, s.dense.mean, s.dense) for s in in_panel if s.dense and _kind(s.first) == kind)
            if not points:
                continue
            rates, means, estimates = zip(*points, strict=True)
            aside = 1.05 ** (place - len(looks) / 2)  # so that equal rates do not hide each other
            reach = np.hstack([style.interval_reach(e, 100) or [[0.0], [0.0]] for e in estimates])
            axes.errorbar(aside * np.array(rates), 100 * np.array(means), reach, markersize=4, **look)
        style.majority(axes, group.test_majority)
        axes.set_xscale("log")
        axes.set_xlim(min(s.first.lr for s in in_panel) / 3, max(s.first.lr for s in in_panel) * 3)
        axes.xaxis.set_minor_formatter(NullFormatter())
        style.limit_percent(axes)
    handles = [Line2D([], [], label=kind, **look) for kind, look in looks.items()]
    style.legend_below(figure, [*handles, style.line("majority rate")], 3)
    text = f"Dense networks after training, one line per optimiser, epochs and resolution. {seeds_and_images(rows)}."
    title = "Validation accuracy against the learning rate"
    return style.save(figure, f"rates_{study}", title, text, rows.id, source.layout)


def _kind(first: pd.Series) -> str:
    momentum = ", momentum" if "momentum" in first.options else ""
    epochs = "epoch" if first.epochs == 1 else "epochs"
    return f"{first.optimizer}{momentum}, {first.schedule}, {first.epochs} {epochs}, {first.resolution} px"
