"""Ready-made tests of claims: an arm against another, a quantity in a range, a share of a family, all by one rule.

Every test is a pure function from Evidence to Verdict. Costs move beyond the A/A noise floor of their network, scores
beyond 0; "comparable" is equivalence within a margin, "no loss" and "at most" are non-inferiority. Comparisons that
speak against a claim are Holm-corrected.
"""

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import replace

from paperlib.claims.cost_evidence import CostMetric
from paperlib.claims.definitions import equal_by_definition, verdict_on_equals
from paperlib.claims.effects import Metric
from paperlib.claims.evidence import QUALITIES, QUANTITIES, Evidence
from paperlib.claims.judging import Rule, is_ratio, judge
from paperlib.claims.settings import Reference, Setting, dense_of, label
from paperlib.claims.stats.decisions import Outcome
from paperlib.claims.verdict import Compared, Verdict, deny, flawed, join, strongest

Test = Callable[[Evidence], Verdict]
# The smallest differences that matter, ours, since the papers state none: inside them things are "comparable".
MARGIN = 0.01  # of an accuracy: one point
LOSS_MARGIN = 0.1  # nats
COST_MARGIN = 0.05  # of times and energies: 5 %


def below(metric: str, settings: Sequence[Setting], than: Reference = dense_of, share: float = 1.0) -> Test:
    """Lower than the reference in every setting (or in `share` of them), beyond the noise floor."""
    return _compare(metric, settings, than, {"below"}, {"above"}, share)


def above(metric: str, settings: Sequence[Setting], than: Reference = dense_of) -> Test:
    """Higher than the reference in every setting, beyond the noise floor."""
    return _compare(metric, settings, than, {"above"}, {"below"})


def not_above(metric: str, settings: Sequence[Setting], share: float = 1.0) -> Test:
    """Not higher than dense by as much as the margin, in `share` of the settings: one-sided non-inferiority."""
    return _compare(metric, settings, dense_of, {"below", "none", "not above"}, {"above"}, share, beyond_margin=True)


def not_below(metric: str, settings: Sequence[Setting], than: Reference = dense_of, share: float = 1.0) -> Test:
    """Not lower than the reference by as much as the margin: one-sided non-inferiority."""
    return _compare(metric, settings, than, {"above", "none", "not below"}, {"below"}, share, beyond_margin=True)


def same(metric: str, settings: Sequence[Setting], than: Reference = dense_of, share: float = 1.0) -> Test:
    """Equal to the reference within the margin, by two one-sided tests."""
    return _compare(metric, settings, than, {"none"}, {"below", "above"}, share, beyond_margin=True)


def effect_in(metric: str, settings: Sequence[Setting], low: float, high: float, than: Reference = dense_of) -> Test:
    """The difference (or ratio) to the reference lies in [low, high]: for published sizes of effects."""
    quantity = QUANTITIES[metric]
    a, b = (math.log(low), math.log(high)) if is_ratio(quantity) else (low, high)

    def test(evidence: Evidence) -> Verdict:
        samples = [evidence.compare(quantity, s, than(s)) for s in settings]
        return _named(judge(evidence, quantity, settings, samples, Rule.range(a, b, len(settings))), than)

    return on_real_images(quantity, test)


def value_in(metric: str, settings: Sequence[Setting], low: float, high: float) -> Test:
    """The quantity itself lies in [low, high] (in the column's own unit) in every setting."""
    quantity = QUANTITIES[metric]

    def test(evidence: Evidence) -> Verdict:
        samples = [evidence.level(quantity, s) for s in settings]
        return judge(evidence, quantity, settings, samples, Rule.range(low, high, len(settings), level=True))

    return on_real_images(quantity, test)


def extreme_in(
    metric: str,
    settings: Sequence[Setting],
    low: float,
    high: float,
    *,
    highest: bool = True,
    than: Reference | None = None,
) -> Test:
    """The highest (or lowest) of the settings, chosen by its mean and judged on its seeds, lies in [low, high].

    than: it is the difference to this reference. The first setting where none was measured.
    """
    quantity, sign = QUANTITIES[metric], 1 if highest else -1

    def test(evidence: Evidence) -> Verdict:
        samples = {
            s: evidence.level(quantity, s) if than is None else evidence.compare(quantity, s, than(s)) for s in settings
        }
        known = {s: sign * float(sample.values.mean()) for s, sample in samples.items() if sample is not None}
        chosen = max(known, key=lambda s: known[s]) if known else settings[0]
        part = value_in(metric, [chosen], low, high) if than is None else effect_in(metric, [chosen], low, high, than)
        verdict, which = part(evidence), "highest" if highest else "lowest"
        return replace(verdict, detail=f"{verdict.detail}, the {which} of {len(known)}: {chosen}" if known else "")

    return on_real_images(quantity, test)


def on_real_images(metric: Metric | CostMetric, test: Test) -> Test:
    """What was learnt on drawn images decides nothing."""

    def real_alone(evidence: Evidence) -> Verdict:
        verdict = test(evidence.undrawn)
        if verdict.estimate is not None or evidence.undrawn is evidence:
            return verdict
        of_all = test(evidence)  # a part of it may have looked at real images alone
        if of_all.estimate is None and of_all.base != "untestable here":
            return verdict
        return replace(
            verdict, base="untestable here", reason=f"{metric.title.lower()} on drawn images",
            needs=f"real images; {verdict.needs}",
        )  # fmt: skip

    return real_alone if metric.name in QUALITIES else test


def every(*tests: Test) -> Test:
    """All parts must hold; the weakest decides."""
    return tests[0] if len(tests) == 1 else lambda evidence: join([test(evidence) for test in tests])


def any_of(*tests: Test) -> Test:
    """One part suffices; the strongest decides."""
    return lambda evidence: strongest([test(evidence) for test in tests])


def beside(label: str, shown: Test, test: Test) -> Test:
    """`test` decides; what `shown` gives stands beside it under its label."""

    def both(evidence: Evidence) -> Verdict:
        verdict, other = test(evidence), shown(evidence)
        told = f"{label}: {other.figure()} ({other.base})" if other.estimate else ""
        return replace(verdict, detail="; ".join(filter(None, (verdict.detail, told))))

    return both


def negate(test: Test) -> Test:
    """The opposite of a test."""
    return lambda evidence: deny(test(evidence))


def self_contradiction(why: str, test: Test) -> Test:
    """A claim that its own paper contradicts; `test` says what our records show all the same."""
    return lambda evidence: flawed("internally inconsistent", why, test(evidence))


def unlike(why: str, test: Test) -> Test:
    """A claim that compares what cannot be compared; `test` says what our records show all the same."""
    return lambda evidence: flawed("compares unlike quantities", why, test(evidence))


def on_device(machine: str, *tests: Test) -> Test:
    """Only costs on one kind of machine: `cpu` (the laptop's inference) or `gpu` (the HPC)."""

    def on_machine(evidence: Evidence) -> Verdict:
        evidence.asked.machines.add(machine)
        measured = evidence.with_costs("device", lambda device: device.str.startswith("cpu") == (machine == "cpu"))
        verdict = every(*tests)(measured)
        if measured.costs.rows.empty and not evidence.costs.rows.empty:
            needs = f"the same costs on a {machine}"
            return replace(verdict, base="untestable here", reason=f"no costs on a {machine}", detail="", needs=needs)
        return verdict

    return on_machine


def at_pixels(pixels: int, *tests: Test) -> Test:
    """Only costs of networks on images of `pixels` or more; those on smaller ones are shown, and decide nothing."""

    def on_large_images(evidence: Evidence) -> Verdict:
        large = evidence.with_costs("resolution", lambda resolution: resolution >= pixels)
        verdict, small = every(*tests)(large), every(*tests)(evidence)
        if verdict.estimate is not None or small.estimate is None:
            return verdict
        rows = evidence.costs.rows
        sides = " and ".join(str(side) for side in sorted(set(rows[rows.id.isin(small.trials)].resolution)))
        return replace(
            small, base="inconclusive", reason=f"needs images of {pixels} px", p=None, processes=None,
            detail=f"on images of {sides} px: {small.detail}", needs=f"{small.needs}; {pixels} px",
        )  # fmt: skip

    return on_large_images


def at_scale(*tests: Test) -> Test:
    """Only on trials of the paper's own scale: a level, or how two models compare, is not that of smaller ones.

    That is the whole network (width 1), trained until it converged (`effects.converged`). Where there are
    none the estimate of the smaller ones is shown, and decides nothing.
    """

    def on_large_trials(evidence: Evidence) -> Verdict:
        test, large = every(*tests), evidence.at_scale
        verdict = test(large)
        if large is evidence or verdict.estimate is not None:
            return verdict
        small = test(evidence)
        if small.estimate is None:
            return small
        return replace(
            small, base="inconclusive", reason="needs the whole network, converged", p=None,
            seeds=None, detail=f"at a smaller scale: {small.detail}",
            needs=f"{small.needs}; width 1, as many epochs as it takes to converge",
        )  # fmt: skip

    return on_large_trials


def _compare(
    name: str,
    settings: Sequence[Setting],
    than: Reference,
    accept: Set[Outcome],
    reject: Set[Outcome],
    share: float = 1.0,
    *,
    beyond_margin: bool = False,
) -> Test:
    """beyond_margin: `below` and `above` begin at the margin, not at the noise floor."""
    metric = QUANTITIES[name]
    alike = [s for s in settings if equal_by_definition(metric, s, than(s))]
    settings = [s for s in settings if s not in alike]

    def rule(evidence: Evidence) -> Rule:
        margin = _margin(metric) * evidence.strictness
        if not isinstance(metric, CostMetric):
            margins = [margin] * len(settings)
            return Rule(accept, reject, margins if beyond_margin else [0.0] * len(settings), margins, share)
        # A wide floor widens what counts as an effect, never what counts as none.
        floors = [evidence.floor(metric, (s, than(s))) for s in settings]
        least = margin if beyond_margin else 0.0
        bounds = [None if floor is None else math.log1p(max(least, floor)) for floor in floors]
        return Rule(accept, reject, bounds, [math.log1p(margin)] * len(settings), share)

    def test(evidence: Evidence) -> Verdict:
        if not settings and isinstance(metric, CostMetric):
            return verdict_on_equals(evidence, metric, alike, than, rule(evidence))
        unlearnt = evidence.near_chance if metric.name in QUALITIES else set()
        idle = [s for s in settings if (s.dataset, s.model) in unlearnt]
        samples = [None if s in idle else evidence.compare(metric, s, than(s)) for s in settings]
        verdict = _named(judge(evidence, metric, settings, samples, rule(evidence)), than, idle)
        if alike and verdict.detail:
            methods = " and ".join(dict.fromkeys(s.method for s in alike))
            verdict = replace(verdict, detail=f"{verdict.detail} (left out, equal by definition: {methods})")
        if not idle or verdict.base not in {"inconclusive", "too noisy to tell", "untestable here"}:
            return verdict
        few = f"dense hardly learns in {len(idle)} of {len(settings)} settings, such as {dense_of(idle[0])}"
        return replace(verdict, base="inconclusive", reason=few, needs=f"{verdict.needs}; longer training")

    return on_real_images(metric, test)


def _named(verdict: Verdict, than: Reference, idle: Sequence[Setting] = ()) -> Verdict:
    """What was not compared says what it would be held against, and where dense hardly learns (idle)."""

    def named(one: Compared) -> Compared:
        if one.estimate is not None:
            return one
        why = "dense hardly learns" if one.setting in idle else one.outcome
        return replace(one, label=label(one.setting, than(one.setting)), outcome=why)

    families = (replace(f, compared=tuple(map(named, f.compared))) for f in verdict.families)
    return replace(verdict, families=tuple(families))


def _margin(metric: Metric | CostMetric) -> float:
    """The smallest difference that matters, in the unit of the metric's column, of costs as a share."""
    return COST_MARGIN if is_ratio(metric) else LOSS_MARGIN if metric.unit == "nats" else MARGIN
