"""What pruned work really costs: ratios of dense time to pruned time, measured side by side in one run.

`python benchmarks/execution.py [--check] [--repeats N] [--only WORD]`. Each network, dense too, runs in the
memory format that is fastest for it (convolutions) or on one thread (perceptrons); runs are interleaved in random
order and the ratio is that of shortest times, which other work on the machine disturbs least. The A/A line (dense
against dense) shows the noise; --check exits 1 where a figure falls short.
"""

import argparse
import random
import sys
from collections.abc import Callable
from copy import deepcopy
from timeit import repeat, timeit

import torch
from torch import Tensor, nn

from paperlib.costs.training_step import MaskedTraining, TrainableNetwork, build_network, make_masks
from paperlib.execution.backends import to_backend
from paperlib.execution.channels import Join
from paperlib.execution.compact import to_compact
from paperlib.execution.flops import count
from paperlib.models.mlp import build_mlp, mlp_medium
from paperlib.models.resnet import resnet18
from paperlib.models.vgg import vgg16
from paperlib.pruners import METHODS, Pruning, apply_masks, layers_of
from paperlib.schema.cost import make_cost_setting
from paperlib.schema.trial import make_trial

Run = Callable[[], object]
BATCH = 64
SHAPE = (28, 28, 1)
STEPS = 60_000 // BATCH  # of an epoch
# Targets, by sparsity: inference by network and batch, a training step and an epoch of SET against masked.
SINGLE_WEIGHTS = {
    ("mlp-medium", 64): {0.5: 1.2, 0.8: 3.2, 0.9: 5.0, 0.95: 8.0},
    ("mlp 784-512-256-10", 64): {0.5: 1.2, 0.8: 3.2, 0.9: 5.0, 0.95: 8.0},
    ("mlp-medium", 1): {0.8: 2.0, 0.9: 3.5, 0.95: 6.0},
}
TRAINING, SET_EPOCH = {0.8: 2.5, 0.9: 4.0, 0.95: 6.0}, {0.9: 3.5}


def filters(model: nn.Module, keep: float) -> dict[str, Tensor]:
    """Random filter masks that keep the share `keep` of every convolution; the model is masked with them."""
    generator, masks = torch.Generator().manual_seed(0), {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            left = torch.randperm(layer.out_channels, generator=generator)[: round(layer.out_channels * keep)]
            masks[name] = torch.zeros(layer.out_channels, dtype=torch.bool).index_fill(0, left, True)
            layer.weight.data[~masks[name]] = 0
    return masks


def job(model: nn.Module, images: Tensor, train: bool) -> Run:
    """One training step (without the optimizer) or one inference of `model`, in its faster memory format."""
    labels = torch.arange(len(images)) % 10

    def run() -> None:
        model.train(train)
        with torch.inference_mode(not train):
            out = model(images)
        if train:
            model.zero_grad()
            nn.functional.cross_entropy(out, labels).backward()

    took = {}
    for layout in (torch.contiguous_format, torch.channels_last, torch.contiguous_format):
        model.to(memory_format=layout)  # type: ignore[call-overload]
        images = images.contiguous(memory_format=layout)
        run()
        took[layout] = timeit(run, number=1)
    if took[torch.channels_last] < took[torch.contiguous_format]:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = images.contiguous(memory_format=torch.channels_last)
    return run


def ratios(jobs: dict[str, Run], repeats: int) -> dict[str, float]:
    """Shortest time of the first job over that of each other, after one warm-up, in random order."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for run in jobs.values():
        run()
    for _ in range(repeats):
        for name in random.sample(list(jobs), len(jobs)):
            times[name].append(timeit(jobs[name], number=1))
    first, *others = [(name, min(t)) for name, t in times.items()]
    return {name: first[1] / t for name, t in others}


def figure(name: str, ratio: float, target: float | None) -> bool:
    """Print one line; False where `ratio` falls short of its target."""
    if target is None:
        print(f"{name}: ratio {ratio:.2f}", flush=True)
        return True
    print(f"{name}: ratio {ratio:.2f} (target {target:.3g}) {'ok' if ratio >= target else 'short'}", flush=True)
    return ratio >= target


class FreeJoin(nn.Module):
    """A plain sum of the same width as a Join: what joining differently cut branches can cost at least."""

    def __init__(self, join: Join) -> None:
        super().__init__()
        self.swap, self.missing = join.swap, join.total - len(join.wide)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        wide, other = (a, b) if self.swap else (b, a)
        # The mean keeps the other branch in the backward pass.
        return nn.functional.pad(wide, (0, 0, 0, 0, 0, self.missing)) + other.mean()


def with_free_joins(model: nn.Module) -> nn.Module:
    model = deepcopy(model)
    for name, join in [(n, m) for n, m in model.named_modules() if isinstance(m, Join)]:
        model.set_submodule(name, FreeJoin(join))
    return model


def convolutional(name: str, side: int, repeats: int, targets: dict[tuple[bool, float], float]) -> list[bool]:
    """VGG16 or ResNet18 with a share of filters kept, against dense.

    Without stated targets: 80 % of what the same compact network reaches when its residual joins are free.
    """
    build = {"vgg16": vgg16, "resnet18": resnet18}[name]
    images, good = torch.randn(BATCH, 3, side, side), []
    for train in (True, False):
        dense = build((side, side, 3), 10)
        jobs = {
            "dense": job(dense, images, train),
            "A/A dense": job(build((side, side, 3), 10), images, train),
        }
        counted = {}
        for keep in (0.5, 0.2):
            masks = filters(model := build((side, side, 3), 10), keep)
            costs = count(model, masks, (side, side, 3))
            dense_flops = costs.dense_training_flops if train else costs.dense_inference_flops
            counted[keep] = dense_flops / (costs.training_flops if train else costs.inference_flops)
            small = to_compact(model, masks, training=train)
            jobs[f"keep {keep}"] = job(small, images, train)
            if not targets:
                jobs[f"keep {keep}, free joins"] = job(with_free_joins(small), images, train)
        speedups = ratios(jobs, repeats)
        title = f"{name} {side} px {'training' if train else 'inference'}"
        figure(f"{title} A/A dense", speedups["A/A dense"], None)
        for keep, arithmetic in counted.items():
            free = speedups.get(f"keep {keep}, free joins", 0.0)
            target = targets.get((train, keep), 0.8 * free)
            line = f"{title} keep {keep} (arithmetic {arithmetic:.1f})"
            good.append(figure(line, speedups[f"keep {keep}"], target))
    return good


def coupled(repeats: int) -> list[bool]:
    """Inference of ResNet18 at 28 px without the least channels of each residual stream, against dense."""
    images, good = torch.randn(BATCH, 3, 28, 28), []
    for keep, target in ((0.5, 4.0), (0.2, 12.0)):
        trial = make_trial(model="resnet18", method="pre-training-coupled", conv_sparsity=1 - keep)
        dense, again, model = (resnet18((28, 28, 3), 10) for _ in range(3))
        layers = layers_of(model, trial)
        masks = METHODS[trial.method]().initial_masks(Pruning(trial, layers, torch.Generator()))
        apply_masks(layers, masks)
        networks = {"dense": dense, "A/A dense": again, f"keep {keep}": to_compact(model, masks)}
        for label, ratio in ratios({name: job(m, images, False) for name, m in networks.items()}, repeats).items():
            line = f"resnet18 28 px inference, coupled channels, {label}"
            good.append(figure(line, ratio, None if label == "A/A dense" else target))
    return good


def inference(model: nn.Module, images: Tensor) -> Run:
    """Ten inferences of `model`."""

    @torch.inference_mode()
    def run() -> None:
        for _ in range(10):
            model(images)

    return run


def pruned_perceptron(model: nn.Module, images: Tensor, sparsity: float) -> nn.Module:
    """The model, so many of its single weights removed at random, as the backend `sparse` runs it."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data[torch.rand_like(layer.weight) < sparsity] = 0
    return to_backend(model, {}, "sparse", images)


def perceptrons(repeats: int) -> list[bool]:
    """P's full-size mlp-medium and an MLP 784-512-256-10 without single weights, inference and training, one thread."""
    good, threads = list[bool](), torch.get_num_threads()
    builds = {
        "mlp-medium": lambda: mlp_medium(SHAPE, 10, 1.0),
        "mlp 784-512-256-10": lambda: build_mlp(784, (512, 256), 10),
    }
    torch.set_num_threads(1)
    for (name, batch), targets in SINGLE_WEIGHTS.items():
        for sparsity, target in targets.items():
            images, model = torch.randn(batch, 1, *SHAPE[:2]), builds[name]().eval()
            jobs = {
                "dense": inference(model, images),
                "A/A dense": inference(deepcopy(model), images),
                "sparse": inference(pruned_perceptron(deepcopy(model), images, sparsity), images),
            }
            for label, ratio in ratios(jobs, 5 * repeats).items():
                line = f"{name} {sparsity:.0%} batch {batch} {label}"
                good.append(figure(line, ratio, target if label == "sparse" else None))
    for sparsity, target in TRAINING.items():
        good += training(sparsity, target, repeats)
    torch.set_num_threads(threads)
    return good


def training(sparsity: float, target: float, repeats: int) -> list[bool]:
    """A step of full-size mlp-medium, sparse against masked, and an epoch of SET with its new masks."""
    setting = make_cost_setting(model="mlp-medium", method="set", sparsity=sparsity, options={"momentum": 0.9})
    batch = torch.randn(setting.batch_size, 1, *SHAPE[:2]), torch.arange(setting.batch_size) % 10
    network = TrainableNetwork(setting, build_network(setting), batch)
    pruned = MaskedTraining.of(setting, network, make_masks(setting, layers_of(network.model, setting.trial()), 0), 0)
    if pruned.realised is None:
        return [figure(f"mlp-medium {sparsity:.0%} training: no sparse one here", 1.0, target)]
    masked = network.step(pruned.enforcer)
    jobs = {
        "masked": masked,
        "A/A masked": network.step(pruned.enforcer),
        "sparse": network.realised_step(pruned.realised),
    }
    speedups = ratios(jobs, 3 * repeats)
    step = min(repeat(masked, number=1, repeat=repeats))
    updated, rebuilt = pruned.update_seconds(3), pruned.rebuild_seconds(3)
    epoch = (STEPS * step + updated) / (STEPS * step / speedups["sparse"] + updated + rebuilt)
    return [
        figure(f"mlp-medium {sparsity:.0%} training step A/A masked", speedups["A/A masked"], None),
        figure(f"mlp-medium {sparsity:.0%} training step sparse against masked", speedups["sparse"], target),
        figure(f"mlp-medium {sparsity:.0%} epoch of SET with its swaps", epoch, SET_EPOCH.get(sparsity)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 where a figure falls short of its target")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", choices=["mlp", "vgg16", "resnet18", "coupled"])
    options = parser.parse_args()
    good: list[bool] = []
    if options.only in {None, "mlp"}:
        good += perceptrons(options.repeats)
    if options.only in {None, "vgg16"}:
        targets = {(True, 0.5): 3.0, (True, 0.2): 10.0, (False, 0.5): 2.5, (False, 0.2): 10.0}
        good += convolutional("vgg16", 32, options.repeats, targets)
    if options.only in {None, "resnet18"}:
        good += convolutional("resnet18", 28, options.repeats, {})
    if options.only in {None, "coupled"}:
        good += coupled(options.repeats)
    return 1 if options.check and not all(good) else 0


if __name__ == "__main__":
    sys.exit(main())
