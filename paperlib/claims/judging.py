"""The rule by which every test of a claim decides, from samples to one verdict."""

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from paperlib.claims.cost_evidence import CostMetric
from paperlib.claims.effects import Metric
from paperlib.claims.evidence import Evidence, Floats, PairedSample
from paperlib.claims.settings import Setting
from paperlib.claims.stats.decisions import ALPHA, CLEAR, Comparison, Outcome, comparisons, outcomes
from paperlib.claims.stats.estimates import UNBOUNDED, Bounds, Estimate, bootstrap_interval, mean_interval
from paperlib.claims.stats.power import MOST, repeats_to_decide
from paperlib.claims.verdict import MODELLED, UNDECIDED, Asked, Base, Compared, Family, Range, Verdict

ARMS = 12  # kinds of arms of a family that are told apart in what was found


@dataclass(frozen=True)
class Rule:
    """What decides a family of comparisons.

    accept and reject: outcomes that speak for and against the claim; share: of the settings in which it must hold.
    bounds: how far a comparison must go to count as `below` or `above` (None: no A/A control says so); margins: the
    smallest difference that matters, inside which it is `none`. Both are in the unit of the effect, of ratios the
    logarithm, and lie around `middle`. level: the quantity itself is judged, not its effect.
    """

    accept: Set[Outcome]
    reject: Set[Outcome]
    bounds: Sequence[float | None]
    margins: Sequence[float]
    share: float = 1.0
    middle: float = 0.0
    level: bool = False

    @classmethod
    def range(cls, low: float, high: float, settings: int, *, level: bool = False) -> "Rule":
        """The quantity or effect lies in [low, high] in each of so many settings."""
        halves = [(high - low) / 2] * settings
        return cls({"none"}, {"below", "above"}, halves, halves, middle=(low + high) / 2, level=level)

    @property
    def asked(self) -> Asked:
        """What must hold, in words."""
        if self.accept == {"none"}:
            return "in range" if self.level or self.middle else "equal"
        if "none" in self.accept:
            return "not higher" if "above" in self.reject else "not lower"
        return "lower" if "below" in self.accept else "higher"

    def needed(self, total: int) -> int:
        """Of so many settings, in how many it must hold."""
        return math.ceil(self.share * total - 1e-9)


def judge(
    evidence: Evidence,
    metric: Metric | CostMetric,
    settings: Sequence[Setting],
    samples: Sequence[PairedSample | None],
    rule: Rule,
) -> Verdict:
    """The rule of all tests.

    samples: one value per seed (of a cost per process) for each setting, None where it was not measured. Supported
    where `share` of all settings are of an accepted kind, contradicted where too many are of a rejected one or the mean
    over all is. No effect where one is claimed, yet the mean over all settings lies inside the margin, as half of them
    do, and none beyond its bound. Too noisy to tell where most of what was measured is unclear; neither of these two,
    but inconclusive, where less than half of the settings was measured. Untestable where energy is modelled, whatever
    the estimate: it would be decided on time.
    """
    measured = [(s, x, b, m) for s, x, b, m in zip(settings, samples, rule.bounds, rule.margins, strict=True) if x]
    title, total = metric.title.lower(), len(samples)
    unmeasured = tuple(Compared(setting, str(setting)) for setting in settings)
    unit, scale = _shown(metric, rule.level)
    compared = Family(metric.title, unit, rule.asked, rule.needed(total), unmeasured, rule.level)
    repeats = "processes" if isinstance(metric, CostMetric) else "seeds"
    needs = f"{total} comparisons of {title}, 3 {repeats} or more; such as {settings[0]}"
    if not measured:
        if any(evidence.has(metric, s) for s in settings):
            if isinstance(metric, CostMetric) and metric.ratio and not metric.control:  # it can be counted at any time
                return Verdict(
                    "inconclusive", f"needs {title}, which these records have not counted", needs=needs, what=title,
                    detail=f"{title} was not counted", families=(compared,),
                )  # fmt: skip
            return Verdict(
                "untestable here", f"{title} was not measured", needs=needs, what=title, families=(compared,)
            )
        kind = "costs" if isinstance(metric, CostMetric) else "trials"
        return Verdict(
            "inconclusive", f"needs {kind}, such as {settings[0]}", needs=needs, what=title, families=(compared,)
        )
    arms, taken, bounds, margins = zip(*measured, strict=True)
    log = is_ratio(metric) and not rule.level
    shown = np.expm1 if log else lambda value: value * scale
    in_unit: Callable[[float], float] = np.exp if log else shown
    pooled, possible = _pooled(taken), _bounds(metric, rule.level)
    estimate = bootstrap_interval(pooled, possible)
    verdict = Verdict(
        "inconclusive", "needs an A/A control of this network", needs=needs, unit=unit,
        estimate=estimate and estimate.mapped(in_unit),
        what=title, **evidence.support(metric, taken),
    )  # fmt: skip
    if None in bounds:
        return verdict
    # Of scores the spread is that of all arms of a data set and network. Costs of arms with one mask pattern are one
    # measurement, so each has its own.
    cells = [place if isinstance(metric, CostMetric) else (s.dataset, s.model) for place, s in enumerate(arms)]
    family = comparisons([x.values - rule.middle for x in taken], cells)
    said = outcomes(family, bounds, margins, rule.accept)
    base, reason, p, place = _decide(said, family, pooled - rule.middle, total, rule, bounds, margins)
    if base == "inconclusive" and len(measured) < total:
        reason = f"needs {total - len(measured)} more of {total} settings, such as {settings[samples.index(None)]}"
    elif base == "inconclusive" and not any(c.df for c in family):
        reason = f"needs more {repeats}"
    widths = [c.half_width for c, (word, _) in zip(family, said, strict=True) if word not in CLEAR] or [0.0]
    margin, width = _size(shown(margins[place]), unit), _size(shown(float(np.median(widths))), unit)
    details = {"no effect": f"within {margin}", "too noisy to tell": width}
    deciding = bounds[place] if base in {"supported", "contradicted"} and bounds[place] else margins[place]
    caveats = verdict.caveats
    if "modelled energy" in caveats:
        base, reason, p = "untestable here", MODELLED, None
        caveats = tuple(c for c in caveats if c != "modelled energy")
    words = [word for word, _ in said]
    more, is_cost = None, isinstance(metric, CostMetric)
    if base in UNDECIDED:
        (mean,) = comparisons([pooled - rule.middle], [0])
        more = repeats_to_decide(family, words, mean, bounds, margins, rule.accept, rule.reject, rule.share)
        needs = "; ".join(filter(None, (needs, _repeats_text(more, repeats, family))))
    counts = ", ".join(f"{words.count(w)} {w}" for w in dict.fromkeys(sorted(words)))
    return replace(
        verdict,
        base=base,
        reason=reason or details.get(base, ""),
        caveats=caveats,
        floor=float(shown(deciding)),
        p=p,
        needs=needs,
        seeds=None if is_cost else more,
        processes=more if is_cost else None,
        detail=f"{title} in {len(measured)} of {total} settings: {counts}{_by_arm(arms, taken, metric, rule.level)}",
        families=(replace(compared, compared=_compared(settings, samples, said, family, rule, possible, in_unit)),),
    )


def _compared(
    settings: Sequence[Setting],
    samples: Sequence[PairedSample | None],
    said: Sequence[tuple[Outcome, float]],
    family: Sequence[Comparison],
    rule: Rule,
    possible: Bounds,
    in_unit: Callable[[float], float],
) -> tuple[Compared, ...]:
    """Each setting with what its comparison (of those in `said` and `family`, which were measured) says of it."""
    results, found = iter(zip(said, family, strict=True)), list[Compared]()

    def around(half: float | None) -> Range | None:
        return None if half is None else (float(in_unit(rule.middle - half)), float(in_unit(rule.middle + half)))

    for setting, sample, bound, margin in zip(settings, samples, rule.bounds, rule.margins, strict=True):
        if sample is None:
            found.append(Compared(setting, str(setting)))
            continue
        (word, _), told = next(results)
        mean, half, own = told.mean + rule.middle, told.half_width, mean_interval(sample.values, possible)
        low, high = (mean - half, mean + half) if math.isfinite(half) else (None, None)
        decided = Estimate(mean, low, high, told.n).within(possible)
        found.append(
            Compared(
                setting, sample.label or str(setting), word,
                "for" if word in rule.accept else "against" if word in rule.reject else "neither",
                decided.mapped(in_unit), own and own.mapped(in_unit), around(margin),
                around(bound) if bound and rule.bounds is not rule.margins else None,
            )
        )  # fmt: skip
    return tuple(found)


def _decide(
    said: Sequence[tuple[Outcome, float]],
    family: Sequence[Comparison],
    pooled: Floats,
    total: int,
    rule: Rule,
    bounds: Sequence[float],
    margins: Sequence[float],
) -> tuple[Base, str, float | None, int]:
    """(word, why, the p that decided, the place of the comparison that it belongs to)."""
    needed, half = rule.needed(total), total / 2

    def ranked(words: Set[Outcome]) -> list[tuple[float, int]]:
        return sorted((p, place) for place, (word, p) in enumerate(said) if word in words)

    good, bad, none = ranked(rule.accept), ranked(rule.reject), ranked({"none"})
    if len(good) >= needed:  # all that are needed must hold: the weakest of the best counts
        return "supported", "", *good[needed - 1]
    if len(bad) > total - needed:
        return "contradicted", "", *bad[total - needed]
    # Where the mean over all settings lies beyond the mean bound, at least one does; half of the error is its.
    (mean,), bound = comparisons([pooled], [0]), float(np.mean(bounds))
    of_mean = {"below": mean.p_below(-bound), "above": mean.p_above(bound)}
    p, word = min((p, word) for word, p in of_mean.items())
    if rule.share == 1 and word in rule.reject and p < ALPHA / 4:
        sides = [c.mean if word == "above" else -c.mean for c in family]
        return "contradicted", "", p, int(np.argmax(sides))
    few, equal = len(said) < half, mean.p_within(float(np.mean(margins)))
    # One of many may show an effect by chance, so what speaks for the claim is corrected here.
    effects = [p * (len(said) if word in rule.accept else 1) for word, p in said if word in {"below", "above"}]
    beyond = min(effects, default=1.0) < ALPHA / 2
    if "none" not in rule.accept | rule.reject and len(none) >= half and not beyond and equal < ALPHA:
        return "no effect", "", equal, none[-1][1]
    if sum(word not in CLEAR for word, _ in said) * 2 > len(said) and not few and any(c.df for c in family):
        return "too noisy to tell", "", None, 0
    found = f"as claimed in {len(good)}" if good else f"no effect in {len(none)}"
    return "inconclusive", f"{found} of {total} settings", None, 0


def _repeats_text(more: int | None, repeats: str, family: Sequence[Comparison]) -> str:
    """What would decide these comparisons: so many seeds (or processes) of each."""
    if any(not c.df or c.n < 2 for c in family):
        return f"2 {repeats} of each to see any spread"
    if more is None:
        return f"more {repeats} alone decide nothing, since the settings differ"
    if all(c.n >= more for c in family):
        return ""  # what was measured suffices, and other settings lack
    return f"{'more than ' * (more > MOST)}{min(more, MOST):,} {repeats} for 80 % power at the spread seen here"


def _by_arm(arms: Sequence[Setting], samples: Sequence[PairedSample], metric: Metric | CostMetric, level: bool) -> str:
    """Means by method and sparsity, where a family has several kinds of arms but no crowd of them."""
    groups: dict[str, list[float]] = {}
    for arm, sample in zip(arms, samples, strict=True):
        shares = f"{arm.conv:g}/{arm.linear:g}" if arm.conv else f"{arm.linear:.0%}"
        name = arm.method if arm.method == "dense" else f"{arm.method} {shares}"
        groups.setdefault(name, []).append(float(sample.values.mean()))
    if not 1 < len(groups) <= ARMS:
        return ""
    unit, scale = _shown(metric, level)
    if unit == "ratio":
        texts = [f"{name} ×{math.exp(np.mean(means)):.3f}" for name, means in groups.items()]
    else:
        texts = [f"{name} {np.mean(means) * scale:.3g}" for name, means in groups.items()]
    return f" ({'' if unit == 'ratio' else f'mean in {unit}: '}{', '.join(texts)})"


def _size(value: float, unit: str) -> str:
    return f"±{value:.1%}" if unit == "ratio" else f"±{value:.2g} {unit}"


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


def _pooled(samples: Sequence[PairedSample]) -> Floats:
    # Seeds (or processes) are the unit of repetition: of each the mean over the settings that have it.
    repeats, index = np.unique(np.concatenate([s.repeats for s in samples]), return_inverse=True)
    values = np.concatenate([s.values for s in samples])
    return np.bincount(index, values, len(repeats)) / np.bincount(index, minlength=len(repeats))
