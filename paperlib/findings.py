"""What the records say, in sentences: computed, never typed."""

import pandas as pd

from paperlib.comparisons import METRICS, PAPER, Arm, Metric, arms, comparable, corrected, how_obtained, noise
from paperlib.exhibits import provenance


def findings(tidy: pd.DataFrame) -> list[str]:
    """Headline sentences with numbers and intervals for whatever these records hold."""
    tidy = comparable(tidy)
    rows = corrected(tidy)
    told = [_accuracy(tidy), *(_cost(tidy, name) for name in ("inference_time", "training_time", "training_energy"))]
    told += [_bought(tidy), _abstract(tidy), _failures(tidy), _machines(tidy)]
    return [text for text in told if text] + [f"Images: {provenance(rows)}."]


def _arms(tidy: pd.DataFrame, metric: Metric) -> list[Arm]:
    return [a for a in arms(tidy, metric) if a.effect and (a.sparsity or a.conv_sparsity)]


def _accuracy(tidy: pd.DataFrame) -> str:
    found = [a.effect for a in _arms(tidy, METRICS["accuracy"]) if a.effect]
    if not found:
        return ""
    apart = [e for e in found if e.low is not None and e.high is not None and not e.low <= 0 <= e.high]
    lower = sum(e.mean < 0 for e in apart)
    means = sorted(100 * e.mean for e in found)
    return (
        f"Accuracy: of {len(found)} pruned arms, {lower} are below dense and {len(apart) - lower} above it with an "
        f"interval that excludes zero; the other {len(found) - len(apart)} cannot be told from dense with these seeds. "
        f"The changes run from {means[0]:+.1f} to {means[-1]:+.1f} points, median {means[len(means) // 2]:+.1f}."
    )


def _cost(tidy: pd.DataFrame, name: str) -> str:
    metric = METRICS[name]
    found = [a.effect for a in _arms(tidy, metric) if a.effect]
    floor = noise(tidy, metric)
    if not found or floor is None:
        return ""
    less = sum(e.high is not None and e.high < 1 / (1 + floor) for e in found)
    more = sum(e.low is not None and e.low > 1 + floor for e in found)
    means = sorted(e.mean for e in found)
    source = f" ({how_obtained(tidy, metric)})" if metric.source_column else ""
    return (
        f"{metric.title}{source}, {_way(tidy, name)}: the median arm takes ×{means[len(means) // 2]:.3f} of dense "
        f"(×{means[0]:.3f} to ×{means[-1]:.3f}); the A/A noise floor is ±{floor:.1%}. "
        f"Beyond it, {less} of {len(found)} arms cost less and {more} cost more."
    )


def _way(tidy: pd.DataFrame, name: str) -> str:
    if name.startswith("training") and (tidy.compact_epochs > 0).any():
        return "on the cut network where whole filters are gone, else masked as in the papers"
    return "masked as in the papers"


LOSS = 0.01  # of accuracy: what a reader may be glad to pay
LEARNT = 0.1  # of the way from the majority rate to perfect: a network below it has nothing to lose


def _bought(tidy: pd.DataFrame) -> str:
    """The fastest arm of each model once removed work is skipped, of those that cost at most LOSS of accuracy."""
    metric = METRICS["realised_time"]
    floor, majority = noise(tidy, metric), tidy.groupby("dataset").test_majority.max()
    if floor is None:
        return ""  # without a floor nothing can be said to lie beyond it
    payable = {
        (a.dataset, a.model, a.setting, a.method): a.effect
        for a in _arms(tidy, METRICS["accuracy"])
        if a.effect and a.effect.mean >= -LOSS
        if a.dense and a.dense.mean - majority[a.dataset] > LEARNT * (1 - majority[a.dataset])
    }
    parts = []
    found = _arms(tidy, metric)
    for model in dict.fromkeys(a.model for a in found):
        faster = [
            (a.effect, a, change)
            for a in found
            if a.model == model and a.effect and (a.effect.high or a.effect.mean) < 1 / (1 + floor)
            if (change := payable.get((a.dataset, a.model, a.setting, a.method)))
        ]
        if not faster:
            parts.append(f"{model}: nothing beyond the noise")
            continue
        effect, arm, change = min(faster, key=lambda k: k[0].mean)
        parts.append(
            f"{model} ×{effect.text(1, 3)} of dense ({arm.method}, {arm.setting}, {arm.dataset}, "
            f"{change.text(100)} points, n = {effect.n})"
        )
    if not parts:
        return ""
    return (
        f"What pruning buys, at batch 64, once removed work is really skipped and at most {100 * LOSS:g} point of "
        f"accuracy is lost: {'; '.join(parts)}."
    )


def _abstract(tidy: pd.DataFrame) -> str:
    """P's one published set of numbers (claim A1) beside ours."""
    parts = []
    for name, unit in (("accuracy", " points"), ("inference_time", ""), ("inference_energy", "")):
        metric = METRICS[name]
        for arm in _arms(tidy, metric):
            key = (name, arm.dataset, arm.model, arm.scope, arm.sparsity)
            if key in PAPER and arm.method == "pre-training" and arm.effect:
                shown = arm.effect.text(100) + unit if name == "accuracy" else "×" + arm.effect.text(1, 3)
                source = f", {how_obtained(tidy, metric)}" if metric.source_column else ""
                parts.append(f"{metric.title.lower()} {shown}{source} (paper {PAPER[key]})")
    if not parts:
        return ""
    return "Small MLP, MNIST, layer-wise 50 %, pruned before training, against dense: " + "; ".join(parts) + "."


def _machines(tidy: pd.DataFrame) -> str:
    ran = tidy.drop_duplicates(["cpu", "gpu", "threads"]).sort_values(["cpu", "threads"])
    if ran.empty:
        return ""
    if ran.gpu.notna().any():
        return f"Machines: {', '.join(sorted(set(ran.gpu.dropna())))}; CPU: {', '.join(sorted(set(ran.cpu)))}."
    threads = " or ".join(str(n) for n in sorted(set(ran.threads)))
    text = (
        f"Machine: {', '.join(sorted(set(ran.cpu)))}, {threads} thread(s) a trial. No trial ran on a GPU, "
        "so what the papers say of one stays open: `make reproduce PROFILE=paper` on one decides it."
    )
    others = pd.to_numeric(tidy.others_share).dropna()
    if len(others):
        text += f" Other processes took {others.median():.1%} of a trial's cores (median; at most {others.max():.1%})."
    return text


def _failures(tidy: pd.DataFrame) -> str:
    failed = tidy[tidy.status == "failed"]
    if failed.empty:
        return ""
    return f"{len(failed)} of {len(tidy)} trials failed to train: {'; '.join(sorted(set(failed.reason)))}."
