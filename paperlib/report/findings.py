"""What the records say, in sentences: computed, never typed."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import pandas as pd

from paperlib.claims.cost_evidence import COSTS, CostTable
from paperlib.claims.effects import (
    DRAWN,
    NOT_PUBLISHED,
    PAPER,
    Arm,
    arms,
    corrected_protocol,
    main_setting_only,
    near_chance,
)
from paperlib.claims.stats import Estimate
from paperlib.exhibits.captions import provenance
from paperlib.exhibits.cost_exhibits import STUDIES, CostArm, measured_arms, setting_of, width_of


@dataclass(frozen=True)
class Finding:
    """One finding: what it is in a few words, and the sentences with its numbers."""

    lead: str
    text: str

    def markdown(self) -> str:
        """As one paragraph, the lead in bold."""
        return f"**{self.lead}.** {self.text}"


def findings(tidy: pd.DataFrame, costs: CostTable) -> list[Finding]:
    """What the records of trials and of costs say; what they are silent about has no finding.

    The last two name the machine and the images.
    """
    tidy = main_setting_only(tidy)
    measured = list({arm.id: arm for study in STUDIES for arm in measured_arms(costs, study)}.values())
    parts = [_fastest(tidy, costs), _cost(costs, measured, "inference_time"), _cost(costs, measured, "training_time")]
    parts += [_accuracy(tidy), _abstract(tidy, costs), _failures(tidy), _machines(tidy, costs)]
    return [part for part in parts if part] + [Finding("Images", f"{provenance(corrected_protocol(tidy))}.")]


def pruned_arms(tidy: pd.DataFrame) -> list[tuple[Arm, Estimate]]:
    """The arms that remove something, with their change of accuracy against dense."""
    return [(arm, arm.effect) for arm in arms(tidy) if arm.effect and (arm.sparsity or arm.conv_sparsity)]


def _accuracy(tidy: pd.DataFrame) -> Finding | None:
    pruned = pruned_arms(tidy)
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


def _cost(costs: CostTable, measured: Sequence[CostArm], name: str) -> Finding | None:
    """How many arms, masked as in the papers, cost less or more than dense; post-training has dense's own training."""
    metric, floor = COSTS[name], costs.floor(COSTS[name])
    if name == "training_time":
        measured = [arm for arm in measured if not arm.is_trained_dense]
    effects = [effect for arm in measured if (effect := arm.effect(metric))]
    if not effects or floor is None:
        return None
    less = sum(_is_faster(e, floor) for e in effects)
    more = sum(e.low is not None and e.low > 1 + floor for e in effects)
    means, n = sorted(e.mean for e in effects), min(e.n for e in effects)
    return Finding(
        f"{metric.title}, masked as in the papers: {less} of {len(effects)} arms cost less than dense, {more} more",
        f"That is, beyond the A/A noise floor of ±{floor:.1%}, n = {n} fresh process{'es' * (n > 1)}. The median arm "
        f"takes ×{median(means):.3f} of dense, all of them ×{means[0]:.3f} to ×{means[-1]:.3f}.",
    )


def _is_faster(effect: Estimate, floor: float) -> bool:
    """Whether the ratio lies, with its whole interval, below the noise."""
    return effect.high is not None and effect.high < 1 / (1 + floor)


LOSS = 0.01  # of accuracy: what a reader may be glad to pay


def _fastest(tidy: pd.DataFrame, costs: CostTable) -> Finding | None:
    """The fastest exact arm of each model, of those that cost at most LOSS of accuracy."""
    metric, at_chance = COSTS["inference_time"], near_chance(tidy)
    widths = {arm.model: width_of(costs, arm.model) for arm, _ in pruned_arms(tidy)}
    timed = [
        (costs.effect(metric, setting_of(arm), realised=True, width=widths[arm.model]), arm, change)
        for arm, change in pruned_arms(tidy)
    ]
    pruned, floor = [(e, arm, change) for e, arm, change in timed if e], costs.floor(metric)
    if floor is None or not pruned:  # without a floor nothing can be said to lie beyond it
        return None
    parts, faster = [], [(e, arm, change) for e, arm, change in pruned if _is_faster(e, floor)]
    for model in dict.fromkeys(arm.model for _, arm, _ in pruned):
        candidates = [
            (e, arm, change)
            for e, arm, change in faster
            if arm.model == model and change.mean >= -LOSS and (arm.dataset, model) not in at_chance
        ]
        if not candidates:
            parts.append(f"{model}: nothing beyond the noise")
            continue
        effect, arm, change = min(candidates, key=lambda candidate: candidate[0].mean)
        trained = sorted(set(tidy[tidy.id.isin(arm.trials)].width))
        widths_told = (
            f", trained at width {trained[0]:g}, timed at {widths[model]:g}" if trained != [widths[model]] else ""
        )
        parts.append(
            f"{model} ×{effect.text(1, 3)} of dense, n = {effect.n} ({arm.method}, {arm.setting}, {arm.dataset}, "
            f"{change.text(100)} points, n = {change.n}{widths_told})"
        )
    return Finding(
        f"Once removed work is really skipped, inference is faster than dense in {len(faster)} of {len(pruned)} "
        "pruned arms",
        f"The fastest that lose at most {100 * LOSS:g} point of accuracy (batch 64, time of dense = 1; noise "
        f"±{floor:.1%}): {'; '.join(parts)}.",
    )


def _abstract(tidy: pd.DataFrame, costs: CostTable) -> Finding | None:
    """P's one published set of numbers (claim A1) beside ours."""
    cases = [(arm, change) for arm, change in pruned_arms(tidy) if arm.paper not in {NOT_PUBLISHED, DRAWN}]
    for arm, change in cases:
        if arm.method != "pre-training":
            continue
        parts = [f"test accuracy {change.text(100)} points (paper {arm.paper})"]
        rows = costs.of(setting_of(arm))
        for name in ("inference_time", "inference_energy"):
            if effect := costs.effect(COSTS[name], setting_of(arm)):
                source = f", {rows[COSTS[name].source].iloc[0]}" if COSTS[name].source else ""
                published = PAPER[name, arm.dataset, arm.model, arm.scope, arm.sparsity]
                parts.append(f"{COSTS[name].title.lower()} ×{effect.text(1, 3)}{source} (paper {published})")
        lead = "P's published case, small MLP on MNIST, layer-wise 50 %, pruned before training"
        return Finding(lead, f"Against dense: {'; '.join(parts)}.")
    return None


def _machines(tidy: pd.DataFrame, costs: CostTable) -> Finding | None:
    if tidy.empty:
        return None
    told = {
        column: [*tidy[column].dropna(), *costs.rows.get(column, pd.Series()).dropna()] for column in ("cpu", "gpu")
    }
    cpus = ", ".join(sorted(set(told["cpu"])))
    if told["gpu"]:
        return Finding("Machines", f"{', '.join(sorted(set(told['gpu'])))}; {cpus}.")
    threads = " or ".join(str(n) for n in sorted(set(tidy.threads)))
    text = (
        f"{cpus}, {threads} thread(s) a trial. No trial ran on a GPU, "
        "so what the papers say of one stays open: `make reproduce PROFILE=paper` on one decides it."
    )
    return Finding("Machine", text)


def _failures(tidy: pd.DataFrame) -> Finding | None:
    failed = tidy[tidy.status == "failed"]
    if failed.empty:
        return None
    return Finding(f"{len(failed)} of {len(tidy)} trials failed to train", f"{'; '.join(sorted(set(failed.reason)))}.")
