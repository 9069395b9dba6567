"""Claims on accuracy and on training curves."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from paperlib.claims.builders import (
    Test,
    above,
    at_scale,
    below,
    beside,
    every,
    extreme_in,
    negate,
    not_below,
    on_real_images,
    same,
    value_in,
)
from paperlib.claims.evidence import QUANTITIES, Evidence, PairedSample
from paperlib.claims.facts import majority
from paperlib.claims.judging import Rule, judge
from paperlib.claims.ledger import claim
from paperlib.claims.settings import METHODS, SETS, Reference, Setting, grid_f, grid_p, versus
from paperlib.claims.stats.estimates import spread_interval
from paperlib.claims.verdict import Verdict, between
from paperlib.data.registry import DOERRICH
from paperlib.studies.paper_f import LIMIT, LIMIT_EPOCHS, LIMIT_METHODS, SCENARIOS

SPREAD = 0.01  # "the repeats agree": a standard deviation of at most one point
HARD = ("bloodmnist", "industrial")  # where F's training curves collapse
VGG, RESNET = ("vgg16",), ("resnet18",)
THAN_I, THAN_II, THAN_VGG = versus(scenario="i"), versus(scenario="ii"), versus(model="vgg16")
SCENARIO_I, SCENARIO_III = (grid_f(scenarios=(name,)) for name in ("i", "iii"))
ADAPTING = tuple(method for method in METHODS if method != "post-training")  # they train what remains
ALMOST_NOTHING_LEFT = [
    Setting("bloodmnist", model, method, share, SCENARIOS["i"].linear)
    for model in (*VGG, *RESNET)
    for method in LIMIT_METHODS
    for share in LIMIT
]
VISA = grid_f(datasets=("visa",))


def _claim(id: str, section: str, text: str) -> Callable[..., Test]:
    """Declares a claim on accuracy."""
    return claim(id, section, "accuracy", text)


def industrial(*scenarios: str, **axes: tuple[str, ...]) -> list[Setting]:
    """Settings of the industrial set (F's MVTec3D)."""
    return grid_f(scenarios=scenarios, datasets=("industrial",), **axes)


def adapting(build: Callable[..., Test], scenario: str, *than: Reference) -> tuple[Test, ...]:
    """Tests of the methods that train what remains; what Post-Training does, which trains nothing, stands beside.

    VisA is judged on balanced accuracy: nine of ten images are normal.
    """
    sets = {"accuracy": tuple(d for d in SETS if d != "visa"), "balanced_accuracy": ("visa",)}
    grids = {
        metric: [grid_f(methods, (scenario,), datasets) for methods in (ADAPTING, ("post-training",))]
        for metric, datasets in sets.items()
    }
    return tuple(
        beside("Post-Training", build(metric, post, *than), build(metric, others, *than))
        for metric, (others, post) in grids.items()
    )


def beside_majority(dataset: str, *tests: Test) -> Test:
    """Says beside the level what a constant predictor reaches: F's collapsed runs equal it to the stated digits."""

    @at_scale
    def with_majority(evidence: Evidence) -> Verdict:
        verdict, (rate, entropy) = every(*tests)(evidence), majority(dataset)
        said = f"a constant predictor has accuracy {rate:.1%}, loss {entropy:.3f}"
        return replace(verdict, detail="; ".join(filter(None, (verdict.detail, said))))

    return with_majority


_claim("A6", "P abstract", "Layer-wise pruning loses next to no accuracy.")(at_scale(not_below("accuracy", grid_p())))


@_claim("C3", "F 2", "On BloodMNIST the sparse networks beat Doerrich et al. by about 2 points on average.")
@at_scale
@partial(on_real_images, QUANTITIES["accuracy"])
def _gain_on_doerrich(evidence: Evidence) -> Verdict:
    # Of each network its own published accuracy, at 28 px; their gains are averaged.
    metric, settings = QUANTITIES["accuracy"], grid_f(("set",), ("ii",), ("bloodmnist",))
    published = {s.model: DOERRICH["bloodmnist", s.model][28][0] / 100 for s in settings}
    levels = [evidence.level(metric, s) for s in settings]
    gains = {
        s.model: pd.Series(level.values - published[s.model], level.repeats)
        for s, level in zip(settings, levels, strict=True)
        if level is not None
    }
    mean = pd.concat(gains, axis=1).mean(axis=1, skipna=False).dropna() if len(gains) == len(settings) else pd.Series()
    rows = np.concatenate([level.rows for level in levels if level is not None]) if gains else np.zeros(0, np.intp)
    sample = (
        PairedSample("mean of both networks", mean.index.to_numpy(np.int64), mean.to_numpy(float), rows)
        if len(mean)
        else None
    )
    verdict = judge(evidence, metric, settings[:1], [sample], Rule.range(0.01, 0.03, 1))
    own = ", ".join(f"{model} {100 * gain.mean():+.1f}" for model, gain in gains.items())
    return replace(verdict, detail=f"{verdict.detail}; points above the published of each: {own}") if own else verdict


_claim("C5", "F 2", "Dense VGG16 and ResNet18 reach about 86 % on VisA.")(
    beside_majority("visa", value_in("accuracy", grid_f(("dense",), datasets=("visa",)), 0.84, 0.88))
)
_claim("C6", "F 2", "Removing half of the filters raises accuracy.")(at_scale(*adapting(above, "ii")))
_claim("C9", "F 3.1.3, 6", "Post-Training cannot adapt any more and takes over the dense network's overfitting.")(
    below("accuracy", grid_f(("post-training",), ("i", "ii")), versus(method="set"))
)


@_claim("C15", "F 3.5", "Above 80 % of the filters training fails after about 10 epochs.")
def _fails_above_80(evidence: Evidence) -> Verdict:
    evidence.asked.trials.update(ALMOST_NOTHING_LEFT)
    real = evidence.of_any_setting.undrawn
    needs = "whole networks with 90 or 95 % of the filters removed, 10 epochs or more, beside dense in as many"
    # Of F's own methods that train under masks: post-training trains as dense does.
    long = real.where((real.rows.width == 1) & (real.rows.epochs >= LIMIT_EPOCHS))
    rows, learnt = long.rows, {s[:2] for s in long.groups if s.method == "dense"} - long.near_chance
    mask = (rows.conv_sparsity > 0.8) & rows.method.isin(ADAPTING)
    mask &= np.array([pair in learnt for pair in zip(rows.dataset, rows.model, strict=True)], bool)
    if not mask.any():
        return Verdict("inconclusive", f"needs {needs}", needs=needs)
    gain = (rows.test_accuracy - rows.test_majority)[mask].dropna()
    sample = PairedSample("", rows["seed"][gain.index].to_numpy(), gain.to_numpy(float), gain.index.to_numpy())
    failed = float((gain < 0.05).mean())
    by_model = pd.Series(gain < 0.05).groupby(rows.model[gain.index]).mean()
    return Verdict(
        *between(failed >= 0.9, failed <= 0.5, "needs more settings: some fail, some do not"), needs=needs,
        detail=f"{failed:.0%} of {len(gain)} trials end within 5 points of the majority rate ("
        + ", ".join(f"{model}: {share:.0%}" for model, share in by_model.items()) + ")",
        **long.support(QUANTITIES["accuracy"], [sample]),
    )  # fmt: skip


_claim("C16", "F 3.5", "50 % sparsity gives comparable accuracy.")(at_scale(*adapting(not_below, "ii")))


@_claim("C17", "F 3.5", "Three repeats agree with each other.")
@at_scale
@partial(on_real_images, QUANTITIES["accuracy"])
def _repeats_agree(evidence: Evidence) -> Verdict:
    metric, needs = QUANTITIES["accuracy"], "two seeds or more of each setting of paper F"
    levels = [evidence.level(metric, setting) for setting in grid_f((*METHODS, "dense"))]
    repeated = [level for level in levels if level is not None and len(level.values) > 1]
    spread = spread_interval([level.values for level in repeated])
    if spread is None or spread.low is None or spread.high is None:
        return Verdict("inconclusive", f"needs {needs}", needs=needs)
    return Verdict(
        *between(spread.high < SPREAD, spread.low > SPREAD, "needs more seeds"), needs=needs,
        estimate=spread.scaled(100), unit="points", floor=100 * SPREAD,
        detail=f"standard deviation between seeds, pooled over {len(repeated)} settings",
        **evidence.support(metric, repeated),
    )  # fmt: skip


_claim("C19", "F 4.1", "Scenario i, VGG16, BloodMNIST and MVTec3D: training accuracy stays near 20 % (Pre, SET).")(
    beside_majority(
        "bloodmnist", value_in("train_accuracy", grid_f(("pre-training", "set"), ("i",), HARD, VGG), 0.0, 0.25)
    )
)
_claim("C20", "F 4.1", "The same with ResNet18: the best reaches about 50 %.")(
    at_scale(extreme_in("train_accuracy", grid_f(("pre-training", "set"), ("i",), HARD, RESNET), 0.4, 0.6))
)
_claim("C21", "F 4.1", "In scenario ii training accuracy of Pre-Training and SET is closer to dense than in i.")(
    at_scale(above("train_accuracy", grid_f(("pre-training", "set"), ("ii",), HARD), THAN_I))
)
_claim("C22", "F 4.1", "In scenario iii training accuracy mostly matches dense.")(
    same("train_accuracy", SCENARIO_III, share=0.75)
)
_claim("C23", "F 4.1", "On VisA training accuracy is as good as dense in every scenario.")(
    not_below("train_accuracy", VISA)
)
COLLAPSED = grid_f(("in-training", "set"), ("i",), HARD, VGG)
_claim("C24", "F 4.2", "Scenario i, VGG16, BloodMNIST and MVTec3D: the loss stays near 2 (In-Training, SET).")(
    beside_majority(
        "bloodmnist", value_in("train_loss", COLLAPSED, 1.7, 2.4), value_in("loss_change", COLLAPSED, -0.3, 0.1)
    )
)
_claim("C25", "F 4.2", "Scenario i, VGG16, VisA: the training loss stays near 0.35 (In-Training, SET).")(
    beside_majority("visa", value_in("train_loss", grid_f(("in-training", "set"), ("i",), ("visa",), VGG), 0.32, 0.38))
)
_claim("C26", "F 4.2", "In scenario ii the loss falls steadily over all epochs, but not on VisA.")(
    at_scale(
        value_in("loss_falling", grid_f(scenarios=("ii",), datasets=HARD), 0.9, 1.01),
        negate(value_in("loss_falling", grid_f(scenarios=("ii",), datasets=("visa",)), 0.9, 1.01)),
    )
)
_claim("C27", "F 4.2", "In scenario iii the training loss is close to dense.")(same("train_loss", SCENARIO_III))
_claim("C36", "F 4.4", "Pruning 50 % instead of 80 % of the filters raises the test accuracy of SET everywhere.")(
    above("accuracy", grid_f(("set",), ("ii",)), THAN_I)
)
_claim("C37", "F 4.4", "MVTec3D, scenario i, SET: VGG16 near 10 %, ResNet18 at most 30 %.")(
    at_scale(
        value_in("accuracy", industrial("i", methods=("set",), models=VGG), 0.05, 0.15),
        value_in("accuracy", industrial("i", methods=("set",), models=RESNET), 0.0, 0.30),
    )
)
_claim("C38", "F 4.4", "MVTec3D, scenario ii, SET: both models near 90 %.")(
    at_scale(value_in("accuracy", industrial("ii", methods=("set",)), 0.85, 0.95))
)
_claim("C39", "F 4.4", "MVTec3D, scenario iii: all methods like dense, near 92 %.")(
    at_scale(value_in("accuracy", industrial("iii"), 0.89, 0.95), same("accuracy", industrial("iii")))
)
_claim("C40", "F 4.4", "Scenario i: ResNet18 beats VGG16 for every method but Post-Training, where it is the reverse.")(
    at_scale(
        above("accuracy", grid_f(("pre-training", "in-training", "set"), ("i",), models=RESNET), THAN_VGG),
        below("accuracy", grid_f(("post-training",), ("i",), models=RESNET), THAN_VGG),
    )
)
_claim("C41", "F 4.4", "Pre-Training, VGG16, MVTec3D: below 20 % in scenario i, above 90 % in iii.")(
    at_scale(
        value_in("accuracy", industrial("i", methods=("pre-training",), models=VGG), 0.0, 0.20),
        value_in("accuracy", industrial("iii", methods=("pre-training",), models=VGG), 0.90, 1.0),
    )
)
_claim("C42", "F 4.4", "Test accuracy rises in all experiments as fewer filters are removed.")(
    at_scale(*adapting(above, "ii", THAN_I), *adapting(above, "iii", THAN_II))
)
_claim("C57", "F 5", "Removing 80 % instead of 50 % of the filters costs up to 80 points of accuracy.")(
    at_scale(extreme_in("accuracy", SCENARIO_I, -0.9, -0.7, highest=False, than=THAN_II))
)
_claim("C58", "F 5", "Pruning linear layers only (80 %) is comparable to dense in 21 of 24 cases (87.5 %).")(
    not_below("accuracy", SCENARIO_III, share=21 / 24)
)
