"""Claims that are counted, tried out, or decided by the papers' own text: from the models, the registry, the code."""

from dataclasses import replace
from functools import cache

import numpy as np
import scipy

from paperlib.claims.builders import (
    at_pixels,
    at_scale,
    below,
    not_above,
    on_device,
    same,
    self_contradiction,
    unlike,
    value_in,
)
from paperlib.claims.evidence import PIXELS, Evidence
from paperlib.claims.ledger import claim
from paperlib.claims.settings import METHODS, grid_f, versus
from paperlib.claims.verdict import Base, Verdict, flawed
from paperlib.data import DATASETS
from paperlib.models import MODELS, build

SET = grid_f(("set",))
# Where F's own figures 15 and 17 show a pruned network at or above dense (C50, C51).
EXCEPTIONS = {
    *grid_f(("in-training", "post-training"), ("i",), ("industrial",), ("vgg16",)),
    *grid_f(METHODS[:3], ("iii",), ("industrial",), ("vgg16",)),
}


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
    unlike(
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
    base: Base = "by definition" if first > 0 and all(equal) else "contradicted"
    return Verdict(base, detail=detail, needs="nothing: it is tried out")


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
    needs = "trials on all images of BloodMNIST, VisA or the industrial set, real ones"
    parts, said, trials = list[bool](), list[str](), list[str]()
    rows = evidence.undrawn.rows
    for dataset, stated in {"bloodmnist": (0.7, 0.1, 0.2), "industrial": (0.7, 0.1, 0.2), "visa": (0.8, 0.2)}.items():
        names = ["id", "train_images", "val_images", "test_images"]
        read = rows[rows.dataset == dataset].reindex(columns=names).dropna()
        counts = read.iloc[:, 1:].astype(int)
        complete = read[counts.sum(axis=1) == sum(DATASETS[dataset].counts)].head(1)
        for id, train, val, test in complete.itertuples(index=False):
            # VisA has no validation images of its own: they are taken from its training images here.
            split = np.array([train + val, test] if dataset == "visa" else [train, val, test], float)
            parts.append(bool(np.allclose(split / split.sum(), stated, atol=0.005)))
            said.append(f"{dataset} {train:,.0f}/{val:,.0f}/{test:,.0f}")
            trials.append(id)
    ours = Verdict("inconclusive", f"needs {needs}", needs=needs)
    if said:
        ours = Verdict(
            "supported" if all(parts) else "contradicted", detail=f"train/val/test as read: {', '.join(said)}",
            needs=needs, trials=tuple(trials),
        )  # fmt: skip
    return flawed("internally inconsistent", "20 % of the images are for testing in 3.3, 10 % in 4.5", ours)


@claim("C13", "F 3.5", "count", "PyTorch does not allow pruning during training.")
def _prunes_during_training(evidence: Evidence) -> Verdict:
    import torch
    from torch import nn

    from paperlib import pruners
    from paperlib.execution.compact_training import CompactTraining
    from paperlib.schema.trial import make_trial

    # F means the structure: filters are cut out of a network between two steps of one training, which goes on.
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 20, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 10))
        images, labels = torch.randn(8, 3, 4, 4), torch.arange(8)
        optimizer, sizes, losses = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9), [20], list[float]()
        for share in (0.25, 0.5):
            trial = make_trial(model="vgg16", method="pre-training", conv_sparsity=share)
            layers = pruners.layers_of(network, trial)
            masks = pruners.METHODS["pre-training"]().initial_masks(pruners.Pruning(trial, layers, torch.Generator()))
            pruners.MaskEnforcer(layers, optimizer).set(masks)
            compact = CompactTraining(network, layers, masks, optimizer)
            for _ in range(2):
                compact.optimizer.zero_grad()
                loss = nn.functional.cross_entropy(compact.model(images), labels)
                loss.backward()
                compact.optimizer.step()
                losses.append(loss.item())
            sizes.append(next(m.out_channels for m in compact.model.modules() if isinstance(m, nn.Conv2d)))
            compact.scatter_back()
    trained = losses[1] < losses[0] and losses[3] < losses[2]
    detail = f"filters of a convolution, cut out between steps of a training: {', '.join(map(str, sizes))}; it goes on"
    return _decided(not (trained and sizes == [20, 15, 10]), detail, "nothing: it is tried out")


claim("C18", "F 3.5", "energy", "Zeus cannot tell the energy of one partition of a GPU.")(
    lambda evidence: Verdict(
        "untestable here",
        "not tested: the meters here leave partitions out",
        needs="Zeus on a GPU that is partitioned (MIG)",
    )
)


@claim("C35", "F 4.3", "time", "ResNet18 trains faster in spite of more convolutions, thanks to its residual blocks.")
def _because_of_residuals(evidence: Evidence) -> Verdict:
    (_, vgg_layers, vgg), (_, layers, resnet) = counts_of("vgg16"), counts_of("resnet18")
    dense = grid_f(("dense",), datasets=("bloodmnist",), models=("resnet18",))
    # What the shortcuts do to the time is told by the same network without them.
    verdict = at_pixels(PIXELS, below("training_time", dense, versus(model="resnet18-plain")))(evidence)
    counted = (
        f"ResNet18 has {layers} convolutions, VGG16 {vgg_layers}, yet a 224 px image costs it "
        f"{vgg / resnet:.1f} times fewer multiply-adds"
    )
    return replace(
        verdict, detail="; ".join(filter(None, (f"against itself without shortcuts: {verdict.detail}", counted)))
    )


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
claim(
    "C60", "F 5", "energy", "Pruned networks are more energy-efficient than dense ones (but for the exceptions of 4.6)."
)(below("training_energy", [s for s in grid_f() if s not in EXCEPTIONS]))
claim("C63", "F 6", "energy", "The other methods reduce training energy, too (but for the exceptions of 4.6).")(
    below("training_energy", [s for s in grid_f(METHODS[:3]) if s not in EXCEPTIONS])
)
