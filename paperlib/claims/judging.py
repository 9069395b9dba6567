"""The rule by which every test of a claim decides, from samples to one verdict."""

import math
from collections.abc import Sequence, Set
from dataclasses import replace

import numpy as np

from paperlib.claims.cost_evidence import CostMetric
from paperlib.claims.effects import Metric
from paperlib.claims.evidence import Evidence, Floats, PairedSample
from paperlib.claims.settings import Setting
from paperlib.claims.stats.decisions import ALPHA, Outcome, beyond_p, outcomes, sign_flip_p
from paperlib.claims.stats.estimates import UNBOUNDED, Bounds, bootstrap_interval
from paperlib.claims.verdict import Base, Verdict

MODELLED = "modelled energy is computed from CPU time"
WIDE = 0.2  # a noise floor above it is named in the verdict


def judge(
    evidence: Evidence,
    metric: Metric | CostMetric,
    settings: Sequence[Setting],
    samples: Sequence[PairedSample | None],
    halves: Sequence[float | None],
    accept: Set[Outcome] = frozenset({"none"}),
    reject: Set[Outcome] = frozenset({"below", "above"}),
    share: float = 1.0,
    *,
    middle: float = 0.0,
    equivalence: bool = True,
    floor: float | None = None,
    level: bool = False,
) -> Verdict:
    """The rule of all tests.

    samples: one value per seed for each setting (None: not measured), of the quantity itself if `level`, else of
    its effect; middle ± half of each: the range that counts as `none`, in the same unit (of ratios the logarithm).
    floor: shown in the verdict. Supported where `share` of all settings are of an accepted kind, contradicted where
    too many are of a rejected one, inside the noise where most show no effect though one is claimed, else
    inconclusive. Untestable where energy is modelled, whatever the estimate: it would be decided on time.
    """
    measured = [sample for sample in samples if sample is not None]
    title, total = metric.title.lower(), len(samples)
    repeats = "processes" if isinstance(metric, CostMetric) else "seeds"
    needs = f"{total} comparisons of {title}, 3 {repeats} or more; such as {settings[0]}"
    if not measured:
        if any(evidence.has(metric, s) for s in settings):
            return Verdict("untestable here", f"{title} was not measured", needs=needs)
        kind = "costs" if isinstance(metric, CostMetric) else "trials"
        return Verdict("inconclusive", f"needs {kind}, such as {settings[0]}", needs=needs)
    pooled = _pooled(measured)
    log = is_ratio(metric) and not level
    estimate = bootstrap_interval(pooled, _bounds(metric, level))
    unit, scale = _shown(metric, level)
    verdict = Verdict(
        "inconclusive", "needs an A/A control of this quantity", needs=needs, unit=unit,
        estimate=estimate and (estimate.mapped(np.exp) if log else estimate.scaled(scale)),
        floor=None if floor is None else floor * scale, p=sign_flip_p(pooled - middle),
        **evidence.support(metric, measured),
    )  # fmt: skip
    margins = [h for h, sample in zip(halves, samples, strict=True) if sample is not None and h is not None]
    if len(margins) < len(measured):
        return verdict
    said = outcomes([s.values - middle for s in measured], margins, equivalence=equivalence, claimed=accept)
    good, bad, none = (sum(word in words for word in said) for words in (accept, reject, {"none"}))
    needed = math.ceil(share * total - 1e-9)
    counts = ", ".join(f"{said.count(w)} {w}" for w in ("below", "none", "above", "unclear") if w in said)
    base: Base = "inconclusive"
    reason = ""
    if good >= needed:
        base = "supported"
    elif bad > total - needed or (share == 1 and _mean_beyond(pooled - middle, float(np.mean(margins)), reject)):
        base = "contradicted"
    elif "none" not in accept | reject and none * 2 >= max(len(measured), total / 2):
        base = "inside the noise"
        if log and floor is not None and floor > WIDE:  # then it says little about the claim
            reason = f"of ±{floor:.0%}"
    elif len(measured) < total:
        reason = f"needs {total - len(measured)} more of {total} settings, such as {settings[samples.index(None)]}"
    elif "unclear" not in said:
        reason = f"{none} of {total} comparisons show no effect"
    else:
        reason = f"needs more {repeats}: {said.count('unclear')} of {total} comparisons are unclear"
    caveats = verdict.caveats
    if "modelled energy" in caveats:
        base, reason, caveats = "untestable here", MODELLED, tuple(c for c in caveats if c != "modelled energy")
    return replace(
        verdict,
        base=base,
        reason=reason,
        caveats=caveats,
        detail=f"{title} in {len(measured)} of {total} settings: {counts}",
    )


def is_ratio(metric: Metric | CostMetric) -> bool:
    """Whether two settings are compared by a ratio: costs are, scores by their difference."""
    return isinstance(metric, CostMetric)


def _bounds(metric: Metric | CostMetric, level: bool) -> Bounds:
    if isinstance(metric, CostMetric):
        return UNBOUNDED  # a logarithm, or a level far from 0
    return metric.bounds if level else metric.effect_bounds


def _shown(metric: Metric | CostMetric, level: bool) -> tuple[str, float]:
    """(unit, factor from the column to it) in which an estimate is given, of the quantity itself or of an effect."""
    if isinstance(metric, CostMetric):
        return ("J" if metric.source else "bytes" if "bytes" in metric.level else "s", 1.0) if level else ("ratio", 1.0)
    if metric.unit == "%":
        return "%" if level else "points", metric.scale
    return metric.unit, 1.0


def _mean_beyond(pooled: Floats, half: float, reject: Set[Outcome]) -> bool:
    # Where the mean over all settings lies beyond the mean margin, at least one does; half of the error is its.
    p = dict(zip(("below", "above"), beyond_p(pooled, half), strict=True))
    return any(p[word] < ALPHA / 4 for word in ("below", "above") if word in reject)


def _pooled(samples: Sequence[PairedSample]) -> Floats:
    # Seeds (or processes) are the unit of repetition: of each the mean over the settings that have it.
    repeats, index = np.unique(np.concatenate([s.repeats for s in samples]), return_inverse=True)
    values = np.concatenate([s.values for s in samples])
    return np.bincount(index, values, len(repeats)) / np.bincount(index, minlength=len(repeats))
