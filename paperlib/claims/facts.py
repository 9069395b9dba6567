"""Claims that are counted, tried out, or decided by the papers' own text: from the models, the registry, the code."""

from functools import cache

import numpy as np
import scipy

from paperlib.claims.builders import at_scale, below, not_above, on_device, same, self_contradiction, value_in
from paperlib.claims.evidence import Evidence
from paperlib.claims.ledger import claim
from paperlib.claims.settings import METHODS, grid_f
from paperlib.claims.verdict import Verdict
from paperlib.data import DATASETS
from paperlib.models import MODELS, build

SET = grid_f(("set",))


def _decided(holds: bool, detail: str, needs: str = "nothing: it is counted") -> Verdict:
    return Verdict("supported" if holds else "contradicted", detail=detail, needs=needs)


@cache
def counts_of(model: str, classes: int = 1000) -> tuple[int, int, int]:
    """(parameters, convolutions, multiply-adds of one image) of `model` at 224 px, on tensors without memory."""
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    from paperlib.models.torchvision_shim import torchvision

    with torch.device("meta"):
        # VGG19 is in no study here: torchvision's own is counted.
        network = build(model, (224, 224, 3), classes) if model in MODELS else torchvision.models.get_model(model)
        with FlopCounterMode(display=False) as counter:
            network.eval()(torch.empty(1, 3, 224, 224))
    convolutions = sum(isinstance(module, nn.Conv2d) for module in network.modules())
    return sum(p.numel() for p in network.parameters()), convolutions, counter.get_total_flops() // 2


def majority(dataset: str) -> tuple[float, float]:
    """(share of the largest class, entropy of the shares in nats): what a constant predictor reaches."""
    info = DATASETS[dataset]
    shares = np.array(info.balance or (1,) * len(info.classes), float)
    shares /= shares.sum()
    return float(shares.max()), float(scipy.special.entr(shares).sum())


claim("C4", "F 2", "internal consistency", "Sparse networks reach 86 % on VisA, like APRIL-GAN's 86.87 % accuracy.")(
    self_contradiction(
        f"an accuracy beside an F1 of 0.8687; always saying 'normal' reaches {majority('visa')[0]:.1%}",
        at_scale(value_in("accuracy", grid_f(datasets=("visa",)), 0.84, 0.88)),
    )
)


@claim("C10", "F 3.1.4", "count", "SET and In-Training differ in their first graph only.")
def _set_is_in_training(evidence: Evidence) -> Verdict:
    import torch
    from torch import nn

    from paperlib import pruners
    from paperlib.schema.trial import make_trial

    trial = make_trial(model="vgg16", method="set", conv_sparsity=0.5, sparsity=0.8)
    with torch.random.fork_rng():
        network = nn.Sequential(nn.Conv2d(3, 20, 3), nn.Flatten(), nn.Linear(80, 30), nn.Linear(30, 10))
    layers, weights = pruners.layers_of(network, trial), torch.Generator().manual_seed(0)
    methods = [pruners.METHODS[name]() for name in ("set", "in-training")]

    def prunings() -> list[pruners.Pruning]:  # two generators of one seed
        return [pruners.Pruning(trial, layers, torch.Generator().manual_seed(1)) for _ in methods]

    def differing(a: pruners.Masks, b: pruners.Masks) -> int:
        return sum(not torch.equal(a[layer.name], b[layer.name]) for layer in layers)

    starts = [m.initial_masks(p) for m, p in zip(methods, prunings(), strict=True)]
    equal = []
    for start in starts:
        masks, states = [start, start], prunings()
        for epoch in range(1, 6):
            for parameter in network.parameters():
                nn.init.normal_(parameter, generator=weights)  # in place of the training between two boundaries
            masks = [m.update_masks(p, mask, epoch) for m, p, mask in zip(methods, states, masks, strict=True)]
            equal.append(differing(*masks) == 0 and differing(start, masks[0]) > 0)
        masks = [m.final_masks(p, mask) for m, p, mask in zip(methods, states, masks, strict=True)]
        equal.append(differing(*masks) == 0)
    first = differing(*starts)
    detail = (
        f"masks of both methods from one start, one generator and the same weights: equal at {sum(equal)} of "
        f"{len(equal)} epoch boundaries and ends; their own first masks differ in {first} of {len(layers)} layers"
    )
    return _decided(first > 0 and all(equal), detail, "nothing: it is tried out")


@claim("C11", "F 3.2.1, 4.7", "count", "VGG16 has 138 M parameters, VGG19 143 M, ResNet18 11 M.")
def _parameter_counts(evidence: Evidence) -> Verdict:
    stated = {"vgg16": 138, "resnet18": 11, "vgg19": 143}
    counts = {name: counts_of(name)[0] for name in stated}
    ours, *_ = counts_of("vgg16", len(DATASETS["industrial"].classes))
    good = all(stated[name] in {int(count / 1e6), round(count / 1e6)} for name, count in counts.items())
    detail = ", ".join(f"{name} {count / 1e6:.1f} M" for name, count in counts.items())
    return _decided(good, f"{detail} with the 1000-class head; VGG16 with 10 classes {ours / 1e6:.1f} M")


@claim(
    "C12",
    "F 3.3",
    "count",
    "Splits are 70/20/10 (train, test, validation), VisA 80/20 of 10,821 = 9,621 + 1,200 images.",
)
def _splits(evidence: Evidence) -> Verdict:
    counts = {name: np.array(DATASETS[name].counts) for name in ("bloodmnist", "industrial", "visa")}
    blood, parts = (counts[name] / counts[name].sum() for name in ("bloodmnist", "industrial"))
    good = np.allclose((blood, parts), (0.7, 0.1, 0.2), atol=0.005)
    normal, anomalous = DATASETS["visa"].balance
    total = counts["visa"].sum()
    good &= total == normal + anomalous == 10_821 and round(counts["visa"][2] / total, 2) == 0.2
    said = ", ".join(f"{name} {'/'.join(f'{c:,}' for c in split)}" for name, split in counts.items())
    return _decided(good, f"train/val/test: {said}; VisA {normal:,} + {anomalous:,}. §4.5 says 10 % test")


@claim("C13", "F 3.5", "count", "PyTorch does not allow pruning during training.")
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
    detail = f"torch.nn.utils.prune between steps of a training: {removed[0]}, then {removed[1]} of 64 weights gone"
    return _decided(not 0 < removed[0] < removed[1], detail, "nothing: it is tried out")


@claim("C18", "F 3.5", "energy", "Zeus cannot tell the energy of one partition of a GPU.")
def _energy_of_a_partition(evidence: Evidence) -> Verdict:
    needs = "trials on a GPU that is partitioned (MIG)"
    rows = evidence.rows[evidence.rows.gpu.astype(str).str.contains("MIG")]
    if rows.empty:
        return Verdict("untestable here", "no GPU partition", needs=needs)
    measured = rows.energy_source.eq("nvml").any()
    detail = f"energy of {len(rows)} trials on a partition: {'nvml' if measured else 'not measured'}"
    return Verdict("contradicted" if measured else "supported", detail=detail, needs=needs, trials=tuple(rows["id"]))


@claim("C35", "F 4.3", "count", "ResNet18 is faster in spite of more convolutions, thanks to its residual blocks.")
def _because_of_residuals(evidence: Evidence) -> Verdict:
    (_, vgg_layers, vgg), (_, res_layers, res) = counts_of("vgg16"), counts_of("resnet18")
    detail = (
        f"convolutions: ResNet18 {res_layers}, VGG16 {vgg_layers}; but a 224 px image costs ResNet18 "
        f"{vgg / res:.1f} times fewer multiply-adds, which explains its speed without the shortcuts"
    )
    return _decided(vgg / res <= 2 or res_layers <= vgg_layers, detail)


claim(
    "C30",
    "F 4.3",
    "internal consistency",
    "SET trains at most as long as dense, or comparably, in 85 of 90 cases (94 %).",
)(
    self_contradiction(
        f"90 counts dense and four methods; SET meets dense in {len(SET)} settings",
        not_above("training_time", SET, share=0.94),
    )
)
claim("C44", "F 4.5", "internal consistency", 'SET infers as fast as dense in 12 of 18 cases ("75 %").')(
    self_contradiction(
        f"12 of 18 is {12 / 18:.1%}, not 75 %", on_device("gpu", same("inference_time_b1", SET, share=12 / 18))
    )
)
claim("C60", "F 5", "internal consistency", "Pruned networks are more energy-efficient than dense ones.")(
    self_contradiction("C50 and C51 report pruned arms at or above dense", below("training_energy", grid_f()))
)
claim("C63", "F 6", "internal consistency", "The other methods reduce training energy, too.")(
    self_contradiction(
        "C50 and C51 report these methods at or above dense", below("training_energy", grid_f(METHODS[:3]))
    )
)
