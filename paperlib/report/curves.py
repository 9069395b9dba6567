"""Accuracy and costs against sparsity: small perceptrons by the dozen in one training, and their picture."""

import io
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import pandas as pd
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paperlib.claims.cost_evidence import COSTS, CostMetric, CostTable, networks_of
from paperlib.claims.settings import Setting
from paperlib.claims.stats import SHARE, mean_interval
from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.records import cost_table, read_costs
from paperlib.exhibits import style
from paperlib.exhibits.cost_exhibits import draw_both, ways_legend
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial
from paperlib.studies import mlp
from paperlib.studies.profiles import SPARSITIES as P_SPARSITIES
from paperlib.trials.archive import ORDER, archives
from paperlib.trials.runner import run_all

MODEL = "mlp-small"
SPARSITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
SEEDS, EPOCHS = 3, 3  # full MNIST in 8 s on two cores of an AMD EPYC


def curve_trials(
    sparsities: Sequence[float] = SPARSITIES,
    *,
    dataset: str = "mnist",
    method: str = "set",
    scope: str = "global",
    seeds: int = SEEDS,
    epochs: int = EPOCHS,
) -> list[Trial]:
    """Dense and the method at those of the sparsities that the scope can hold, trained as in `quick` on all images.

    Raises PaperlibError for what no trial can be, and where the scope can hold none.
    """
    shares = [round(float(s), 4) for s in sparsities]
    asked = mlp(
        "quick", datasets=[dataset], models=[MODEL], sparsities=shares, scopes=[scope], methods=[method], seeds=seeds
    )
    trials = [t.model_copy(update={"epochs": epochs}) for t in asked if t.sparsity or t.method == "dense"]
    if not any(t.sparsity for t in trials):
        raise PaperlibError(f"{MODEL} cannot hold any of these sparsities by method {method!r} in scope {scope!r}")
    return trials


def sparsity_curve(
    sparsities: Sequence[float] = SPARSITIES,
    *,
    dataset: str = "mnist",
    method: str = "set",
    scope: str = "global",
    seeds: int = SEEDS,
    epochs: int = EPOCHS,
) -> Image:
    """The picture of `draw` for `curve_trials`, run or found in results/scratch. Raises as `curve_trials` does."""
    trials = curve_trials(sparsities, dataset=dataset, method=method, scope=scope, seeds=seeds, epochs=epochs)
    return Image(png(draw(run_all(trials, Layout.of("scratch")))), alt=f"{method} on {dataset} against sparsity")


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def draw(records: Sequence[Record]) -> Figure:
    """Test accuracy beside dense, and inference and training beside dense, against the sparsity of one method.

    Costs are counted FLOPs without removed work, and beside them times where cost records have the method and scope.
    """
    pruned = sorted((r for r in records if r.trial.sparsity), key=lambda r: r.trial.sparsity)
    arms = {sparsity: list(same) for sparsity, same in groupby(pruned, key=lambda r: r.trial.sparsity)}
    trial, data, colour = pruned[0].trial, pruned[0].data, style.colour(pruned[0].trial.method)
    titles = ["test accuracy, %", "inference (batch 64), ratio to dense", "training, ratio to dense"]
    figure, (accuracy, inference, training) = style.panels(titles, "weights removed in the scope, %")
    style.dense_level(accuracy, mean_interval(_accuracies(r for r in records if not r.trial.sparsity), SHARE), 100)
    levels = {sparsity: level for sparsity, arm in arms.items() if (level := mean_interval(_accuracies(arm), SHARE))}
    accuracy.plot([100 * s for s in levels], [100 * e.mean for e in levels.values()], color=colour, linewidth=0.8)
    for sparsity, level in levels.items():
        style.dot(accuracy, 100 * sparsity, level, 100, trial.method)
    style.majority(accuracy, pd.Series([data.test_majority], dtype=float))
    style.limit_percent(accuracy)
    costs, settings = _measured(trial, list(arms))
    for axes, kind in ((inference, "inference"), (training, "training")):
        counted = {s: [_flops(r, kind) for r in arm if r.costs] for s, arm in arms.items()}
        counted = {s: ratios for s, ratios in counted.items() if ratios}
        axes.plot([100 * s for s in counted], [np.mean(r) for r in counted.values()], color=colour, linewidth=0.8)
        axes.axhline(1, color=style.COLOURS["dense"], linewidth=1)
        _draw_measured(axes, costs, COSTS[f"{kind}_time"], settings, trial.width)
    flops = Line2D([], [], color=colour, linewidth=0.8, label="counted FLOPs, removed work left out")
    dense = "dense (95 % interval)" if len({r.trial.seed for r in records}) > 1 else "dense"
    ways_legend(figure, [trial.method], [dense, "majority rate", *["A/A noise floor"] * bool(settings)], [flops])
    processes = len(costs.of(next(iter(settings.values())), trial.width)) if settings else 0
    timed = f"times measured in {processes} processes" if settings else "no measured times of this method and scope"
    title = f"{trial.method}, {trial.scope}, {trial.model} on {trial.dataset} ({data.source})"
    seeds = len({r.trial.seed for r in pruned})
    figure.suptitle(
        f"{title}\nn = {seeds}, {trial.epochs} epoch{'s' * (trial.epochs > 1)}; {timed}", fontsize=9, x=0.01, ha="left"
    )
    return figure


def _accuracies(records: "Iterator[Record] | list[Record]") -> list[float]:
    return [r.test.accuracy for r in records if r.test]


def _flops(record: Record, kind: str) -> float:
    return float(getattr(record.costs, f"{kind}_flops") / getattr(record.costs, f"dense_{kind}_flops"))


def _measured(trial: Trial, sparsities: Sequence[float]) -> tuple[CostTable, dict[float, Setting]]:
    """The first table of costs that has this method at these or P's sparsities, and the arms that it has of them."""
    asked = sorted({*sparsities, *filter(None, P_SPARSITIES)})
    arms = {s: Setting(trial.dataset, trial.model, trial.method, 0.0, s, trial.scope) for s in asked}
    for table in cost_tables():
        if found := {s: arm for s, arm in arms.items() if len(table.of(arm, trial.width))}:
            return table, found
    return CostTable(pd.DataFrame()), {}


def _draw_measured(
    axes: Axes, costs: CostTable, metric: CostMetric, settings: dict[float, Setting], width: float
) -> None:
    for sparsity, arm in settings.items():
        both = [costs.effect(metric, arm, realised=realised, width=width) for realised in (False, True)]
        draw_both(axes, 100 * sparsity, (both[0], both[1]), arm.method)
    networks = [n for setting in settings.values() for n in networks_of(costs.of(setting, width))]
    style.noise_band(axes, costs.floor(metric, networks[0]) if networks else None)


def cost_tables() -> Iterator[CostTable]:
    """Cost records of one's own, largest profile first, then the committed ones."""
    for name in ORDER:
        yield CostTable(cost_table(read_costs(Layout.of(name))))
    for archive in archives() if paths.project() else []:
        if (table := archive.with_name("costs.parquet")).exists():
            yield CostTable(pd.read_parquet(table))
