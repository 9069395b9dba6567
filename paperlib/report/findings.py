"""What the records say, in sentences: computed, never typed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import NamedTuple

import pandas as pd

from paperlib.claims.cost_arms import STUDIES, CostArm, measured_arms, setting_of, width_of
from paperlib.claims.cost_evidence import COSTS, CostMetric, CostTable, Network, networks_of
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
from paperlib.claims.verdict import DECIDED, Verdict
from paperlib.exhibits.captions import energy_sources, provenance
from paperlib.studies.costs import PERCEPTRONS

SHARES_P = (0.5, 0.8)


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

    The first two are what pruning buys and what it costs in accuracy, the last two name the machine and the images.
    """
    tidy = main_setting_only(tidy)
    measured = list({arm.id: arm for study in STUDIES for arm in measured_arms(costs, study)}.values())
    parts = [
        _bought(tidy, costs),
        _accuracy(tidy),
        _fastest(tidy, costs, measured),
        _cost(costs, measured, "inference_time"),
        _cost(costs, measured, "training_time"),
    ]
    parts += [_abstract(tidy, costs), _failures(tidy), _machines(tidy, costs)]
    return [part for part in parts if part] + [Finding("Images", f"{provenance(corrected_protocol(tidy))}.")]


def headlines(tidy: pd.DataFrame, costs: CostTable, decided: Sequence[Verdict]) -> list[Finding]:
    """The three at most that a reader wants first: what pruning buys, what it costs, how the claims fare."""
    tidy = main_setting_only(tidy)
    return [part for part in (_bought(tidy, costs), _accuracy(tidy), _fared(decided)) if part]


def _fared(decided: Sequence[Verdict]) -> Finding | None:
    """How the claims fare: none for no verdict."""
    by_word = {word: [v.claim for v in decided if v.base == word] for word in DECIDED}
    supported, against = (len(by_word[word]) for word in ("supported", "contradicted"))
    if not any(by_word.values()):
        return None
    open_ = len(decided) - sum(map(len, by_word.values()))
    others = [f"{len(ids)} {word}" for word, ids in list(by_word.items())[2:] if ids]
    return Finding(
        f"Of the {len(decided)} claims of the two papers these records support {supported} and contradict {against}; "
        f"{open_} stay open",
        f"Contradicted: {', '.join(by_word['contradicted']) or 'none'}. The others: {', '.join(others) or 'none'}. "
        "Open are those that need what was not measured here, such as a GPU, a counter of energy, or more seeds; "
        "`paperlib claims ID` says what each would take.",
    )


class _Bought(NamedTuple):
    """An arm of P with its change of accuracy and its ratios to dense's times, masked and realised."""

    arm: Arm
    change: Estimate
    inference: Estimate
    inference_realised: Estimate
    training: Estimate
    training_realised: Estimate


def _bought(tidy: pd.DataFrame, costs: CostTable) -> Finding | None:
    """What P's shares buy the perceptron that gains most, masked and realised, with its accuracy beside them."""
    cases, at_chance = list[_Bought](), near_chance(tidy)
    for arm, change in pruned_arms(tidy):
        if (arm.model, arm.method, arm.scope) not in product(PERCEPTRONS, ["pre-training"], ["global"]):
            continue
        setting, width = setting_of(arm), width_of(costs, arm.model)
        ratios = [
            costs.effect(COSTS[name], setting, realised=realised, width=width)
            for name in ("inference_time", "training_time")
            for realised in (False, True)
        ]
        if arm.sparsity in SHARES_P and (arm.dataset, arm.model) not in at_chance and all(ratios):
            cases.append(_Bought(arm, change, *filter(None, ratios)))
    if not cases:
        return None
    best = min(cases, key=lambda case: case.inference_realised.mean).arm
    shown = sorted(
        (c for c in cases if (c.arm.model, c.arm.dataset) == (best.model, best.dataset)), key=lambda c: c.arm.sparsity
    )
    rows = pd.concat([costs.of(setting_of(case.arm), width_of(costs, best.model)) for case in shown])
    floor = costs.floor(COSTS["inference_time"], networks_of(rows)[0])
    shares, masked, realised, points, training, training_realised = (
        " and ".join(texts)
        for texts in zip(
            *(
                (
                    f"{100 * case.arm.sparsity:.0f}", f"×{case.inference.mean:.2f}",
                    f"×{case.inference_realised.mean:.2f}", f"{100 * case.change.mean:+.1f}",
                    f"×{case.training.mean:.2f}", f"×{case.training_realised.mean:.2f}",
                )
                for case in shown
            ),
            strict=True,
        )
    )  # fmt: skip
    trials, timed = tidy[tidy.id.isin([i for case in shown for i in case.arm.trials])], rows.iloc[0]
    accuracy = ", ".join(f"{case.change.text(100)} points at {case.arm.sparsity:.0%}" for case in shown)
    noise = f"; two identical networks differ by up to ±{floor.mean:.1%} (the noise floor)" if floor else ""
    widths = {
        what: "/".join(f"{w:g}" for w in sorted(set(of.width))) for what, of in (("timed", rows), ("trained", trials))
    }
    return Finding(
        f"P's {shares} %: with masks, as in the papers, inference takes {masked} of dense's time; with the removed "
        f"weights really skipped it takes {realised}, at {points} points of test accuracy",
        f"This is `{best.model}`, with the same share of every layer removed before training; its training takes "
        f"{training} with masks, {training_realised} with removed weights skipped. Times: batch 64, n = "
        f"{_counted(min(case.inference.n for case in shown), 'fresh process', 'es')}, {timed.gpu or timed.cpu}, "
        f"{_counted(timed.threads, 'thread', 's')}, width {widths['timed']}{noise}. Accuracy: {best.dataset} "
        f"({'/'.join(sorted(set(trials.source)))} images), {accuracy}, n = "
        f"{_counted(min(case.change.n for case in shown), 'seed', 's')}, width {widths['trained']}.",
    )


def _counted(n: int, one: str, ending: str) -> str:
    return f"{n} {one}{'' if n == 1 else ending}"


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
    of_share = [[100 * e.mean for arm, e in pruned if arm.sparsity == share] for share in SHARES_P]
    by_share = [f"{median(c):+.1f} at {share:.0%}" for share, c in zip(SHARES_P, of_share, strict=True) if c]
    changes = f"The changes run from {means[0]:+.1f} to {means[-1]:+.1f} points, median {median(means):+.1f}"
    changes += f" ({', '.join(by_share)} of the linear layers' weights)." if by_share else "."
    at_chance = near_chance(tidy)
    if near := sum((arm.dataset, arm.model) in at_chance for arm, _ in pruned):
        changes += f" {near} of these arms stand beside a dense network near chance, which has nothing to lose."
    if all(e.n == 1 for e in effects):
        return Finding(f"Accuracy of {len(effects)} pruned arms, one seed each, so without intervals", changes)
    return Finding(
        f"Accuracy is lower in {lower} and higher in {len(apart) - lower} of {len(effects)} pruned arms "
        "(an arm: a network pruned in one way, on one data set)",
        f"That is, with a 95 % interval that excludes zero, as about {0.05 * len(effects):.0f} would by chance; these "
        f"seeds cannot tell the others from dense. {changes}",
    )


def _cost(costs: CostTable, measured: Sequence[CostArm], name: str) -> Finding | None:
    """How many arms, masked as in the papers, cost less or more than dense; post-training has dense's own training."""
    metric = COSTS[name]
    if name == "training_time":
        measured = [arm for arm in measured if not arm.is_trained_dense]
    floors = _floors(costs, metric, measured)
    effects = [(effect, _floor(floors, arm)) for arm in measured if (effect := arm.effect(metric))]
    if not effects:
        return None
    less = sum(_is_faster(e, floor) for e, floor in effects)
    more = sum(e.low is not None and e.low > 1 + floor for e, floor in effects)
    means, n = sorted(e.mean for e, _ in effects), min(e.n for e, _ in effects)
    return Finding(
        f"{metric.title}, masked as in the papers: {less} of {len(effects)} arms cost less than dense, {more} more",
        f"That is, beyond the A/A noise floor ({_noise(floors)}), n = {n} fresh process{'es' * (n > 1)}. "
        f"{_chance(effects)}. The median "
        f"arm takes ×{median(means):.3f} of dense, all of them ×{means[0]:.3f} to ×{means[-1]:.3f}.",
    )


def _floors(costs: CostTable, metric: CostMetric, measured: Sequence[CostArm]) -> dict[Network, float]:
    """The A/A noise floor of each network that was measured."""
    networks = dict.fromkeys(network for arm in measured for network in networks_of(arm.rows))
    return {network: floor.mean for network in networks if (floor := costs.floor(metric, network)) is not None}


def _floor(floors: dict[Network, float], arm: CostArm) -> float:
    return floors[networks_of(arm.rows)[0]]


def _noise(floors: dict[Network, float]) -> str:
    return ", ".join(f"{network.model} {network.pixels} px ±{floor:.1%}" for network, floor in floors.items())


def _is_faster(effect: Estimate, floor: float) -> bool:
    """Whether the ratio lies, with its whole interval, below the noise."""
    return effect.high is not None and effect.high < 1 / (1 + floor)


LOSS = 0.01  # of accuracy: what a reader may be glad to pay


def _fastest(tidy: pd.DataFrame, costs: CostTable, measured: Sequence[CostArm]) -> Finding | None:
    """How many arms are faster once removed work is skipped; of each model the fastest that loses at most LOSS."""
    metric = COSTS["inference_time"]
    floors = _floors(costs, metric, measured)
    effects = [(effect, _floor(floors, arm)) for arm in measured if (effect := arm.effect(metric, realised=True))]
    if not effects:
        return None
    parts = [_fastest_of(model, tidy, costs) for model in dict.fromkeys(network.model for network in floors)]
    return Finding(
        "Once removed work is really skipped, inference is faster than dense in "
        f"{sum(_is_faster(e, floor) for e, floor in effects)} of {len(effects)} measured arms",
        f"{_chance(effects)}. The fastest that lose at most {100 * LOSS:g} point of accuracy (batch 64, time of "
        f"dense = 1; noise: {_noise(floors)}): {'; '.join(parts)}.",
    )


def _chance(effects: Sequence[object]) -> str:
    """What a share of arms is to be held against; each arm is judged alone, at 2.5 % on either side."""
    return f"Of {len(effects)} arms equal to dense at most {0.025 * len(effects):.0f} would seem so by chance"


def _fastest_of(model: str, tidy: pd.DataFrame, costs: CostTable) -> str:
    metric, width, at_chance = COSTS["inference_time"], width_of(costs, model), near_chance(tidy)

    def floor(arm: Arm) -> float:
        of_network = [costs.floor(metric, network) for network in networks_of(costs.of(setting_of(arm), width))]
        return of_network[0].mean if of_network and of_network[0] else 0.0

    faster = [
        (effect, arm, change)
        for arm, change in pruned_arms(tidy[tidy.model == model])
        if change.mean >= -LOSS and (arm.dataset, model) not in at_chance
        if (effect := costs.effect(metric, setting_of(arm), realised=True, width=width))
        and _is_faster(effect, floor(arm))
    ]
    if not faster:
        return f"{model}: nothing beyond the noise"
    effect, arm, change = min(faster, key=lambda candidate: candidate[0].mean)
    trained = sorted(set(tidy[tidy.id.isin(arm.trials)].width))
    widths = f", trained at width {trained[0]:g}, timed at {width:g}" if trained != [width] else ""
    return (
        f"{model} ×{effect.text(1, 3)} of dense, n = {effect.n} ({arm.method}, {arm.setting}, {arm.dataset}, "
        f"{change.text(100)} points, n = {change.n}{widths})"
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
                source = ""
                if column := COSTS[name].source:
                    off = rows[column.replace("source", "uncertainty")]
                    source = f", {energy_sources(rows[column], off)}"
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
