"""What is equal by definition where pruning is a mask: both sides of the comparison are one computation."""

import math
from collections.abc import Sequence

from paperlib.claims.cost_evidence import CostMetric
from paperlib.claims.effects import Metric
from paperlib.claims.evidence import Evidence
from paperlib.claims.judging import Rule
from paperlib.claims.settings import Reference, Setting, label
from paperlib.claims.verdict import Compared, Family, Verdict

TRAINING = {"training_time", "training_energy", "co2", "peak_memory"}
INFERENCE = {"inference_time", "inference_time_b1", "inference_energy"}
ONE_NETWORK = "as one masked network"  # why, behind the word


def equal_by_definition(metric: Metric | CostMetric, setting: Setting, other: Setting) -> bool:
    """Whether one computation serves both, with masks.

    Post-training trains as dense does. A dense kernel computes the same whichever weights are zero, so networks that
    are masked in the same layers train alike, but for the moment in which new masks are made, and masked ones infer
    alike.
    """
    if (setting.dataset, setting.model) != (other.dataset, other.model):
        return False
    if metric.name in INFERENCE:
        return "dense" not in {setting.method, other.method}
    return metric.name in TRAINING and _training(setting) == _training(other)


def _training(setting: Setting) -> tuple[object, ...]:
    """What decides the cost of a masked training: the layers that are masked, and whether masks change."""
    if setting.method in {"dense", "post-training"}:
        return ("dense",)
    return setting.scope, setting.conv > 0, setting.linear > 0, setting.method in {"in-training", "set"}


def verdict_on_equals(
    evidence: Evidence, metric: CostMetric, alike: Sequence[Setting], than: Reference, rule: Rule
) -> Verdict:
    """The verdict where masks leave nothing to compare; what skipping removed work would buy stands beside it."""
    title, holds = metric.title.lower(), "none" in rule.accept
    detail = f"{title} in {len(alike)} settings: with masks one computation serves both"
    pairs = [[evidence.costs.effect(metric, one, realised=True) for one in (s, than(s))] for s in alike]
    skipping = [math.log(one.mean / other.mean) for one, other in pairs if one and other]
    if skipping:
        detail += f"; with removed work skipped ×{math.exp(sum(skipping) / len(skipping)):.3f}"
    compared = tuple(Compared(s, label(s, than(s)), "equal by definition") for s in alike)
    return Verdict(
        "by definition" if holds else "equal by definition", ONE_NETWORK, detail=detail, what=title,
        needs="nothing: no measurement with masks could tell otherwise",
        families=(Family(metric.title, "ratio", rule.asked, rule.needed(len(alike)), compared),),
    )  # fmt: skip
