"""Ready-made tests: an arm against another, a level in a range, a share of a family, all with one rule.

Every test is a pure function from Evidence to Verdict. Costs move beyond the A/A noise floor or not at all;
"comparable" is equivalence within MARGIN. Comparisons that speak against a claim are Holm-corrected.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from paperlib.claims.effects import Metric
from paperlib.claims.evidence import EPOCHS, ON_IMAGES, QUALITIES, QUANTITIES, Evidence, PairedSample, Setting, dense_of
from paperlib.claims.stats import ALPHA, Outcome, beyond_p, bootstrap_interval, exponential, outcomes, sign_flip_p
from paperlib.claims.verdict import Verdict, deny, join

Test = Callable[[Evidence], Verdict]
Reference = Callable[[Setting], Setting]
SCENARIOS = {"i": (0.8, 0.8), "ii": (0.5, 0.8), "iii": (0.0, 0.8)}
MODELS, SETS = ("vgg16", "resnet18"), ("bloodmnist", "industrial", "visa")
METHODS = ("pre-training", "in-training", "post-training", "set")
P_SETS, P_MODELS = ("mnist", "fashionmnist", "emnist", "cifar10", "octmnist"), ("mlp-small", "mlp-medium")
P_METHODS = ("pre-training", "post-training", "set")
MARGIN = 0.01  # "comparable accuracy": within one point
WIDE = 0.2  # a noise floor above it is named in the verdict
COST_MARGIN = 0.05  # "equal" times and energies: within 5 %, or the noise floor if that is wider


def grid_f(
    methods: Sequence[str] = METHODS,
    scenarios: Sequence[str] = tuple(SCENARIOS),
    datasets: Sequence[str] = SETS,
    models: Sequence[str] = MODELS,
) -> list[Setting]:
    """Paper F's settings; method `dense` has no scenario."""
    found = [Setting(d, m, a, *SCENARIOS[s]) for d, m, s, a in product(datasets, models, scenarios, methods)]
    return list(dict.fromkeys(dense_of(s) if s.method == "dense" else s for s in found))


def grid_p(
    scopes: Sequence[str] = ("layerwise",),
    sparsities: Sequence[float] = (0.5, 0.8),
    datasets: Sequence[str] = P_SETS,
    models: Sequence[str] = P_MODELS,
) -> list[Setting]:
    """Paper P's settings: linear layers only."""
    return [Setting(d, m, a, 0.0, p, s) for d, m, s, p, a in product(datasets, models, scopes, sparsities, P_METHODS)]


def versus(**fields: object) -> Reference:
    """The same setting with other fields, such as `against(method="set")`; a scenario as `scenario="i"`."""

    def reference(setting: Setting) -> Setting:
        changed = dict(fields)
        if (name := changed.pop("scenario", None)) is not None:
            changed["conv"], changed["linear"] = SCENARIOS[str(name)]
        found = setting if setting.method == "dense" else setting._replace(**changed)  # type: ignore[arg-type]
        return found._replace(model=str(changed["model"])) if "model" in changed else found

    return reference


def below(metric: str, settings: Sequence[Setting], than: Reference = dense_of, share: float = 1.0) -> Test:
    """Lower than the reference in every setting (or in `share` of them), beyond the noise floor."""
    return _compare(metric, settings, than, {"below"}, {"above"}, share)


def above(metric: str, settings: Sequence[Setting], than: Reference = dense_of, share: float = 1.0) -> Test:
    """Higher than the reference, beyond the noise floor."""
    return _compare(metric, settings, than, {"above"}, {"below"}, share)


def not_above(metric: str, settings: Sequence[Setting], than: Reference = dense_of, share: float = 1.0) -> Test:
    """Lower than the reference or equal to it."""
    return _compare(metric, settings, than, {"below", "none"}, {"above"}, share)


def same(
    metric: str,
    settings: Sequence[Setting],
    than: Reference = dense_of,
    share: float = 1.0,
    margin: float | None = None,
    or_above: bool = False,
) -> Test:
    """Equal to the reference within the margin (TOST), or also better where that keeps the claim true."""
    accept: set[Outcome] = {"none", "above"} if or_above else {"none"}
    wide = margin if margin is not None else (COST_MARGIN if QUANTITIES[metric].effect == "ratio" else MARGIN)
    return _compare(metric, settings, than, accept, {"below"} if or_above else {"below", "above"}, share, wide)


def effect_in(metric: str, settings: Sequence[Setting], low: float, high: float, than: Reference = dense_of) -> Test:
    """The difference (or ratio) to the reference lies in [low, high]: for published sizes of effects."""
    quantity = QUANTITIES[metric]
    a, b = (math.log(low), math.log(high)) if quantity.effect == "ratio" else (low, high)

    def test(evidence: Evidence) -> Verdict:
        cells = [evidence.compare(quantity, s, than(s)) for s in settings]
        halves = [(b - a) / 2] * len(cells)
        return judge(evidence, quantity, settings, cells, (a + b) / 2, halves, {"none"}, {"below", "above"})

    return beside_published(quantity, test)


def value_in(metric: str, settings: Sequence[Setting], low: float, high: float, share: float = 1.0) -> Test:
    """The quantity itself lies in [low, high] (in the column's own unit) in every setting."""
    quantity = QUANTITIES[metric]

    def test(evidence: Evidence) -> Verdict:
        cells = [evidence.level(quantity, s) for s in settings]
        middle, halves = (low + high) / 2, [(high - low) / 2] * len(cells)
        return judge(
            evidence, quantity, settings, cells, middle, halves, {"none"}, {"below", "above"}, share,
            level=True,
        )  # fmt: skip

    return beside_published(quantity, test)


def beside_published(metric: Metric, test: Test) -> Test:
    """A published size of an accuracy or a loss is met on real images or not at all."""
    if metric.name not in ON_IMAGES:
        return test

    def judged(evidence: Evidence) -> Verdict:
        real = test(evidence.undrawn)
        if real.estimate is not None or evidence.undrawn is evidence or test(evidence).estimate is None:
            return real
        return Verdict(
            "untestable here", f"{metric.title.lower()} of drawn images beside a published one",
            needs=f"official images; {real.needs}",
        )  # fmt: skip

    return judged


def every(*tests: Test) -> Test:
    """All parts must hold."""
    return lambda evidence: join([test(evidence) for test in tests])


def negate(test: Test) -> Test:
    """The opposite of a test."""
    return lambda evidence: deny(test(evidence))


def on_device(machine: str, test: Test) -> Test:
    """Only trials of one kind of machine: `cpu` (the laptop's inference) or `gpu` (the HPC)."""

    def there(evidence: Evidence) -> Verdict:
        here = evidence.on(machine)
        if here.rows.empty and not evidence.rows.empty:
            return Verdict("untestable here", f"no trials on a {machine}", needs=f"the same trials on a {machine}")
        return test(here)

    return there


def at_scale(test: Test, pixels: int = 0) -> Test:
    """Only on trials of the paper's own scale: a level, or how two models compare, is not that of smaller ones.

    Where there are none the estimate of the smaller ones is shown, and decides nothing.
    """

    def judged(evidence: Evidence) -> Verdict:
        whole = evidence.at_scale(pixels)
        found = test(whole)
        if whole is evidence or found.estimate is not None:
            return found
        small = test(evidence)
        if small.estimate is None:
            return small
        size = f" at {pixels} px" if pixels else ""
        return replace(
            small, base="inconclusive", reason=f"needs the paper's {EPOCHS} epochs of the whole network{size}",
            detail=f"at a smaller scale: {small.detail}",
            needs=f"{small.needs}; {EPOCHS} epochs, width 1{f', {pixels} px' if pixels else ''}",
        )  # fmt: skip

    return judged


def _shown(metric: Metric, level: bool) -> tuple[str, float]:
    """(unit, factor from the column to it) in which an estimate is given, of the quantity itself or of an effect."""
    if metric.unit == "%":
        return "%" if level else "points", metric.scale
    if metric.effect == "ratio" and not level:
        return "ratio", 1.0
    return "J" if "energy" in metric.column else "s" if "_s" in metric.column else metric.unit, 1.0


def _compare(
    name: str,
    settings: Sequence[Setting],
    than: Reference,
    accept: set[Outcome],
    reject: set[Outcome],
    share: float,
    margin: float | None = None,
) -> Test:
    metric = QUANTITIES[name]

    def test(evidence: Evidence) -> Verdict:
        idle = [s for s in settings if metric.name in QUALITIES and (s.dataset, s.model) in evidence.unlearnt]
        cells = [None if s in idle else evidence.compare(metric, s, than(s)) for s in settings]
        widths = [_width(evidence, metric, (s, than(s)), margin) for s in settings]
        halves = [None if w is None else math.log1p(w) if metric.effect == "ratio" else w for w in widths]
        found = judge(
            evidence, metric, settings, cells, 0.0, halves, accept, reject, share, equivalence=margin is not None,
            floor=max((w for w in widths if w is not None), default=None),
        )  # fmt: skip
        if not idle or found.base not in {"inconclusive", "untestable here"}:
            return found
        few = f"dense hardly learns in {len(idle)} of {len(settings)} settings, such as {dense_of(idle[0])}"
        return replace(found, base="inconclusive", reason=few, needs=f"{found.needs}; longer training")

    return test


def _width(evidence: Evidence, metric: Metric, pair: Sequence[Setting], margin: float | None) -> float | None:
    """What counts as no difference in one comparison: the margin, the noise floor, or for costs the wider of both."""
    if margin is not None and metric.effect == "difference":
        return margin
    floor = evidence.floor(metric, pair)
    return max(margin, floor or 0.0) if margin is not None else floor


def judge(
    evidence: Evidence,
    metric: Metric,
    settings: Sequence[Setting],
    cells: Sequence[PairedSample | None],
    middle: float,
    halves: Sequence[float | None],
    accept: set[Outcome],
    reject: set[Outcome],
    share: float = 1.0,
    *,
    equivalence: bool = True,
    floor: float | None = None,
    level: bool = False,
) -> Verdict:
    """The rule of all tests.

    cells: one value per seed for each setting (None: not measured), of the quantity itself if `level`, else of its
    effect; middle ± half of each: the range that counts as `none`. Supported where `share` of all settings are of an
    accepted kind, contradicted where too many are of a rejected one, inside the noise where most show no effect though
    one is claimed, else inconclusive.
    """
    found = [cell for cell in cells if cell is not None]
    needs = f"{len(cells)} comparisons of {metric.title.lower()}, 3 seeds or more; such as {settings[0]}"
    if not found:
        if any(s in evidence.groups for s in settings):
            return Verdict("untestable here", f"{metric.title.lower()} was not measured", needs=needs)
        return Verdict("inconclusive", f"needs trials, such as {settings[0]}", needs=needs)
    pooled = _pooled(found)
    log = metric.effect == "ratio" and not level
    unit, scale = _shown(metric, level)
    estimate = bootstrap_interval(pooled, metric.bounds if level else metric.effect_bounds)
    common = {
        "estimate": exponential(estimate) if log else estimate.scaled(scale) if estimate else None, "unit": unit,
        "floor": None if floor is None else floor * scale, "p": sign_flip_p(pooled - middle), "needs": needs,
        "caveats": evidence.caveats(metric, found), "provenance": evidence.provenance(found),
        "trials": evidence.ids(found),
    }  # fmt: skip
    margins = [h for h, cell in zip(halves, cells, strict=True) if cell is not None and h is not None]
    if len(margins) < len(found):
        return Verdict("inconclusive", "needs an A/A control of this quantity", **common)  # type: ignore[arg-type]
    said = outcomes([c.values - middle for c in found], margins, equivalence=equivalence, claimed=accept)
    good, bad = sum(w in accept for w in said), sum(w in reject for w in said)
    none, total = said.count("none"), len(cells)
    needed = math.ceil(share * total - 1e-9)
    counts = ", ".join(f"{said.count(w)} {w}" for w in ("below", "none", "above", "unclear") if w in said)
    detail = f"{metric.title.lower()} in {len(found)} of {total} settings: {counts}"
    if good >= needed:
        base, reason = "supported", ""
    elif bad > total - needed or (share == 1 and _mean_beyond(pooled - middle, float(np.mean(margins)), reject)):
        base, reason = "contradicted", ""
    elif "none" not in accept | reject and none * 2 >= max(len(found), total / 2):
        wide = log and floor is not None and floor > WIDE  # then it says little about the claim
        base, reason = "inside the noise", f"of ±{floor:.0%}" if wide else ""
    elif len(found) < total:
        first = next(s for s, c in zip(settings, cells, strict=True) if c is None)
        base, reason = "inconclusive", f"needs {total - len(found)} more of {total} settings, such as {first}"
    else:
        base, reason = "inconclusive", f"needs more seeds: {said.count('unclear')} of {total} comparisons are unclear"
    return Verdict(base, reason, detail=detail, **common)  # type: ignore[arg-type]


def _mean_beyond(pooled: np.ndarray, half: float, reject: set[Outcome]) -> bool:
    # Where the mean over all settings lies beyond the mean margin, at least one does; half of the error is its.
    p = dict(zip(("below", "above"), beyond_p(pooled, half), strict=True))
    return any(p[word] < ALPHA / 4 for word in ("below", "above") if word in reject)


def _pooled(cells: Sequence[PairedSample]) -> np.ndarray:
    # Seeds are the unit of repetition: each seed's mean over the settings that have it.
    seeds, index = np.unique(np.concatenate([c.seeds for c in cells]), return_inverse=True)
    values = np.concatenate([c.values for c in cells])
    return np.bincount(index, values, len(seeds)) / np.bincount(index, minlength=len(seeds))
