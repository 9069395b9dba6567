"""Ready-made tests of claims: an arm against another, a quantity in a range, a share of a family, all by one rule.

Every test is a pure function from Evidence to Verdict. Costs move beyond the A/A noise floor or not at all;
"comparable" is equivalence within a margin. Comparisons that speak against a claim are Holm-corrected.
"""

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import replace

from paperlib.claims.cost_evidence import CostMetric
from paperlib.claims.effects import Metric
from paperlib.claims.evidence import EPOCHS, QUALITIES, QUANTITIES, Evidence
from paperlib.claims.judging import is_ratio, judge
from paperlib.claims.settings import Reference, Setting, dense_of
from paperlib.claims.stats.decisions import Outcome
from paperlib.claims.verdict import Verdict, deny, inconsistent, join

Test = Callable[[Evidence], Verdict]
MARGIN = 0.01  # "comparable accuracy": within one point
COST_MARGIN = 0.05  # "equal" times and energies: within 5 %, or the noise floor if that is wider
TRAINING = {"training_time", "training_energy", "co2", "peak_memory"}
ON_IMAGES = {"accuracy", "train_accuracy", "train_loss"}  # on drawn images they stand beside no published figure


def below(metric: str, settings: Sequence[Setting], than: Reference = dense_of, share: float = 1.0) -> Test:
    """Lower than the reference in every setting (or in `share` of them), beyond the noise floor."""
    return _compare(metric, settings, than, {"below"}, {"above"}, share)


def above(metric: str, settings: Sequence[Setting], than: Reference = dense_of) -> Test:
    """Higher than the reference in every setting, beyond the noise floor."""
    return _compare(metric, settings, than, {"above"}, {"below"})


def not_above(metric: str, settings: Sequence[Setting], share: float = 1.0) -> Test:
    """Lower than dense or equal to it, in `share` of the settings."""
    return _compare(metric, settings, dense_of, {"below", "none"}, {"above"}, share)


def same(
    metric: str,
    settings: Sequence[Setting],
    than: Reference = dense_of,
    share: float = 1.0,
    margin: float | None = None,
    or_above: bool = False,
) -> Test:
    """Equal to the reference within the margin (TOST), or also higher where that keeps the claim true.

    margin: in the unit of the metric's column, of costs as a share; MARGIN or COST_MARGIN where none is given.
    """
    if margin is None:
        margin = COST_MARGIN if is_ratio(QUANTITIES[metric]) else MARGIN
    accept: Set[Outcome] = {"none", "above"} if or_above else {"none"}
    return _compare(metric, settings, than, accept, {"below"} if or_above else {"below", "above"}, share, margin)


def effect_in(metric: str, settings: Sequence[Setting], low: float, high: float, than: Reference = dense_of) -> Test:
    """The difference (or ratio) to the reference lies in [low, high]: for published sizes of effects."""
    quantity = QUANTITIES[metric]
    a, b = (math.log(low), math.log(high)) if is_ratio(quantity) else (low, high)

    def test(evidence: Evidence) -> Verdict:
        samples = [evidence.compare(quantity, s, than(s)) for s in settings]
        return judge(evidence, quantity, settings, samples, [(b - a) / 2] * len(settings), middle=(a + b) / 2)

    return beside_published(quantity, test)


def value_in(metric: str, settings: Sequence[Setting], low: float, high: float) -> Test:
    """The quantity itself lies in [low, high] (in the column's own unit) in every setting."""
    quantity = QUANTITIES[metric]

    def test(evidence: Evidence) -> Verdict:
        samples = [evidence.level(quantity, s) for s in settings]
        halves = [(high - low) / 2] * len(settings)
        return judge(evidence, quantity, settings, samples, halves, middle=(low + high) / 2, level=True)

    return beside_published(quantity, test)


def beside_published(metric: Metric | CostMetric, test: Test) -> Test:
    """A published size of an accuracy or a loss is met on real images or not at all."""

    def on_real_images(evidence: Evidence) -> Verdict:
        verdict = test(evidence.undrawn)
        if verdict.estimate is not None or evidence.undrawn is evidence or test(evidence).estimate is None:
            return verdict
        return Verdict(
            "untestable here", f"{metric.title.lower()} of drawn images beside a published one",
            needs=f"official images; {verdict.needs}",
        )  # fmt: skip

    return on_real_images if metric.name in ON_IMAGES else test


def every(*tests: Test) -> Test:
    """All parts must hold; the weakest decides."""
    return tests[0] if len(tests) == 1 else lambda evidence: join([test(evidence) for test in tests])


def negate(test: Test) -> Test:
    """The opposite of a test."""
    return lambda evidence: deny(test(evidence))


def self_contradiction(why: str, test: Test) -> Test:
    """A claim that its own paper contradicts; `test` says what our records show all the same."""
    return lambda evidence: inconsistent(why, test(evidence))


def on_device(machine: str, *tests: Test) -> Test:
    """Only costs on one kind of machine: `cpu` (the laptop's inference) or `gpu` (the HPC)."""

    def on_machine(evidence: Evidence) -> Verdict:
        measured = evidence.with_costs("device", lambda device: device.str.startswith("cpu") == (machine == "cpu"))
        if measured.costs.rows.empty and not evidence.costs.rows.empty:
            return Verdict("untestable here", f"no costs on a {machine}", needs=f"the same costs on a {machine}")
        return every(*tests)(measured)

    return on_machine


def at_pixels(pixels: int, *tests: Test) -> Test:
    """Only costs of networks on images of `pixels` or more; those on smaller ones are shown, and decide nothing."""

    def on_large_images(evidence: Evidence) -> Verdict:
        large = evidence.with_costs("resolution", lambda resolution: resolution >= pixels)
        verdict, small = every(*tests)(large), every(*tests)(evidence)
        if verdict.estimate is not None or small.estimate is None:
            return verdict
        return replace(
            small, base="inconclusive", reason=f"needs images of {pixels} px",
            detail=f"on smaller images: {small.detail}", needs=f"{small.needs}; {pixels} px",
        )  # fmt: skip

    return on_large_images


def at_scale(*tests: Test) -> Test:
    """Only on trials of the paper's own scale: a level, or how two models compare, is not that of smaller ones.

    That is the whole network (width 1), trained for F's epochs or more. Where there are none the estimate of the
    smaller ones is shown, and decides nothing.
    """

    def on_large_trials(evidence: Evidence) -> Verdict:
        rows, test = evidence.rows, every(*tests)
        large = evidence.where((rows.epochs >= EPOCHS) & (rows.width == 1))
        verdict = test(large)
        if large is evidence or verdict.estimate is not None:
            return verdict
        small = test(evidence)
        if small.estimate is None:
            return small
        return replace(
            small, base="inconclusive", reason=f"needs the paper's {EPOCHS} epochs of the whole network",
            detail=f"at a smaller scale: {small.detail}",
            needs=f"{small.needs}; {EPOCHS} epochs, width 1",
        )  # fmt: skip

    return on_large_trials


def _compare(
    name: str,
    settings: Sequence[Setting],
    than: Reference,
    accept: Set[Outcome],
    reject: Set[Outcome],
    share: float = 1.0,
    margin: float | None = None,
) -> Test:
    metric = QUANTITIES[name]
    every_setting = settings
    settings = [s for s in every_setting if not _equal_by_definition(metric, s, than(s))] or every_setting

    def no_difference(evidence: Evidence, setting: Setting) -> float | None:
        # What counts as none: the margin of a score, else the noise floor, or the margin if that is wider.
        if margin is not None and not is_ratio(metric):
            return margin
        floor = evidence.floor(metric, (setting, than(setting)))
        return floor if margin is None else max(margin, floor or 0.0)

    def test(evidence: Evidence) -> Verdict:
        unlearnt = evidence.near_chance if metric.name in QUALITIES else set()
        idle = [s for s in settings if (s.dataset, s.model) in unlearnt]
        samples = [None if s in idle else evidence.compare(metric, s, than(s)) for s in settings]
        widths = [no_difference(evidence, s) for s in settings]
        verdict = judge(
            evidence, metric, settings, samples,
            [None if w is None else math.log1p(w) if is_ratio(metric) else w for w in widths], accept, reject,
            share, equivalence=margin is not None, floor=max((w for w in widths if w is not None), default=None),
        )  # fmt: skip
        if len(settings) < len(every_setting) and verdict.detail:
            verdict = replace(verdict, detail=f"{verdict.detail} (post-training trains as dense, by definition)")
        if not idle or verdict.base not in {"inconclusive", "untestable here"}:
            return verdict
        few = f"dense hardly learns in {len(idle)} of {len(settings)} settings, such as {dense_of(idle[0])}"
        return replace(verdict, base="inconclusive", reason=few, needs=f"{verdict.needs}; longer training")

    return test


def _equal_by_definition(metric: Metric | CostMetric, setting: Setting, other: Setting) -> bool:
    """Whether both have one and the same training: that of dense, which post-training prunes afterwards."""
    one_network = (setting.dataset, setting.model) == (other.dataset, other.model)
    return metric.name in TRAINING and one_network and {setting.method, other.method} <= {"dense", "post-training"}
