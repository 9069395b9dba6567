"""Verdicts and estimates on the committed results, recomputed by a second route."""

from collections.abc import Callable

import pytest

from paperlib.claims import CLAIMS, verdicts
from tests.second_route import (
    ABOVE,
    BELOW,
    COSTS,
    METHODS,
    NOT_ABOVE,
    NOT_BELOW,
    SAME,
    TIDY,
    Part,
    adapting,
    cost,
    f,
    joined,
    learnt,
    negated,
    p,
    scenario,
)

VGG, RESNET, SET = ("vgg16",), ("resnet18",), f(("set",))
THREE = METHODS[:3]
FIGURE_15, FIGURE_17 = ((lambda *methods, s=s: f(methods, (s,), ("industrial",), VGG)) for s in ("i", "iii"))
ROUTES: dict[str, Callable[[], Part]] = {
    "A2": lambda: joined(
        cost("inference", p(), BELOW), cost("inference energy", p(), BELOW), learnt(p(), NOT_BELOW, at_scale=True)
    ),
    "A4": lambda: joined(
        *(cost(what, p(("global", "layerwise")), BELOW) for what in ("training", "training energy", "inference"))
    ),
    "A6": lambda: learnt(p(), NOT_BELOW, at_scale=True),
    "C1": lambda: joined(cost("training energy", SET, BELOW), learnt(SET, NOT_BELOW, at_scale=True)),
    "C6": lambda: joined(*adapting(ABOVE, "ii")),
    "C8": lambda: cost("training", f(("pre-training",)), BELOW),
    "C9": lambda: learnt(f(("post-training",), ("i", "ii")), BELOW, lambda arm: (*arm[:2], "set", *arm[3:])),
    "C16": lambda: joined(*adapting(NOT_BELOW, "ii")),
    "C22": lambda: learnt(f(scenarios=("iii",)), SAME._replace(share=0.75), column="best_train_accuracy"),
    "C23": lambda: learnt(f(datasets=("visa",)), NOT_BELOW, column="best_train_accuracy"),
    "C27": lambda: learnt(f(scenarios=("iii",)), SAME, column="last_train_loss", margin=0.1, scale=1),
    "C28": lambda: joined(
        cost("training", f(("set", "in-training")), ABOVE),
        cost("training", f(("pre-training", "post-training")), NOT_ABOVE),
    ),
    "C31": lambda: joined(cost("training", FIGURE_17("set"), SAME), cost("training", FIGURE_17(*THREE), ABOVE)),
    "C32": lambda: cost("training", f(METHODS, ("i",), ("visa",), VGG), ABOVE),
    "C33": lambda: cost("training", f(METHODS, ("i",), ("visa",), RESNET), BELOW),
    "C36": lambda: learnt(f(("set",), ("ii",)), ABOVE, scenario("i")),
    "C46": lambda: cost("training energy", SET, BELOW),
    "C50": lambda: joined(
        cost("training energy", FIGURE_15("in-training", "post-training"), SAME),
        cost("training energy", FIGURE_15("pre-training", "set"), BELOW),
    ),
    "C52": lambda: cost("inference", f(), BELOW),
    "C53": lambda: cost("inference", f(METHODS, ("i",)), BELOW, scenario("ii")),
    "C58": lambda: learnt(f(scenarios=("iii",)), NOT_BELOW._replace(share=21 / 24)),
    "C61": lambda: negated(
        joined(
            cost("training energy", f(scenarios=("i",)), BELOW, scenario("ii")),
            cost("training energy", f(scenarios=("ii",)), BELOW, scenario("iii")),
        )
    ),
}


@pytest.mark.parametrize("claim", ROUTES)
def test_a_second_route_finds_the_same(claim: str) -> None:
    (verdict,) = verdicts(TIDY, [CLAIMS[claim]], COSTS)
    ours = ROUTES[claim]()
    assert verdict.base == ours.base, verdict.detail
    estimate = verdict.estimate
    assert (estimate is None) == (ours.estimate is None)
    if estimate is not None:
        found = estimate.mean, estimate.low, estimate.high
        assert found == pytest.approx((ours.estimate, ours.low, ours.high), rel=1e-9, abs=1e-9)
