"""The tables of pruning tutorials, from our own trials: one csv, html and LaTeX each."""

from collections.abc import Callable
from itertools import chain

import pandas as pd

from paperlib.claims.effects import corrected_protocol, marked, near_chance
from paperlib.claims.stats import (
    POSITIVE,
    SHARE,
    SHARE_DIFFERENCE,
    Bounds,
    mean_interval,
    paired_difference,
    paired_ratio,
)
from paperlib.core.paths import Layout
from paperlib.exhibits.captions import provenance, seeds
from paperlib.exhibits.effect_tables import write
from paperlib.exhibits.manifest import Exhibit
from paperlib.schema.record import Record

Records = list[Record]
IDS = "ids"  # column of a frame: the ids behind each row, or those behind each of its columns
TECHNIQUES = ("post-training", "post-training-random", "iterative")


def _text(values: pd.Series, scale: float = 1.0, digits: int = 2, bounds: Bounds = POSITIVE) -> str:
    found = mean_interval(values, bounds)
    return "not measured" if found is None else found.text(scale, digits)


def _share(values: pd.Series) -> str:
    return _text(values, 100, bounds=SHARE)


def _arms(tidy: pd.DataFrame) -> list[tuple[str, float, pd.DataFrame]]:
    rows = corrected_protocol(tidy)
    rows = rows[rows.method.isin(TECHNIQUES) & (rows.scope == "global")]
    groups = rows.groupby(["method", "sparsity"], sort=False)
    return [(str(group.method.iloc[0]), float(group.sparsity.iloc[0]), group) for _, group in groups]


def _beside(tidy: pd.DataFrame, group: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    """(pruned, dense) of the same seeds."""
    dense = tidy[tidy.method == "dense"].set_index("seed")[column]
    own = group.set_index("seed")[column]
    return own, dense.reindex(own.index)


def _both(tidy: pd.DataFrame, group: pd.DataFrame) -> tuple[str, ...]:
    """The ids of an arm and of dense beside it."""
    own, dense = _beside(tidy, group, "id")
    return (*own, *dense.dropna())


def _accuracy(tidy: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for method, sparsity, group in _arms(tidy):
        own, dense = _beside(tidy, group, "test_accuracy")
        effect = paired_difference(own, dense, SHARE_DIFFERENCE)
        rows.append(
            {
                "technique": method, "pruned": f"{sparsity:.1%}", "before, %": _share(dense),
                "after, %": _share(own), "difference, points": effect.text(100) if effect else "–",
                IDS: _both(tidy, group),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _techniques(tidy: pd.DataFrame) -> pd.DataFrame:
    cells: dict[str, dict[str, str]] = {}
    ids: dict[str, dict[str, tuple[str, ...]]] = {}
    for method, sparsity, group in _arms(tidy):
        cells.setdefault(f"{sparsity:.1%}", {})[method] = _share(group.test_accuracy)
        ids.setdefault(f"{sparsity:.1%}", {})[method] = tuple(group.id)
    table = pd.DataFrame([{"pruned": k} | v for k, v in cells.items()]).fillna("not run")
    behind = [{"pruned": tuple(chain(*row.values()))} | row for row in ids.values()]
    table[IDS] = pd.Series(behind, dtype=object)
    return table


def _size(tidy: pd.DataFrame) -> pd.DataFrame:
    shown = _arms(tidy)
    return pd.DataFrame(
        {
            "technique": method, "sparsity, counted": f"{group.network_sparsity.mean():.2%}",
            "non-zero parameters": f"{group.nonzeros.mean():,.0f} of {group.parameters.mean():,.0f}",
            "masked, kB": f"{group.dense_bytes.mean() / 1000:.1f}", "CSR, kB": f"{group.csr_bytes.mean() / 1000:.1f}",
            "compact, kB": f"{group.compact_bytes.mean() / 1000:.1f}",
            IDS: tuple(group.id),
        }
        for method, _, group in shown
    )  # fmt: skip


def _shrink(tidy: pd.DataFrame) -> pd.DataFrame:
    """One row per sparsity: what every way of storing takes of dense."""
    rows = corrected_protocol(tidy)
    rows = rows[(rows.method == "post-training") & (rows.scope == "global")]
    return pd.DataFrame(
        {"pruned": f"{sparsity:.1%}"}
        | {
            f"{name}, % of dense": f"{(group[column] / group.dense_bytes).mean():.1%}"
            for name, column in (("masked", "dense_bytes"), ("CSR", "csr_bytes"), ("compact", "compact_bytes"))
        }
        | {IDS: tuple(group.id)}
        for sparsity, group in rows.groupby("sparsity")
    )


def _gain(tidy: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for method, sparsity, group in _arms(tidy):
        row = {"technique": method, "pruned": f"{sparsity:.1%}"}
        own, dense = _beside(tidy, group, "test_accuracy")
        change = paired_difference(own, dense, SHARE_DIFFERENCE)
        row["accuracy, points"] = change.text(100) if change else "–"
        for name, column in (("CSR size", "csr_bytes"), ("training time", "train_time_s")):
            own, dense = _beside(tidy, group, column)
            if column == "csr_bytes":
                dense = _beside(tidy, group, "dense_bytes")[1]
            ratio = paired_ratio(own, dense)
            row[f"{name}, × dense"] = ratio.text(1, 3) if ratio else "not measured"
        row["inference, masked, × dense"] = _text(group.inference_ratio_b64, 1, 3)
        row["removed work skipped, × dense"] = _text(group.realised_ratio_b64, 1, 3)
        rows.append(row | {IDS: _both(tidy, group)})
    return pd.DataFrame(rows)


def _times(tidy: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "technique": method, "pruned": f"{sparsity:.1%}",
            "training with pruning, s": _text(group.train_time_s, 1, 3),
            "dense training, s": _text(_beside(tidy, group, "train_time_s")[1], 1, 3),
            IDS: _both(tidy, group),
        }
        for method, sparsity, group in _arms(tidy)
    )  # fmt: skip


def _inference(tidy: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {"technique": method, "pruned": f"{sparsity:.1%}"}
        | {
            f"{name}, batch {size}, µs": _text(group[f"{prefix}_s_b{size}"], 1e6, 1)
            for size in (1, 64)
            for name, prefix in (("masked", "inference"), ("skipped", "realised"))
        }
        | {IDS: tuple(group.id)}
        for method, sparsity, group in _arms(tidy)
    )


def _threshold(tidy: pd.DataFrame) -> pd.DataFrame:
    rows = tidy[(tidy.method == "threshold") & (tidy.status == "done")]
    return pd.DataFrame(
        {
            "threshold": f"{limit:g}", "sparsity, counted, %": _share(group.network_sparsity),
            "CSR, kB": _text(group.csr_bytes, 1e-3, 1), "test accuracy, %": _share(group.test_accuracy),
            IDS: tuple(group.id),
        }
        for limit, group in rows.groupby("threshold")
    )  # fmt: skip


def _connections(records: Records) -> pd.DataFrame:
    """Of the first seed alone: how many go is the same for all."""
    chosen = [r for r in records if r.trial.method in TECHNIQUES and not r.trial.seed and r.trial.scope == "global"]
    return pd.DataFrame(
        {"technique": r.trial.method, "pruned": f"{r.trial.sparsity:.1%}"}
        | {f"{x.name}, {x.shape[1]}→{x.shape[0]}": f"{x.units - x.removed:,} of {x.units:,}" for x in r.layers}
        | {IDS: (r.id,)}
        for r in sorted(chosen, key=lambda r: (r.trial.method, r.trial.sparsity))
        if r.status == "done"
    )


def _rounds(records: Records) -> pd.DataFrame:
    """Validation accuracy of every round of `iterative`: right after pruning, and after fine-tuning."""
    rows = [
        {
            "id": r.id, "pruned": r.trial.sparsity, "epoch": e.epoch + 1,
            "gone": e.removed / sum(x.units for x in r.layers),
            "cut": e.pruned.accuracy if e.pruned else None, "tuned": e.val.accuracy,
        }
        for r in records
        if r.trial.method == "iterative" and r.status == "done"
        for e in r.curve
    ]  # fmt: skip
    return pd.DataFrame(
        {
            "target": f"{target:.1%}", "epoch": epoch, "gone, %": f"{group.gone.mean():.1%}",
            "after pruning, %": _share(group.cut) if group.cut.notna().any() else "– (dense)",
            "after the epoch's training, %": _share(group.tuned), IDS: tuple(group.id),
        }
        for (target, epoch), group in pd.DataFrame(rows).groupby(["pruned", "epoch"])
    ) if rows else pd.DataFrame()  # fmt: skip


_TIDY: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "before_after": ("Accuracy before and after pruning", _accuracy),
    "techniques": ("Techniques compared: magnitude, random, magnitude in rounds", _techniques),
    "sizes": ("Size of the pruned network", _size),
    "shrink": ("Sparsity against size", _shrink),
    "gain": ("What pruning gains in all", _gain),
    "times": ("Training and pruning time", _times),
    "performance": ("Inference performance", _inference),
    "thresholds": ("Threshold against accuracy and size", _threshold),
}
_RECORDS: dict[str, tuple[str, Callable[[Records], pd.DataFrame]]] = {
    "connections": ("Connections left in each layer, seed 0 (n = 1)", _connections),
    "rounds": ("Validation accuracy by pruning round, with fine-tuning", _rounds),
}


def write_all(tidy: pd.DataFrame, records: Records, layout: Layout) -> list[Exhibit]:
    """The tables that one data set's rows (dense and pruned) can fill."""
    text = (
        f"Small MLP. {seeds(tidy)}; images: {provenance(tidy)}. `post-training` and `post-training-random` cut the "
        "trained dense network without fine-tuning, so their training time is that of dense; `iterative` trains half "
        "of the same epochs densely and then cuts before each epoch. The paper's values are not published."
    )
    frames = {n: (title, make(tidy)) for n, (title, make) in _TIDY.items()}
    frames |= {n: (title, make(records)) for n, (title, make) in _RECORDS.items()}
    made, idle = [], bool(near_chance(tidy))
    for name, (title, frame) in frames.items():
        if not frame.empty:
            behind = [ids if isinstance(ids, dict) else {frame.columns[0]: ids} for ids in frame.pop(IDS)]
            frame[frame.columns[0]] = [marked(row, idle) for row in frame[frame.columns[0]]]
            made.append(write(f"tutorial_{name}", title, text, frame, frame, behind, layout))
    return made
