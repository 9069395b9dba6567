"""The tables of pruning tutorials, from our own trials on the small perceptron."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from paperlib.claims import stats
from paperlib.claims.cost_evidence import COSTS, CostTable
from paperlib.claims.effects import corrected_protocol, marked, near_chance
from paperlib.claims.settings import Setting
from paperlib.exhibits.captions import seeds_and_images
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.exhibits.tables import IDS, estimate_text, write
from paperlib.studies.tutorial import TECHNIQUES

Rows = list[dict[str, object]]
Cell = Callable[[pd.DataFrame], str]  # the text of a cell, from the trials of its row


def _mean(column: str, scale: float = 1, digits: int = 2, bounds: stats.Bounds = stats.POSITIVE) -> Cell:
    return lambda arm: estimate_text(stats.mean_interval(arm[column], bounds), scale, digits, "not measured")


_share = partial(_mean, scale=100, bounds=stats.SHARE)


def _plain(column: str, form: str, unit: float = 1) -> Cell:
    return lambda arm: form.format(arm[column].mean() / unit)


def _change(arm: pd.DataFrame) -> str:
    return estimate_text(stats.paired_difference(arm.test_accuracy, arm.test_accuracy_dense, stats.SHARE_DIFFERENCE))


def _ratio(column: str, dense_column: str) -> Cell:
    return lambda arm: estimate_text(stats.paired_ratio(arm[column], arm[dense_column]), 1, 3, "not measured")


def _of_dense(column: str) -> Cell:
    return lambda arm: f"{(arm[column] / arm.dense_bytes).mean():.1%}"


def _technique(arm: pd.DataFrame) -> str:
    return str(arm.method.iloc[0])


_PRUNED: dict[str, Cell] = {"pruned": _plain("sparsity", "{:.1%}")}
_ARM: dict[str, Cell] = {"technique": _technique, **_PRUNED}
TITLES = {
    "before_after": "Accuracy before and after pruning",
    "techniques": "Techniques compared: magnitude, random, magnitude in rounds",
    "sizes": "Size of the pruned network",
    "shrink": "Sparsity against size",
    "gain": "What pruning gains in all",
    "times": "Training and pruning, wall time",
    "thresholds": "Threshold against accuracy and size",
    "connections": "Connections left in each layer, seed 0 (n = 1)",
    "rounds": "Validation accuracy by pruning round, with fine-tuning",
}
_BESIDE_DENSE = ("before_after", "gain", "times")  # rows that rest on dense of the same seeds, too
# The columns of the tables with a row for each arm.
_BY_ARM: dict[str, Mapping[str, Cell]] = {
    "before_after": _ARM | {
        "before, %": _share("test_accuracy_dense"), "after, %": _share("test_accuracy"),
        "difference, points": _change,
    },
    "sizes": {
        "technique": _technique, "sparsity, counted": _plain("network_sparsity", "{:.2%}"),
        "non-zero parameters": lambda arm: f"{arm.nonzeros.mean():,.0f} of {arm.parameters.mean():,.0f}",
        "masked, kB": _plain("dense_bytes", "{:.1f}", 1000), "CSR, kB": _plain("csr_bytes", "{:.1f}", 1000),
        "compact, kB": _plain("compact_bytes", "{:.1f}", 1000),
    },
    "shrink": _PRUNED | {
        "masked, % of dense": _of_dense("dense_bytes"), "CSR, % of dense": _of_dense("csr_bytes"),
        "compact, % of dense": _of_dense("compact_bytes"),
    },
    "gain": _ARM | {
        "accuracy, points": _change, "CSR size, × dense": _ratio("csr_bytes", "dense_bytes_dense"),
    },
    "times": _ARM | {
        "training with pruning, s of wall time": _mean("train_time_s", 1, 3),
        "dense training, s of wall time": _mean("train_time_s_dense", 1, 3),
    },
    "thresholds": {
        "threshold": _plain("threshold", "{:g}"), "sparsity, counted, %": _share("network_sparsity"),
        "CSR, kB": _mean("csr_bytes", 1e-3, 1), "test accuracy, %": _share("test_accuracy"),
    },
}  # fmt: skip


def _inference(costs: CostTable, arm: pd.DataFrame) -> tuple[dict[str, str], tuple[str, ...]]:
    """The columns of inference beside dense, and the ids of the cost records behind them; the arm may have none."""
    first, metric = arm.iloc[0], COSTS["inference_time"]
    setting = Setting(first.dataset, first.model, first.method, first.conv_sparsity, first.sparsity, first.scope)
    effects = [costs.effect(metric, setting, realised=way, width=first.width) for way in (False, True)]
    texts = [estimate_text(effect, 1, 3, "not measured") for effect in effects]
    names = ("inference, masked, × dense", "inference, realised, × dense")
    return dict(zip(names, texts, strict=True)), tuple(costs.of(setting, first.width).get("id", ()))


def _arms(tidy: pd.DataFrame) -> list[pd.DataFrame]:
    """The trials of each technique and sparsity, every row with the columns of dense of its seed (`…_dense`)."""
    dense = tidy[tidy.method == "dense"].set_index("seed").add_suffix("_dense")
    rows = corrected_protocol(tidy)
    rows = rows[rows.method.isin(TECHNIQUES) & (rows.scope == "global")].join(dense, on="seed")
    return [arm for _, arm in rows.groupby(["method", "sparsity"], sort=False)]


def _techniques(arms: list[pd.DataFrame]) -> pd.DataFrame:
    rows: dict[str, dict[str, Any]] = {}
    for arm in arms:
        technique, pruned = _technique(arm), _PRUNED["pruned"](arm)
        row = rows.setdefault(pruned, {"pruned": pruned, IDS: {"pruned": ()}})
        row[technique] = _share("test_accuracy")(arm)
        row[IDS] |= {technique: tuple(arm.id), "pruned": (*row[IDS]["pruned"], *arm.id)}
    return pd.DataFrame(list(rows.values())).fillna("not run")


def _connections(source: Source) -> Rows:
    """Of the first seed alone: how many go is the same for all."""
    tidy = source.table
    chosen = tidy.method.isin(TECHNIQUES) & (tidy.seed == 0) & (tidy.scope == "global") & (tidy.status == "done")
    return [
        {"technique": r.trial.method, "pruned": f"{r.trial.sparsity:.1%}"}
        | {f"{x.name}, {x.shape[1]}→{x.shape[0]}": f"{x.units - x.removed:,} of {x.units:,}" for x in r.layers}
        | {IDS: (r.id,)}
        for r in sorted(source.records_of(tidy[chosen]), key=lambda r: (r.trial.method, r.trial.sparsity))
    ]


def _rounds(source: Source) -> Rows:
    """Validation accuracy of every round of `iterative`: right after pruning, and after fine-tuning."""
    rows = [
        {
            "id": r.id, "pruned": r.trial.sparsity, "epoch": e.epoch + 1,
            "gone": e.removed / sum(x.units for x in r.layers),
            "cut": e.pruned.accuracy if e.pruned else None, "tuned": e.val.accuracy,
        }
        for r in source.records if r.trial.method == "iterative" and r.status == "done" for e in r.curve
    ]  # fmt: skip
    return [
        {
            "target": f"{target:.1%}", "epoch": epoch, "gone, %": _plain("gone", "{:.1%}")(group),
            "after pruning, %": _share("cut")(group) if group.cut.notna().any() else "– (dense)",
            "after the epoch's training, %": _share("tuned")(group), IDS: tuple(group.id),
        }
        for (target, epoch), group in pd.DataFrame(rows).groupby(["pruned", "epoch"])
    ] if rows else []  # fmt: skip


def write_all(source: Source) -> list[Exhibit | None]:
    """The tables that the trials of one data set (dense and pruned) can fill, as `tutorial_<name>`."""
    tidy, arms = source.table, _arms(source.table)
    groups = dict.fromkeys(_BY_ARM, arms)
    groups["shrink"] = [arm for arm in arms if _technique(arm) == "post-training"]
    thresholds = tidy[(tidy.method == "threshold") & (tidy.status == "done")].groupby("threshold")
    groups["thresholds"] = [group for _, group in thresholds]
    tables: dict[str, Any] = {
        name: [
            {column: cell(arm) for column, cell in _BY_ARM[name].items()}
            | {IDS: (*arm.id, *arm.id_dense.dropna()) if name in _BESIDE_DENSE else tuple(arm.id)}
            for arm in rows
        ]
        for name, rows in groups.items()
    }
    for row, arm in zip(tables["gain"], arms, strict=True):
        columns, ids = _inference(source.costs, arm)
        row.update(columns | {IDS: (*row[IDS], *ids)})
    tables |= {"techniques": _techniques(arms), "connections": _connections(source), "rounds": _rounds(source)}
    text = (
        f"Small MLP. {seeds_and_images(tidy)}. `post-training` and `post-training-random` cut the "
        "trained dense network without fine-tuning, so their training time is that of dense; `iterative` trains half "
        "of the same epochs densely and then cuts before each epoch. Inference at batch 64 is from cost records, "
        "which not every arm has; wall times depend on what else the machine did. The paper's values are not published."
    )
    untrained, made = bool(near_chance(tidy)), []
    for name, title in TITLES.items():
        frame = pd.DataFrame(tables[name])
        for first in frame.columns[:1]:
            frame[first] = [marked(row, untrained) for row in frame[first]]
        made.append(write(f"tutorial_{name}", title, text, frame, source.layout))
    return made
