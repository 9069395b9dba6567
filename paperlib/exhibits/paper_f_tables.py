"""Paper F's tables 1 to 3 from the records, and the metrics that it declares but does not report."""

from collections.abc import Iterable, Sequence

import pandas as pd

from paperlib.claims.effects import DRAWN, corrected_protocol, drawn, marked, near_chance
from paperlib.claims.stats import SHARE, mean_interval
from paperlib.core.paths import Layout
from paperlib.data.registry import DOERRICH
from paperlib.exhibits.captions import provenance, seeds
from paperlib.exhibits.effect_tables import write
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.paper_f_figures import scenario_rows, scenarios
from paperlib.pruners import METHODS
from paperlib.schema.record import Record
from paperlib.studies import SCENARIOS

QUALITY = {
    "test_accuracy": "accuracy, %", "test_balanced_accuracy": "balanced, %", "test_macro_f1": "macro F1, %",
    "test_precision": "precision, %", "test_recall": "recall, %", "test_auc": "AUC, %",
}  # fmt: skip


def doerrich(tidy: pd.DataFrame, layout: Layout) -> Exhibit | None:
    """Table 1: BloodMNIST, dense and scenario ii, beside Doerrich et al. at the nearest published resolution."""
    rows = scenario_rows(tidy[tidy.dataset == "bloodmnist"], SCENARIOS["ii"])
    if rows.empty:
        return None
    table, behind, idle = [], [], near_chance(rows)
    for model, group in rows.groupby("model", sort=False):
        px = int(group.resolution.iloc[0])
        reference = {} if drawn(group.source) else DOERRICH.get(("bloodmnist", str(model)), {})
        near = min(reference, key=lambda size: abs(size - px), default=None)
        means = {m: e for m in METHODS if (e := mean_interval(group[group.method == m].test_accuracy, SHARE))}
        pruned = {m: e for m, e in means.items() if m != "dense"}
        best = max(pruned, key=lambda m: pruned[m].mean, default=None)
        ids = {method: tuple(g.id) for method, g in group.groupby("method")}
        ours = "50 % conv + 80 % linear, best method, %"
        # The row as a whole rests on all methods: the best one was chosen among them.
        behind.append({"resolution": tuple(group.id), "dense, %": ids.get("dense", ()), ours: ids.get(str(best), ())})
        table.append(
            {
                "model": marked(str(model), ("bloodmnist", model) in idle), "resolution": f"{px} px",
                "dense, %": means["dense"].text(100) if "dense" in means else "–",
                ours: f"{pruned[best].text(100)} ({best})" if best else "–",
                "Doerrich et al., %": "{:.2f} ± {:.2f} ({} px)".format(*reference[near], near) if near else DRAWN,
            }
        )  # fmt: skip
    frame = pd.DataFrame(table)
    text = (
        "Test accuracy. The best method is chosen on the test set, as the paper's table does, and is therefore "
        "flattered. Doerrich et al. (full training, ImageNet weights, mean ± SD of three seeds) at the resolution next "
        f"to ours; networks here start from random weights. The paper's own values are not published in its text. "
        f"{seeds(rows)}; images: {provenance(rows)}."
    )
    title = "BloodMNIST beside Doerrich et al. (paper F, table 1)"
    return write("blood_industrial", title, text, frame, frame, behind, layout)


def sparsities(tidy: pd.DataFrame, layout: Layout) -> Exhibit | None:
    """Table 2: what each scenario removes, and what that is of the whole network, by counting."""
    table, used = [], []
    for scenario in scenarios(tidy):
        rows = scenario_rows(tidy, scenario)
        rows = rows[rows.zeros > 0]  # small-dense has no mask
        for model, group in rows.groupby("model", sort=False):
            used.append(group)
            span = sorted({f"{value:.1%}" for value in (group.network_sparsity.min(), group.network_sparsity.max())})
            table.append(
                {
                    "scenario": f"{scenario.name} ({scenario.title})", "model": model,
                    "filters": f"{scenario.conv:.0%}", "linear weights": f"{scenario.linear:.0%}",
                    "whole network, counted": " to ".join(span), "swap": f"{group.swap.iloc[0]:.0%}",
                    "ids": tuple(group.id),
                }
            )  # fmt: skip
    if not table:
        return None
    frame = pd.DataFrame(table).sort_values(["model", "scenario"], ignore_index=True)
    behind = [{"scenario": ids} for ids in frame.pop("ids")]
    rows = pd.concat(used)
    text = (
        "Whole network: removed weights of convolutions and linear layers, counted from the masks (methods round and "
        "allocate differently). ResNet18 has one small linear layer, so scenario iii hardly prunes it at all. "
        f"{seeds(rows)}; images: {provenance(rows)}."
    )
    return write("scenarios_industrial", "Scenarios (paper F, table 2)", text, frame, frame, behind, layout)


def settings(tidy: pd.DataFrame, records: Sequence[Record], layout: Layout) -> Exhibit | None:
    """Table 3: the settings, generated from the trials themselves, beside what the paper states."""
    rows = corrected_protocol(tidy)
    trials = [r.trial for r in records if r.id in set(rows.id)]
    if not trials:
        return None

    def of(field: str) -> str:
        return _listed(getattr(t, field) for t in trials)

    shown = [
        ("data sets", of("dataset"), "BloodMNIST, MVTec3D, VisA"),
        ("models", of("model"), "VGG16, ResNet18"),
        ("width factor", of("width"), "1"),
        ("methods", of("method"), "dense, pre-training, in-training, post-training, set"),
        ("seeds", str(rows.seed.nunique()), "3 runs"),
        ("epochs", of("epochs"), "50"),
        ("batch size", of("batch_size"), "64"),
        ("learning rate", of("lr"), "0.0001"),
        ("optimiser", of("optimizer"), "not stated"),
        ("optimiser options", _listed(rows.options), "not stated"),
        ("schedule", of("schedule"), "not stated"),
        ("augmentation", of("augment"), "not stated"),
        ("resolution, px", _listed(rows.resolution), "not stated"),
        ("training images", _listed(rows.train_images), "11,959; 70,000; 8,657"),
        ("arithmetic", _listed(rows.computed_in.dropna()), "not stated"),
        ("device", _listed(rows.gpu.fillna(rows.cpu)), "A100-SXM4-80GB; laptop RTX 3060, i7-11800H"),
    ]
    frame = pd.DataFrame(shown, columns=["setting", "here", "paper"])
    text = f"Generated from the records, not typed. {seeds(rows)}; images: {provenance(rows)}."
    return write("settings_industrial", "Settings (paper F, table 3)", text, frame, frame, [], layout, trials=rows.id)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(v) for v in values))


def quality(tidy: pd.DataFrame, layout: Layout) -> Exhibit | None:
    """Every metric of quality that F declares, for every arm; a constant predictor shows in the balanced ones."""
    table, idle = [], near_chance(tidy)
    for scenario in scenarios(tidy):
        rows = scenario_rows(tidy, scenario)
        for (dataset, model, method), group in rows.groupby(["dataset", "model", "method"], sort=False):
            means = {column: mean_interval(group[column], SHARE) for column in QUALITY}
            table.append(
                {"data set": dataset, "model": model, "scenario": scenario.name, "method": method}
                | {title: means[column] for column, title in QUALITY.items()}
                | {"ids": tuple(group.id)}
            )  # fmt: skip
    if not table:
        return None
    frame = pd.DataFrame(table)
    order = {m: i for i, m in enumerate(METHODS)}
    frame["place"] = frame.method.map(lambda m: order.get(m, len(order)))
    frame = frame.sort_values(["data set", "model", "scenario", "place"], ignore_index=True).drop(columns="place")
    frame = frame.loc[~((frame.method == "dense") & frame.duplicated(["data set", "model", "method"]))]
    frame["scenario"] = frame.scenario.where(frame.method != "dense", "–")
    behind = [{"method": ids} for ids in frame.pop("ids")]
    long, wide = frame.copy(), frame.copy()
    for title in QUALITY.values():
        long[title] = frame[title].map(lambda e: e.mean * 100 if e else None)
        wide[title] = frame[title].map(lambda e: e.text(100, 1) if e else "–")
    wide["model"] = [marked(m, (d, m) in idle) for d, m in zip(wide["data set"], wide.model, strict=True)]
    used = corrected_protocol(tidy)
    used = used[used.id.isin([i for row in behind for i in row["method"]])]
    text = (
        "Test set; F1, precision and recall are macro averages. A network that answers one class only has a balanced "
        f"accuracy of one over the number of classes, whatever its accuracy. {seeds(used)}; images: {provenance(used)}."
    )
    return write("quality_industrial", "All metrics of quality", text, long, wide, behind, layout)
