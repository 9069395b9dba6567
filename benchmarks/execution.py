"""What pruned work really costs: ratios of dense time to pruned time, measured side by side in one run.

`python benchmarks/execution.py [--check] [--repeats N] [--only WORD]`. Each network, dense too, runs in the
memory format (convolutions) or on the number of threads (perceptrons) that is fastest for it; runs are
interleaved in random order and the ratio is that of shortest times, which other work on the machine disturbs
least. The A/A line (dense against dense) shows the noise; --check exits 1 where a figure falls short.
"""

import argparse
import random
import sys
from collections.abc import Callable
from copy import deepcopy
from timeit import repeat, timeit

import torch
from torch import Tensor, nn

from paperlib.execution.channels import Join
from paperlib.execution.compact import to_compact
from paperlib.execution.flops import count
from paperlib.execution.sparse import SparseLinear
from paperlib.models.resnet import resnet18
from paperlib.models.vgg import vgg16
from paperlib.pruners import METHODS, Pruning, apply_masks, layers_of
from paperlib.schema.trial import make_trial

Run = Callable[[], object]
BATCH = 64


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


def many(model: nn.Module, images: Tensor) -> Run:
    """Fifty inferences of `model`, on the number of threads that suits it: waking a second one costs some 50 µs."""

    def on(threads: int) -> None:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            for _ in range(50):
                model(images)

    counts = sorted({1, torch.get_num_threads()})
    took = {n: min(repeat(lambda n=n: on(n), number=1, repeat=5)) for n in counts}
    best = min(took, key=took.__getitem__)
    torch.set_num_threads(counts[-1])
    return lambda: on(best)


def perceptron(repeats: int) -> list[bool]:
    """MLP 784-512-256-10 with single weights removed, linear layers as CSR, batch 64."""
    good = []
    for sparsity, target in ((0.8, 1.2), (0.95, 4.0)):
        dense = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
        for layer in dense:
            if isinstance(layer, nn.Linear):
                layer.weight.data[torch.rand_like(layer.weight) < sparsity] = 0
        sparse = nn.Sequential(*(SparseLinear(m) if isinstance(m, nn.Linear) else m for m in dense)).eval()
        images = torch.randn(BATCH, 784)
        jobs = {"dense": many(dense, images), "A/A dense": many(dense, images), "CSR": many(sparse, images)}
        for label, ratio in ratios(jobs, 3 * repeats).items():
            good.append(figure(f"mlp {sparsity:.0%} {label}", ratio, target if label == "CSR" else None))
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 where a figure falls short of its target")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", choices=["mlp", "vgg16", "resnet18", "coupled"])
    options = parser.parse_args()
    good: list[bool] = []
    if options.only in {None, "mlp"}:
        good += perceptron(options.repeats)
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
