"""What the records say, in sentences: computed, never typed."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import pandas as pd

from paperlib.claims.effects import (
    DRAWN,
    METRICS,
    NOT_PUBLISHED,
    Arm,
    Metric,
    arms,
    corrected_protocol,
    main_setting_only,
    measurement_sources,
    near_chance,
    noise,
)
from paperlib.claims.stats import Estimate
from paperlib.exhibits.captions import provenance


@dataclass(frozen=True)
class Finding:
    """One finding: what it is in a few words, and the sentences with its numbers."""

    lead: str
    text: str

    def markdown(self) -> str:
        """As one paragraph, the lead in bold."""
        return f"**{self.lead}.** {self.text}"


def findings(tidy: pd.DataFrame) -> list[Finding]:
    """What the records say, with numbers and intervals; what they are silent about has no finding.

    The last two name the machine and the images.
    """
    tidy = main_setting_only(tidy)
    parts = [_fastest(tidy), _cost(tidy, "inference_time"), _cost(tidy, "training_time"), _energy(tidy)]
    parts += [_accuracy(tidy), _abstract(tidy), _failures(tidy), _machines(tidy)]
    return [part for part in parts if part] + [Finding("Images", f"{provenance(corrected_protocol(tidy))}.")]


def pruned_arms(tidy: pd.DataFrame, metric: Metric) -> list[tuple[Arm, Estimate]]:
    """The arms that remove something, with their effect against dense."""
    return [(arm, arm.effect) for arm in arms(tidy, metric) if arm.effect and (arm.sparsity or arm.conv_sparsity)]


def _accuracy(tidy: pd.DataFrame) -> Finding | None:
    pruned = pruned_arms(tidy, METRICS["accuracy"])
    if not pruned:
        return None
    effects = [effect for _, effect in pruned]
    apart = [e for e in effects if e.low is not None and e.high is not None and not e.low <= 0 <= e.high]
    lower = sum(e.mean < 0 for e in apart)
    means = sorted(100 * e.mean for e in effects)
    changes = f"The changes run from {means[0]:+.1f} to {means[-1]:+.1f} points, median {median(means):+.1f}."
    at_chance = near_chance(tidy)
    if near := sum((arm.dataset, arm.model) in at_chance for arm, _ in pruned):
        changes += f" {near} of these arms stand beside a dense network near chance, which has nothing to lose."
    if all(e.n == 1 for e in effects):
        return Finding(f"Accuracy of {len(effects)} pruned arms, one seed each, so without intervals", changes)
    return Finding(
        f"Accuracy is lower in {lower} and higher in {len(apart) - lower} of {len(effects)} pruned arms",
        f"That is, with a 95 % interval that excludes zero, as about {0.05 * len(effects):.0f} would by chance; these "
        f"seeds cannot tell the others from dense. {changes}",
    )


def _cost(tidy: pd.DataFrame, name: str) -> Finding | None:
    metric = METRICS[name]
    effects, floor = [effect for _, effect in pruned_arms(tidy, metric)], noise(tidy, metric)
    if not effects or floor is None:
        return None
    less, more = _beyond(effects, floor)
    means = sorted(e.mean for e in effects)
    source = f" ({measurement_sources(tidy, metric)})" if metric.source_column else ""
    how = "masked as in the papers"
    if name.startswith("training") and (tidy.compact_epochs > 0).any():
        how = "on the cut network where whole filters are gone, else masked as in the papers"
    return Finding(
        f"{metric.title}{source}, {how}: {less} of {len(effects)} arms cost less than dense, {more} more",
        f"That is, beyond the A/A noise floor of ±{floor:.1%}. The median arm takes ×{median(means):.3f} of "
        f"dense, all of them ×{means[0]:.3f} to ×{means[-1]:.3f}.",
    )


def _beyond(effects: Sequence[Estimate], floor: float) -> tuple[int, int]:
    """How many ratios lie, with their whole interval, below and above the noise."""
    less = sum(e.high is not None and e.high < 1 / (1 + floor) for e in effects)
    return less, sum(e.low is not None and e.low > 1 + floor for e in effects)


def _energy(tidy: pd.DataFrame) -> Finding | None:
    """Training energy where a counter gave it; a modelled one is training time again and would say nothing new."""
    words = set(measurement_sources(tidy, METRICS["training_energy"]).split("/"))
    return None if words <= {"modelled", "not measured"} else _cost(tidy, "training_energy")


LOSS = 0.01  # of accuracy: what a reader may be glad to pay


def _fastest(tidy: pd.DataFrame) -> Finding | None:
    """The fastest arm of each model once removed work is skipped, of those that cost at most LOSS of accuracy."""
    metric = METRICS["realised_time"]
    floor, at_chance = noise(tidy, metric), near_chance(tidy)
    pruned = pruned_arms(tidy, metric)
    if floor is None or not pruned:  # without a floor nothing can be said to lie beyond it
        return None
    accurate = {
        (arm.dataset, arm.model, arm.setting, arm.method): change
        for arm, change in pruned_arms(tidy, METRICS["accuracy"])
        if change.mean >= -LOSS and (arm.dataset, arm.model) not in at_chance
    }
    parts = []
    for model in dict.fromkeys(arm.model for arm, _ in pruned):
        faster = [
            (effect, arm, change)
            for arm, effect in pruned
            if arm.model == model and effect.high is not None and effect.high < 1 / (1 + floor)
            if (change := accurate.get((arm.dataset, arm.model, arm.setting, arm.method)))
        ]
        if not faster:
            parts.append(f"{model}: nothing beyond the noise")
            continue
        effect, arm, change = min(faster, key=lambda candidate: candidate[0].mean)
        parts.append(
            f"{model} ×{effect.text(1, 3)} of dense ({arm.method}, {arm.setting}, {arm.dataset}, "
            f"{change.text(100)} points, n = {effect.n})"
        )
    less, _ = _beyond([effect for _, effect in pruned], floor)
    return Finding(
        f"Once removed work is really skipped, inference is faster than dense in {less} of {len(pruned)} pruned arms",
        f"The fastest that lose at most {100 * LOSS:g} point of accuracy (batch 64, time of dense = 1; noise "
        f"±{floor:.1%}): {'; '.join(parts)}.",
    )


def _abstract(tidy: pd.DataFrame) -> Finding | None:
    """P's one published set of numbers (claim A1) beside ours."""
    parts = []
    for name, unit in (("accuracy", " points"), ("inference_time", ""), ("inference_energy", "")):
        metric = METRICS[name]
        for arm, effect in pruned_arms(tidy, metric):
            if arm.paper not in {NOT_PUBLISHED, DRAWN} and arm.method == "pre-training":
                shown = effect.text(100) + unit if name == "accuracy" else "×" + effect.text(1, 3)
                source = f", {measurement_sources(tidy, metric)}" if metric.source_column else ""
                parts.append(f"{metric.title.lower()} {shown}{source} (paper {arm.paper})")
    if not parts:
        return None
    lead = "P's published case, small MLP on MNIST, layer-wise 50 %, pruned before training"
    return Finding(lead, f"Against dense: {'; '.join(parts)}.")


def _machines(tidy: pd.DataFrame) -> Finding | None:
    if tidy.empty:
        return None
    cpus = ", ".join(sorted(set(tidy.cpu)))
    if tidy.gpu.notna().any():
        return Finding("Machines", f"{', '.join(sorted(set(tidy.gpu.dropna())))}; {cpus}.")
    threads = " or ".join(str(n) for n in sorted(set(tidy.threads)))
    text = (
        f"{cpus}, {threads} thread(s) a trial. No trial ran on a GPU, "
        "so what the papers say of one stays open: `make reproduce PROFILE=paper` on one decides it."
    )
    others = pd.to_numeric(tidy.others_share).dropna()
    if len(others):
        text += f" Other processes took {others.median():.1%} of a trial's cores (median; at most {others.max():.1%})."
    return Finding("Machine", text)


def _failures(tidy: pd.DataFrame) -> Finding | None:
    failed = tidy[tidy.status == "failed"]
    if failed.empty:
        return None
    return Finding(f"{len(failed)} of {len(tidy)} trials failed to train", f"{'; '.join(sorted(set(failed.reason)))}.")
