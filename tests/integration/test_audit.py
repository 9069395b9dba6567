"""Verdicts and estimates on the committed results, recomputed by a second route."""

from collections import Counter
from collections.abc import Callable

import pytest

from paperlib.claims import CLAIMS, verdicts
from paperlib.claims.verdict import Verdict
from tests.second_judge import ABOVE, BELOW, NOT_ABOVE, NOT_BELOW, SAME, Part, joined, negated
from tests.second_route import (
    COSTS,
    METHODS,
    TIDY,
    adapting,
    at_pixels,
    cost,
    f,
    files,
    learnt,
    level,
    method,
    network,
    on_trials,
    p,
    scenario,
)  # fmt: skip

pytestmark = pytest.mark.no_cover  # thousands of verdicts by lines that other tests count: half of the time

VGG, RESNET, SET, BOTH = ("vgg16",), ("resnet18",), f(("set",)), ("bloodmnist", "industrial")
THREE, ALL, PAIR = METHODS[:3], (*METHODS, "dense"), ("pre-training", "set")
FIGURE_15, FIGURE_17 = ((lambda *methods, s=s: f(methods, (s,), ("industrial",), VGG)) for s in ("i", "iii"))
TRAIN, LOSS, FALLING = "best_train_accuracy", "last_train_loss", "train_loss_falling"
P_VGG, THAN_VGG = p(models=VGG), network("vgg16")
EXCEPTIONS = {*FIGURE_15("in-training", "post-training"), *FIGURE_17(*THREE)}


def industrial(name: str, methods: tuple[str, ...] = METHODS, models: tuple[str, ...] = VGG + RESNET) -> list[tuple]:  # type: ignore[type-arg]
    return f(methods, (name,), ("industrial",), models)


def collapsed(column: str, low: float, high: float) -> Callable[..., Part]:
    return level(f(("in-training", "set"), ("i",), BOTH, VGG), low, high, column)


ROUTES: dict[str, Callable[[], Part]] = {
    "A2": lambda: joined(
        cost("inference", p(), BELOW), cost("inference energy", p(), BELOW),
        on_trials(learnt(p(), NOT_BELOW), at_scale=True),
    ),
    "A3": lambda: joined(
        *(
            cost(what, p(), BELOW, lambda arm: (*arm[:5], "global"))
            for what in ("training energy", "training energy", "memory")
        )
    ),
    "A4": lambda: joined(
        *(cost(what, p(("global", "layerwise")), BELOW) for what in ("training", "training energy", "inference"))
    ),
    "A5": lambda: joined(
        cost("inference", P_VGG, BELOW), cost("inference energy", P_VGG, BELOW),
        on_trials(learnt(P_VGG, NOT_BELOW), at_scale=True),
    ),
    "A6": lambda: on_trials(learnt(p(), NOT_BELOW), at_scale=True),
    "C1": lambda: joined(
        cost("training energy", SET, BELOW), on_trials(learnt(SET, NOT_BELOW), at_scale=True)
    ),
    "C2": lambda: joined(files(f()), cost("inference memory", f(), BELOW), cost("inference", f(), BELOW)),
    "C5": lambda: on_trials(level(f(("dense",), datasets=("visa",)), 0.84, 0.88), at_scale=True),
    "C6": lambda: on_trials(*adapting(ABOVE, "ii"), at_scale=True),
    "C7": lambda: joined(
        cost("inference", f(scenarios=("ii", "iii")), BELOW),
        on_trials(*adapting(NOT_BELOW, "ii"), *adapting(NOT_BELOW, "iii"), at_scale=True),
    ),
    "C8": lambda: cost("training", f(("pre-training",)), BELOW),
    "C9": lambda: on_trials(learnt(f(("post-training",), ("i", "ii")), BELOW, method("set"))),
    "C16": lambda: on_trials(*adapting(NOT_BELOW, "ii"), at_scale=True),
    "C19": lambda: on_trials(level(f(PAIR, ("i",), BOTH, VGG), 0.0, 0.25, TRAIN), at_scale=True),
    "C20": lambda: on_trials(level(f(PAIR, ("i",), BOTH, RESNET), 0.4, 0.6, TRAIN, extreme=1), at_scale=True),
    "C21": lambda: on_trials(learnt(f(PAIR, ("ii",), BOTH), ABOVE, scenario("i"), TRAIN), at_scale=True),
    "C22": lambda: on_trials(learnt(f(scenarios=("iii",)), SAME._replace(share=0.75), column=TRAIN)),
    "C23": lambda: on_trials(learnt(f(datasets=("visa",)), NOT_BELOW, column=TRAIN)),
    "C24": lambda: on_trials(collapsed(LOSS, 1.7, 2.4), collapsed("loss_change", -0.3, 0.1), at_scale=True),
    "C25": lambda: on_trials(level(f(("in-training", "set"), ("i",), ("visa",), VGG), 0.32, 0.38, LOSS), at_scale=True),
    "C26": lambda: on_trials(
        level(f(scenarios=("ii",), datasets=BOTH), 0.9, 1.01, FALLING),
        lambda rows: negated(level(f(scenarios=("ii",), datasets=("visa",)), 0.9, 1.01, FALLING)(rows)),
        at_scale=True,
    ),
    "C27": lambda: on_trials(learnt(f(scenarios=("iii",)), SAME, column=LOSS, margin=0.1, scale=1)),
    "C28": lambda: joined(
        cost("training", f(("set", "in-training")), ABOVE),
        cost("training", f(("pre-training", "post-training")), NOT_ABOVE),
    ),
    "C31": lambda: joined(cost("training", FIGURE_17("set"), SAME), cost("training", FIGURE_17(*THREE), ABOVE)),
    "C32": lambda: cost("training", f(METHODS, ("i",), ("visa",), VGG), ABOVE),
    "C33": lambda: cost("training", f(METHODS, ("i",), ("visa",), RESNET), BELOW),
    "C34": lambda: at_pixels(
        cost("training", f(ALL, datasets=BOTH, models=RESNET), BELOW, THAN_VGG),
        cost("training", f(ALL, datasets=("visa",), models=RESNET), SAME, THAN_VGG),
    ),
    "C35": lambda: at_pixels(
        cost("training", f(("dense",), datasets=("bloodmnist",), models=RESNET), BELOW, network("resnet18-plain"))
    ),
    "C36": lambda: on_trials(learnt(f(("set",), ("ii",)), ABOVE, scenario("i"))),
    "C37": lambda: on_trials(
        level(industrial("i", ("set",), VGG), 0.05, 0.15), level(industrial("i", ("set",), RESNET), 0.0, 0.30),
        at_scale=True,
    ),
    "C38": lambda: on_trials(level(industrial("ii", ("set",)), 0.85, 0.95), at_scale=True),
    "C39": lambda: on_trials(
        level(industrial("iii"), 0.89, 0.95), learnt(industrial("iii"), SAME), at_scale=True
    ),
    "C40": lambda: on_trials(
        learnt(f(("pre-training", "in-training", "set"), ("i",), models=RESNET), ABOVE, THAN_VGG),
        learnt(f(("post-training",), ("i",), models=RESNET), BELOW, THAN_VGG),
        at_scale=True,
    ),
    "C41": lambda: on_trials(
        level(industrial("i", ("pre-training",), VGG), 0.0, 0.20),
        level(industrial("iii", ("pre-training",), VGG), 0.90, 1.0),
        at_scale=True,
    ),
    "C42": lambda: on_trials(
        *adapting(ABOVE, "ii", scenario("i")), *adapting(ABOVE, "iii", scenario("ii")), at_scale=True
    ),
    "C46": lambda: cost("training energy", SET, BELOW),
    "C47": lambda: at_pixels(cost("training energy", f(ALL, models=RESNET), BELOW, THAN_VGG)),
    "C50": lambda: joined(
        cost("training energy", FIGURE_15("in-training", "post-training"), SAME),
        cost("training energy", FIGURE_15("pre-training", "set"), BELOW),
    ),
    "C51": lambda: joined(
        cost("training energy", FIGURE_17(*THREE), ABOVE),
        cost("training energy", FIGURE_17(*THREE), ABOVE, method("set")),
    ),
    "C52": lambda: cost("inference", f(), BELOW),
    "C53": lambda: cost("inference", f(METHODS, ("i",)), BELOW, scenario("ii")),
    "C54": lambda: at_pixels(cost("inference energy", f(ALL, models=RESNET), BELOW, THAN_VGG)),
    "C57": lambda: on_trials(
        level(f(METHODS, ("i",)), -0.9, -0.7, extreme=-1, than=scenario("ii")), at_scale=True
    ),
    "C58": lambda: on_trials(learnt(f(scenarios=("iii",)), NOT_BELOW._replace(share=21 / 24))),
    "C60": lambda: cost("training energy", [arm for arm in f() if arm not in EXCEPTIONS], BELOW),
    "C61": lambda: negated(
        joined(
            cost("training energy", f(scenarios=("i",)), BELOW, scenario("ii")),
            cost("training energy", f(scenarios=("ii",)), BELOW, scenario("iii")),
        )
    ),
    "C62": lambda: joined(*(cost("training energy", SET, BELOW, method(other)) for other in THREE)),
    "C63": lambda: cost("training energy", [arm for arm in f(THREE) if arm not in EXCEPTIONS], BELOW),
}  # fmt: skip


@pytest.fixture(scope="module")
def recomputed() -> dict[str, Part]:
    return {claim: route() for claim, route in ROUTES.items()}


@pytest.fixture(scope="module")
def judged() -> dict[str, Verdict]:
    return {verdict.claim: verdict for verdict in verdicts(TIDY, [CLAIMS[claim] for claim in ROUTES], COSTS)}


@pytest.mark.parametrize("claim", ROUTES)
def test_a_second_route_finds_the_same(claim: str, recomputed: dict[str, Part], judged: dict[str, Verdict]) -> None:
    verdict, ours = judged[claim], recomputed[claim]
    assert verdict.base == ours.base, verdict.detail
    estimate = verdict.estimate
    assert (estimate is None) == (ours.estimate is None)
    if estimate is not None:
        found = estimate.mean, estimate.low, estimate.high
        near = 1e-9 if estimate.n < 8 else 0.01  # from eight seeds on the package resamples: Student's is close by
        assert found == pytest.approx((ours.estimate, ours.low, ours.high), rel=near, abs=1e-9)
    settings = [one.estimate for family in verdict.families for one in family.compared if one.estimate]
    assert len(settings) == len(ours.compared)
    for one, (_, expected) in zip(settings, ours.compared, strict=True):
        assert (one.mean, one.low, one.high) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_twenty_estimates_of_every_kind_are_recomputed(recomputed: dict[str, Part]) -> None:
    kinds = Counter(kind for part in recomputed.values() for kind, _ in part.compared)
    assert kinds.keys() == {"difference", "level", "ratio", "ratio of networks"}
    assert min(kinds.values()) >= 20
