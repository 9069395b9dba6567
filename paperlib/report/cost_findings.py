"""What is found of costs, in sentences: what pruning buys, masked and realised, beside its accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import NamedTuple

import pandas as pd

from paperlib.claims.cost_arms import CostArm, setting_of, width_of
from paperlib.claims.cost_evidence import COSTS, CostMetric, CostTable, Network, networks_of
from paperlib.claims.effects import Arm, arms, near_chance
from paperlib.claims.stats import Estimate
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


def pruned_arms(tidy: pd.DataFrame) -> list[tuple[Arm, Estimate]]:
    """The arms that remove something, with their change of accuracy against dense."""
    return [(arm, arm.effect) for arm in arms(tidy) if arm.effect and (arm.sparsity or arm.conv_sparsity)]


class _Bought(NamedTuple):
    """An arm of P with its change of accuracy and its ratios to dense's times, masked and realised."""

    arm: Arm
    change: Estimate
    inference: Estimate
    inference_realised: Estimate
    training: Estimate
    training_realised: Estimate


def bought(tidy: pd.DataFrame, costs: CostTable) -> Finding | None:
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
    narrow = " (1 is the paper's)" if widths["trained"] != "1" else ""
    return Finding(
        f"P's {shares} %: with masks, as in the papers, inference takes {masked} of dense's time; with the removed "
        f"weights really skipped it takes {realised}, at {points} points of test accuracy",
        f"This is `{best.model}`, with the same share of every layer removed before training; its training takes "
        f"{training} with masks, {training_realised} with removed weights skipped. Times: batch 64, n = "
        f"{_several(min(case.inference.n for case in shown), 'fresh process', 'es')}, {timed.gpu or timed.cpu}, "
        f"{_several(timed.threads, 'thread', 's')}, width {widths['timed']}{noise}. Accuracy: {best.dataset} "
        f"({'/'.join(sorted(set(trials.source)))} images), {accuracy}, n = "
        f"{_several(min(case.change.n for case in shown), 'seed', 's')}, width {widths['trained']}{narrow}.",
    )


def _several(n: int, one: str, ending: str) -> str:
    return f"{n} {one}{'' if n == 1 else ending}"


def counted(costs: CostTable, measured: Sequence[CostArm], name: str) -> Finding | None:
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


def fastest(tidy: pd.DataFrame, costs: CostTable, measured: Sequence[CostArm]) -> Finding | None:
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
