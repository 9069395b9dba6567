"""Claims on time, energy, CO2 and memory."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy  # loads scipy.stats, which takes a second, where it is first used

from paperlib.claims.accuracy import adapting
from paperlib.claims.builders import (
    COST_MARGIN,
    Test,
    above,
    any_of,
    at_pixels,
    at_scale,
    below,
    effect_in,
    every,
    negate,
    not_above,
    not_below,
    on_device,
    same,
    self_contradiction,
    value_in,
)
from paperlib.claims.cost_evidence import COSTS
from paperlib.claims.effects import Metric
from paperlib.claims.evidence import PIXELS, Evidence, PairedSample, non_official_sources
from paperlib.claims.judging import Rule, judge
from paperlib.claims.ledger import claim
from paperlib.claims.settings import METHODS, Setting, dense_of, grid_f, grid_p, versus
from paperlib.claims.stats.estimates import Estimate
from paperlib.claims.verdict import MODELLED, Verdict, between

ABSTRACT = grid_p(sparsities=(0.5,), datasets=("mnist",), models=("mlp-small",))
P_VGG = [setting._replace(conv=setting.linear) for setting in grid_p(models=("vgg16",))]  # filters as well
RESNET, THAN_VGG = ("resnet18",), versus(model="vgg16")
OTHERS, ALL, SET = METHODS[:3], (*METHODS, "dense"), grid_f(("set",))
HPC = ("A100", "H100", "H200")


def vgg_industrial(scenario: str, *methods: str) -> list[Setting]:
    """VGG16 on the industrial set, the panel of F's figures 15 and 17 that its text singles out."""
    return grid_f(methods, (scenario,), ("industrial",), ("vgg16",))


def with_any_method(metric: str, low: float, high: float) -> Test:
    """P does not say which method its abstract's example is: one whose effect lies in the range will do."""
    return any_of(*(effect_in(metric, [setting], low, high) for setting in ABSTRACT))


claim(
    "A1",
    "P abstract",
    "time",
    "Small MLP on MNIST at 50 %: a third less inference energy and time, 0.49 % less accuracy.",
)(
    with_any_method("inference_time", 0.60, 0.74),
    with_any_method("inference_energy", 0.60, 0.74),
    at_scale(with_any_method("accuracy", -0.0149, 0.0051)),
)
claim("A2", "P abstract", "time", "Layer-wise pruning consistently cuts inference time and energy and keeps accuracy.")(
    below("inference_time", grid_p()), below("inference_energy", grid_p()), at_scale(not_below("accuracy", grid_p()))
)
claim(
    "A3", "P abstract", "energy", "Training energy, CO2 and peak memory are lower layer-wise than with global pruning."
)(*(below(m, grid_p(), versus(scope="global")) for m in ("training_energy", "co2", "peak_memory")))
claim("A4", "P abstract", "time", "Pruning makes both training and inference cheaper.")(
    *(
        below(metric, grid_p(("global", "layerwise")))
        for metric in ("training_time", "training_energy", "inference_time")
    )
)
claim("A5", "P abstract", "time", "What holds for the MLPs also holds for VGG-16.")(
    below("inference_time", P_VGG), below("inference_energy", P_VGG), at_scale(not_below("accuracy", P_VGG))
)
claim("C1", "F abstract, 6", "energy", "SET saves energy without losing accuracy.")(
    below("training_energy", SET), at_scale(not_below("accuracy", SET))
)


def smaller_files(settings: Sequence[Setting]) -> Test:
    """What is stored of the pruned networks, in the smallest exact format, beside the dense file."""
    metric = Metric("stored", "Stored size above dense's", "stored_change", "%", 100, signed=True)

    def test(evidence: Evidence) -> Verdict:
        samples = [evidence.level(metric, s) for s in settings]
        bounds = [0.0] * len(settings)
        rule = Rule({"below"}, {"above"}, bounds, [COST_MARGIN] * len(settings), level=True)
        return judge(evidence, metric, settings, samples, rule)

    return test


claim("C2", "F 1", "memory", "Sparse networks need less memory and infer faster.")(
    smaller_files(grid_f()), below("inference_memory", grid_f()), below("inference_time", grid_f())
)
claim("C7", "F 2", "time", "On a laptop's CPU pruned networks are as accurate as dense ones and faster.")(
    on_device("cpu", below("inference_time", grid_f(scenarios=("ii", "iii")))),
    at_scale(*adapting(not_below, "ii"), *adapting(not_below, "iii")),
)
claim("C8", "F 3.1.1", "time", "Pruning before training lowers computation and makes training faster.")(
    below("training_time", grid_f(("pre-training",)))
)


@claim("C14", "F 3.5", "energy", "The laptop needs about half the training energy of the HPC system.")
def _half_on_the_laptop(evidence: Evidence) -> Verdict:
    metric, needs = COSTS["training_energy"], "training energy of the same networks on an HPC GPU and on a laptop"
    hpc = evidence.on_card(*HPC)
    gpus = evidence.costs.rows.gpu.astype(str) if len(evidence.costs.rows) else pd.Series([], dtype=str)
    if gpus.nunique() < 2:
        return Verdict("untestable here", "one machine only", needs=needs)
    laptop = evidence.with_costs("gpu", lambda gpu: gpu.notna() & ~gpu.astype(str).str.contains("|".join(HPC)))

    def laptop_over_hpc(setting: Setting) -> PairedSample | None:
        one, other = laptop.level(metric, setting), hpc.level(metric, setting)
        if one is None or other is None:
            return None
        n = min(len(one.values), len(other.values))  # processes have nothing in common but their number
        logs = np.log(one.values[:n] / other.values[:n])
        rows = np.concatenate([one.rows, other.rows])
        return PairedSample(f"{one.label}, laptop against HPC", one.repeats[:n], logs, rows)

    settings = grid_f(ALL)
    rule = Rule.range(float(np.log(0.4)), float(np.log(0.6)), len(settings))
    return judge(evidence, metric, settings, [laptop_over_hpc(s) for s in settings], rule)


claim("C28", "F 4.3", "time", "SET and In-Training train more slowly than dense; Pre- and Post-Training cost little.")(
    above("training_time", grid_f(("set", "in-training"))),
    not_above("training_time", grid_f(("pre-training", "post-training"))),
)


@claim("C29", "F 4.3", "time", "Post-Training needs no new training for another sparsity.")
def _same_network_reused(evidence: Evidence) -> Verdict:
    needs = "post-training trials of one seed at two sparsities"
    post = evidence.rows[evidence.rows.method == "post-training"]
    keys = ["dataset", "model", "width", "epochs", "lr", "batch_size", "train_images", "seed"]
    groups = [group for _, group in post.groupby(keys) if len(group) > 1]
    if not groups:
        return Verdict("inconclusive", f"needs {needs}", needs=needs)
    shared = [g.shared_training.notna().all() and g.shared_training.nunique() == 1 for g in groups]
    rows = pd.concat(groups)
    return Verdict(
        "by definition" if all(shared) else "contradicted", caveats=tuple(non_official_sources(rows["source"])),
        needs=needs, detail=f"{sum(shared)} of {len(groups)} dense trainings serve every sparsity of their seed",
        trials=tuple(sorted(set(rows["id"]))),
    )  # fmt: skip


claim("C31", "F 4.3", "time", "VGG16, MVTec3D, scenario iii: SET trains as fast as dense, the others more slowly.")(
    same("training_time", vgg_industrial("iii", "set")), above("training_time", vgg_industrial("iii", *OTHERS))
)
claim("C32", "F 4.3", "time", "VGG16, VisA, scenario i: every pruned network trains more slowly than dense.")(
    above("training_time", grid_f(scenarios=("i",), datasets=("visa",), models=("vgg16",)))
)
claim("C33", "F 4.3", "time", "ResNet18, VisA, scenario i: dense trains more slowly than every pruned network.")(
    below("training_time", grid_f(scenarios=("i",), datasets=("visa",), models=RESNET))
)
claim("C34", "F 4.3", "time", "ResNet18 trains faster than VGG16, but not noticeably on VisA.")(
    at_pixels(
        PIXELS,
        below("training_time", grid_f(ALL, datasets=("bloodmnist", "industrial"), models=RESNET), THAN_VGG),
        same("training_time", grid_f(ALL, datasets=("visa",), models=RESNET), THAN_VGG),
    )
)


@claim("C43", "F 4.5", "time", "Inference takes 0.002 to 0.008 s on average (HPC).")
def _seconds_of_an_a100(evidence: Evidence) -> Verdict:
    on_a100 = evidence.on_card("A100")
    if on_a100.costs.rows.empty:
        return Verdict(
            "untestable here", "seconds of an A100, and nothing was measured on one", needs="costs on an A100"
        )
    return value_in("inference_time_b1", grid_f(ALL), 0.002, 0.008)(on_a100)


claim("C45", "F 4.5", "time", "In the other cases SET takes at most 0.002 s more.")(
    on_device("gpu", value_in("inference_extra", SET, -1.0, 0.002))
)
claim("C46", "F 4.6", "energy", "SET needs less training energy than dense in every plot, data set and model.")(
    below("training_energy", SET)
)
claim("C47", "F 4.6", "energy", "ResNet18 always needs less training energy than VGG16.")(
    at_pixels(PIXELS, below("training_energy", grid_f(ALL, models=RESNET), THAN_VGG))
)


def joules_of_an_a100(dataset: str, vgg: float, resnet: float) -> Test:
    """Levels of one card; elsewhere the ratio of the two networks is a remark, which decides nothing."""
    metric, ratio = COSTS["training_energy"], resnet / vgg

    def test(evidence: Evidence) -> Verdict:
        on_a100 = evidence.on_card("A100")
        levels = [
            value_in("training_energy", grid_f(ALL, datasets=(dataset,), models=(model,)), 0.8 * level, 1.2 * level)
            for model, level in (("vgg16", vgg), ("resnet18", resnet))
        ]
        if not on_a100.costs.rows.empty:
            return at_pixels(PIXELS, *levels)(on_a100)
        pairs = [evidence.compare(metric, s, THAN_VGG(s)) for s in grid_f(ALL, datasets=(dataset,), models=RESNET)]
        logs = [float(pair.values.mean()) for pair in pairs if pair is not None]
        remark = f"here ResNet18 takes ×{np.exp(np.mean(logs)):.2f} of VGG16, in F ×{ratio:.2f}" if logs else ""
        return Verdict(
            "untestable here", "joules of an A100", detail=remark, needs="training energy on an A100, 224 px"
        )

    return test


claim("C48", "F 4.6", "energy", "MVTec3D: 2.7e6 J on average for VGG16, 1.1e6 J for ResNet18 (a ratio of 0.41).")(
    joules_of_an_a100("industrial", 2.7e6, 1.1e6)
)
claim("C49", "F 4.6", "energy", "BloodMNIST: 0.6e6 J for VGG16, 0.2e6 J for ResNet18 (a ratio of 0.33).")(
    joules_of_an_a100("bloodmnist", 0.6e6, 0.2e6)
)
claim(
    "C50", "F 4.6", "energy", "Figure 15, VGG16, MVTec3D: In- and Post-Training like dense, above Pre-Training and SET."
)(
    same("training_energy", vgg_industrial("i", "in-training", "post-training")),
    below("training_energy", vgg_industrial("i", "pre-training", "set")),
)
claim("C51", "F 4.6", "energy", "Figure 17, VGG16, MVTec3D: Pre-, In- and Post-Training above dense and SET.")(
    above("training_energy", vgg_industrial("iii", *OTHERS)),
    above("training_energy", vgg_industrial("iii", *OTHERS), versus(method="set")),
)
claim("C52", "F 4.7", "time", "On the laptop's CPU dense infers more slowly than pruned in all tests.")(
    on_device("cpu", below("inference_time", grid_f()))
)
claim("C53", "F 4.7", "time", "On the laptop's CPU 80 % of filters removed is faster than 50 %.")(
    on_device("cpu", below("inference_time", grid_f(scenarios=("i",)), versus(scenario="ii")))
)
claim("C54", "F 4.7", "energy", "VGG16 takes more inference energy than ResNet18 on the laptop.")(
    at_pixels(PIXELS, on_device("cpu", below("inference_energy", grid_f(ALL, models=RESNET), THAN_VGG)))
)
claim(
    "C55",
    "F 4.7",
    "energy",
    "Pruned networks take less inference energy than dense, but save less than expected (masks).",
)(on_device("cpu", below("inference_energy", grid_f()), effect_in("inference_energy", grid_f(), 0.5, 1.0)))
claim("C56", "F 4.7", "time", "What is gained on the HPC system is also gained on the laptop.")(
    self_contradiction(
        "4.5: on the HPC system SET infers as fast as dense or more slowly; 4.7: dense is slower in all tests",
        every(*(on_device(machine, below("inference_time", grid_f())) for machine in ("gpu", "cpu"))),
    )
)


@claim("C59", "F 5", "energy", "Anomalies in energy go with anomalies in training time.")
def _energy_tracks_time(evidence: Evidence) -> Verdict:
    time, energy = COSTS["training_time"], COSTS["training_energy"]
    needs = "training time and energy of at least 8 settings of paper F"
    effects = [tuple(evidence.compare(metric, s, dense_of(s)) for metric in (time, energy)) for s in grid_f()]
    pairs = [(t, e) for t, e in effects if t is not None and e is not None]
    if len(pairs) < 8:
        return Verdict("inconclusive", f"needs {needs}", needs=needs)
    x, y = np.array([[np.mean(sample.values) for sample in pair] for pair in pairs]).T
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Verdict("inconclusive", "needs settings that differ in time and energy", needs=needs)
    support = evidence.support(energy, [sample for pair in pairs for sample in pair])
    if "modelled energy" in support["caveats"]:
        return Verdict("untestable here", MODELLED, needs=f"{needs}, measured")
    r = scipy.stats.pearsonr(x, y)
    low, high = map(float, r.confidence_interval())
    return Verdict(
        *between(low > 0.5, high < 0.5, "needs more settings"), needs=needs,
        estimate=Estimate(float(r.statistic), low, high, len(pairs)), unit="correlation", floor=0.5,
        detail=f"log ratios to dense of {len(pairs)} settings", **support,
    )  # fmt: skip


claim("C61", "F 5", "energy", "More sparsity does not consistently cut energy.")(
    negate(
        every(
            below("training_energy", grid_f(scenarios=("i",)), versus(scenario="ii")),
            below("training_energy", grid_f(scenarios=("ii",)), versus(scenario="iii")),
        )
    )
)
claim("C62", "F 6", "energy", "SET needs less training energy than the other three methods, consistently.")(
    *(below("training_energy", SET, versus(method=other)) for other in OTHERS)
)
