"""Tables of one metric each: dense, and the effect of every pruned arm, as csv, html and LaTeX."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import pandas as pd
from great_tables import GT, md

from paperlib.claims.effects import (
    DRAWN,
    METRICS,
    NOT_PUBLISHED,
    Arm,
    Metric,
    arms,
    corrected_protocol,
    marked,
    measurement_sources,
    near_chance,
    noise,
)
from paperlib.claims.stats import SHARE, SHARE_DIFFERENCE, mean_interval, paired_difference
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.exhibits.captions import provenance, seeds
from paperlib.exhibits.manifest import Exhibit, csv_bytes, relative
from paperlib.exhibits.trial_links import mark
from paperlib.schema.record import Record

Behind = Mapping[str, Iterable[str]]  # of one row: the ids behind what stands in a column
KEY = ("dataset", "model", "scope", "conv_sparsity", "sparsity", "method")


def comparison(tidy: pd.DataFrame, metric: Metric) -> tuple[pd.DataFrame, pd.DataFrame, list[Behind]]:
    """(long table with one row per arm, wide table as a reader sees it: dense, then one column per method, and the
    ids behind each number and each whole row of the wide one)."""
    found, idle = arms(tidy, metric), near_chance(tidy)
    long = pd.DataFrame([_row(arm, metric) | {"learnt": (arm.dataset, arm.model) not in idle} for arm in found])
    shown = [arm for arm in found if arm.sparsity or arm.conv_sparsity]
    if not shown:
        return long, pd.DataFrame(), []
    wide: dict[tuple[str, str, str], dict[str, str]] = {}
    behind: dict[tuple[str, str, str], dict[str, tuple[str, ...]]] = {}
    for arm in shown:
        key = (arm.dataset, marked(arm.model, (arm.dataset, arm.model) in idle), arm.setting)
        row = wide.setdefault(key, {"dense": "–" if arm.dense is None else arm.dense.text(metric.scale, metric.digits)})
        row[arm.method] = _effect(arm, metric)
        row["paper"] = arm.paper
        ids = behind.setdefault(key, {"pruned": (), "dense": arm.dense_trials})
        ids[arm.method] = arm.trials
        ids["pruned"] += arm.trials
    methods = list(dict.fromkeys(arm.method for arm in shown))
    table = pd.DataFrame(
        [dict(zip(("data set", "model", "pruned"), key, strict=True)) | cells for key, cells in wide.items()],
        columns=["data set", "model", "pruned", "dense", *methods, "paper"],
    )
    return long, table.fillna("–"), list(behind.values())


def _row(arm: Arm, metric: Metric) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(arm, name) for name in KEY}
    for name, estimate in (("dense", arm.dense), ("pruned", arm.own)):
        for part in ("mean", "low", "high"):
            value = getattr(estimate, part) if estimate else None
            row[f"{name}_{part}"] = None if value is None else value * metric.scale
    scale = metric.scale if metric.effect == "difference" else 1
    for part in ("mean", "low", "high"):
        value = getattr(arm.effect, part) if arm.effect else None
        row[f"{metric.effect}_{part}"] = None if value is None else value * scale
    units = {"unit": metric.unit, f"{metric.effect}_unit": metric.effect_unit}
    return row | units | {"n": arm.effect.n if arm.effect else 0, "paper": arm.paper}


def _effect(arm: Arm, metric: Metric) -> str:
    if arm.effect is None:
        return "not measured"
    if metric.effect == "difference":
        text = arm.effect.text(metric.scale, metric.digits)
        return text if text.startswith("-") else f"+{text}"
    return f"×{arm.effect.text(1, 3)}"


def caption(tidy: pd.DataFrame, metric: Metric, shown: str = "") -> str:
    """What stands under a table or figure: what is shown, n, interval, noise floor, sources.

    shown: the first words, where it is not dense in its unit beside the effects of pruning.
    """
    rows = corrected_protocol(tidy)
    effect = "difference to dense in points" if metric.effect == "difference" else "ratio to dense"
    shown = shown or f"Dense in {metric.unit}; pruned arms as {effect}, paired by seed"
    parts = [f"{shown}; {seeds(rows)}"]
    floor = noise(tidy, metric)
    if floor is not None:
        parts.append(f"A/A noise floor ±{floor:.1%}: a smaller effect is none")
    if source := measurement_sources(tidy, metric):
        parts.append(f"source: {source}")
    parts.append(f"images: {provenance(rows)}")
    return ". ".join(parts) + "."


def write_comparison(tidy: pd.DataFrame, name: str, study: str, layout: Layout) -> Exhibit | None:
    """Write the table of one metric of a study (`mlp`, …); None if no arm is there yet."""
    metric = METRICS[name]
    long, wide, behind = comparison(tidy, metric)
    if wide.empty:
        return None
    text = caption(tidy, metric)
    ids = [i for arm in arms(tidy, metric) for i in arm.trials]  # with the control, of which only the csv tells
    return write(f"{name}_{study}", metric.title, text, long, wide, behind, layout, trials=ids)


def write(
    name: str,
    title: str,
    text: str,
    long: pd.DataFrame,
    wide: pd.DataFrame,
    behind: Sequence[Behind],
    layout: Layout,
    *,
    trials: Iterable[str] = (),
    groups: Sequence[str] = ("data set", "model"),
) -> Exhibit:
    """Write `long` as csv and `wide` as html and LaTeX under results/<profile>/tables/.

    behind: per row of `wide` the ids behind its numbers, marked in the html alone; none where rows are no arms.
    trials: further ids that the table as a whole rests on; groups: columns that become headings of groups of rows.
    """
    groups = [c for c in groups if c in wide.columns]
    shown = wide.copy()
    if groups:
        shown["group"] = shown[groups].agg(", ".join, axis=1)
        shown = shown.drop(columns=groups)
        if "paper" in shown and shown.paper.isin([NOT_PUBLISHED, DRAWN]).all():
            if DRAWN in set(shown.paper):
                text += " What the paper publishes stands beside results on real images alone."
            else:
                text += " The paper's values are not published."
            shown = shown.drop(columns="paper")
    great = GT(shown, groupname_col="group" if groups else None, id=name).tab_header(title=title)
    great = great.tab_source_note(md(text)).sub_missing(missing_text="–")
    marked = great
    for place, row in enumerate(behind):
        for column in (c for c in shown.columns if c in row):
            cell = mark(shown[column].iloc[place], row[column])
            marked = marked.fmt(partial(_instead, cell), columns=column, rows=[place])
    page = marked.as_raw_html()
    page = page.replace("<table ", f'<table aria-label="{title}" ', 1)
    files = {".csv": csv_bytes(long), ".html": page.encode(), ".tex": great.as_latex().encode()}
    paths = [layout.tables / f"{name}{ending}" for ending in files]
    for path, content in zip(paths, files.values(), strict=True):
        write_atomically(path, content)
    ids = {i for row in behind for found in row.values() for i in found}
    return Exhibit(name, "table", title, text, relative(paths, layout), tuple(sorted(ids.union(trials))))


def _instead(cell: str, _: object) -> str:
    return cell


def write_layers(records: list[Record], layout: Layout) -> Exhibit | None:
    """Nominal and counted sparsity of every layer, one row per model, scope, sparsity and layer (first seed)."""
    behind: dict[tuple[object, ...], list[str]] = {}
    rows = []
    sources = set()
    for record in records:
        trial = record.trial
        if record.status != "done" or trial.seed or not trial.sparsity or trial.quirks or trial.dataset != "mnist":
            continue
        sources.add(record.data.source)
        own = [
            {
                "model": trial.model, "method": trial.method, "scope": trial.scope, "sparsity": f"{trial.sparsity:.0%}",
                "layer": layer.name, "shape": "×".join(map(str, layer.shape)), "nominal": layer.nominal,
                "achieved": layer.achieved, "removed": layer.removed, "units": layer.units,
                "network": record.network.sparsity if record.network else None,
            }
            for layer in record.layers
        ]  # fmt: skip
        for row in own:
            behind.setdefault(tuple(row.values()), []).append(record.id)
        rows += own
    if not rows:
        return None
    long = pd.DataFrame(rows).drop_duplicates()
    wide = long.copy()
    for column in ("nominal", "achieved", "network"):
        wide[column] = wide[column].map("{:.2%}".format)
    text = (
        "Counted, not computed, from the masks of seed 0 (n = 1, no interval) on MNIST "
        f"({'/'.join(sorted(sources))}). `nominal` is what the scope asks of a layer, "
        "`achieved` what is gone; `network` the share of all weights of the network that is gone."
    )
    linked = [{"method": ids} for ids in behind.values()]
    return write("layers_mlp", "Sparsity per layer", text, long, wide, linked, layout)


def write_published(tidy: pd.DataFrame, layout: Layout) -> Exhibit | None:
    """P's VGG-16 as its code prunes it, linear layers only: what is gone, and what that does to accuracy."""
    rows = tidy[(tidy.status == "done") & (tidy.quirks == "keeps-last-only")]
    dense = rows[rows.method == "dense"].set_index(["dataset", "seed"])[["id", "test_accuracy"]]
    pruned = rows[rows.method != "dense"]
    if pruned.empty:
        return None
    table, behind, idle = [], [], near_chance(rows.assign(protocol="corrected"))
    for (dataset, scope, sparsity, method), group in pruned.groupby(["dataset", "scope", "sparsity", "method"]):
        accuracy = group.set_index(["dataset", "seed"])["test_accuracy"]
        twins = dense.reindex(accuracy.index)
        own = mean_interval(accuracy, SHARE)
        effect = paired_difference(accuracy, twins.test_accuracy, SHARE_DIFFERENCE)
        behind.append({"method": (*group.id, *twins.id.dropna())})
        table.append(
            {
                "data set": marked(str(dataset), (dataset, str(group.model.iloc[0])) in idle), "method": method,
                "pruned": f"{scope} {sparsity:.0%}",
                "gone of the whole network": f"{group.network_sparsity.mean():.2%}",
                "test accuracy, %": own.text(100) if own else "–",
                "difference to dense, points": effect.text(100) if effect else "–",
            }
        )  # fmt: skip
    frame = pd.DataFrame(table)
    text = (
        "Convolutions stay dense, and layer-wise leaves only the last linear layer dense, as in the published code. "
        f"{seeds(rows)}; images: {provenance(rows)}."
    )
    title = "VGG-16 pruned as published"
    return write("published_vgg", title, text, frame, frame, behind, layout)


def write_quirks(tidy: pd.DataFrame, layout: Layout) -> Exhibit | None:
    """The as-published arms: test accuracy of SET at 50 % with each quirk of the authors' code."""
    arm = tidy[(tidy.status == "done") & (tidy.method == "set") & (tidy.sparsity == 0.5) & (tidy.scope == "global")]
    arm = arm[(arm.dataset == "mnist") & (arm.model == "mlp-small")]
    if not arm.quirks.any():
        return None
    corrected_arm = arm[arm.quirks == ""]
    plain = corrected_arm.set_index("seed")["test_accuracy"]
    rows, behind, idle = [], [], bool(near_chance(tidy[(tidy.dataset == "mnist") & (tidy.model == "mlp-small")]))
    for quirk, group in arm.groupby("quirks", sort=True):
        accuracy = group.set_index("seed")["test_accuracy"].reindex(plain.index)
        own, effect = mean_interval(accuracy, SHARE), paired_difference(accuracy, plain, SHARE_DIFFERENCE)
        if own is None or effect is None:
            continue
        behind.append({"arm": (*group.id, *corrected_arm.id)})
        rows.append(
            {
                "arm": marked(str(quirk).replace("+", " + ") or "corrected", idle),
                "test accuracy, %": own.text(100),
                "difference to corrected, points": effect.text(100) if quirk else "–",
                "n": own.n,
            }
        )
    table = pd.DataFrame(rows)
    text = (
        "SET, global 50 %, small MLP, MNIST. Each arm switches on one thing that the authors' code does; the last "
        "all of them. With `test-from-train` the test images are others. "
        f"{seeds(arm)}; images: {provenance(arm)}."
    )
    return write("quirks_mlp", "As-published arms", text, table, table, behind, layout)
