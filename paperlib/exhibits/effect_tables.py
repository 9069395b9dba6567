"""Tables of accuracy: dense, and the effect of every pruned arm; sparsity per layer; the as-published arms."""

from typing import Any

import pandas as pd

from paperlib.claims.effects import ACCURACY, Arm, arms, corrected_protocol, marked, near_chance
from paperlib.claims.stats import SHARE, SHARE_DIFFERENCE, mean_interval, paired_difference
from paperlib.exhibits.captions import provenance, seeds, seeds_and_images, with_source
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.exhibits.tables import IDS, estimate_text, write

KEY = ("dataset", "model", "scope", "conv_sparsity", "sparsity", "method")


def write_accuracy(source: Source, study: str) -> Exhibit | None:
    """The table `accuracy_<study>`; None if no arm is there yet.

    Its csv has one row per arm with dense, pruned, effect and their intervals; what is read has dense in % and one
    column per method with the difference to it in points.
    """
    every, untrained = arms(source.table), near_chance(source.table)
    shown = [arm for arm in every if arm.sparsity or arm.conv_sparsity]
    long = pd.DataFrame([_row(arm) | {"learnt": (arm.dataset, arm.model) not in untrained} for arm in every])
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for arm in shown:
        key = arm.dataset, marked(arm.model, (arm.dataset, arm.model) in untrained), arm.setting
        row = rows.setdefault(key, dict(zip(("data set", "model", "pruned"), key, strict=True)))
        effect = estimate_text(arm.effect)
        row |= {arm.method: effect if effect.startswith(("-", "–")) else f"+{effect}", "paper": arm.paper}
        row.setdefault("dense", estimate_text(arm.dense))
        ids = row.setdefault(IDS, {"pruned": (), "dense": arm.dense_trials})
        ids |= {arm.method: arm.trials, "pruned": ids["pruned"] + arm.trials}
    columns = ["data set", "model", "pruned", "dense", *dict.fromkeys(arm.method for arm in shown), "paper", IDS]
    table = pd.DataFrame(list(rows.values()), columns=columns).fillna("–")
    text = caption(source.table, "Dense in %; pruned arms as difference to dense in points, paired by seed")
    return write(f"accuracy_{study}", ACCURACY.title, text, table, source.layout, long=long)


def _row(arm: Arm) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(arm, name) for name in KEY}
    for name, estimate in (("dense", arm.dense), ("pruned", arm.own), ("difference", arm.effect)):
        for part in ("mean", "low", "high"):
            value = getattr(estimate, part) if estimate else None
            row[f"{name}_{part}"] = None if value is None else value * ACCURACY.scale
    units = {"unit": ACCURACY.unit, "difference_unit": ACCURACY.effect_unit}
    return row | units | {"n": arm.effect.n if arm.effect else 0, "paper": arm.paper}


def caption(tidy: pd.DataFrame, shown: str) -> str:
    """What stands under a table or figure of accuracy: what is shown, n, interval, images."""
    rows = corrected_protocol(tidy)
    return f"{shown}; {seeds(rows)}. Images: {provenance(rows)}."


def write_layers(source: Source) -> Exhibit | None:
    """Nominal and counted sparsity of every layer, one row per model, scope, sparsity and layer (MNIST, first seed)."""
    tidy = source.table
    chosen = (tidy.status == "done") & (tidy.seed == 0) & (tidy.sparsity > 0) & (tidy.quirks == "")
    records = source.records_of(tidy[chosen & (tidy.dataset == "mnist")])
    rows = pd.DataFrame(
        {
            "model": record.trial.model, "method": record.trial.method, "scope": record.trial.scope,
            "sparsity": f"{record.trial.sparsity:.0%}", "layer": layer.name,
            "shape": "×".join(map(str, layer.shape)), "nominal": layer.nominal, "achieved": layer.achieved,
            "removed": layer.removed, "units": layer.units,
            "network": record.network.sparsity if record.network else None, IDS: record.id,
        }
        for record in records for layer in record.layers
    )  # fmt: skip
    if rows.empty:
        return None
    columns = [column for column in rows if column != IDS]
    long = rows.groupby(columns, sort=False, dropna=False, as_index=False).agg({IDS: tuple})
    wide = long.assign(**{c: long[c].map("{:.2%}".format) for c in ("nominal", "achieved", "network")})
    wide[IDS] = pd.Series([{"method": ids} for ids in long.pop(IDS)], dtype=object)
    text = (
        "Counted, not computed, from the masks of seed 0 (n = 1, no interval) on "
        f"{with_source('MNIST', [record.data.source for record in records])}. `nominal` is what the scope asks of a "
        "layer, `achieved` what is gone; `network` the share of all weights of the network that is gone."
    )
    return write("layers_mlp", "Sparsity per layer", text, wide, source.layout, long=long)


def write_published(source: Source) -> Exhibit | None:
    """P's VGG-16 as its code prunes it, linear layers only: what is gone, and what that does to accuracy."""
    tidy = source.table
    rows = tidy[(tidy.status == "done") & (tidy.quirks == "keeps-last-only")]
    if rows[rows.method != "dense"].empty:
        return None
    dense = rows[rows.method == "dense"].set_index(["dataset", "seed"])[["id", "test_accuracy"]]
    untrained = near_chance(rows.assign(protocol="corrected"))
    table = []
    pruned = rows[rows.method != "dense"].groupby(["dataset", "scope", "sparsity", "method"])
    for (dataset, scope, sparsity, method), group in pruned:
        accuracy = group.set_index(["dataset", "seed"])["test_accuracy"]
        baseline = dense.reindex(accuracy.index)
        effect = paired_difference(accuracy, baseline.test_accuracy, SHARE_DIFFERENCE)
        table.append(
            {
                "data set": marked(str(dataset), (dataset, str(group.model.iloc[0])) in untrained), "method": method,
                "pruned": f"{scope} {sparsity:.0%}",
                "gone of the whole network": f"{group.network_sparsity.mean():.2%}",
                "test accuracy, %": estimate_text(mean_interval(accuracy, SHARE)),
                "difference to dense, points": estimate_text(effect),
                IDS: {"method": (*group.id, *baseline.id.dropna())},
            }
        )  # fmt: skip
    text = (
        "Convolutions stay dense, and layer-wise leaves only the last linear layer dense, as in the published code. "
        f"{seeds_and_images(rows)}."
    )
    return write("published_vgg", "VGG-16 pruned as published", text, table, source.layout)


def write_quirks(source: Source) -> Exhibit | None:
    """The as-published arms: test accuracy of SET at 50 % with each quirk of the authors' code."""
    small = source.table[(source.table.dataset == "mnist") & (source.table.model == "mlp-small")]
    arm = small[(small.status == "done") & (small.method == "set") & (small.sparsity == 0.5)]
    arm = arm[arm.scope == "global"]
    if not arm.quirks.any():
        return None
    corrected = arm[arm.quirks == ""]
    plain, untrained = corrected.set_index("seed")["test_accuracy"], bool(near_chance(small))
    table = []
    for quirk, group in arm.groupby("quirks", sort=True):
        accuracy = group.set_index("seed")["test_accuracy"].reindex(plain.index)
        level, effect = mean_interval(accuracy, SHARE), paired_difference(accuracy, plain, SHARE_DIFFERENCE)
        if level and effect:
            table.append(
                {
                    "arm": marked(str(quirk).replace("+", " + ") or "corrected", untrained),
                    "test accuracy, %": level.text(100),
                    "difference to corrected, points": effect.text(100) if quirk else "–",
                    "n": level.n,
                    IDS: (*group.id, *corrected.id),
                }
            )
    text = (
        "SET, global 50 %, small MLP, MNIST. Each arm switches on one thing that the authors' code does; the last "
        f"all of them. With `test-from-train` the test images are others. {seeds_and_images(arm)}."
    )
    return write("quirks_mlp", "As-published arms", text, table, source.layout)
