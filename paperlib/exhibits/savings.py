"""Section 04: what the papers' 50 and 80 % buy, masked and in the best exact way, with accuracy beside it."""

import pandas as pd

from paperlib.claims.cost_arms import CostArm, measured_arms
from paperlib.claims.effects import beside_dense
from paperlib.exhibits.captions import provenance
from paperlib.exhibits.cost_exhibits import TIMED, describe_costs
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.exhibits.tables import IDS, estimate_text, write
from paperlib.studies.profiles import F_DATASETS, GRID_METHODS

# Study, model, shares of filters and of weights removed: P's 50 and 80 %, and F's of filters (scenarios ii and i).
ROWS = (
    *(("mlp", model, (0.0, share)) for model in ("mlp-small", "mlp-medium") for share in (0.5, 0.8)),
    *(("vgg", "vgg16", shares) for shares in ((0.0, 0.5), (0.0, 0.8), (0.5, 0.5), (0.8, 0.8))),
    *(("industrial", model, (conv, 0.8)) for model in ("vgg16", "resnet18") for conv in (0.5, 0.8)),
)


def table(source: Source) -> Exhibit | None:
    """`edge_papers`: one row per network and shares, of masks that stay; None where no costs were measured."""
    measured = {study: measured_arms(source.costs, study) for study in ("mlp", "vgg", "industrial")}
    pairs = beside_dense(source.where(source.table.main_setting).table)
    rows, shown, beside = list[dict[str, object]](), list[CostArm](), list[pd.DataFrame]()
    for study, model, shares in ROWS:
        arms = [a for a in measured[study] if (a.setting.model, a.setting.conv, a.setting.linear) == (model, *shares)]
        arms = [arm for arm in arms if arm.setting.method == "pre-training"]
        if not arms:
            continue
        arm = min(arms, key=lambda arm: (arm.setting.scope, arm.setting.dataset != "mnist"))  # global first; P's first
        trained = _trained(pairs, arm, study)
        row = {"network": f"{'F' if study == 'industrial' else 'P'}: {arm.network.partition(',')[0]}"}
        row |= {"removed": arm.pruned} | _times(arm) | {"accuracy, points": _change(trained)}
        rows.append(row | {IDS: (arm.id, *trained.id, *trained.id_dense)})
        shown.append(arm)
        beside.append(trained)
    if not rows:
        return None
    text = (
        "Time of dense = 1. Masked: as in the papers; best: the fastest way with the same answers, named in brackets "
        "(dense: none is faster). Masks stay, so training is its steps alone. Accuracy: on test images, less dense of "
        "the same seed, mean over data sets and seeds: of the papers' method that loses least, then of the one that "
        f"loses most. {_trials(pd.concat(beside))} {describe_costs(source.costs, shown)}"
    )
    return write("edge_papers", "What the papers' 50 and 80 % buy", text, rows, source.layout, groups=())


def _times(arm: CostArm) -> dict[str, str]:
    texts = dict[str, str]()
    for name, column, metric in (TIMED[1], TIMED[2], TIMED[0]):
        way, best = arm.way(column), estimate_text(arm.effect(metric, realised=True), 1)
        texts[f"{name}, masked"] = f"×{estimate_text(arm.effect(metric), 1)}"
        texts[f"{name}, best"] = f"×{best} ({way})" if way else "×1 (dense)"
    return texts


def _trained(pairs: pd.DataFrame, arm: CostArm, study: str) -> pd.DataFrame:
    """The study's trials of the papers' methods that remove as much of this model."""
    setting, of_f = arm.setting, pairs.dataset.str.partition(":")[0].isin(F_DATASETS)
    chosen = of_f.eq(study == "industrial") & pairs.model.eq(setting.model) & pairs.scope.eq(setting.scope)
    chosen &= pairs.method.isin(GRID_METHODS)
    return pairs[chosen & pairs.conv_sparsity.eq(setting.conv) & pairs.sparsity.eq(setting.linear)]


def _change(trained: pd.DataFrame) -> str:
    if trained.empty:
        return "–"
    change = (trained.test_accuracy - trained.test_accuracy_dense).groupby(trained.method).mean().sort_values() * 100
    ends = dict.fromkeys((change.index[-1], change.index[0]))
    return " to ".join(f"{change[method]:+.1f} ({method})" for method in ends)


def _trials(trained: pd.DataFrame) -> str:
    """n, widths and images of the accuracies."""
    if trained.empty:
        return "No accuracy: this profile has no such trials."
    seeds = trained.groupby(["dataset", "model", "method", "conv_sparsity", "sparsity"]).seed.nunique()
    pairs = dict.fromkeys(zip(trained.model, trained.width, strict=True))
    widths = ", ".join(f"{model} {width:g}" for model, width in pairs)
    count = " to ".join(map(str, dict.fromkeys((seeds.min(), seeds.max()))))
    return f"n = {count} seed(s) of each data set, no interval; width factors {widths}; images: {provenance(trained)}."
