"""How much hangs on optimiser, learning rate, batch size, resolution: every setting that was run, side by side."""

import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from paperlib.claims.effects import is_near_chance, marked
from paperlib.claims.stats import SHARE, SHARE_DIFFERENCE, mean_interval, paired_difference
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


def write(source: Source, study: str) -> list[Exhibit | None]:
    """Table and figure of the models and data sets that were trained in more than one setting; nothing if none was.

    Validation accuracy only: the test images choose nothing.
    """
    rows = source.table[(source.table.status == "done") & (source.table.quirks == "")]
    arm = (rows[list(ARM)] == pd.Series(ARM)).all(axis=1)
    rows = rows[(rows.method == "dense") | arm]
    # Networks of another width are no settings of this one.
    rows = rows[rows.width == rows.width.where(rows.main_setting).groupby([rows.dataset, rows.model]).transform("max")]
    several = rows.groupby(["dataset", "model"])["main_setting"].transform("nunique") > 1
    rows = rows[several & rows.val_accuracy.notna()]
    settings = _settings(rows)
    return [_table(settings, rows, study, source), _figure(settings, rows, study, source)] if len(settings) else []


def _settings(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per training setting, with its ids, the estimate of dense validation accuracy (dense; its mean: level)
    and of what the pruned arm changes, paired by seed (change)."""
    settings = []
    for _, group in rows.groupby(["model", "dataset", "epochs", "resolution", *SETTING], dropna=False):
        by_seed = group.set_index("seed").val_accuracy
        dense, pruned = (by_seed[(group.method == method).to_numpy()] for method in ("dense", ARM["method"]))
        estimate = mean_interval(dense, SHARE)
        change = paired_difference(pruned, dense.reindex(pruned.index), SHARE_DIFFERENCE)
        first = group.iloc[0].to_dict() | {"ids": tuple(group.id), "used": group.main_setting.any()}
        settings.append(first | {"dense": estimate, "level": estimate.mean if estimate else np.nan, "change": change})
    return pd.DataFrame(settings)


def _table(settings: pd.DataFrame, rows: pd.DataFrame, study: str, source: Source) -> Exhibit | None:
    best = settings.groupby(["dataset", "model", "epochs"])["level"].transform("max") == settings.level
    untrained = list(map(is_near_chance, settings.level, settings.test_majority))
    options = [json.loads(text).items() for text in settings.options]
    frame = pd.DataFrame(
        {
            "data set": settings.dataset,
            "model": list(map(marked, settings.model, untrained)),
            "optimiser": settings.optimizer,
            "learning rate": [f"{s.lr:g}, {s.schedule}" for s in settings.itertuples()],
            "options": [", ".join(f"{name} {value:g}" for name, value in items) or "–" for items in options],
            "batch": settings.batch_size.astype(int),
            "pixels": settings.resolution.astype(int),
            "epochs": settings.epochs.astype(int),
            "dense, validation, %": settings.dense.map(estimate_text),
            "SET 50 %, points": [estimate_text(e, missing=NOT_RUN) for e in settings.change],
            "": [
                " · ".join(["best"] * is_best + ["used"] * used)
                for is_best, used in zip(best, settings.used, strict=True)
            ],
            IDS: [{"dense, validation, %": ids} for ids in settings.ids],
        }
    )
    if (frame["SET 50 %, points"] == NOT_RUN).all():
        frame = frame.drop(columns="SET 50 %, points")
    text = (
        "Validation accuracy after training: of the dense network, and what SET at 50 % (global) changes, paired by "
        "seed. `best`: of the settings with as many epochs; `used`: the setting of all other tables and figures. "
        f"Every network starts from random weights; pretrained ones were not tried. {seeds_and_images(rows)}."
    )
    title = "Optimiser, learning rate, batch size and resolution"
    return write_table(f"sensitivity_{study}", title, text, frame, source.layout)


def _figure(settings: pd.DataFrame, rows: pd.DataFrame, study: str, source: Source) -> Exhibit:
    panels = dict(list(rows.groupby(["dataset", "model"], sort=False)))
    settings = settings.assign(kind=[_kind(s) for s in settings.itertuples()])
    looks: dict[str, dict[str, Any]] = {
        kind: {"color": style.SERIES[i], "marker": "osD^v"[i % 5], "linewidth": 0.8}
        for i, kind in enumerate(sorted(set(settings.kind)))
    }
    names = [f"{model}, {with_source(str(dataset), group.source)}" for (dataset, model), group in panels.items()]
    figure, grid = style.panels(names, "learning rate", "validation accuracy, %")
    for axes, ((dataset, model), group) in zip(grid, panels.items(), strict=True):
        in_panel = settings[(settings.dataset == dataset) & (settings.model == model) & settings.level.notna()]
        for place, (kind, look) in enumerate(looks.items()):
            points = in_panel[in_panel.kind == kind].sort_values(["lr", "level"])
            if points.empty:
                continue
            aside = 1.05 ** (place - len(looks) / 2)  # so that equal rates do not hide each other
            reach = np.hstack([style.interval_reach(e, 100) or [[0.0], [0.0]] for e in points.dense])
            axes.errorbar(aside * points.lr, 100 * points.level, reach, markersize=4, **look)
        style.majority(axes, group.test_majority)
        axes.set_xscale("log")
        axes.set_xlim(in_panel.lr.min() / 3, in_panel.lr.max() * 3)
        axes.xaxis.set_minor_formatter(NullFormatter())
        style.limit_percent(axes)
    handles = [Line2D([], [], label=kind, **look) for kind, look in looks.items()]
    style.legend_below(figure, [*handles, style.line("majority rate")], 3)
    kinds = "optimiser, batch size, epochs and resolution"
    text = f"Dense networks after training, one line per {kinds}. {seeds_and_images(rows)}."
    title = "Validation accuracy against the learning rate"
    return style.save(figure, f"rates_{study}", title, text, rows.id, source.layout)


def _kind(first: Any) -> str:
    momentum = ", momentum" if "momentum" in first.options else ""
    epochs = "epoch" if first.epochs == 1 else "epochs"
    return (
        f"{first.optimizer}{momentum}, {first.schedule}, batch {first.batch_size}, {first.epochs} {epochs}, "
        f"{first.resolution} px"
    )
