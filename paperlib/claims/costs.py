"""Claims on time, energy, CO2 and memory."""

import numpy as np
import pandas as pd
import scipy

from paperlib.claims.builders import (
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
    not_above,
    on_device,
    same,
    value_in,
    versus,
)
from paperlib.claims.evidence import QUANTITIES, Evidence, Setting, dense_of, non_official_sources
from paperlib.claims.stats import Estimate
from paperlib.claims.verdict import Verdict, between

ABSTRACT = grid_p(sparsities=(0.5,), datasets=("mnist",), models=("mlp-small",))
BOTH_SCOPES = grid_p(("global", "layerwise"))
P_VGG = grid_p(models=("vgg16",))
BIG = ("A100", "H100", "H200")  # the HPC side of a comparison of machines


def _on_a100(test: Test) -> Test:
    """Absolute figures belong to one machine."""

    def judged(evidence: Evidence) -> Verdict:
        gpu = evidence.rows.gpu.astype(str) if not evidence.rows.empty else None
        if gpu is None or not (mask := gpu.str.contains("A100")).any():
            return Verdict("untestable here", "seconds of an A100, and no trial ran on one", needs="trials on an A100")
        return test(Evidence(evidence.rows[mask].reset_index(drop=True)))

    return judged


def _laptop_half(evidence: Evidence) -> Verdict:
    metric, needs = QUANTITIES["training_energy"], "training energy of the same trials on an HPC GPU and on a laptop"
    if evidence.rows.empty or evidence.rows.gpu.astype(str).nunique() < 2:
        return Verdict("untestable here", "one machine only", needs=needs)
    rows = evidence.rows[evidence.rows.train_energy_j.notna() & evidence.rows.gpu.notna()]
    big = rows.gpu.str.contains("|".join(BIG))
    keys = ["dataset", "model", "method", "conv_sparsity", "sparsity", "seed", "epochs", "train_images"]
    pairs = rows[~big].merge(rows[big], on=keys)
    if pairs.empty:
        return Verdict("untestable here", "no trial was measured on both kinds of machine", needs=needs)
    ratio = (pairs.train_energy_j_x / pairs.train_energy_j_y).groupby(pairs.seed).agg(lambda r: np.log(r).mean())
    log = ratio.to_numpy(float)
    if len(log) < 2:
        return Verdict("inconclusive", "needs more seeds, n = 1", needs=needs)
    half = scipy.stats.t.ppf(0.975, len(log) - 1) * scipy.stats.sem(log)
    low, mean, high = (float(np.exp(v)) for v in (log.mean() - half, log.mean(), log.mean() + half))
    images = non_official_sources(pd.concat([pairs.source_x, pairs.source_y]))
    kinds = sorted({*pairs.energy_source_x, *pairs.energy_source_y} & {"modelled", "simulated"})
    return Verdict(
        *between(low > 0.4 and high < 0.6, high < 0.4 or low > 0.6, "needs more seeds"),
        (*images, *(f"{k} energy" for k in kinds)),
        Estimate(mean, low, high, len(log)), "ratio", detail=f"{metric.title.lower()} of {len(pairs)} pairs",
        needs=needs, provenance="/".join(sorted(set(pairs.source_x))), trials=tuple(sorted({*pairs.id_x, *pairs.id_y})),
    )  # fmt: skip


def _same_network_reused(evidence: Evidence) -> Verdict:
    needs = "post-training trials of one seed at two sparsities"
    rows = evidence.rows
    post = rows[rows.method == "post-training"] if not rows.empty else rows
    keys = ["dataset", "model", "width", "epochs", "lr", "batch_size", "train_images", "seed"]
    groups = [g for _, g in post.groupby(keys) if len(g) > 1] if not post.empty else []
    if not groups:
        return Verdict("inconclusive", f"needs {needs}", needs=needs)
    shared = [g.shared_training.notna().all() and g.shared_training.nunique() == 1 for g in groups]
    images = non_official_sources(pd.concat([g.source for g in groups]))
    return Verdict(
        "supported" if all(shared) else "contradicted", caveats=tuple(images), needs=needs,
        detail=f"{sum(shared)} of {len(groups)} dense trainings serve every sparsity of their seed",
        trials=tuple(sorted({i for g in groups for i in g["id"]})),
    )  # fmt: skip


def _energy_tracks_time(evidence: Evidence) -> Verdict:
    time, energy = QUANTITIES["training_time"], QUANTITIES["training_energy"]
    needs = "training time and energy of at least 8 settings of paper F"
    both = [(evidence.compare(time, s, dense_of(s)), evidence.compare(energy, s, dense_of(s))) for s in grid_f()]
    pairs = [(t, e) for t, e in both if t is not None and e is not None]
    if len(pairs) < 8:
        return Verdict("inconclusive", f"needs {needs}", needs=needs)
    x, y = (np.array([np.mean(c.values) for c in side]) for side in zip(*pairs, strict=True))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Verdict("inconclusive", "needs settings that differ in time and energy", needs=needs)
    r = scipy.stats.pearsonr(x, y)
    low, high = r.confidence_interval()
    cells = [c for pair in pairs for c in pair]
    if "modelled energy" in evidence.caveats(energy, cells):
        return Verdict("untestable here", "modelled energy is computed from the time", needs=f"{needs}, measured")
    return Verdict(
        *between(low > 0.5, high < 0.5, "needs more settings"), evidence.caveats(energy, cells),
        Estimate(float(r.statistic), float(low), float(high), len(pairs)), "correlation", 0.5,
        detail=f"log ratios to dense of {len(pairs)} settings", needs=needs,
        provenance=evidence.provenance(cells), trials=evidence.ids(cells),
    )  # fmt: skip


def _at_vgg_industrial(scenario: str, *methods: str) -> list[Setting]:
    """VGG16 on the industrial set, the panel of the paper's figures 15 and 17 that it singles out."""
    return grid_f(methods, (scenario,), ("industrial",), ("vgg16",))


RESNET = ("resnet18",)
PIXELS = 224  # where VGG16 and ResNet18 are the papers'; their small-image forms cost otherwise
THAN_VGG = versus(model="vgg16")
ALL = (*METHODS, "dense")
TESTS: dict[str, Test] = {
    "A1": every(
        effect_in("inference_time", ABSTRACT, 0.60, 0.74),
        effect_in("inference_energy", ABSTRACT, 0.60, 0.74),
        effect_in("accuracy", ABSTRACT, -0.0149, 0.0051),
    ),
    "A2": every(
        below("inference_time", grid_p()),
        below("inference_energy", grid_p()),
        same("accuracy", grid_p(), or_above=True),
    ),
    "A3": every(*(below(m, grid_p(), versus(scope="global")) for m in ("training_energy", "co2", "peak_memory"))),
    "A4": every(*(below(m, BOTH_SCOPES) for m in ("training_time", "training_energy", "inference_time"))),
    "A5": every(
        below("inference_time", P_VGG), below("inference_energy", P_VGG), same("accuracy", P_VGG, or_above=True)
    ),
    "C1": every(below("training_energy", grid_f(("set",))), same("accuracy", grid_f(("set",)), or_above=True)),
    "C2": every(below("peak_memory", grid_f()), below("inference_time", grid_f())),
    "C7": every(same("accuracy", grid_f(), or_above=True), on_device("cpu", below("inference_time", grid_f()))),
    "C8": below("training_time", grid_f(("pre-training",))),
    "C14": _laptop_half,
    "C28": every(
        above("training_time", grid_f(("set", "in-training"))),
        not_above("training_time", grid_f(("pre-training", "post-training"))),
    ),
    "C29": _same_network_reused,
    "C31": every(
        same("training_time", _at_vgg_industrial("iii", "set")),
        above("training_time", _at_vgg_industrial("iii", "pre-training", "in-training", "post-training")),
    ),
    "C32": above("training_time", grid_f(scenarios=("i",), datasets=("visa",), models=("vgg16",))),
    "C33": below("training_time", grid_f(scenarios=("i",), datasets=("visa",), models=("resnet18",))),
    "C34": at_scale(
        every(
            below("training_time", grid_f(ALL, datasets=("bloodmnist", "industrial"), models=RESNET), THAN_VGG),
            same("training_time", grid_f(ALL, datasets=("visa",), models=RESNET), THAN_VGG),
        ),
        PIXELS,
    ),
    "C43": _on_a100(value_in("inference_time_b1", grid_f(ALL), 0.002, 0.008)),
    "C45": on_device("gpu", value_in("inference_extra", grid_f(("set",)), -1.0, 0.002)),
    "C46": below("training_energy", grid_f(("set",))),
    "C47": at_scale(below("training_energy", grid_f(ALL, models=RESNET), THAN_VGG), PIXELS),
    "C48": at_scale(
        effect_in("training_energy", grid_f(ALL, datasets=("industrial",), models=RESNET), 0.33, 0.51, THAN_VGG), PIXELS
    ),
    "C49": at_scale(
        effect_in("training_energy", grid_f(ALL, datasets=("bloodmnist",), models=RESNET), 0.26, 0.42, THAN_VGG), PIXELS
    ),
    "C50": every(
        same("training_energy", _at_vgg_industrial("i", "in-training", "post-training")),
        below("training_energy", _at_vgg_industrial("i", "pre-training", "set")),
    ),
    "C51": every(
        above("training_energy", _at_vgg_industrial("iii", "pre-training", "in-training", "post-training")),
        above(
            "training_energy",
            _at_vgg_industrial("iii", "pre-training", "in-training", "post-training"),
            versus(method="set"),
        ),
    ),
    "C52": on_device("cpu", below("inference_time", grid_f())),
    "C53": on_device("cpu", below("inference_time", grid_f(scenarios=("i",)), versus(scenario="ii"))),
    "C54": at_scale(on_device("cpu", below("inference_energy_absolute", grid_f(ALL, models=RESNET), THAN_VGG)), PIXELS),
    "C55": on_device(
        "cpu", every(below("inference_energy", grid_f()), effect_in("inference_energy", grid_f(), 0.5, 1.0))
    ),
    "C56": every(
        on_device("gpu", below("inference_time", grid_f())), on_device("cpu", below("inference_time", grid_f()))
    ),
    "C59": _energy_tracks_time,
    "C61": negate(
        every(
            below("training_energy", grid_f(scenarios=("i",)), versus(scenario="ii")),
            below("training_energy", grid_f(scenarios=("ii",)), versus(scenario="iii")),
        )
    ),
    "C62": every(
        *(
            below("training_energy", grid_f(("set",)), versus(method=m))
            for m in ("pre-training", "in-training", "post-training")
        )
    ),
}
