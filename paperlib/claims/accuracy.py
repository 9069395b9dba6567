"""Claims on accuracy and on training curves."""

from dataclasses import replace

import numpy as np
import pandas as pd

from paperlib.claims.builders import (
    MARGIN,
    METHODS,
    Test,
    above,
    at_scale,
    below,
    effect_in,
    every,
    grid_f,
    grid_p,
    negate,
    same,
    value_in,
    versus,
)
from paperlib.claims.evidence import QUANTITIES, Evidence, PairedSample
from paperlib.claims.facts import majority
from paperlib.claims.stats import spread_interval
from paperlib.claims.verdict import Verdict, between
from paperlib.data.registry import DOERRICH

DOERRICH_28 = [round(DOERRICH["bloodmnist", model][28][0] / 100, 4) for model in ("vgg16", "resnet18")]
HARD = ("bloodmnist", "industrial")  # where F's training curves collapse
SPREAD = 0.01  # "the repeats agree": a standard deviation of at most one point


def _gain_over_doerrich(evidence: Evidence) -> Verdict:
    reference = sum(DOERRICH_28) / len(DOERRICH_28)
    both = grid_f(("set",), ("ii",), ("bloodmnist",))
    return value_in("accuracy", both, reference + 0.01, reference + 0.03)(evidence)


def _fails_above_80(evidence: Evidence) -> Verdict:
    rows = evidence.rows
    needs = "trials of at least 10 epochs with a sparsity above 80 %"
    if rows.empty:
        return Verdict("inconclusive", f"needs {needs}", needs=needs)
    # Of F's own methods: random removal after training, say, tells nothing about them.
    mask = (rows[["sparsity", "conv_sparsity"]].max(axis=1) > 0.8) & (rows.epochs >= 10) & rows.method.isin(METHODS)
    if not mask.any():
        return Verdict("inconclusive", f"needs {needs}", needs=needs)
    gain = (rows.test_accuracy - rows.test_majority)[mask].dropna()
    cells = [
        PairedSample("above 80 %", rows["seed"].to_numpy()[gain.index], gain.to_numpy(float), gain.index.to_numpy())
    ]
    failed = float((gain < 0.05).mean())
    worst = pd.Series(gain < 0.05).groupby(rows.model[gain.index]).mean()
    return Verdict(
        *between(failed >= 0.9, failed <= 0.5, "needs more settings: some fail, some do not"),
        evidence.caveats(QUANTITIES["accuracy"], cells), needs=needs, provenance=evidence.provenance(cells),
        detail=f"{failed:.0%} of {len(gain)} trials end within 5 points of the majority rate ("
        + ", ".join(f"{m}: {v:.0%}" for m, v in worst.items()) + ")",
        trials=evidence.ids(cells),
    )  # fmt: skip


def _repeats_agree(evidence: Evidence) -> Verdict:
    metric = QUANTITIES["accuracy"]
    settings = grid_f((*METHODS, "dense"))
    cells = [c for c in (evidence.level(metric, s) for s in settings) if c is not None and len(c.values) > 1]
    needs = "two seeds or more of each setting of paper F"
    spread = spread_interval([c.values for c in cells])
    if spread is None or spread.low is None or spread.high is None:
        return Verdict("inconclusive", f"needs {needs}", needs=needs)
    return Verdict(
        *between(spread.high < SPREAD, spread.low > SPREAD, "needs more seeds"), evidence.caveats(metric, cells),
        spread.scaled(100), "points", 100 * SPREAD, needs=needs,
        detail=f"standard deviation between seeds, pooled over {len(cells)} settings",
        provenance=evidence.provenance(cells), trials=evidence.ids(cells),
    )  # fmt: skip


def _largest_loss(evidence: Evidence) -> Verdict:
    metric = QUANTITIES["accuracy"]
    settings = grid_f(scenarios=("i",))
    cells = [c for s in settings if (c := evidence.compare(metric, s, versus(scenario="ii")(s))) is not None]
    if not cells:
        return effect_in("accuracy", settings[:1], -0.9, -0.7, versus(scenario="ii"))(evidence)
    # The worst setting decides: chosen by its mean, judged on its seeds.
    worst = min(cells, key=lambda c: float(np.mean(c.values)))
    chosen = [s for s in settings if worst.label.startswith(f"{s} ")]
    return effect_in("accuracy", chosen, -0.9, -0.7, versus(scenario="ii"))(evidence)


def _with_majority(dataset: str, test: Test) -> Test:
    """Says beside the level what a constant predictor reaches: F's collapsed runs equal it to the stated digits."""

    def judged(evidence: Evidence) -> Verdict:
        verdict, (rate, entropy) = test(evidence), majority(dataset)
        said = f"a constant predictor has accuracy {rate:.1%}, loss {entropy:.3f}"
        return replace(verdict, detail="; ".join(filter(None, (verdict.detail, said))))

    return judged


TESTS: dict[str, Test] = {
    "A6": same("accuracy", grid_p(), or_above=True),
    "C3": at_scale(_gain_over_doerrich),
    "C5": at_scale(_with_majority("visa", value_in("accuracy", grid_f(("dense",), datasets=("visa",)), 0.84, 0.88))),
    "C6": above("accuracy", grid_f(scenarios=("ii",))),
    "C9": below("accuracy", grid_f(("post-training",), ("i", "ii")), versus(method="set")),
    "C15": _fails_above_80,
    "C16": same("accuracy", grid_f(scenarios=("ii",)), or_above=True),
    "C17": at_scale(_repeats_agree),
    "C19": at_scale(
        _with_majority(
            "bloodmnist",
            value_in("train_accuracy", grid_f(("pre-training", "set"), ("i",), HARD, ("vgg16",)), 0.0, 0.25),
        )
    ),
    "C20": at_scale(value_in("train_accuracy", grid_f(("pre-training", "set"), ("i",), HARD, ("resnet18",)), 0.4, 0.6)),
    "C21": above("train_accuracy", grid_f(scenarios=("ii",), datasets=HARD), versus(scenario="i")),
    "C22": same("train_accuracy", grid_f(scenarios=("iii",)), share=0.75),
    "C23": same("train_accuracy", grid_f(datasets=("visa",)), or_above=True),
    "C24": at_scale(
        _with_majority(
            "bloodmnist",
            every(
                value_in("train_loss", grid_f(("in-training", "set"), ("i",), HARD, ("vgg16",)), 1.7, 2.4),
                value_in("loss_change", grid_f(("in-training", "set"), ("i",), HARD, ("vgg16",)), -0.3, 0.1),
            ),
        )
    ),
    "C25": at_scale(_with_majority("visa", value_in("train_loss", grid_f(datasets=("visa",)), 0.32, 0.38))),
    "C26": at_scale(
        every(
            value_in("loss_falling", grid_f(scenarios=("ii",), datasets=HARD), 0.9, 1.01),
            negate(value_in("loss_falling", grid_f(scenarios=("ii",), datasets=("visa",)), 0.9, 1.01)),
        )
    ),
    "C27": same("train_loss", grid_f(scenarios=("iii",)), margin=0.1),
    "C36": above("accuracy", grid_f(("set",), ("ii",)), versus(scenario="i")),
    "C37": at_scale(
        every(
            value_in("accuracy", grid_f(scenarios=("i",), datasets=("industrial",), models=("vgg16",)), 0.05, 0.15),
            value_in("accuracy", grid_f(scenarios=("i",), datasets=("industrial",), models=("resnet18",)), 0.0, 0.30),
        )
    ),
    "C38": at_scale(value_in("accuracy", grid_f(scenarios=("ii",), datasets=("industrial",)), 0.85, 0.95)),
    "C39": at_scale(
        every(
            value_in("accuracy", grid_f(scenarios=("iii",), datasets=("industrial",)), 0.89, 0.95),
            same("accuracy", grid_f(scenarios=("iii",), datasets=("industrial",))),
        )
    ),
    "C40": at_scale(
        every(
            above(
                "accuracy",
                grid_f(("pre-training", "in-training", "set"), ("i",), models=("resnet18",)),
                versus(model="vgg16"),
            ),
            below("accuracy", grid_f(("post-training",), ("i",), models=("resnet18",)), versus(model="vgg16")),
        )
    ),
    "C41": at_scale(
        every(
            value_in("accuracy", grid_f(("pre-training",), ("i",), ("industrial",), ("vgg16",)), 0.0, 0.20),
            value_in("accuracy", grid_f(("pre-training",), ("iii",), ("industrial",), ("vgg16",)), 0.90, 1.0),
        )
    ),
    "C42": every(
        above("accuracy", grid_f(scenarios=("ii",)), versus(scenario="i")),
        above("accuracy", grid_f(scenarios=("iii",)), versus(scenario="ii")),
    ),
    "C57": at_scale(_largest_loss),
    "C58": same("accuracy", grid_f(scenarios=("iii",)), share=21 / 24, margin=MARGIN, or_above=True),
}
