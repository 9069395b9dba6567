"""Claims that are counted, or that the papers' own text decides: from the models, the registry, the code."""

from functools import cache

import numpy as np
import scipy

from paperlib.claims.builders import (
    METHODS,
    MODELS,
    SCENARIOS,
    SETS,
    Test,
    at_scale,
    below,
    grid_f,
    not_above,
    on_device,
    same,
    value_in,
)
from paperlib.claims.evidence import Evidence
from paperlib.claims.verdict import Verdict, inconsistent
from paperlib.data import DATASETS
from paperlib.models import build

IMAGENET = ((224, 224, 3), 1000)
COUNTED = "nothing: it is counted"


@cache
def parameters(model: str, classes: int) -> int:
    """Parameters of `model` at 224 px, counted on tensors without memory."""
    import torch

    with torch.device("meta"):
        return sum(p.numel() for p in build(model, IMAGENET[0], classes).parameters())


@cache
def vgg19_parameters() -> int:
    """VGG19 is in no study here; torchvision's own is counted."""
    import torch

    from paperlib.models.torchvision_shim import torchvision

    with torch.device("meta"):
        return sum(p.numel() for p in torchvision.models.vgg19(weights=None).parameters())


@cache
def work(model: str) -> tuple[int, int]:
    """(convolutions, multiply-adds of one 224 px image) of `model`."""
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        network = build(model, *IMAGENET).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, 224, 224))
    return sum(isinstance(m, nn.Conv2d) for m in network.modules()), counter.get_total_flops() // 2


def majority(dataset: str) -> tuple[float, float]:
    """(share of the largest class, entropy of the shares in nats): what a constant predictor reaches."""
    info = DATASETS[dataset]
    shares = np.array(info.balance or (1,) * len(info.classes), float)
    shares /= shares.sum()
    return float(shares.max()), float(scipy.stats.entropy(shares))


def fraction_is(part: int, whole: int, stated: float, digits: int = 2) -> bool:
    """Whether part / whole rounds to the stated share."""
    return round(part / whole, digits) == round(stated, digits)


def _parameter_counts(evidence: Evidence) -> Verdict:
    said = {"vgg16": 138, "vgg19": 143, "resnet18": 11}
    counts = {"vgg16": parameters("vgg16", 1000), "resnet18": parameters("resnet18", 1000), "vgg19": vgg19_parameters()}
    ours = parameters("vgg16", len(DATASETS["industrial"].classes))
    good = all(int(counts[name] / 1e6) == millions or round(counts[name] / 1e6) == millions
               for name, millions in said.items())  # fmt: skip
    detail = ", ".join(f"{name} {count / 1e6:.1f} M" for name, count in counts.items())
    return Verdict(
        "supported" if good else "contradicted", needs=COUNTED,
        detail=f"{detail} with the 1000-class head; VGG16 with 10 classes {ours / 1e6:.1f} M",
    )  # fmt: skip


def _splits(evidence: Evidence) -> Verdict:
    shares = {}
    for name, wanted in (("bloodmnist", (0.7, 0.1, 0.2)), ("industrial", (0.7, 0.1, 0.2))):
        counts = np.array(DATASETS[name].counts)
        shares[name] = bool(np.allclose(counts / counts.sum(), wanted, atol=0.005))
    visa = DATASETS["visa"]
    shares["visa"] = (
        sum(visa.counts) == 10_821 and sum(visa.balance) == 10_821 and fraction_is(visa.counts[2], 10_821, 0.2)
    )
    said = ", ".join(f"{n} {'/'.join(f'{c:,}' for c in DATASETS[n].counts)}" for n in shares)
    return Verdict(
        "supported" if all(shares.values()) else "contradicted", needs=COUNTED,
        detail=f"train/val/test: {said}; VisA {visa.balance[0]:,} + {visa.balance[1]:,}. §4.5 says 10 % test",
    )  # fmt: skip


def _set_is_in_training(evidence: Evidence) -> Verdict:
    from paperlib.pruners import METHODS as CODE

    a, b = CODE["set"], CODE["in-training"]
    steps = ("width", "initial_masks", "update_masks", "_swap", "grow", "final_masks")
    differ = [name for name in steps if getattr(a, name) is not getattr(b, name)]
    return Verdict(
        "supported" if differ == ["initial_masks"] else "contradicted", needs="nothing: it is read from the code",
        detail=f"of the steps of Algorithm 1 as coded here, SET replaces: {', '.join(differ)}",
    )  # fmt: skip


def _prunes_during_training(evidence: Evidence) -> Verdict:
    import torch
    from torch import nn
    from torch.nn.utils import prune

    # A real training step before and after a second mask: if both work, the claim is false.
    layer = nn.Linear(8, 8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        removed = []
        for amount in (0.25, 0.5):
            prune.l1_unstructured(layer, "weight", amount)
            layer(torch.randn(4, 8)).square().sum().backward()
            torch.optim.SGD(layer.parameters(), 0.1).step()
            removed.append(layer.weight.numel() - int(torch.count_nonzero(layer.get_buffer("weight_mask"))))
    works = 0 < removed[0] < removed[1]
    return Verdict(
        "contradicted" if works else "supported", needs="nothing: it is tried out",
        detail=f"torch.nn.utils.prune between steps of a training: {removed[0]}, then {removed[1]} of 64 weights gone",
    )  # fmt: skip


def _energy_of_a_partition(evidence: Evidence) -> Verdict:
    needs = "trials on a GPU that is partitioned (MIG)"
    rows = evidence.rows
    if rows.empty or not (mask := rows.gpu.astype(str).str.contains("MIG")).any():
        return Verdict("untestable here", "no GPU partition", needs=needs)
    measured = rows.energy_source[mask].eq("nvml").any()
    detail = f"energy of {int(mask.sum())} trials on a partition: {'nvml' if measured else 'not measured'}"
    return Verdict(
        "contradicted" if measured else "supported", detail=detail, needs=needs, trials=tuple(rows["id"][mask])
    )


def _because_of_residuals(evidence: Evidence) -> Verdict:
    (vgg_layers, vgg), (res_layers, res) = work("vgg16"), work("resnet18")
    arithmetic = vgg / res
    return Verdict(
        "contradicted" if arithmetic > 2 and res_layers > vgg_layers else "supported", needs=COUNTED,
        detail=f"convolutions: ResNet18 {res_layers}, VGG16 {vgg_layers}; but a 224 px image costs ResNet18 "
        f"{arithmetic:.1f} times fewer multiply-adds, which explains its speed without the shortcuts",
    )  # fmt: skip


def _comparable_to_april(evidence: Evidence) -> Verdict:
    rate, _ = majority("visa")
    ours = at_scale(value_in("accuracy", grid_f(datasets=("visa",)), 0.84, 0.88))(evidence)
    return inconsistent(f"an accuracy beside an F1 of 0.8687; always saying 'normal' reaches {rate:.1%}", ours)


def _eighty_five_of_ninety(evidence: Evidence) -> Verdict:
    ours = not_above("training_time", grid_f(("set",)), share=0.94)(evidence)
    comparisons = len(SCENARIOS) * len(SETS) * len(MODELS)
    if comparisons == 90:
        return ours
    return inconsistent(f"90 counts dense and four methods; SET meets dense in {comparisons} settings", ours)


def _twelve_of_eighteen(evidence: Evidence) -> Verdict:
    ours = on_device("gpu", same("inference_time_b1", grid_f(("set",)), share=12 / 18))(evidence)
    if fraction_is(12, 18, 0.75):
        return ours
    return inconsistent(f"12 of 18 is {12 / 18:.1%}, not 75 %", ours)


def _others_too(settings: tuple[str, ...], where: str) -> Test:
    def test(evidence: Evidence) -> Verdict:
        return inconsistent(where, below("training_energy", grid_f(settings))(evidence))

    return test


TESTS: dict[str, Test] = {
    "C4": _comparable_to_april,
    "C10": _set_is_in_training,
    "C11": _parameter_counts,
    "C12": _splits,
    "C13": _prunes_during_training,
    "C18": _energy_of_a_partition,
    "C30": _eighty_five_of_ninety,
    "C35": _because_of_residuals,
    "C44": _twelve_of_eighteen,
    "C60": _others_too(METHODS, "C50 and C51 report pruned arms at or above dense"),
    "C63": _others_too(METHODS[:3], "C50 and C51 report these methods at or above dense"),
}
