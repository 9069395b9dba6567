"""Paper F's tables 1 to 3 from the records, and the metrics that it declares but does not report."""

from collections.abc import Iterable

import pandas as pd

from paperlib.claims.effects import DRAWN, corrected_protocol, drawn, marked, near_chance
from paperlib.claims.stats import SHARE, mean_interval
from paperlib.data.registry import DOERRICH
from paperlib.exhibits.captions import seeds_and_images
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.paper_f_figures import scenario_rows, scenarios
from paperlib.exhibits.results import Source
from paperlib.exhibits.tables import IDS, estimate_text, write
from paperlib.pruners import METHODS
from paperlib.studies import SCENARIOS

QUALITY = {
    "test_accuracy": "accuracy, %", "test_balanced_accuracy": "balanced, %", "test_macro_f1": "macro F1, %",
    "test_precision": "precision, %", "test_recall": "recall, %", "test_auc": "AUC, %",
}  # fmt: skip


def doerrich(source: Source) -> Exhibit | None:
    """Table 1: BloodMNIST, dense and scenario ii, beside Doerrich et al. at the nearest published resolution."""
    rows = scenario_rows(source.table[source.table.dataset == "bloodmnist"], SCENARIOS["ii"])
    if rows.empty:
        return None
    table, untrained = [], near_chance(rows)
    for model, group in rows.groupby("model", sort=False):
        px = int(group.resolution.iloc[0])
        reference = {} if drawn(group.source) else DOERRICH.get(("bloodmnist", str(model)), {})
        nearest = min(reference, key=lambda size: abs(size - px), default=None)
        theirs = "{:.2f} ± {:.2f} ({} px)".format(*reference[nearest], nearest) if nearest else DRAWN
        means = {m: e for m in METHODS if (e := mean_interval(group[group.method == m].test_accuracy, SHARE))}
        pruned = {m: e for m, e in means.items() if m != "dense"}
        best = max(pruned, key=lambda m: pruned[m].mean, default=None)
        ids = {method: tuple(g.id) for method, g in group.groupby("method")}
        ours = "50 % conv + 80 % linear, best method, %"
        table.append(
            {
                "model": marked(str(model), ("bloodmnist", model) in untrained), "resolution": f"{px} px",
                "dense, %": estimate_text(means.get("dense")),
                ours: f"{pruned[best].text(100)} ({best})" if best else "–",
                "Doerrich et al., %": theirs,
                # The row as a whole rests on all methods: the best one was chosen among them.
                IDS: {
                    "resolution": tuple(group.id), "dense, %": ids.get("dense", ()), ours: ids.get(str(best), ()),
                },
            }
        )  # fmt: skip
    text = (
        "Test accuracy. The best method is chosen on the test set, as the paper's table does, and is therefore "
        "flattered. Doerrich et al. (full training, ImageNet weights, mean ± SD of three seeds) at the resolution next "
        f"to ours; networks here start from random weights. The paper's own values are not published in its text. "
        f"{seeds_and_images(rows)}."
    )
    title = "BloodMNIST beside Doerrich et al. (paper F, table 1)"
    return write("blood_industrial", title, text, table, source.layout)


def sparsities(source: Source) -> Exhibit | None:
    """Table 2: what each scenario removes, and what that is of the whole network, by counting."""
    table, used = [], []
    for scenario in scenarios(source.table):
        rows = scenario_rows(source.table, scenario)
        rows = rows[rows.zeros > 0]  # small-dense has no mask
        for model, group in rows.groupby("model", sort=False):
            used.append(group)
            ends = sorted({f"{value:.1%}" for value in (group.network_sparsity.min(), group.network_sparsity.max())})
            table.append(
                {
                    "scenario": f"{scenario.name} ({scenario.title})", "model": model,
                    "filters": f"{scenario.conv:.0%}", "linear weights": f"{scenario.linear:.0%}",
                    "whole network, counted": " to ".join(ends), "swap": f"{group.swap.iloc[0]:.0%}",
                    IDS: {"scenario": tuple(group.id)},
                }
            )  # fmt: skip
    if not table:
        return None
    frame = pd.DataFrame(table).sort_values(["model", "scenario"], ignore_index=True)
    text = (
        "Whole network: removed weights of convolutions and linear layers, counted from the masks (methods round and "
        "allocate differently). ResNet18 has one small linear layer, so scenario iii hardly prunes it at all. "
        f"{seeds_and_images(pd.concat(used))}."
    )
    return write("scenarios_industrial", "Scenarios (paper F, table 2)", text, frame, source.layout)


def settings(source: Source) -> Exhibit | None:
    """Table 3: the settings, generated from the trials themselves, beside what the paper states."""
    rows = corrected_protocol(source.table)
    trials = [record.trial for record in source.records_of(rows)]
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
    text = f"Generated from the records, not typed. {seeds_and_images(rows)}."
    return write("settings_industrial", "Settings (paper F, table 3)", text, frame, source.layout, trials=rows.id)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(v) for v in values))


def quality(source: Source) -> Exhibit | None:
    """Every metric of quality that F declares, for every arm; a constant predictor shows in the balanced ones."""
    table, tidy, untrained = [], source.table, near_chance(source.table)
    for scenario in scenarios(tidy):
        rows = scenario_rows(tidy, scenario)
        for (dataset, model, method), group in rows.groupby(["dataset", "model", "method"], sort=False):
            means = {title: mean_interval(group[column], SHARE) for column, title in QUALITY.items()}
            row = {"data set": dataset, "model": model, "scenario": scenario.name, "method": method}
            table.append(row | means | {IDS: {"method": tuple(group.id)}})
    if not table:
        return None
    frame = pd.DataFrame(table)
    place = {method: i for i, method in enumerate(METHODS)}
    order = frame.assign(method=frame.method.map(place).fillna(len(place)))
    frame = frame.loc[order.sort_values(["data set", "model", "scenario", "method"]).index]
    frame = frame.loc[~((frame.method == "dense") & frame.duplicated(["data set", "model", "method"]))]
    frame["scenario"] = frame.scenario.where(frame.method != "dense", "–")
    long, wide = frame.drop(columns=IDS), frame.copy()
    for title in QUALITY.values():
        long[title] = frame[title].map(lambda e: e.mean * 100 if e else None)
        wide[title] = frame[title].map(lambda e: estimate_text(e, 100, 1))
    names = zip(frame["data set"], frame.model, strict=True)
    wide["model"] = [marked(model, (dataset, model) in untrained) for dataset, model in names]
    used = corrected_protocol(tidy)
    used = used[used.id.isin([i for ids in frame[IDS] for i in ids["method"]])]
    text = (
        "Test set; F1, precision and recall are macro averages. A network that answers one class only has a balanced "
        f"accuracy of one over the number of classes, whatever its accuracy. {seeds_and_images(used)}."
    )
    return write("quality_industrial", "All metrics of quality", text, wide, source.layout, long=long)
